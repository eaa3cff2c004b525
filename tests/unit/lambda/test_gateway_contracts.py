"""Contracts come out of the lake, belong to their version, and are read once; while they cannot be read, callers get 503."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest
from gateway import contracts as module
from gateway.contract import UnusableContract, verified
from gateway.contracts import Contracts, ContractUnavailable
from gateway.predictor import ModelRefused

from .gateway_models import (
    DOCUMENTS,
    FLIGHT,
    LAKE,
    PREDICTIONS,
    VERSIONS,
    Lake,
    answer_to,
    error,
    got,
    handler,
)

VERSION = VERSIONS["digits"]


class CountingLake(Lake):
    """A lake that counts what is read, and may be down."""

    def __init__(self) -> None:
        super().__init__(LAKE)
        self.names: list[str] = []
        self.down = False
        self.now = 1000.0

    def read(self, name: str) -> bytes:
        self.names.append(name)
        if self.down:
            raise ConnectionError
        return self[name]

    def contracts(self, *names: str) -> Contracts:
        models = {name: VERSIONS[name] for name in names or ("digits",)}
        return Contracts(models, self.read, lambda: self.now)


def test_a_contract_is_read_once_and_by_many_callers_at_a_time() -> None:
    lake = CountingLake()
    contracts = lake.contracts()

    async def many() -> None:
        found = await asyncio.gather(*(contracts.get("digits") for _ in range(20)))
        assert {each.version for each in found} == {VERSION}

    asyncio.run(many())
    assert sorted(lake.names) == [f"digits/{VERSION}/{n}" for n in ("contract.json", "version.txt")]
    assert contracts.known("digits")


def test_a_caller_that_is_given_up_does_not_end_what_another_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READERS", 1)
    lake, may_read = CountingLake(), threading.Event()

    def slow(name: str) -> bytes:
        may_read.wait(5)
        return lake.read(name)

    contracts = Contracts(VERSIONS, slow)

    async def two() -> str:
        busy = asyncio.ensure_future(contracts.get("flight-delay"))
        await asyncio.sleep(0.01)
        given_up = asyncio.ensure_future(contracts.get("digits"))
        patient = asyncio.ensure_future(contracts.get("digits"))
        await asyncio.sleep(0.01)
        given_up.cancel()
        await asyncio.sleep(0.01)
        may_read.set()
        await busy
        return (await patient).version

    assert asyncio.run(two()) == VERSION


def test_a_late_lake_keeps_callers_for_a_few_seconds_and_the_read_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.2)
    lake, may_read = CountingLake(), threading.Event()

    def late(name: str) -> bytes:
        may_read.wait(5)
        return lake.read(name)

    at = handler(*DOCUMENTS)
    contracts = at.predictor.contracts
    contracts._read = late
    started = time.monotonic()
    answer = answer_to({"instances": [{}]}, path="/models/digits/predict", at=at)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.cause == "lake: contract of digits: is still being read"
    entries = json.loads(got("/models", at).body)["models"]
    assert {each["ready"] for each in entries} == {False}
    assert got("/openapi.json", at).status == 503
    assert time.monotonic() - started < 2
    may_read.set()
    for _ in range(500):
        if contracts.known("digits"):
            break
        time.sleep(0.01)
    assert contracts.known("digits"), "nobody asked again"
    assert got("/models/digits", at).status == 200


def test_while_the_lake_fails_reads_are_rare_and_then_the_contract_is_there() -> None:
    lake = CountingLake()
    lake.down = True
    contracts = lake.contracts()
    for _ in range(5):
        with pytest.raises(ContractUnavailable, match="ConnectionError"):
            asyncio.run(contracts.get("digits"))
    assert len(lake.names) == 1
    lake.down = False
    lake.now += module.RETRY_SECONDS
    assert asyncio.run(contracts.get("digits")).version == VERSION


def test_all_contracts_are_read_from_the_start_and_again_until_they_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    lake, asked = CountingLake(), threading.Event()
    lake.down = True
    contracts = Contracts(VERSIONS, lake.read)
    contracts.start()
    while len(lake.names) < 9:
        asked.wait(0.01)
    lake.down = False
    deadline = threading.Event()
    for _ in range(500):
        if all(contracts.known(name) for name in VERSIONS):
            break
        deadline.wait(0.01)
    assert all(contracts.known(name) for name in VERSIONS)
    contracts.close()


def test_a_version_out_of_an_answer_is_no_path() -> None:
    lake = CountingLake()
    for version in ("../../captures", "a" * 63, "A" * 64, "a" * 64 + "\n"):
        with pytest.raises(ContractUnavailable, match="not a SHA-256"):
            asyncio.run(lake.contracts().get("digits", version))
    assert lake.names == []


def test_a_few_versions_of_a_model_are_kept_and_always_that_of_the_settings() -> None:
    lake = CountingLake()
    contracts = lake.contracts()
    others = [lake.add(DOCUMENTS["digits"], bytes([number])) for number in range(9)]
    for version in (VERSION, *others):
        asyncio.run(contracts.get("digits", version))
    kept = [each for each in (VERSION, *others) if contracts.known("digits", each)]
    assert kept == [VERSION, *others[1 - module.KEPT :]]


class Crowded(dict[Any, Any]):
    """A dict to which another thread adds an entry while it is listed."""

    def __init__(self, lock: Any, *content: Any) -> None:
        super().__init__(*content)
        self._lock = lock

    def __iter__(self) -> Any:
        for each in list(super().__iter__()):
            yield each
            if self._lock.acquire(blocking=False):
                self[f"of another thread, after {each}"] = None
                self._lock.release()


def test_readers_of_one_model_do_not_disturb_each_others_list_of_versions() -> None:
    lake = CountingLake()
    contracts = lake.contracts()
    contracts._found["digits"] = kept = Crowded(contracts._lock, {VERSION: None})
    contracts._contract("digits", lake.add(DOCUMENTS["digits"], b"another"))
    assert len(kept) == 2


def artifact(version: str = VERSION) -> tuple[bytes, bytes]:
    folder = f"digits/{version}"
    return LAKE[f"{folder}/version.txt"], LAKE[f"{folder}/contract.json"]


def test_a_contract_of_its_version_is_verified() -> None:
    assert verified(VERSION, *artifact(), "digits").document == DOCUMENTS["digits"]


@pytest.mark.parametrize(
    ("text", "document", "model", "reason"),
    [
        (b"x", None, "digits", "version.txt is not the text of this version"),
        (None, b"{}", "digits", "not the one that version.txt names"),
        (None, None, "churn", "one of another model: digits"),
    ],
)
def test_what_does_not_belong_to_the_version_is_refused(
    text: bytes | None, document: bytes | None, model: str, reason: str
) -> None:
    good = artifact()
    with pytest.raises(UnusableContract, match=reason):
        verified(VERSION, text or good[0], document or good[1], model)


@pytest.mark.parametrize(
    "change",
    [
        {"fields": [{"name": "x", "type": "colour", "required": True}]},
        {"fields": [{"type": "number"}]},
        {"fields": None},
        {"answer": {"kind": "oracle"}},
        {"answer": {"kind": "binary"}},
        {"max_batch": ...},
    ],
)
def test_a_contract_that_this_gateway_cannot_use_is_a_503_and_the_others_answer(
    change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    document = {**DOCUMENTS["digits"], **change}
    document = {name: value for name, value in document.items() if value is not ...}
    lake = Lake(LAKE)
    at = handler(
        "digits", "flight-delay", lake=lake, versions={**VERSIONS, "digits": lake.add(document)}
    )
    refused = answer_to({"instances": [{}]}, path="/models/digits/predict", at=at)
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert "a member that is missing or unknown" in refused.cause
    good = answer_to({"instances": [FLIGHT]}, path="/models/flight-delay/predict", at=at)
    assert good.status == 200
    entries = json.loads(got("/models", at).body)["models"]
    assert [(each["name"], each["ready"]) for each in entries] == [
        ("digits", False),
        ("flight-delay", True),
    ]
    assert list(json.loads(got("/openapi.json", at).body)["paths"]).count("/models/digits") == 0
    assert got("/health", at).status == 200
    assert got("/v2/health/ready", at).status == 503
    assert "a contract cannot be read" in capsys.readouterr().out


def test_a_gateway_without_any_contract_says_when_to_come_back() -> None:
    at = handler(lake=Lake())
    for path in ("/models/flight-delay", "/openapi.json", "/v2/models/flight-delay"):
        assert got(path, at).headers["retry-after"] == "5"
    answer = answer_to({"instances": [FLIGHT]}, at=at)
    assert (answer.status, error(answer)["code"]) == (503, "unavailable")
    assert answer.cause.startswith("lake: contract of flight-delay: KeyError")


@pytest.mark.parametrize(("file", "status"), [("image", 200), ("model.onnx", 503)])
def test_only_an_own_image_may_leave_out_its_version(file: str, status: int) -> None:
    """Its version has the digest of the image, which the image cannot know (docs/reference/container.md)."""
    document = DOCUMENTS["digits"]
    lake = Lake()
    version = lake.add(document, file=file)
    at = handler(
        "digits",
        ask=lambda model, instances: {"predictions": [PREDICTIONS["digits"]]},
        lake=lake,
        versions={"digits": version},
    )
    answer = answer_to({"instances": [document["example"]]}, at=at)
    assert answer.status == status
    if status == 200:
        assert json.loads(answer.body)["model_version"] == version


class Roll:
    """An endpoint that is rolled from one version to another, whose contract has another field."""

    def __init__(self) -> None:
        self.lake = Lake(LAKE)
        former = DOCUMENTS["arrival-delay"]
        field = {"name": "gate", "type": "text", "label": "Gate", "required": False}
        self.new = {
            **former,
            "fields": [*former["fields"], {**field, "max_length": 4}],
            "answer": {"kind": "regression", "name": "minutes"},
        }
        self.version = self.lake.add(self.new)
        self.serving = VERSIONS["arrival-delay"]
        self.asked: list[dict[str, Any]] = []
        self.at = handler("arrival-delay", ask=self.answer, lake=self.lake)
        self.example = former["example"]

    def answer(self, model: str, instances: list[dict[str, Any]]) -> object:
        self.asked += instances
        name = "minutes" if self.serving == self.version else "delay"
        if name == "delay" and any("gate" in each for each in instances):
            raise ModelRefused("400", "instances[0].gate is not known", self.serving)
        predictions = [{name: 1.5}] * len(instances)
        return {"predictions": predictions, "model_version": self.serving}

    def ask(self, **changes: Any) -> tuple[int, Any]:
        answer = answer_to({"instances": [{**self.example, **changes}]}, at=self.at)
        return answer.status, json.loads(answer.body)


def test_an_answer_of_another_version_is_read_by_that_versions_contract() -> None:
    roll = Roll()
    roll.ask()
    roll.serving = roll.version
    status, content = roll.ask()
    assert (status, content["predictions"]) == (200, [{"minutes": 1.5}])
    assert content["model_version"] == roll.version
    health = json.loads(got("/health", roll.at).body)
    assert health["models"] == {"arrival-delay": roll.version}
    described = json.loads(got("/models/arrival-delay", roll.at).body)
    assert described["answer"] == {"kind": "regression", "name": "minutes"}


def test_a_capture_has_the_instances_that_the_model_got_whichever_version_answered() -> None:
    roll = Roll()
    *others, gate = roll.new["fields"]
    (name,) = [each["name"] for each in others if each["type"] == "number"][:1]
    changed = [{**each, "type": "integer"} if each["name"] == name else each for each in others]
    for each in changed:
        if each["name"] == name:
            del each["minimum"], each["maximum"]
    roll.serving = roll.version = roll.lake.add({**roll.new, "fields": [*changed, gate]})
    answer = answer_to({"instances": [{**roll.example, name: 50.0}]}, at=roll.at)
    assert answer.capture
    assert answer.capture["model_version"] == roll.version
    assert json.dumps(answer.capture["instances"]) == json.dumps(roll.asked)


def test_a_new_field_is_valid_as_soon_as_the_new_version_has_answered() -> None:
    roll = Roll()
    assert roll.ask(gate="B4")[0] == 422
    roll.serving = roll.version
    roll.ask()
    assert roll.ask(gate="B4")[0] == 200
    assert roll.ask(gate="B4444")[0] == 422


def test_a_field_that_a_new_version_wants_is_known_once_the_endpoint_has_rolled() -> None:
    """Otherwise its callers are refused by the one contract without the field, and by the other with it."""
    roll = Roll()
    *others, gate = roll.new["fields"]
    strict = {**roll.new, "fields": [*others, {**gate, "required": True}]}
    roll.serving = roll.version = roll.lake.add(strict)
    status, content = roll.ask()
    (field,) = content["error"]["fields"]
    assert (status, field["field"], "is missing" in field["reason"]) == (
        422,
        "instances[0].gate",
        True,
    )
    assert json.loads(got("/models/arrival-delay", roll.at).body)["fields"][-1]["name"] == "gate"
    assert roll.ask(gate="B4")[0] == 200


def test_a_request_is_checked_again_by_the_version_that_refused_it() -> None:
    """A roll shifts the traffic step by step: after the new version, the old one may answer again."""
    roll = Roll()
    roll.serving = roll.version
    roll.ask()
    roll.serving = VERSIONS["arrival-delay"]
    status, content = roll.ask(gate="B4")
    assert status == 422
    (field,) = content["error"]["fields"]
    assert (field["field"], "is not known" in field["reason"]) == ("instances[0].gate", True)
    assert roll.ask()[1]["predictions"] == [{"delay": 1.5}]


def test_a_request_that_the_former_contract_allows_is_not_refused_during_a_roll() -> None:
    roll = Roll()
    del roll.new
    strict = {**DOCUMENTS["arrival-delay"], "max_batch": 1}
    version = roll.lake.add(strict)
    roll.serving = version
    roll.ask()
    roll.serving = VERSIONS["arrival-delay"]
    body = {"instances": [roll.example] * 2}
    assert answer_to(body, at=roll.at).status == 200


def test_an_answer_of_a_version_that_cannot_be_read_is_no_answer() -> None:
    roll = Roll()
    roll.serving = "0" * 64
    answer = answer_to({"instances": [roll.example]}, at=roll.at)
    assert answer.status == 503
    assert b"1.5" not in answer.body


def test_a_version_of_another_model_is_no_answer() -> None:
    at = handler(
        "flight-delay",
        ask=lambda model, instances: {
            "predictions": [PREDICTIONS["digits"]],
            "model_version": VERSIONS["digits"],
        },
    )
    assert answer_to({"instances": [FLIGHT]}, at=at).status == 503
