"""Another clone: its shell is signed in to clouds and to a backend that are not its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from bench.harness import CommandFailed, Rehearsal, run
from config.stack_file import StackFile
from operations.crash.checkout import Checkout, kill
from operations.data.lake import Lake
from operations.data.lake_locations import open_lake
from operations.data.state_copy import state_copy_name

BUCKET = "states"
STACK = "prod"
STATE = f".pulumi/stacks/triplane/{STACK}.json"
Answer = tuple[int, str]
"""A status, and S3's error code."""


class BucketFront:
    """In front of the bucket with the states: passes requests on, or answers what a test has it answer."""

    def __init__(self, target: str) -> None:
        self.refusal: Callable[[str, str], Answer | None] | None = None
        """By method and path, with the query."""
        self.requests: list[tuple[str, str]] = []
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                front.requests.append((self.command, self.path))
                refused = front.refusal and front.refusal(self.command, self.path)
                if refused:
                    status, code = refused
                    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
                    self._send(status, [("content-type", "application/xml")], text)
                    return
                there = http.client.HTTPConnection(urlsplit(target).netloc, timeout=60)
                there.request(self.command, self.path, body, dict(self.headers.items()))
                answer = there.getresponse()
                content = answer.read()
                dropped = ("transfer-encoding", "connection", "content-length")
                headers = [each for each in answer.getheaders() if each[0].lower() not in dropped]
                length = answer.getheader("content-length") if self.command == "HEAD" else None
                self._send(answer.status, headers, content, length)
                there.close()

            def _send(
                self, status: int, headers: list[tuple[str, str]], body: bytes, length: Any = None
            ) -> None:
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-length", length or str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Nothing: the test's output is enough."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wrote(self, name: str, since: int) -> bool:
        """Whether the object was written, after so many requests."""
        return any(verb == "PUT" and name in path for verb, path in self.requests[since:])

    @contextmanager
    def refusing(self, refusal: Callable[[str, str], Answer | None]) -> Iterator[None]:
        self.refusal = refusal
        try:
            yield
        finally:
            self.refusal = None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class StoredCopy:
    """The copy of a state in a lake."""

    lake: Lake
    name: str

    @contextmanager
    def replaced(self, change: Callable[[bytes], bytes]) -> Iterator[None]:
        """Another copy in the lake, for a while."""
        own = self.lake.read(self.name)
        assert own is not None
        self.lake.write(self.name, change(own))
        try:
            yield
        finally:
            self.lake.write(self.name, own)


@dataclass
class ForeignClone:
    """A clone that has a stack file and nothing else; everything else is in its shell's environment."""

    cloud: str
    rehearsal: Rehearsal
    folder: Path
    environment: dict[str, str]
    front: BucketFront

    @classmethod
    def create(cls, cloud: str, rehearsal: Rehearsal, folder: Path) -> ForeignClone:
        clone = folder / "clone"
        clone.mkdir()
        checkout = Checkout(cloud, clone)
        checkout.create()
        settings = StackFile.read(clone / "Pulumi.dev.yaml").settings
        file = StackFile(f"Pulumi.{STACK}.yaml", "").with_settings(
            {
                **settings,
                "triplane:cloud": cloud,
                "triplane:environment": STACK,
                "triplane:keep_data": True,
            }
        )
        file.write(clone / file.name)
        there = rehearsal.environment
        # The first request through the rehearsal starts the object store.
        credentials = {
            "aws_access_key_id": there["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": there["AWS_SECRET_ACCESS_KEY"],
            "region_name": "us-east-1",
        }
        boto3.client("s3", endpoint_url=there["AWS_ENDPOINT_URL"], **credentials).list_buckets()
        front = BucketFront(there["AWS_ENDPOINT_URL_S3"])
        s3 = boto3.client("s3", endpoint_url=there["AWS_ENDPOINT_URL_S3"], **credentials)
        s3.create_bucket(Bucket=BUCKET)
        shell = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULUMI_", "TRIPLANE_"))
        }
        # No TRIPLANE_REHEARSAL_URL: for this clone, what the rehearsal plays is the real cloud.
        clouds = {k: v for k, v in there.items() if not k.startswith("TRIPLANE_")}
        signed_in = {
            **shell,
            **clouds,
            "PYTHONPATH": str(clone),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "a stranger's own",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_BACKEND_URL": f"s3://{BUCKET}?region=us-east-1&s3ForcePathStyle=true&endpoint={front.url}",
        }
        return cls(cloud, rehearsal, clone, signed_in, front)

    # What a person does

    def make(self, command: str, *words: str, code: int = 0, **variables: str) -> str:
        """What ``make COMMAND STACK=prod`` runs; everything that it printed."""
        done = subprocess.run(
            self._command(command, *words),
            cwd=self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        if done.returncode != code:
            raise CommandFailed(f"make {command} left with {done.returncode}\n{done.stdout}")
        return done.stdout

    def interrupted(self, command: str, when: Callable[[], bool]) -> tuple[int, str]:
        """Press Ctrl-C in ``make COMMAND STACK=prod`` as soon as ``when`` holds; exit code, and what it printed."""
        with self._running(command, when) as process:
            os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
            output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def killed(self, command: str, when: Callable[[], bool]) -> None:
        """Kill ``make COMMAND STACK=prod`` and its engine as soon as ``when`` holds, as a laptop that goes off."""
        with self._running(command, when) as process:
            kill(process)

    @contextmanager
    def _running(self, command: str, when: Callable[[], bool]) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            self._command(command),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A script in the background ignores Ctrl-C, and so would what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            while not when():
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.02)
            yield process
        finally:
            process.kill()

    def _command(self, command: str, *words: str) -> list[str]:
        python = str(self.folder / ".venv/bin/python")
        return [python, "-m", "operations", command, *words, "--stack", STACK]

    def pulumi(self, *words: str) -> str:
        """Plain Pulumi in this clone's shell."""
        return run(["pulumi", *words], self.environment, timeout=120, folder=self.folder)

    # What is there

    @property
    def _s3(self) -> Any:
        there = self.rehearsal.environment
        return boto3.client(
            "s3",
            endpoint_url=there["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id=there["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )

    def read_object(self, name: str) -> bytes:
        return bytes(self._s3.get_object(Bucket=BUCKET, Key=name)["Body"].read())

    def write_object(self, name: str, data: bytes) -> None:
        self._s3.put_object(Bucket=BUCKET, Key=name, Body=data)

    def delete_object(self, name: str) -> None:
        self._s3.delete_object(Bucket=BUCKET, Key=name)

    def objects(self) -> dict[str, str]:
        """The objects of the backend with their hashes, without its history."""
        pages = self._s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        return {each["Key"]: each["ETag"] for each in pages}

    @contextmanager
    def state_replaced(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
        """Another checkpoint in the bucket, for a while."""
        own = self.read_object(STATE)
        self.write_object(STATE, json.dumps(change(json.loads(own))).encode())
        try:
            yield
        finally:
            self.write_object(STATE, own)

    def lake_uri(self) -> str:
        return str(
            json.loads(self.pulumi("stack", "output", "--json", "--stack", STACK))["lake_uri"]
        )

    def lake(self, monkeypatch: pytest.MonkeyPatch) -> Lake:
        """The lake, for who has the rehearsal's credentials."""
        for name, value in self.rehearsal.environment.items():
            monkeypatch.setenv(name, value)
        return open_lake(self.lake_uri())

    def state_copy(self, monkeypatch: pytest.MonkeyPatch) -> StoredCopy:
        """The copy of the state in the lake."""
        return StoredCopy(self.lake(monkeypatch), state_copy_name(STACK))

    def settings(self, **changes: Any) -> None:
        """Write other settings into the stack file, beside the engine's own lines."""
        file = self.folder / f"Pulumi.{STACK}.yaml"
        StackFile.read(file).with_settings(changes).write(file)

    def existing_urns(self) -> list[str]:
        """The stack's resources that exist in its cloud."""
        urns = (each["urn"] for each in self.rehearsal.get("/_api/resources"))
        return sorted(urn for urn in urns if urn.startswith(f"urn:pulumi:{STACK}::"))

    def state(self) -> dict[str, Any]:
        """The checkpoint in the bucket."""
        return dict(json.loads(self.read_object(STATE))["checkpoint"]["latest"])
