"""The signature of a copy of the state, with the real engine: by a passphrase, and by a key of a key service."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.resource_type import RANDOM_KEY
from operations.engine import shell_stack, wire
from operations.engine.shell_stack import ShellStack
from operations.engine.state_signature import SIGNATURE, with_signature
from operations.recovery import kept_key
from operations.recovery import trial_stack as trials
from operations.recovery.copy_search import StateCopy
from operations.recovery.copy_signature import refuse_unsigned

WAYS = ["passphrase", "key service"]
LAKE = "urn:pulumi:prod::triplane::aws:s3/bucket:Bucket::lake"


class KeyService(BaseHTTPRequestHandler):
    """HashiCorp Vault's transit engine: it wraps a data key with a key whose name is in the path.

    https://developer.hashicorp.com/vault/api-docs/secret/transit
    """

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.path.rpartition("/")[2]
        data = (
            {"ciphertext": f"vault:v1:{key}:{body['plaintext']}"}
            if "plaintext" in body
            else {"plaintext": body["ciphertext"].rpartition(":")[2]}
        )
        answer = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is enough."""


@pytest.fixture(scope="module")
def key_service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), KeyService)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Shell:
    """A shell, in which stacks are made, each in a backend of its own."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.folder, self._environment = folder, environment
        environment.setenv("PULUMI_HOME", str(folder / "home"))
        environment.setenv("PULUMI_SKIP_UPDATE_CHECK", "1")

    def passphrase(self, word: str | None) -> None:
        if word is None:
            self._environment.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
        else:
            self._environment.setenv("PULUMI_CONFIG_PASSPHRASE", word)

    def stack(self, way: str, secret: str = "the-stacks") -> ShellStack:
        """A new stack with this encryption; the passphrase is set, or there is none."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        self._environment.setenv("PULUMI_BACKEND_URL", f"file://{folder}")
        # Another test's rehearsal may be in the environment, and with another backend it is refused.
        self._environment.delenv("TRIPLANE_REHEARSAL_URL", raising=False)
        (folder / "Pulumi.yaml").write_text("name: triplane\nruntime: python\n")
        file = folder / "Pulumi.prod.yaml"
        self.passphrase(secret if way == "passphrase" else None)
        file.write_text("" if way == "passphrase" else f"secretsprovider: hashivault://{secret}\n")
        stack = ShellStack("prod", file)
        stack.init()
        return ShellStack("prod", file)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_service: str) -> Shell:
    monkeypatch.setenv("VAULT_SERVER_URL", key_service)
    monkeypatch.setenv("VAULT_SERVER_TOKEN", "rehearsed")
    for module in (trials, shell_stack):
        monkeypatch.setattr(module, "HOME", tmp_path)
    return Shell(tmp_path, monkeypatch)


def signed_copy(stack: ShellStack, **changes: Any) -> dict[str, Any]:
    """A signed copy of a state of this stack with a lake in it."""
    exported = stack.export()
    lake = {"urn": LAKE, "type": "aws:s3/bucket:Bucket", "id": "lake", **changes}
    manifest = {"time": "2026-11-01T00:00:00Z", "magic": "", "version": ""}
    latest = {**exported["deployment"], "manifest": manifest, "resources": [lake]}
    return with_signature(stack, {**exported, "deployment": latest})


def with_key(stack: ShellStack, key: str) -> dict[str, Any]:
    """A state of this stack that has the callers' key, encrypted by the engine."""
    value = {wire.SIGNATURE: wire.SECRET, "plaintext": json.dumps(key)}
    urn = f"urn:pulumi:prod::triplane::{RANDOM_KEY}::key"
    resource = {
        "urn": urn,
        "type": RANDOM_KEY,
        "custom": True,
        "id": "k",
        "outputs": {"value": value},
    }
    state = stack.export()
    latest = {**state["deployment"], "resources": [resource]}
    stack.import_state({**state, "deployment": latest})
    return stack.export()


def refusal(copy: Mapping[str, Any], owner: str, stack: ShellStack, *allow: str) -> str:
    """Why a copy is refused; empty if it is not."""
    try:
        refuse_unsigned(StateCopy.signed("s3://lake", copy), owner, stack, allow, "without it")
    except SystemExit as left:
        return str(left.code)
    return ""


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_that_the_stack_has_signed_is_taken_and_an_altered_one_is_not(
    shell: Shell, way: str
) -> None:
    prod = shell.stack(way)
    settings = prod.file.read_text()
    copy = signed_copy(prod)
    assert refusal(copy, "prod", prod) == ""
    altered = json.loads(json.dumps(copy).replace('"lake"', '"cake"'))
    assert "its signature does not fit" in refusal(altered, "prod", prod)
    later = {**copy, SIGNATURE: {**copy[SIGNATURE], "time": "2027-01-01T00:00:00+00:00"}}
    assert "its signature does not fit" in refusal(later, "prod", prod)
    assert "its signature does not fit" in refusal(copy, "staging", prod)
    assert prod.file.read_text() == settings


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_that_is_signed_with_another_secret_is_refused(shell: Shell, way: str) -> None:
    """Who replaces the copy can name an encryption of his own in it, and sign with that."""
    forged = signed_copy(shell.stack(way, secret="an-attackers"))
    prod = shell.stack(way)
    found = refusal(forged, "prod", prod)
    assert "Nothing was changed" in found
    assert "ALLOW=without-copy" in found
    assert ("incorrect passphrase" if way == "passphrase" else "hashivault://an-attackers") in found


def test_the_empty_passphrase_signs_nothing_for_a_stack_with_a_key(shell: Shell) -> None:
    """Many set it where a key encrypts, and everybody has it."""
    forged = signed_copy(shell.stack("passphrase", secret=""))
    prod = shell.stack("key service")
    shell.passphrase("")
    assert "the empty passphrase, which everybody has" in refusal(forged, "prod", prod)


def test_a_copy_without_a_signature_is_taken_only_if_that_is_allowed(shell: Shell) -> None:
    prod = shell.stack("passphrase")
    copy = signed_copy(prod)
    unsigned = {key: value for key, value in copy.items() if key != SIGNATURE}
    found = refusal(unsigned, "prod", prod)
    assert "it has no signature" in found
    assert "ALLOW=unsigned-copy" in found
    assert refusal(unsigned, "prod", prod, "unsigned-copy") == ""
    altered = json.loads(json.dumps(copy).replace('"lake"', '"cake"'))
    assert refusal(altered, "prod", prod, "unsigned-copy"), "the word is for those without one"


def test_a_trial_takes_a_copy_whose_key_a_key_service_has_and_leaves_the_stack_file(
    shell: Shell,
) -> None:
    """`stack init` would want a passphrase, and write its salt in the place of the key."""
    prod = shell.stack("key service")
    settings = prod.file.read_text()
    assert "encryptedkey" in settings
    copy = StateCopy.signed("s3://lake", signed_copy(prod))
    for passphrase in (None, "of-another-stack"):
        shell.passphrase(passphrase)
        for begin in (copy, None):
            with trials.trial_stack(prod, begin) as trial:
                assert trial.exists()
        assert prod.file.read_text() == settings


@pytest.mark.parametrize("way", WAYS)
def test_the_callers_key_in_a_copy_is_read_with_the_secret_of_its_stack_alone(
    shell: Shell, way: str
) -> None:
    prod = shell.stack(way)
    exported = with_key(prod, "the-callers-key")
    assert "the-callers-key" not in json.dumps(exported)
    copy = StateCopy("the backup of stack prod", exported)
    assert kept_key.key_in_copy(prod, "prod", copy) == "the-callers-key"
