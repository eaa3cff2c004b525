"""The callers' key is taken along to another stack, without an engine and without a cloud."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from components.resource_type import RANDOM_KEY
from operations.engine.wire import SECRET, SIGNATURE
from operations.recovery import kept_key
from operations.recovery.copy_search import StateCopy
from operations.recovery.program_preview import Preview
from tests.operations.recovery.previews import PROVIDER, URN, missing

KEY = "the-callers-key"


def state_with(key: str | None) -> dict[str, Any]:
    """An exported state with secrets in plain text."""
    if key is None:
        return {"version": 3, "deployment": {"secrets_providers": {"type": "passphrase"}}}
    value = {SIGNATURE: SECRET, "plaintext": json.dumps(key)}
    return {
        "version": 3,
        "deployment": {"resources": [{"type": RANDOM_KEY, "outputs": {"value": value}}]},
    }


@dataclass
class FakeStack:
    """A stack that knows its exported state, and records what is imported into it."""

    key: str | None = None
    name: str = "dev-gcp"
    imported: list[dict[str, Any]] = field(default_factory=list)
    previewed_over: list[StateCopy | None] = field(default_factory=list)

    def exists(self) -> bool:
        return True

    def export(self) -> dict[str, Any]:
        return state_with(self.key)

    @property
    def cli(self) -> SimpleNamespace:
        def exported(*words: str) -> dict[str, Any]:
            assert words == ("stack", "export", "--show-secrets")
            return state_with(self.key)

        return SimpleNamespace(json=exported)

    def make(self, target: str) -> str:
        return f"make {target} CLOUD=gcp"

    def import_state(self, state: dict[str, Any]) -> None:
        self.imported.append(state)


def previewed_with(monkeypatch: pytest.MonkeyPatch, *resources: dict[str, Any]) -> None:
    """The program as a preview shows it, with these resources to be created."""

    @contextmanager
    def trial(stack: FakeStack, copy: StateCopy | None) -> Iterator[None]:
        stack.previewed_over.append(copy)
        yield None

    providers = [{"urn": PROVIDER, "type": "pulumi:providers:x", "inputs": {}}]
    providers.append({"urn": "other", "type": "pulumi:providers:y", "inputs": {}})
    steps = [{"op": "create", "urn": each["urn"], "newState": each} for each in resources]
    monkeypatch.setattr(kept_key, "trial_stack", trial)
    monkeypatch.setattr(kept_key, "previewed", lambda _: Preview(steps, providers))


def test_the_key_goes_into_a_new_state_with_its_parents_and_its_provider_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform = {"urn": "p", "type": "triplane:index:Platform", "custom": False}
    component = {"urn": "k", "type": "triplane:gcp:ApiKey", "custom": False, "parent": "p"}
    lake = {"urn": "l", "type": "triplane:gcp:DataLake", "custom": False, "parent": "p"}
    key = missing(RANDOM_KEY, "key", parent="k", inputs={"rotation": 1, "value": "[secret]"})
    previewed_with(monkeypatch, platform, lake, component, missing("b", "bucket"), key)
    stack = FakeStack()
    kept_key.put_key(stack, KEY)  # type: ignore[arg-type]
    [state] = stack.imported
    resources = state["deployment"]["resources"]
    assert [each["urn"] for each in resources] == [PROVIDER, "p", "k", f"{URN}{RANDOM_KEY}::key"]
    assert resources[-1]["outputs"]["value"] == {SIGNATURE: SECRET, "plaintext": json.dumps(KEY)}
    assert "value" not in resources[-1]["inputs"]


@pytest.mark.parametrize("resources", [[], [{"urn": "u", "type": "t"}]])
def test_the_key_is_looked_for_over_a_copy_of_the_state_if_that_has_resources(
    resources: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"version": 3, "deployment": {"secrets_providers": {}, "resources": resources}}
    previewed_with(monkeypatch)
    monkeypatch.setattr(FakeStack, "export", lambda _: state)
    stack = FakeStack()
    with pytest.raises(SystemExit, match="takes no key"):
        kept_key.put_key(stack, KEY)  # type: ignore[arg-type]
    copy = StateCopy("stack dev-gcp", state) if resources else None
    assert stack.previewed_over == [copy]


def test_a_key_that_is_in_the_state_already_is_left_alone() -> None:
    stack = FakeStack(key=KEY)
    kept_key.put_key(stack, KEY)  # type: ignore[arg-type]
    assert stack.imported == []


def test_a_state_without_encryption_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    previewed_with(monkeypatch, missing(RANDOM_KEY, "key", parent="k"))
    monkeypatch.setattr(FakeStack, "export", lambda _: {"version": 3, "deployment": {}})
    stack = FakeStack()
    with pytest.raises(SystemExit, match=r"names no encryption.*Nothing was changed"):
        kept_key.put_key(stack, KEY)  # type: ignore[arg-type]
    assert stack.imported == []


def test_a_public_gateway_can_keep_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    previewed_with(monkeypatch, missing("b", "bucket"))
    stack = FakeStack()
    with pytest.raises(
        SystemExit, match=r"dev-gcp takes no key.*Nothing was changed.*access to key"
    ):
        kept_key.put_key(stack, KEY)  # type: ignore[arg-type]
    assert stack.imported == []


@pytest.mark.parametrize(("existing", "refused"), [(None, False), (KEY, False), ("another", True)])
def test_a_stack_with_another_key_is_refused_and_no_key_is_shown(
    existing: str | None, refused: bool
) -> None:
    reasons = kept_key.another_key(FakeStack(existing), KEY)  # type: ignore[arg-type]
    assert bool(reasons) is refused
    assert KEY not in "".join(reasons)


@pytest.mark.parametrize(("word", "wanted"), [("", False), ("keep", True)])
def test_the_key_is_kept_on_request(
    word: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", word)
    assert kept_key.is_wanted() is wanted


def test_a_key_on_the_command_line_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", KEY)
    with pytest.raises(SystemExit, match="never be on a command line") as refusal:
        kept_key.is_wanted()
    assert KEY not in str(refusal.value)


@pytest.mark.parametrize(
    ("code", "printed", "expected"),
    [
        (0, json.dumps(state_with(KEY)), KEY),
        (0, json.dumps(state_with(None)), None),
        (255, "", "the key in the backup cannot be decrypted: error: incorrect passphrase"),
    ],
)
def test_a_key_in_a_copy_is_decrypted_by_the_engine(
    code: int, printed: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], code, printed, "error: incorrect passphrase")

    def capture(*words: str) -> subprocess.CompletedProcess[str]:
        assert words == ("stack", "export", "--show-secrets")
        return done

    @contextmanager
    def former(name: str, copy: StateCopy, _: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(name=name, cli=SimpleNamespace(capture=capture))

    monkeypatch.setattr(kept_key, "former_stack", former)
    copy = StateCopy("the backup", state_with(None))
    if code:
        with pytest.raises(
            SystemExit, match=f"(?s){expected}.*Nothing was changed.*PULUMI_CONFIG_PASSPHRASE"
        ):
            kept_key.key_in_copy(FakeStack(), "dev", copy)  # type: ignore[arg-type]
    else:
        found = kept_key.key_in_copy(FakeStack(), "dev", copy)  # type: ignore[arg-type]
        assert found == expected
