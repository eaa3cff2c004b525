"""Containers and endpoints: started, replaced under load, killed, and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
import requests
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from rehearsal.provider.context import Context
from rehearsal.runtime.containers import Container, ContainerFailed

REPOSITORY = Path(__file__).parents[3]
SERVER = """
import asyncio, json, os, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

print("starting", sys.argv[1:], flush=True)
if "fail" in sys.argv:
    raise SystemExit("there is no model here")

async def env(request):
    return JSONResponse({"env": dict(os.environ), "args": sys.argv[1:], "cwd": os.getcwd(), "pid": os.getpid()})

async def echo(request):
    body = await request.body()
    seen = {"method": request.method, "query": request.url.query, "header": request.headers.get("x-mine"),
            "path": request.scope["raw_path"].decode(), "body": body.decode()}
    return JSONResponse(seen, 201, {"x-theirs": "yes"})

async def slow(request):
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse(os.environ.get("VERSION", ""))

async def crash(request):
    os._exit(3)

async def health(request):
    return PlainTextResponse("sick", 500 if "sick" in sys.argv else 200)

app = Starlette(routes=[Route("/env", env), Route("/echo/{rest:path}", echo, methods=["POST"]), Route("/slow", slow),
                        Route("/crash", crash), Route("/health", health)])
uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning",
            timeout_graceful_shutdown=0)  # when stopped, it drops its requests: the rehearsal must drain them
"""
DOCKERFILE = """
FROM python:3.11
WORKDIR /app
ENV PYTHONPATH=/app:/opt/nothing LEVEL=info
COPY server.py ./
ENTRYPOINT ["python", "/app/server.py"]
CMD ["serve"]
"""


@pytest.fixture
def image(live_context: Context, tmp_path: Path) -> str:
    return build(live_context, tmp_path)


def build(context: Context, folder: Path) -> str:
    build_context = folder / "context"
    build_context.mkdir(exist_ok=True)
    (build_context / "server.py").write_text(SERVER)
    (build_context / "Dockerfile").write_text(DOCKERFILE)
    return context.images.build(build_context, "Dockerfile", "registry/app", "one").reference


def container(image: str, *args: str, timeout: float = 20, **env: str) -> Container:
    return Container(image=image, args=args, env=env, health="/health", start_timeout=timeout)


def request(context: Context, key: str, path: str) -> Response:
    return context.call(context.containers.send(key, "GET", path), timeout=40)


def facts(context: Context, key: str) -> dict:
    answer = request(context, key, "/env")
    assert answer.status_code == 200, bytes(answer.body)
    return httpx.Response(200, content=bytes(answer.body)).json()


def crash(context: Context, key: str) -> int:
    """Crash the container and wait for its end; the process id that it had.

    What is about to die answers no more, and is not replaced yet: until the last of its threads has ended,
    the kernel tells no parent.
    """
    pid = int(facts(context, key)["pid"])
    assert request(context, key, "/crash").status_code == 503
    deadline = time.monotonic() + 10
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    return pid


def test_a_container_gets_the_environment_of_its_image_and_the_platform_only(
    live_context: Context, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the rehearsal itself")
    model = tmp_path / "model"
    model.mkdir()
    live_context.containers.run(
        "endpoint",
        Container(
            image=image,
            env={
                "SM_MODEL_DIR": "/opt/ml/model",
                "FILE": "/opt/ml/model/model.onnx",
                "ROUTE": "/app",
            },
            files={"opt/ml/model": model},
            health="/health",
        ),
    )
    seen = facts(live_context, "endpoint")
    rootfs = live_context.images.find(image).rootfs  # type: ignore[union-attr]
    assert seen["cwd"] == str(rootfs / "app")
    assert seen["args"] == ["serve"]
    assert seen["env"]["PYTHONPATH"] == str(rootfs / "app"), "no path of this machine"
    assert seen["env"]["SM_MODEL_DIR"] == str(model)
    assert seen["env"]["FILE"] == str(model / "model.onnx")
    assert seen["env"]["ROUTE"] == "/app", "the platform's own values are not paths of the image"
    assert seen["env"]["LEVEL"] == "info"
    assert "AWS_SECRET_ACCESS_KEY" not in seen["env"]
    with pytest.MonkeyPatch.context() as environment:
        environment.setattr(os, "environ", seen["env"])
        found = requests.utils.get_environ_proxies("https://iamcredentials.googleapis.com")
        assert found["https"] == "http://127.0.0.1:1", "no other machine is asked"
        assert requests.utils.get_environ_proxies("https://127.5.4.3:8443") == {}
    assert "starting ['serve']" in live_context.containers.logs("endpoint")


def test_settings_of_a_container_load_no_code_from_outside_of_its_image(
    live_context: Context, image: str, tmp_path: Path
) -> None:
    outside = tmp_path / "lake"
    outside.mkdir()
    witness = tmp_path / "witness"
    (outside / "sitecustomize.py").write_text(f"open({str(witness)!r}, 'w')")
    settings = {
        "PYTHONPATH": f"/app:{outside}:../../../../{outside}",
        "LD_PRELOAD": f"{outside}/any.so",
        "PYTHONHOME": str(outside),
        "PYTHONUNBUFFERED": "1",
        "OPENSSL_CONF": f"{outside}/openssl.cnf",
        "OPENSSL_MODULES": f"/app/../../..{outside}",
        "GCONV_PATH": f"{outside}:/app",
        "BASH_ENV": f"{outside}/any.sh",
        "BASH_FUNC_cd%%": f"() {{ . {outside}/any.sh; }}",
        "NODE_OPTIONS": f"--require={outside}/any.js",
        "PERL5OPT": f"-I{outside} -Many",
        "AWS_CONFIG_FILE": f"{outside}/config",
        "UVICORN_APP_DIR": str(outside),
        "ENV": "production",
        "MALLOC_ARENA_MAX": "2",
    }
    live_context.containers.run("endpoint", container(image, **settings))
    environment = facts(live_context, "endpoint")["env"]
    assert not witness.exists()
    assert str(outside) not in str(environment)
    kept = ("PYTHONUNBUFFERED", "ENV", "MALLOC_ARENA_MAX")
    assert {name: environment[name] for name in kept} == {name: settings[name] for name in kept}


def test_a_request_is_forwarded_completely(live_context: Context, image: str) -> None:
    live_context.containers.run("endpoint", container(image))
    url = live_context.endpoints.open("front", "endpoint")
    answer = httpx.post(
        f"{url}/echo/a%20b?x=1&y=%2F", content="hello", headers={"X-Mine": "header"}, timeout=20
    )
    assert answer.status_code == 201
    assert answer.headers["x-theirs"] == "yes"
    assert answer.json() == {
        "method": "POST",
        "path": "/echo/a%20b",
        "query": "x=1&y=%2F",
        "header": "header",
        "body": "hello",
    }


def test_no_request_fails_while_one_container_takes_over_from_another(
    live_context: Context, image: str
) -> None:
    live_context.containers.run("endpoint", container(image, VERSION="1"))
    first = facts(live_context, "endpoint")["pid"]
    url = live_context.endpoints.open("front", "endpoint")
    seen: list[tuple[int, str]] = []
    rolled = threading.Event()

    def load() -> None:
        with httpx.Client(timeout=40) as client:
            after = 0
            while after < 5:
                answer = client.get(f"{url}/slow?seconds=0.02")
                seen.append((answer.status_code, answer.text))
                after += rolled.is_set()

    with ThreadPoolExecutor(5) as pool:
        long = pool.submit(httpx.get, f"{url}/slow?seconds=2.5", timeout=40)
        loads = [pool.submit(load) for _ in range(4)]
        time.sleep(0.3)
        live_context.containers.run("endpoint", container(image, VERSION="2"))
        rolled.set()
        for running in loads:
            running.result(60)
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {"1", "2"}
    assert long.result().text == "1", (
        "a request in flight is answered by the container that took it"
    )
    assert not psutil.pid_exists(first)


def test_a_container_that_ends_is_refused_with_its_log_and_the_former_serves_on(
    live_context: Context, image: str
) -> None:
    live_context.containers.run("endpoint", container(image, VERSION="1"))
    with pytest.raises(ContainerFailed, match=r"exit code 1(?s:.*)there is no model here"):
        live_context.containers.run("endpoint", container(image, "fail", VERSION="2"))
    assert facts(live_context, "endpoint")["env"]["VERSION"] == "1"


def test_a_container_that_never_becomes_healthy_is_refused_and_stopped(
    live_context: Context, image: str
) -> None:
    with pytest.raises(ContainerFailed, match=r"did not answer /health on port \d+ within 2 s"):
        live_context.containers.run("endpoint", container(image, "sick", timeout=2))
    assert not [key for _, _, key in live_context.store.processes() if key.startswith("container/")]
    assert request(live_context, "endpoint", "/env").status_code == 503


def test_an_image_from_elsewhere_is_recorded_and_says_so_when_it_is_called(
    live_context: Context, image: str
) -> None:
    own = f"registry.example.com/own@sha256:{'0f' * 32}"
    containers = live_context.containers
    containers.run("own", container(image))
    containers.run("own", container(own))
    answer = asyncio.run(containers.send("own", "GET", "/health"))
    assert answer.status_code == 503
    assert f"the rehearsal only records {own}".encode() in bytes(answer.body)
    assert not [
        p for p in psutil.Process().children() if p.is_running() and "server.py" in p.cmdline()
    ]


def test_an_image_of_a_known_repository_is_missing_and_not_from_elsewhere(
    live_context: Context, image: str
) -> None:
    missing = f"{image.partition('@')[0]}@sha256:{'0f' * 32}"
    for _ in range(2):
        with pytest.raises(ContainerFailed, match="manifest unknown"):
            live_context.containers.run("lost", container(missing))
        live_context.images.drop_repository(image.partition("@")[0])


def test_the_same_container_is_left_running(live_context: Context, image: str) -> None:
    live_context.containers.run("endpoint", container(image, VERSION="1"))
    before = facts(live_context, "endpoint")["pid"]
    live_context.containers.run("endpoint", container(image, VERSION="1"))
    assert facts(live_context, "endpoint")["pid"] == before


def test_a_crashed_container_is_started_again_by_the_next_request(
    live_context: Context, image: str
) -> None:
    live_context.containers.run("endpoint", container(image))
    before = crash(live_context, "endpoint")
    assert facts(live_context, "endpoint")["pid"] != before


def test_many_requests_at_once_start_a_crashed_container_once(
    live_context: Context, image: str
) -> None:
    live_context.containers.run("endpoint", container(image))
    crash(live_context, "endpoint")
    with ThreadPoolExecutor(8) as pool:
        pids = {f["pid"] for f in pool.map(lambda _: facts(live_context, "endpoint"), range(8))}
    assert len(pids) == 1


def test_a_stopped_container_is_not_started_again(live_context: Context, image: str) -> None:
    live_context.containers.run("endpoint", container(image))
    pid = facts(live_context, "endpoint")["pid"]
    live_context.containers.stop("endpoint")
    live_context.containers.stop("endpoint")
    assert not psutil.pid_exists(pid)
    answer = request(live_context, "endpoint", "/env")
    assert answer.status_code == 503
    assert b"nothing is deployed as endpoint" in bytes(answer.body)


def test_containers_of_a_killed_rehearsal_are_stopped_and_start_at_their_first_use(
    contexts: Callable[[], Context], tmp_path: Path
) -> None:
    # A rehearsal in a process of its own, so that it can really be killed.
    program = """
        import asyncio, os, signal, sys, threading
        from pathlib import Path
        from rehearsal.server import assemble
        from tests.unit.rehearsal.test_runtime_containers import build, container, facts
        context = assemble(Path(sys.argv[1]), 1, asyncio.new_event_loop())
        threading.Thread(target=context.loop.run_forever, daemon=True).start()
        context.containers.run("endpoint", container(build(context, Path(sys.argv[1])), VERSION="7"))
        print(context.endpoints.open("front", "endpoint"), facts(context, "endpoint")["pid"], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), tmp_path],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    url, orphan = killed.stdout.split()
    assert psutil.pid_exists(int(orphan)), "killing the rehearsal leaves what it started"

    context = contexts()
    assert not psutil.pid_exists(int(orphan))
    assert context.endpoints.open("front", "endpoint") == url
    assert httpx.get(f"{url}/slow?seconds=0", timeout=30).text == "7"


def test_a_body_above_the_limit_is_refused(
    live_context: Context, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rehearsal.runtime.containers.MAX_BODY", 1000)
    live_context.containers.run("endpoint", container(image))
    url = live_context.endpoints.open("front", "endpoint")
    assert httpx.post(f"{url}/echo/", content=b"x" * 1001, timeout=20).status_code == 413


async def answer(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    request = Request(scope, receive)
    await asyncio.sleep(float(request.query_params.get("seconds", "0")))
    await PlainTextResponse("one")(scope, receive, send)


def test_an_endpoint_keeps_its_port_while_its_application_is_exchanged(
    live_context: Context,
) -> None:
    url = live_context.endpoints.open("front", answer)
    assert httpx.get(url).text == "one"
    assert live_context.endpoints.open("front", PlainTextResponse("two")) == url
    assert httpx.get(url).text == "two"
    assert live_context.endpoints.url("front") == url
    live_context.endpoints.close("front")
    live_context.endpoints.close("front")
    assert live_context.endpoints.url("front") is None
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_an_endpoint_can_be_opened_on_the_event_loop(live_context: Context) -> None:
    async def on_the_loop() -> str:
        return live_context.endpoints.open("front", answer)

    assert httpx.get(live_context.call(on_the_loop(), timeout=5)).text == "one"


def test_requests_above_the_limit_get_429_and_the_others_an_answer(live_context: Context) -> None:
    url = live_context.endpoints.open("front", answer, max_concurrency=2)
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(httpx.get, f"{url}/?seconds=1", timeout=20) for _ in range(6)]
        statuses = sorted(each.result().status_code for each in answers)
    assert statuses == [200, 200, 429, 429, 429, 429]
    assert httpx.get(url).status_code == 200


def test_an_endpoint_whose_port_is_taken_reports_the_port(contexts: Callable[[], Context]) -> None:
    before = contexts()
    port = int(before.endpoints.open("front", answer).rpartition(":")[2])
    after = contexts()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(OSError, match=f"port {port} of front is taken"),
    ):
        after.endpoints.open("front", answer)


def test_an_endpoint_listens_on_loopback_only(live_context: Context) -> None:
    port = int(live_context.endpoints.open("front", answer).rpartition(":")[2])
    own = psutil.Process(os.getpid()).net_connections()
    assert {c.laddr.ip for c in own if c.status == "LISTEN" and c.laddr.port == port} == {
        "127.0.0.1"
    }


def test_answers_are_not_delayed_by_nagles_algorithm(live_context: Context) -> None:
    url = live_context.endpoints.open("front", answer)
    with httpx.Client() as client:
        times = []
        for _ in range(60):  # Linux acknowledges the first segments of a connection at once
            since = time.monotonic()
            client.get(url)
            times.append(time.monotonic() - since)
    assert min(times[30:]) < 0.03, "a delayed acknowledgement costs 40 ms"
