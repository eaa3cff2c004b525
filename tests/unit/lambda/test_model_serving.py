"""The model server: its answers, and each service's contract for containers."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import google.api_core.retry.retry_unary
import numpy as np
import pytest
from gateway import asgi
from model_server import schema, serve, train
from model_server.encoder import Encoder

from .fake_cloud import ReceivedRequest, Reply, fake_cloud

LAMBDA = Path(schema.__file__).resolve().parent.parent
EXAMPLE = schema.load()["example"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of made-up flights, trained by the code that trains the real model."""
    columns = train.columns()
    random = np.random.default_rng(1)
    places = list(schema.load()["fields"][2]["values"])
    flights = [
        {
            **EXAMPLE,
            "dest": places[number % len(places)],
            "wind_gust": float(random.uniform(16, 60)),
            "visib": float(random.uniform(0, 10)),
        }
        for number in range(3000)
    ]
    rows = Encoder(columns).rows(flights)
    late = np.array([flight["visib"] < 5 for flight in flights])
    known = train.Examples(columns, rows, late, np.ones(3000, dtype=np.int64), None, 0)  # type: ignore[arg-type]
    model = train.fit(known, known.part(1, 1))
    file = tmp_path_factory.mktemp("model") / "model.onnx"
    file.write_bytes(train.export(model, columns))
    expected = model.predict_proba(rows)[:, 1]
    assert np.abs(train.predict(file.read_bytes(), rows) - expected).max() < train.TOLERANCE
    return file


@pytest.fixture(scope="module")
def app(model_file: Path) -> serve.App:
    environment = {"AIP_PREDICT_ROUTE": "/v1/predict", "AIP_HEALTH_ROUTE": "/v1/health"}
    return serve.App(serve.Model(model_file), environment)


def post(app: serve.App, content: object) -> tuple[int, dict[str, Any]]:
    return app.answer("POST", "/predict", json.dumps(content).encode())


@pytest.mark.parametrize("first", ["model_server.serve", "model_server.train"])
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
def test_each_service_has_its_predict_route(app: serve.App, model_file: Path, path: str) -> None:
    body = json.dumps({"instances": [EXAMPLE]}).encode()
    status, content = app.answer("POST", path, body)
    assert status == 200
    assert content["model_version"] == hashlib.sha256(model_file.read_bytes()).hexdigest()
    (prediction,) = content["predictions"]
    assert prediction["late"] == (prediction["probability"] >= 0.5)


@pytest.mark.parametrize("path", ["/ping", "/healthz", "/v1/health"])
def test_each_service_has_its_health_route(app: serve.App, path: str) -> None:
    assert app.answer("GET", path, b"")[0] == 200


def test_predictions_come_in_the_order_of_the_instances(app: serve.App) -> None:
    fog, clear = {**EXAMPLE, "visib": 0.5}, {**EXAMPLE, "visib": 10}
    _, content = post(app, {"instances": [fog, clear, fog]})
    assert [prediction["late"] for prediction in content["predictions"]] == [True, False, True]


def test_weather_may_be_left_out_or_null(app: serve.App) -> None:
    bare = {name: EXAMPLE[name] for name in ("carrier", "origin", "dest", "date", "departure")}
    null = bare | dict.fromkeys(schema.LIMITS)
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
        ({"temp": 10**400}, "instances[0].temp is 1000"),
    ],
)
def test_a_wrong_field_is_named_with_the_reason(
    app: serve.App, change: dict[str, Any], reason: str
) -> None:
    status, content = post(app, {"instances": [{**EXAMPLE, **change}]})
    assert status == 400
    assert content["error"].startswith(reason)


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
    ],
)
def test_a_body_that_is_no_request_is_refused_with_the_reason(app: serve.App, body: bytes) -> None:
    status, content = app.answer("POST", "/predict", body)
    assert status == 400
    assert "instances" in content["error"]


def test_wrong_paths_and_methods_are_refused(app: serve.App) -> None:
    assert app.answer("GET", "/nowhere", b"")[0] == 404
    assert app.answer("GET", "/predict", b"")[0] == 405
    assert app.answer("POST", "/ping", b"")[0] == 405


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


def test_azure_ml_may_keep_the_model_in_a_folder_below(tmp_path: Path) -> None:
    below = tmp_path / "flight-delay" / "1"
    below.mkdir(parents=True)
    (below / "model.onnx").touch()
    environment = {"AZUREML_MODEL_DIR": str(tmp_path), "SM_MODEL_DIR": "/elsewhere"}
    assert serve.model_file(environment) == below / "model.onnx"


def test_the_error_for_a_missing_model_names_the_searched_folder(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=rf"{tmp_path} should hold one model.onnx and holds 0"):
        serve.model_file({"SM_MODEL_DIR": str(tmp_path)})


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
    service = SimpleNamespace(settings=SimpleNamespace(max_concurrency=1, host="", port=0))
    monkeypatch.setattr(asgi.Service, "start", lambda _environment: service)
    asgi.main()
    assert [given.get("timeout_keep_alive", 5) > 600 for given in options] == [True, True]


def test_sigterm_lets_a_running_request_finish(model_file: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "model_server.serve", "serve"],
        env={
            **os.environ,
            "PYTHONPATH": str(LAMBDA),
            "SM_MODEL_DIR": str(model_file.parent),
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
        body = json.dumps({"instances": [EXAMPLE]}).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:20])
            time.sleep(0.2)  # SIGTERM arrives while the server reads the body.
            threading.Timer(0.5, connection.sendall, [body[20:]]).start()
            process.send_signal(signal.SIGTERM)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        process.wait(10)
    finally:
        process.kill()
        process.wait()


def test_a_download_that_is_refused_at_first_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replies = [Reply(403), Reply(404), Reply(200, b"the model")]
    monkeypatch.setattr(google.api_core.retry.retry_unary.time, "sleep", lambda _: None)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")

    def answer(request: ReceivedRequest) -> Reply:
        # The client also reads the bucket's metadata, for traces.
        return replies.pop(0) if request.path.startswith("/download/") else Reply(403)

    with fake_cloud(answer) as cloud:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.url)
        found = serve.model_file({"AIP_STORAGE_URI": "gs://lake/models/flight-delay/1"})
    assert found.read_bytes() == b"the model"
    assert replies == []
