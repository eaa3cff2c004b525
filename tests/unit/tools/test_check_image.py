"""The conformance tests of the contract for containers: a good server keeps each rule, and each rule has a server that breaks it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.onnx_models import contract
from tools import check_image as rules
from tools.check_image import RULES, Server, broken

FIELDS = {"x": {"type": "number"}, "y": {"type": "number", "required": False}}
DOCUMENT = json.loads(
    contract(FIELDS, {"kind": "regression", "name": "sum"}, {"x": 1.5, "y": 2})
)  # fmt: skip
LIMIT = 1e30
Reply = tuple[int, Any]


def good(body: bytes) -> Reply:
    """What a server answers that keeps the contract."""
    try:
        document = json.loads(body, parse_constant=lambda _: 1 / 0)
        instances = document["instances"]
        if not isinstance(instances, list) or not instances:
            raise ValueError("instances")
        if document.get("model", "small") != "small":
            return 404, {"error": "there is no such model"}
        sums = []
        for each in instances:
            for name in ("x", "y"):
                value = each.get(name, 0 if name == "y" else "missing")
                value = 0 if value is None and name == "y" else value
                if (
                    isinstance(value, bool)
                    or not isinstance(value, int | float)
                    or abs(value) > LIMIT
                ):
                    return 400, {"error": f"{name} should be a number"}
            sums.append({"sum": each["x"] + (each.get("y") or 0)})
        return 200, {"predictions": sums, "model_version": 64 * "a"}
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        return 400, {"error": f"no request: {error}"}


@contextmanager
def serving(answer: Callable[[bytes], Reply] = good, **faults: Any) -> Iterator[Server]:
    """A server with some faults."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/ping":
                time.sleep(faults.get("health_seconds", 0) if busy.is_set() else 0)
                models = {"models": faults["models"]} if "models" in faults else {}
                self.reply(faults.get("health", 200), models)
            else:
                self.reply(faults.get("elsewhere", 404), {"error": "nothing is here"})

        def do_DELETE(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            body = self.chunks() if "chunked" in self.headers.get("transfer-encoding", "") else b""
            body = body or self.rfile.read(int(self.headers.get("content-length", 0)))
            if body.count(b"x") > 50:
                busy.set()
                time.sleep(0.1)
            if faults.get("dies") and body == b"{":
                stopped.set()
            self.reply(*answer(body))

        def chunks(self) -> bytes:
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found if faults.get("chunks", True) else b"{}"

        def reply(self, status: int, content: Any) -> None:
            if stopped.is_set():
                self.close_connection = True
                return
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", faults.get("type", "application/json"))
            self.send_header("content-length", str(len(data)))
            if faults.get("closes"):
                self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    busy, stopped = threading.Event(), threading.Event()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(
        target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    ).start()
    try:
        url = f"http://127.0.0.1:{running.server_port}"
        yield Server(url, ("/ping", "/invocations"), DOCUMENT)
    finally:
        running.shutdown()
        running.server_close()


def changed(**change: Any) -> Callable[[bytes], Reply]:
    """A good answer with other members."""

    def answer(body: bytes) -> Reply:
        status, content = good(body)
        return status, {**content, **change} if status == 200 else content

    return answer


def backwards(body: bytes) -> Reply:
    status, content = good(body)
    return status, {**content, "predictions": content.get("predictions", [])[::-1]}


def without_null(body: bytes) -> Reply:
    return (400, {"error": "y is null"}) if b"null" in body else good(body)


def without_name(body: bytes) -> Reply:
    return (400, {"error": "model is not known"}) if b'"model"' in body else good(body)


def any_version(body: bytes) -> Reply:
    return changed(model_version=f"{time.monotonic_ns():064x}")(body)


def always(status: int, content: Any) -> Callable[[bytes], Reply]:
    """In place of each refusal."""
    return lambda body: found if (found := good(body))[0] == 200 else (status, content)


def with_nan(body: bytes) -> Reply:
    return (200, b'{"predictions": [{"sum": NaN}]}') if b"NaN" in body else good(body)


def any_model(body: bytes) -> Reply:
    return good(body.replace(b"no-such-model", b"small"))


FAULTS: list[tuple[Callable[[Server], str], Callable[[bytes], Reply], dict[str, Any]]] = [
    (rules.it_is_healthy, good, {"health": 503}),
    (rules.it_answers_the_example, changed(predictions=[]), {}),
    (rules.it_answers_the_example, changed(predictions=[{"sum": "3.5"}]), {}),
    (rules.it_answers_the_example, good, {"type": "text/plain"}),
    (rules.it_answers_each_instance_in_order, backwards, {}),
    (rules.it_takes_null_for_what_is_left_out, without_null, {}),
    (rules.it_takes_the_models_name, without_name, {}),
    (rules.it_names_one_version, any_version, {}),
    (rules.it_names_one_version, changed(model_version="1.0"), {}),
    (rules.it_refuses_what_is_no_request, always(200, {"predictions": []}), {}),
    (rules.it_refuses_what_is_no_request, always(500, {"error": "Traceback"}), {}),
    (rules.it_refuses_wrong_values_and_names_the_field, always(400, {"error": "no"}), {}),
    (rules.it_stands_odd_numbers, with_nan, {}),
    (rules.it_stands_odd_numbers, always(500, {"error": "Traceback"}), {}),
    (rules.it_refuses_another_model, any_model, {}),
    (rules.it_refuses_other_paths_and_methods, good, {"elsewhere": 200}),
    (rules.its_refusals_are_json, always(400, b"Bad Request"), {}),
    (rules.it_keeps_connections_open, good, {"closes": True}),
    (rules.it_reads_a_body_in_chunks, good, {"chunks": False}),
    (rules.it_is_healthy_while_it_works, good, {"health_seconds": 2.2}),
    (rules.it_outlives_a_caller_that_goes_away, good, {"dies": True}),
]


def test_a_good_server_keeps_every_rule() -> None:
    with serving() as server:
        assert {rule.__name__: broken(server, rule) for rule in RULES} == dict.fromkeys(
            [rule.__name__ for rule in RULES], ""
        )


@pytest.mark.parametrize(
    ("rule", "answer", "faults"), FAULTS, ids=[rule.__name__ for rule, _, _ in FAULTS]
)
def test_each_rule_finds_a_server_that_breaks_it(
    rule: Callable[[Server], str], answer: Callable[[bytes], Reply], faults: dict[str, Any]
) -> None:
    with serving(answer, **faults) as server:
        assert broken(server, rule)


def of_several(body: bytes) -> Reply:
    """A server of several models, which needs the name."""
    if body.startswith(b'{"instances": [{') and b'"model"' not in body:
        return 400, {"error": "there are several models: name one"}
    return good(body)


def test_a_server_of_several_models_is_asked_for_the_model_by_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(of_several, models={"small": "1", "other": "2"}) as server:
        url = "http://{}:{}".format(*server.place)
        assert rules._broken_rules(url, "aws", DOCUMENT) == 0, capsys.readouterr().out


def test_a_server_of_another_model_is_refused_in_a_sentence() -> None:
    with serving(models={"other": "2", "third": "3"}) as server:
        url = "http://{}:{}".format(*server.place)
        with pytest.raises(rules.NotChecked, match="serves other, third, and not small"):
            rules._broken_rules(url, "aws", DOCUMENT)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rules, "HOME", tmp_path)
    monkeypatch.setattr(rules, "GIVEN", tmp_path / ".models" / "checked")
    return tmp_path / ".models" / "checked" / "digits" / "contract.json"


def refusal(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["check_image", *words])
    with pytest.raises(SystemExit) as ended:
        rules.main()
    assert str(ended.value).endswith("Nothing was checked.")
    return str(ended.value)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1"])
def test_where_nothing_answers_the_contract_is_written_and_the_commands_are_named(
    url: str, given: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(monkeypatch, "--url", url, "--model", "digits")
    assert said.startswith(
        f"URL={url}: nothing answers there by HTTP" if url else "URL is missing."
    )
    assert '-v "$PWD/.models/checked/digits:/opt/ml/model:ro" IMAGE serve' in said
    assert "make check-image URL=http://127.0.0.1:8080 MODEL=digits" in said
    assert json.loads(given.read_bytes())["name"] == "digits"
    assert capsys.readouterr().out == "", "no rule is tried"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--url", "http://127.0.0.1:1"], "MODEL is missing. There are: "),
        (["--model", "digit"], "MODEL=digit: no such model. Did you mean digits?"),
        (
            ["--url", "https://example.com", "--model", "digits"],
            "only http:// counts: the clouds ask a container",
        ),
        (["--url", "example.com", "--model", "digits"], "URL=example.com: the address of a server"),
        (["--url", "http://h/path", "--model", "digits"], "without a path, is needed"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_a_sentence(
    words: list[str], reason: str, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reason in refusal(monkeypatch, *words)
    assert not given.exists()


def test_every_rule_has_a_server_that_breaks_it() -> None:
    assert {rule for rule, _, _ in FAULTS} == set(RULES)
