"""From nothing to a prediction and back to nothing, on each cloud, with the real engine.

The tests of one cloud share its stack. Each leaves it as it found it, so their order does not matter;
destruction is with the generated files, which have stacks of their own.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.harness import FLIGHT, ROOT, Answer, Stack, http_answer, load, run
from components import build_context
from components.resource_type import RANDOM_KEY
from config.stack_file import StackFile
from config.validation import config_of_file
from operations.delivery.redaction import secrets_in
from operations.engine import environment
from operations.engine.resources import resource_name
from operations.engine.stack import SCRATCH, NamedStack
from operations.recovery import importer
from operations.recovery.trial_stack import TrialStack
from tests.contract.outputs import OUTPUTS
from tests.e2e import clients
from tests.e2e.test_guards import ANOTHER_MACHINE


def predict(outputs: dict[str, Any]) -> Any:
    answer = http_answer(
        f"{outputs['gateway_url']}/predict",
        {"instances": [FLIGHT]},
        **{"x-api-key": outputs["gateway_key"]},
    )
    assert answer.status == 200, answer
    return answer.json


def served(outputs: dict[str, Any], model: str = "flight-delay") -> dict[str, Any]:
    """What the outputs say of a model: version, endpoint_name, endpoint_url."""
    found: dict[str, Any] = outputs["models"][model]
    return found


def ask(outputs: dict[str, Any], model: str) -> Answer:
    """The answer of a model about its contract's example; the gateway's refusal if it has no such model."""
    contract = http_answer(f"{outputs['gateway_url']}/models/{model}")
    if contract.status != 200:
        return contract
    return http_answer(
        f"{outputs['gateway_url']}/models/{model}/predict",
        {"instances": [contract.json["example"]]},
        **{"x-api-key": outputs["gateway_key"]},
    )


def eventually(read: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """The first true value that ``read`` returns."""
    deadline = time.monotonic() + seconds
    while not (found := read()):
        assert time.monotonic() < deadline, f"{what}: not seen in {seconds} s"
        time.sleep(0.2)
    return found


def test_the_outputs_are_the_contract(stack: Stack, models: list[str]) -> None:
    outputs = stack.outputs()
    assert set(outputs) == OUTPUTS
    assert "@sha256:" in outputs["image"]
    assert served(outputs)["version"] == models[0]


def test_the_version_that_the_stack_names_predicts_a_real_flight(
    stack: Stack, models: list[str]
) -> None:
    answer = predict(stack.outputs())
    assert answer["model_version"] == models[0]
    assert 0 < answer["predictions"][0]["probability"] < 1


def test_a_second_run_changes_nothing(stack: Stack) -> None:
    stack.pulumi("preview", "--expect-no-changes")
    stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")


def test_nobody_without_the_key_gets_a_prediction(stack: Stack) -> None:
    url = stack.outputs()["gateway_url"]
    assert http_answer(f"{url}/predict", {"instances": [FLIGHT]}).status == 401
    assert (
        http_answer(f"{url}/predict", {"instances": [FLIGHT]}, **{"x-api-key": "guess"}).status
        == 401
    )


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, ""),
        ({"instances": []}, 422, "instances"),
        ({"instances": [{**FLIGHT, "carrier": "ZZ"}]}, 422, "instances[0].carrier"),
        (
            {"instances": [{k: v for k, v in FLIGHT.items() if k != "origin"}]},
            422,
            "instances[0].origin",
        ),
        ({"instances": [FLIGHT] * 1000}, 422, "instances"),
    ],
    ids=["malformed", "empty", "unknown carrier", "missing origin", "oversized batch"],
)
def test_a_bad_request_is_answered_with_the_field_and_the_reason(
    stack: Stack, body: Any, status: int, field: str
) -> None:
    outputs = stack.outputs()
    answer = http_answer(
        f"{outputs['gateway_url']}/predict", body, **{"x-api-key": outputs["gateway_key"]}
    )
    assert answer.status == status, answer
    assert field in answer.body.decode()
    assert b"Traceback" not in answer.body


def test_the_health_names_the_deployed_code(stack: Stack) -> None:
    answer = http_answer(stack.outputs()["gateway_url"] + "/health")
    assert answer.json["code_version"] == build_context.content_hash(ROOT / "lambda" / "gateway")


def test_the_gateway_has_a_page(stack: Stack) -> None:
    answer = http_answer(stack.outputs()["gateway_url"] + "/")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_the_clouds_own_clients_see_the_lake_and_get_predictions(
    stack: Stack, models: list[str]
) -> None:
    client, outputs = clients.of(stack.outputs()), stack.outputs()
    assert f"models/flight-delay/{models[0]}/model.onnx" in client.objects()
    answer = client.predict("flight-delay", [FLIGHT])
    assert answer["predictions"] == predict(outputs)["predictions"]


def test_every_request_is_captured_in_the_lake(stack: Stack) -> None:
    outputs = stack.outputs()
    client = clients.of(outputs)
    before = set(client.objects("captures/"))
    answer = predict(outputs)
    new = eventually(lambda: set(client.objects("captures/")) - before, "the capture")
    captured = json.loads(client.read(sorted(new)[-1]))
    assert captured["instances"] == [FLIGHT]
    assert captured["predictions"] == answer["predictions"]
    assert captured["model_version"] == answer["model_version"]
    assert outputs["gateway_key"] not in json.dumps(captured)


def test_another_model_version_rolls_without_a_failed_request(
    stack: Stack, models: list[str]
) -> None:
    before = stack.outputs()
    assert len(models) > 1, "training over other months gave the same model"
    try:
        with load(before["gateway_url"], before["gateway_key"]) as answers:
            stack.configure(**{"triplane:models": {"flight-delay": models[1]}})
            stack.up()
            eventually(lambda: predict(before)["model_version"] == models[1], "the other version")
    finally:
        stack.configure(**{"triplane:models": {"flight-delay": models[0]}})
    failed = [each for each in answers if isinstance(each, Exception) or each.status != 200]
    assert not failed, f"{len(failed)} of {len(answers)} failed, first: {failed[0]}"
    assert len(answers) > 50
    assert {
        each.json["model_version"] for each in answers if not isinstance(each, Exception)
    } == set(models[:2])
    after = stack.outputs()
    assert served(after) == {**served(before), "version": models[1]}
    assert after["gateway_url"] == before["gateway_url"]
    stack.up()
    assert predict(after)["model_version"] == models[0]


def test_models_come_and_go_and_nothing_of_the_others_is_touched(
    stack: Stack, models: list[str], numbers: list[str]
) -> None:
    """Two more models on one endpoint of their own: the first one's endpoint, identity and address stay, and it answers."""
    before, resources = stack.outputs(), ids_of(stack.resources())
    alone = {"flight-delay": models[0]}
    shared = {"version": "champion", "endpoint": "numbers"}
    try:
        with load(before["gateway_url"], before["gateway_key"], connections=1) as answers:
            stack.configure(**{"triplane:models": {**alone, **dict.fromkeys(numbers, shared)}})
            stack.up()
            three = stack.outputs()
            assert set(three["models"]) == {"flight-delay", *numbers}
            assert served(three) == served(before)
            assert served(three, "digits")["endpoint_name"] != served(three)["endpoint_name"]
            assert (
                served(three, "digits")["endpoint_name"]
                == served(three, "arrival-delay")["endpoint_name"]
            )
            for name in three["models"]:
                answer = eventually(lambda name=name: found_or_none(ask(three, name)), name)
                assert answer["model_version"] == served(three, name)["version"], name
            changed = {
                urn for urn in resources if resources[urn] != ids_of(stack.resources()).get(urn)
            }
            assert not [urn for urn in changed if "flight-delay" in urn], changed
            stack.configure(**{"triplane:models": alone})
            stack.up()
    finally:
        stack.configure(**{"triplane:models": alone})
    failed = [each for each in answers if isinstance(each, Exception) or each.status != 200]
    assert not failed, f"{len(failed)} of {len(answers)} failed, first: {failed[0]}"
    after = stack.outputs()
    assert after["models"] == before["models"]
    assert ids_of(stack.resources()).keys() == resources.keys(), "what was added is gone"
    eventually(lambda: ask(after, "digits").status == 404, "the removed model's end")


def ids_of(resources: list[dict[str, Any]]) -> dict[str, str | None]:
    """The id of each resource, by its URN."""
    return {each["urn"]: each.get("id") for each in resources}


def found_or_none(answer: Answer) -> Any:
    return answer.json if answer.status == 200 else None


def test_another_machine_serves_without_a_failed_request(stack: Stack) -> None:
    """From serverless to instances and back: another endpoint each time, for which its callers' permission is not changed."""
    if stack.settings["triplane:cloud"] != "aws":
        pytest.skip(
            "the endpoint stays the same, and the other model version shows how it is rolled"
        )
    before = stack.outputs()
    machine = stack.settings["triplane:machine"]
    another = {**machine, **ANOTHER_MACHINE[stack.settings["triplane:cloud"]]}
    for chosen in (another, machine):
        with load(before["gateway_url"], before["gateway_key"]) as answers:
            stack.configure(**{"triplane:machine": chosen})
            stack.up()
        failed = [each for each in answers if isinstance(each, Exception) or each.status != 200]
        assert not failed, f"{len(failed)} of {len(answers)} failed, first: {failed[0]}"
        assert len(answers) > 50


def test_a_rotated_key_is_the_only_one_that_works(stack: Stack) -> None:
    before = stack.outputs()
    gateway = stack.settings.get("triplane:gateway", {})
    stack.configure(
        **{"triplane:gateway": {**gateway, "key_rotation": gateway.get("key_rotation", 1) + 1}}
    )
    stack.up()
    after = stack.outputs()
    assert after["gateway_key"] != before["gateway_key"]
    url, body = f"{after['gateway_url']}/predict", {"instances": [FLIGHT]}
    # Each gateway reads one version of the key, so this waits only for the former processes to go.
    eventually(
        lambda: http_answer(url, body, **{"x-api-key": after["gateway_key"]}).status == 200,
        "the new key",
    )
    eventually(
        lambda: http_answer(url, body, **{"x-api-key": before["gateway_key"]}).status == 401,
        "the former key's end",
    )
    answers = [
        http_answer(url, body, **{"x-api-key": after["gateway_key"]}).status for _ in range(10)
    ]
    assert answers == [200] * 10


def test_every_resource_is_found_by_names_and_tags_without_a_state(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `make adopt` does it, in a backend of its own, so that the stack keeps the state it has."""
    monkeypatch.setattr(environment, "rehearsal_environment", lambda: stack.rehearsal.environment)
    # `--event-log` is an option of the commands' own environment only.
    seen = {**stack.environment, "PULUMI_DEBUG_COMMANDS": "true"}
    original = cast(NamedStack, SimpleNamespace(environment=seen))
    trial = TrialStack(stack.name, stack.file, original, tmp_path)
    trial.load(stack)
    result = importer.import_resources(trial, config_of_file(StackFile.read(stack.file)))
    changed = {
        step["urn"]: [*step["detailedDiff"]] for step in result.steps if step["op"] != "same"
    }
    # azure-native does not read an app's settings, so an adopted app is given them once more.
    unread = {"triplane-gateway": ["siteConfig.appSettings"]} if "azure" in stack.name else {}
    assert {resource_name(urn): paths for urn, paths in changed.items()} == unread
    mine, found = stack.resources(), trial.cli.json("stack", "export", "--show-secrets")
    resources = found["deployment"]["resources"]
    [key] = [each for each in resources if each["type"] == RANDOM_KEY]
    assert json.loads(key["outputs"]["value"]["plaintext"]) == stack.outputs()["gateway_key"]
    # Whoever makes the key or a provider gives it an id of its own.
    drawn = ("pulumi:", RANDOM_KEY)
    assert {
        (each["urn"], each.get("id")) for each in resources if not each["type"].startswith(drawn)
    } == {(each["urn"], each.get("id")) for each in mine if not each["type"].startswith(drawn)}
    assert {each["urn"]: sorted(each.get("dependencies", ())) for each in resources} == {
        each["urn"]: sorted(each.get("dependencies", ())) for each in mine
    }


def test_no_secret_is_in_the_state_in_plain_text(stack: Stack) -> None:
    key = stack.outputs()["gateway_key"]
    written = [file for file in stack.folder.rglob("*") if file.is_file()]
    assert written
    assert not [file for file in written if key.encode() in file.read_bytes()]


def test_the_evidence_of_a_stack_says_how_it_is_and_has_no_secret(
    stack: Stack, models: list[str]
) -> None:
    """As a person elsewhere collects it: the stack is one of the shell's environment, in a backend of its own."""
    file = SCRATCH / stack.file.name
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(stack.file, file)
    command = [sys.executable, "-m", "operations", "evidence", "--stack", stack.name]
    # Without it, what the rehearsal plays is the real cloud: the rehearsal's endpoints with another backend are refused.
    variables = {
        name: value for name, value in stack.environment.items() if name != "TRIPLANE_REHEARSAL_URL"
    }
    try:
        printed = run(command, variables, timeout=300)
    finally:
        file.unlink()
    archive_file = ROOT / re.findall(r"^(\S+\.zip):", printed, re.MULTILINE)[0]
    with zipfile.ZipFile(archive_file) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    archive_file.unlink()
    parts = {name: json.loads(text) for name, text in texts.items() if name.endswith(".json")}
    assert "not collected" in parts.pop("last_update.json")  # `pulumi up`, not `make up`
    assert not [name for name, part in parts.items() if "not collected" in part], printed
    assert parts["drift.json"] == {}
    assert parts["preview.json"] == []
    assert parts["answers.json"]["models"] == {"flight-delay": models[0]}
    assert len(parts["resources.json"]) > 20
    secrets = {
        stack.outputs()["gateway_key"],
        *(each for each in secrets_in(stack.environment) if len(each) >= 16),
    }
    assert len(secrets) > 1
    for name, text in texts.items():
        assert not [each for each in secrets if each in text], name
