"""The model server: its answers, and each service's contract for containers."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import google.api_core.retry.retry_unary
import pytest
from gateway import asgi
from model_server import serve
from model_server.files import files_of, model_folders
from model_server.model import Model
from onnx import TensorProto, helper
from PIL import Image

from config.model_contract import version_of, version_text
from tests.onnx_models import (
    contract,
    flight,
    flight_contract,
    graph,
    mirror,
    model,
    served,
)
from tools import check_image

from .fake_cloud import ReceivedRequest, Reply, fake_cloud

LAMBDA = Path(serve.__file__).resolve().parent.parent
EXAMPLE = flight()
MODEL = model().SerializeToString()
VERSION = version_of(version_text(flight_contract(), MODEL))
ECHO = mirror({"sentence": (TensorProto.STRING, [None])})
ECHO_CONTRACT = contract(
    {"sentence": {"type": "text"}}, {"kind": "tensors"}, {"sentence": "good"}, "echo"
)


def png() -> str:
    """An image of two pixels, as a request has it."""
    stream = io.BytesIO()
    Image.new("L", (2, 1), 200).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of flights."""
    return served(tmp_path_factory.mktemp("model"), MODEL, flight_contract()) / "model.onnx"


@pytest.fixture(scope="module")
def app(model_file: Path) -> serve.App:
    environment = {"AIP_PREDICT_ROUTE": "/v1/predict", "AIP_HEALTH_ROUTE": "/v1/health"}
    return serve.App(serve.Models([model_file.parent]), environment)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> serve.App:
    """A model of flights, one that returns texts, and one that cannot be served."""
    root = tmp_path_factory.mktemp("models")
    served(root / "flight-delay", MODEL, flight_contract())
    served(root / "echo", ECHO, ECHO_CONTRACT)
    served(root / "broken", MODEL[:200], ECHO_CONTRACT.replace(b'"echo"', b'"broken"'))
    return serve.App(serve.Models(model_folders({"SM_MODEL_DIR": str(root)})), {})


def answer(app: serve.App, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    return asyncio.run(app.answer(method, path, body))


def post(app: serve.App, content: object) -> tuple[int, dict[str, Any]]:
    return answer(app, "POST", "/predict", json.dumps(content).encode())


@pytest.mark.parametrize("first", ["model_server.serve", "model_server.model_check"])
def test_no_telemetry_of_the_model_is_collected(
    model_file: Path, tmp_path: Path, first: str
) -> None:
    """ONNX Runtime keeps what it sends to Microsoft, and the machine's identifier, in the home folder."""
    # It collects nothing in a pipeline's job, and so nothing would be found there.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(LAMBDA)}
    load = "import onnxruntime; onnxruntime.InferenceSession(sys.argv[2])"
    code = f"import sys, importlib; importlib.import_module(sys.argv[1]); {load}"
    command = [sys.executable, "-c", code, first, str(model_file)]
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/score", "/v1/predict"])
def test_each_service_has_its_predict_route(app: serve.App, path: str) -> None:
    body = json.dumps({"instances": [EXAMPLE]}).encode()
    status, content = answer(app, "POST", path, body)
    assert status == 200
    assert content["model_version"] == VERSION
    assert content["model"] == "flight-delay"
    (prediction,) = content["predictions"]
    assert prediction["late"] == (prediction["probability"] >= 0.5)


@pytest.mark.parametrize("path", ["/ping", "/healthz", "/v1/health"])
def test_each_service_has_its_health_route(app: serve.App, path: str) -> None:
    assert answer(app, "GET", path) == (200, {"status": "ok", "models": {"flight-delay": VERSION}})


def test_predictions_come_in_the_order_of_the_instances(app: serve.App) -> None:
    """The small model's probability rises with the position of the airline."""
    first, last = {**EXAMPLE, "carrier": "9E"}, {**EXAMPLE, "carrier": "YV"}
    _, content = post(app, {"instances": [last, first, last]})
    assert [each["probability"] > 0.9 for each in content["predictions"]] == [True, False, True]


def test_weather_may_be_left_out_or_null(app: serve.App) -> None:
    bare = {name: EXAMPLE[name] for name in ("carrier", "origin", "dest", "date", "departure")}
    null = dict.fromkeys(EXAMPLE) | bare
    status, content = post(app, {"instances": [bare, null]})
    assert status == 200
    assert content["predictions"][0] == content["predictions"][1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"carrier": "ZZ"}, "instances[0].carrier is 'ZZ'; it should be one of 9E, AA"),
        ({"carrier": None}, "instances[0].carrier is missing"),
        ({"carrier": ["UA"]}, "instances[0].carrier is ['UA']"),
        ({"dest": "EWR"}, "instances[0].dest is 'EWR'"),
        ({"date": "17.11.2013"}, "instances[0].date is '17.11.2013'; it should be a date"),
        ({"date": 20131117}, "instances[0].date is 20131117"),
        ({"departure": "25:00"}, "instances[0].departure is '25:00'; it should be a time"),
        ({"temp": "warm"}, "instances[0].temp is 'warm'; it should be a number"),
        ({"temp": True}, "instances[0].temp is True; it should be a number"),
    ],
)
def test_a_wrong_field_is_named_with_the_reason(
    app: serve.App, change: dict[str, Any], reason: str
) -> None:
    status, content = post(app, {"instances": [{**EXAMPLE, **change}]})
    assert status == 400
    assert content["error"].startswith(reason)
    assert content["model_version"] == VERSION


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b'{"instances": []}',
        b'{"instances": {}}',
        b'{"instances": [1]}',
        b'{"instances": [[]]}',
        b'{"instances": ' + b"[" * 100_000,
        b'{"instances": [{"temp": NaN}]}',
        b'{"instances": [{"temp": 1e400}]}',
        b'{"instances": [{"carrier": "\\ud800"}]}',
    ],
)
def test_a_body_that_is_no_request_is_refused_with_the_reason(app: serve.App, body: bytes) -> None:
    status, content = answer(app, "POST", "/predict", body)
    assert status == 400
    assert "instances" in content["error"]


def test_wrong_paths_and_methods_are_refused(app: serve.App) -> None:
    assert answer(app, "GET", "/nowhere")[0] == 404
    assert answer(app, "GET", "/predict")[0] == 405
    assert answer(app, "POST", "/ping")[0] == 405
    assert answer(app, "POST", "/predict", bytes(serve.MAX_BODY_BYTES + 1))[0] == 413


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({}, 8080),
        ({"PORT": "9000"}, 9000),
        ({"SAGEMAKER_BIND_TO_PORT": "9001", "PORT": "9000"}, 9001),
        ({"AIP_HTTP_PORT": "9002", "SAGEMAKER_BIND_TO_PORT": "9001", "PORT": "9000"}, 9002),
    ],
)
def test_each_service_sets_the_port_with_its_own_variable(
    environment: dict[str, str], port: int
) -> None:
    assert serve.port(environment) == port


def test_each_model_of_an_endpoint_answers_under_its_name(several: serve.App) -> None:
    status, content = post(several, {"model": "flight-delay", "instances": [EXAMPLE]})
    assert (status, content["model"], content["model_version"]) == (200, "flight-delay", VERSION)
    status, content = post(several, {"model": "echo", "instances": [{"sentence": "hm"}]})
    assert (status, content["predictions"]) == (200, [{"seen_sentence": "hm"}])
    assert content["model_version"] == version_of(version_text(ECHO_CONTRACT, ECHO))


@pytest.mark.parametrize(
    ("named", "status", "reason"),
    [
        ({}, 400, "model should name one of the models: broken, echo, flight-delay"),
        ({"model": None}, 400, "model should name one of the models"),
        ({"model": "ehco"}, 404, "there is no model 'ehco'; there is: broken, echo, flight-delay"),
        ({"model": ["echo"]}, 404, "there is no model ['echo']"),
        ({"model": "broken"}, 503, "the model broken cannot be served"),
    ],
)
def test_a_request_for_no_model_of_the_endpoint_is_refused_with_the_names(
    several: serve.App, named: dict[str, Any], status: int, reason: str
) -> None:
    found, content = post(several, {"instances": [EXAMPLE], **named})
    assert found == status
    assert content["error"].startswith(reason)


def test_one_model_is_not_asked_for_under_another_name(app: serve.App) -> None:
    assert post(app, {"model": "echo", "instances": [EXAMPLE]})[0] == 404


def test_one_model_that_cannot_be_served_fails_the_health_and_the_others_serve_on(
    several: serve.App,
) -> None:
    status, content = answer(several, "GET", "/ping")
    assert status == 503
    assert content["error"] == "a model cannot be served"
    assert sorted(content["models"]) == ["echo", "flight-delay"]
    assert list(content["reasons"]) == ["broken"]
    assert content["reasons"]["broken"][0].startswith("format: ")


def test_two_models_of_one_name_are_both_refused(tmp_path: Path) -> None:
    folders = [served(tmp_path / each, ECHO, ECHO_CONTRACT) for each in ("one", "two")]
    models = serve.Models(folders)
    assert models.fit == {}
    assert models.reasons["echo"][0].startswith("name: two models are named echo")


def test_a_model_without_its_contract_is_refused_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(MODEL)
    app = serve.App(serve.Models([tmp_path]), {})
    status, content = post(app, {"instances": [EXAMPLE]})
    assert status == 503
    assert f"{tmp_path}/contract.json cannot be read: No such file" in content["reasons"][0]


def test_an_answer_that_the_model_cannot_give_is_422_with_the_reason(tmp_path: Path) -> None:
    document = contract({"x": {"type": "number"}}, {"kind": "regression", "name": "y"}, {"x": 1})
    broken = served(tmp_path, mirror({"x": (TensorProto.FLOAT, [None])}), document)
    app = serve.App(serve.Models([broken]), {})
    loaded = app._models.fit["small"]
    loaded._session = SimpleNamespace(
        run=lambda *_: (_ for _ in ()).throw(RuntimeError("no memory"))
    )
    status, content = post(app, {"instances": [{"x": 1}]})
    assert status == 422
    assert content["error"] == "the model small has no answer: ONNX Runtime says: no memory"
    assert content["model_version"] == loaded.version


def test_a_slow_answer_does_not_hold_up_the_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = serve.App(serve.Models([served(tmp_path, MODEL, flight_contract())]), {})
    loaded = app._models.fit["flight-delay"]
    monkeypatch.setattr(loaded, "_seconds", 0.3)  # as it was measured at the start
    monkeypatch.setattr(loaded, "predictions", lambda _: time.sleep(0.3) or [])
    body = json.dumps({"instances": [EXAMPLE]}).encode()

    async def order() -> list[str]:
        done: list[str] = []

        async def ask(name: str, *request: Any) -> None:
            assert (await app.answer(*request))[0] == 200
            done.append(name)

        await asyncio.gather(
            ask("prediction", "POST", "/predict", body), ask("health", "GET", "/ping", b"")
        )
        return done

    assert asyncio.run(order()) == ["health", "prediction"]


def test_a_quick_model_that_is_loaded_on_a_busy_machine_is_not_taken_for_a_slow_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slow ones are answered in threads, which costs a quick one half of its requests."""
    clock = itertools.cycle([0.0, 0.3, 1.0, 1.0001, 2.0, 2.02])
    monkeypatch.setattr("model_server.model.time.perf_counter", lambda: next(clock))
    assert not Model(MODEL, flight_contract()).is_slow([EXAMPLE])


def test_azure_ml_may_keep_the_models_in_a_folder_below(tmp_path: Path) -> None:
    below = tmp_path / "flight-delay" / "1"
    served(below / "one", MODEL, flight_contract())
    served(below / "two", ECHO, ECHO_CONTRACT)
    environment = {"AZUREML_MODEL_DIR": str(tmp_path), "SM_MODEL_DIR": "/elsewhere"}
    assert model_folders(environment) == [below / "one", below / "two"]


def test_the_error_for_a_missing_model_names_the_searched_folder(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=rf"{tmp_path} should hold model.onnx and contract.json"):
        model_folders({"SM_MODEL_DIR": str(tmp_path)})


def test_serving_imports_no_package_that_only_training_needs() -> None:
    code = "import sys, model_server.serve; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(LAMBDA)},
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"pandas", "sklearn", "onnx", "scipy", "google.cloud.storage", "pickle5"}
    assert heavy.isdisjoint(done.stdout.split())


def test_both_servers_keep_an_idle_connection_longer_than_any_front_end(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a front end's next request meets the server's goodbye: 502. Google Cloud's keep it longest, 600 s.

    https://docs.cloud.google.com/load-balancing/docs/https/request-distribution
    """
    options: list[dict[str, Any]] = []
    monkeypatch.setattr("uvicorn.run", lambda _app, **given: options.append(given))
    monkeypatch.setenv("SM_MODEL_DIR", str(model_file.parent))
    serve.main()
    service = SimpleNamespace(
        settings=SimpleNamespace(max_concurrency=1, host="", port=0, models={})
    )
    monkeypatch.setattr(asgi.Service, "start", lambda _environment: service)
    asgi.main()
    assert [given.get("timeout_keep_alive", 5) > 600 for given in options] == [True, True]


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The model server as its container starts it: its port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "model_server.serve", "serve"],
        env={
            **os.environ,
            "PYTHONPATH": str(LAMBDA),
            "SM_MODEL_DIR": str(folder),
            "HOST": "127.0.0.1",
            "PORT": str(port),
        },
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                break
            except urllib.error.URLError:
                time.sleep(0.02)
        yield port, process
    finally:
        process.kill()
        process.wait()


def test_sigterm_lets_a_running_request_finish(model_file: Path) -> None:
    with server(model_file.parent) as (port, process):
        body = json.dumps({"instances": [EXAMPLE]}).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:20])
            time.sleep(0.2)  # SIGTERM arrives while the server reads the body.
            threading.Timer(0.5, connection.sendall, [body[20:]]).start()
            process.send_signal(signal.SIGTERM)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        process.wait(10)


ALL_TYPES: dict[str, tuple[dict[str, Any], Any, int, list[int | None]]] = {
    "number": ({}, 2.5, TensorProto.FLOAT, [None]),
    "integer": ({}, 3, TensorProto.INT64, [None]),
    "boolean": ({}, True, TensorProto.BOOL, [None]),
    "category": ({"values": {"red": "Red"}}, "red", TensorProto.STRING, [None]),
    "text": ({}, "größer", TensorProto.STRING, [None]),
    "date": ({}, "1970-01-11", TensorProto.INT64, [None]),
    "time": ({}, "02:05", TensorProto.INT64, [None]),
    "timestamp": ({}, "1970-01-01T00:00:30Z", TensorProto.DOUBLE, [None]),
    "vector": ({"length": 2}, [1, 2.5], TensorProto.FLOAT, [None, 2]),
    "image": (
        {"width": 2, "height": 1, "mode": "rgb"},
        png(),
        TensorProto.FLOAT,
        [None, 3, 1, 2],
    ),
}


def answering(cloud: str, inputs: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """A model with these inputs, and its answer: another kind for each cloud."""
    if cloud == "azure":
        outputs = [f"seen_{each}" for each in inputs if each != "left_out"]
        return mirror(inputs), {"kind": "tensors", "outputs": outputs}
    multiclass = {"kind": "multiclass", "name": "side", "classes": {"l": "Left", "r": "Right"}}
    answer, operator, source, shape = {
        "aws": (multiclass, "Softmax", "vector", [None, 2]),
        "gcp": ({"kind": "regression", "name": "double"}, "Identity", "number", [None]),
    }[cloud]
    nodes = [helper.make_node(operator, [source], ["y"])]
    return graph(nodes, inputs, {"y": (TensorProto.FLOAT, shape)}).SerializeToString(), answer


@pytest.mark.parametrize("cloud", check_image.ROUTES)
def test_the_model_server_keeps_the_contract_for_containers(tmp_path: Path, cloud: str) -> None:
    """The same rules as for anybody's image; fields of all types, and an answer of each kind between the clouds."""
    fields = {each: {"type": each, **members} for each, (members, *_) in ALL_TYPES.items()}
    fields |= {"left_out": {"type": "number", "required": False}}
    inputs = {each: (element, shape) for each, (*_, element, shape) in ALL_TYPES.items()}
    inputs |= {"left_out": (TensorProto.FLOAT, [None])}
    built, answer = answering(cloud, inputs)
    document = contract(fields, answer, {each: value for each, (_, value, *_) in ALL_TYPES.items()})
    with server(served(tmp_path, built, document)) as (port, process):
        asked = check_image.Server(
            f"http://127.0.0.1:{port}", check_image.ROUTES[cloud], json.loads(document)
        )
        found = {rule.__name__: check_image.broken(asked, rule) for rule in check_image.RULES}
        assert found == dict.fromkeys(found, "")
        assert process.poll() is None


def test_a_number_beyond_the_inputs_type_is_refused_and_does_not_become_infinity(
    model_file: Path,
) -> None:
    with server(model_file.parent) as (port, _):
        for large in (1e300, 10**300):
            body = json.dumps({"instances": [{**EXAMPLE, "temp": large}]}).encode()
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/predict", body, timeout=5)
            assert refused.value.code == 400
            assert b"instances[0].temp is 1" in refused.value.read()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (version_text(ECHO_CONTRACT, ECHO), ["contract.json", "model.onnx"]),
        (f"echo {VERSION}\n", ["echo/contract.json", "echo/model.onnx"]),
    ],
)
def test_a_download_takes_the_files_that_the_version_stands_for(
    monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]
) -> None:
    """Each is refused at first: a new grant takes its time. Nothing is listed: the account may not be allowed to."""
    contents = {"version.txt": text.encode(), **{name: f"the {name}".encode() for name in names}}
    contents[names[1]] = ECHO
    refused: set[str] = set()
    monkeypatch.setattr(google.api_core.retry.retry_unary.time, "sleep", lambda _: None)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")

    def reply(request: ReceivedRequest) -> Reply:
        # The client also reads the bucket's metadata, for traces.
        if not request.path.startswith("/download/"):
            return Reply(403)
        name = urllib.parse.unquote(request.path.split("?")[0]).split("/o/lake-models/1/")[1]
        if name not in refused:
            refused.add(name)
            return Reply(403 if len(refused) % 2 else 404)
        return Reply(200, contents[name])

    with fake_cloud(reply) as cloud:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.url)
        (folder,) = model_folders({"AIP_STORAGE_URI": "gs://lake/lake-models/1/"})
    assert refused == set(contents)
    assert [
        (folder.parent if "/" in names[0] else folder).joinpath(name).read_bytes() for name in names
    ] == [contents[name] for name in names]
    assert files_of(text) == names


@pytest.mark.parametrize("text", ["", "hello", f"../../etc {VERSION}\n", f"echo {VERSION}\nx\n"])
def test_a_version_text_that_names_no_models_ends_the_server_with_the_text(text: str) -> None:
    with pytest.raises(SystemExit, match=r"version.txt names no model.onnx and no"):
        files_of(text)
