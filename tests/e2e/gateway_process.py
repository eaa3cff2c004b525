"""A real gateway process. Its lake and its endpoint are a server on loopback, which answers what the test says."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from config.model_contract import canonical_json, version_of, version_text
from tests.processes import becomes

fake = import_module("tests.unit.lambda.fake_cloud")  # `lambda` is a word of Python
LAMBDA = Path(__file__).parents[2] / "lambda"
KEY = "the-right-key-of-it"

Contract = Mapping[str, Any]


@dataclass
class Artifact:
    """The files of a model's version in the lake."""

    contract: bytes
    version_text: str

    @property
    def version(self) -> str:
        return version_of(self.version_text)

    @classmethod
    def of(cls, contract: Contract) -> Artifact:
        content = canonical_json(contract)
        return cls(content, version_text(content, b"a model"))


@dataclass
class Cloud:
    """Lake and endpoints of a gateway."""

    served: dict[str, Artifact]
    """By model: the version with which its endpoint answers."""
    predictions: Mapping[str, Callable[[Contract], Any]]
    """By model: the prediction for an instance."""
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """Model and instances of each request for a prediction."""

    def keep(self, artifact: Artifact) -> None:
        """Put a version into the lake."""
        name = json.loads(artifact.contract)["name"]
        folder = f"/lake/models/{name}/{artifact.version}"
        self.objects[f"{folder}/contract.json"] = artifact.contract
        self.objects[f"{folder}/version.txt"] = artifact.version_text.encode()

    def answer(self, request: Any) -> Any:
        if request.method == "GET":
            path = request.path.partition("?")[0]
            found = self.objects.get(path)
            if found is None:
                return fake.Reply(404, b"")
            etag = hashlib.md5(found).hexdigest()
            return fake.Reply(200, found, {"etag": f'"{etag}"', "content-type": "text/plain"})
        if request.method == "PUT":
            return fake.Reply(200, b"")
        body = json.loads(request.body)
        model = request.path.split("/")[2]
        self.asked.append((model, body["instances"]))
        predictions = [self.predictions[model](each) for each in body["instances"]]
        version = self.served[model].version
        return fake.Reply(
            200, {"predictions": predictions, "model": model, "model_version": version}
        )


@contextmanager
def gateway_process(cloud: Cloud, *, access: str = "key") -> Iterator[str]:
    """A gateway for the models of ``cloud``, in the versions that it serves now; its address."""
    for artifact in cloud.served.values():
        cloud.keep(artifact)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with fake.fake_cloud(cloud.answer) as server:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(LAMBDA),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "ENDPOINT_KIND": "sagemaker",
            "MODELS": json.dumps(
                {name: [each.version, name] for name, each in cloud.served.items()}
            ),
            "MODELS_URI": "s3://lake/models",
            "CAPTURE_URI": "s3://lake/captures",
            "ACCESS": access,
            **({"API_KEY": KEY} if access == "key" else {}),
            "AWS_ENDPOINT_URL": server.url,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
        }
        process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environ)
        address = f"http://127.0.0.1:{port}/"
        try:
            assert becomes(lambda: _is_healthy(address), 20), "the gateway has not started"
            yield address
        finally:
            process.kill()
            process.wait()


def _is_healthy(address: str) -> bool:
    try:
        return bool(urlopen(f"{address}health", timeout=5).status == 200)
    except URLError:
        return False
