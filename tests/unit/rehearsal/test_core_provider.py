"""The provider, asked as the engine asks it, with types that have rules and types that have none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.aws.profile import INVOKES
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.core.wire import UNKNOWN, decode, encode
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.provider.service import Provider

QUEUE = "aws:sqs/queue:Queue"
TOPIC = "aws:sns/topic:Topic"
PARAMETER = "aws:ssm/parameter:Parameter"


class Queue(ResourceType):
    token = QUEUE
    source = "https://example.test/queues"
    executes = "nothing, in a test"
    volatile = frozenset({"url"})
    name = Name(
        property="name", pattern="[a-z0-9-]+", max=20, says="lower-case letters, digits and -"
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        if inputs.get("delaySeconds", 0) > 900:
            raise CheckFailure("delaySeconds", "at most 900 s")
        if "kmsMasterKeyId" not in inputs and "kmsMasterKeyId" not in inputs.unknown:
            return

    def create(self, context: Context, record: Record) -> None:
        context.kv.put("queues", record.inputs["name"], record.id)
        if record.inputs.get("policy") == "refuse":
            raise Refusal("InvalidPolicy", f"no: {record.inputs.get('kmsMasterKeyId')}")

    def delete(self, context: Context, record: Record) -> None:
        if record.inputs.get("policy") == "busy":
            raise Refusal("QueueInUse", "still in use")
        context.kv.delete("queues", record.inputs["name"])


class Topic(ResourceType):
    token = TOPIC
    source = "https://example.test/topics"
    references: ClassVar[Mapping[str, str]] = {"kmsMasterKeyId": QUEUE}


class Refused(Exception):
    """What `context.abort` raises in a test."""


class Call:
    """As much of a grpc context as the provider uses."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def is_active(self) -> bool:
        return False

    def abort(self, code: grpc.StatusCode, text: str) -> None:
        raise Refused(text)


class Engine:
    """Asks a provider as the engine would."""

    def __init__(self, context: Context) -> None:
        kinds: dict[str, ResourceType] = {QUEUE: Queue(), TOPIC: Topic()}
        self.provider = Provider(context, "aws", kinds, INVOKES)
        self.context = context
        self.configure("eu-west-1")

    def configure(self, region: str) -> None:
        settings = encode({"region": region, "defaultTags": json.dumps({"tags": {"a": "b"}})})
        self.provider.Configure(pb.ConfigureRequest(args=settings), Call())

    def _urn(self, token: str, name: str) -> str:
        return f"urn:pulumi:s::p::triplane:aws:Lake${token}::{name}"

    def check(
        self, token: str, name: str, news: dict, olds: dict | None = None, **more: Any
    ) -> tuple[dict, dict[str, str]]:
        request = pb.CheckRequest(
            urn=self._urn(token, name),
            olds=encode(olds or {}),
            news=encode(news),
            randomSeed=b"seed",
            **more,
        )
        answer = self.provider.Check(request, Call())
        return decode(answer.inputs)[0], {f.property: f.reason for f in answer.failures}

    def diff(
        self, token: str, name: str, olds: dict, news: dict, stands: dict | None = None
    ) -> Any:
        request = pb.DiffRequest(
            urn=self._urn(token, name),
            old_inputs=encode(olds),
            news=encode(news),
            olds=encode(stands or {}),
        )
        return self.provider.Diff(request, Call())

    def create(
        self, token: str, called: str, secrets: tuple = (), preview: bool = False, **inputs: Any
    ) -> Any:
        properties = encode(inputs, secrets)
        request = pb.CreateRequest(
            urn=self._urn(token, called), properties=properties, preview=preview
        )
        return self.provider.Create(request, Call())

    def read(self, token: str, id: str) -> Any:
        return self.provider.Read(pb.ReadRequest(urn=self._urn(token, "x"), id=id), Call())

    def delete(self, token: str, id: str) -> None:
        self.provider.Delete(pb.DeleteRequest(urn=self._urn(token, "x"), id=id), Call())


@pytest.fixture
def engine(contexts: Callable[[], Context]) -> Engine:
    return Engine(contexts())


def test_a_preview_and_its_up_make_the_same_name(engine: Engine) -> None:
    first, _ = engine.check(PARAMETER, "key", {"type": "String"})
    again, _ = engine.check(PARAMETER, "key", {"type": "String"})
    assert first["name"] == again["name"]
    assert len(first["name"]) == len("key-1234567")


def test_a_name_is_kept_once_it_is_made(engine: Engine) -> None:
    inputs, _ = engine.check(PARAMETER, "key", {"type": "String"}, olds={"name": "key-7654321"})
    assert inputs["name"] == "key-7654321"


def test_a_name_that_would_be_too_long_is_refused_with_the_arithmetic(engine: Engine) -> None:
    _, failures = engine.check(QUEUE, "a-name-of-some-length", {})
    assert "is 29 long, and at most 20 are allowed; shorten it by 9" in failures["name"]


def test_a_name_against_the_rule_cites_the_rule(engine: Engine) -> None:
    _, failures = engine.check(QUEUE, "q", {"name": "Jobs"})
    assert "lower-case letters, digits and -" in failures["name"]
    assert "https://example.test/queues" in failures["name"]


def test_the_settings_of_autonaming_are_followed(engine: Engine) -> None:
    wish = pb.CheckRequest.AutonamingOptions(proposed_name="wanted")
    inputs, _ = engine.check(PARAMETER, "key", {"type": "String"}, autonaming=wish)
    assert inputs["name"] == "wanted"


def test_a_kind_checks_what_is_known(engine: Engine) -> None:
    assert engine.check(QUEUE, "q", {"delaySeconds": 1000})[1] == {"delaySeconds": "at most 900 s"}
    assert engine.check(QUEUE, "q", {"delaySeconds": UNKNOWN})[1] == {}


def test_outputs_echo_the_inputs_and_have_the_shape_of_the_real_ones(engine: Engine) -> None:
    answer = engine.create(PARAMETER, "key", name="key-1", type="String", tags={"x": "y"})
    outputs, _ = decode(answer.properties)
    assert outputs["arn"] == "arn:aws:ssm:eu-west-1:123456789012:parameter/key-1"
    assert outputs["tagsAll"] == {"a": "b", "x": "y"}
    assert outputs["type"] == "String"
    assert isinstance(outputs["version"], int)


def test_a_preview_creates_nothing(engine: Engine) -> None:
    answer = engine.create(PARAMETER, "key", preview=True, name="key-1", type="String")
    assert answer.id == ""
    assert "arn" not in decode(answer.properties)[0]
    assert engine.context.store.all() == []


def test_what_came_in_secret_goes_out_secret_and_is_in_no_ledger(engine: Engine) -> None:
    inputs = {"name": "k", "type": "SecureString", "value": "hunter2-hunter2"}
    answer = engine.create(PARAMETER, "key", secrets=(("value",),), **inputs)
    for properties in (answer.properties, engine.read(PARAMETER, answer.id).properties):
        values, secrets = decode(properties)
        assert values["value"] == "hunter2-hunter2"
        assert ("value",) in secrets
    assert ("value",) in decode(engine.read(PARAMETER, answer.id).inputs)[1]
    with pytest.raises(Refused, match=r"\[secret\]"):
        engine.create(
            QUEUE, "q", (("kmsMasterKeyId",),), name="q", policy="refuse", kmsMasterKeyId="hunter3"
        )
    told = " ".join(entry.text for entry in engine.context.ledger.entries())
    assert "hunter" not in told


def test_a_secret_inside_an_object_and_a_short_one_stay_secret(engine: Engine) -> None:
    secrets = (("tags", "pin"), ("value",))
    inputs = {"name": "k", "type": "String", "value": "1", "tags": {"pin": "7", "team": "a"}}
    answer = engine.create(PARAMETER, "key", secrets, **inputs)
    assert set(secrets) <= set(decode(answer.properties)[1])
    assert ("tags", "team") not in decode(answer.properties)[1]


def test_a_refused_creation_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(Refused, match="InvalidPolicy: no"):
        engine.create(QUEUE, "q", name="q", policy="refuse")
    assert engine.context.store.all() == []
    assert engine.context.store.unfinished() == []
    assert engine.context.kv.items("queues") == {}
    assert [entry.verb for entry in engine.context.ledger.entries()] == ["refused"]


def test_a_name_that_is_taken_is_refused(engine: Engine) -> None:
    engine.create(QUEUE, "one", name="jobs")
    with pytest.raises(Refused, match=r'AlreadyExists: .* name "jobs" exists already, as one'):
        engine.create(QUEUE, "two", name="jobs")


def test_what_is_referred_to_must_exist(engine: Engine) -> None:
    with pytest.raises(Refused, match="kmsMasterKeyId: aws:sqs/queue:Queue nowhere does not exist"):
        engine.create(TOPIC, "t", name="t", kmsMasterKeyId="nowhere")
    queue = engine.create(QUEUE, "q", name="q")
    engine.create(TOPIC, "t", name="t", kmsMasterKeyId=queue.id)


def test_what_is_in_use_is_not_deleted_and_what_is_gone_is(engine: Engine) -> None:
    busy = engine.create(QUEUE, "q", name="q", policy="busy")
    with pytest.raises(Refused, match="QueueInUse"):
        engine.delete(QUEUE, busy.id)
    assert engine.read(QUEUE, busy.id).id == busy.id
    engine.delete(QUEUE, "gone-long-ago")


def test_nothing_changed_is_no_difference(engine: Engine) -> None:
    inputs = {"name": "q", "tags": {"a": "b"}, "delaySeconds": 3}
    answer = engine.diff(QUEUE, "q", inputs, inputs)
    assert answer.changes == pb.DiffResponse.DIFF_NONE
    assert not answer.detailedDiff


def test_a_difference_is_told_to_the_innermost_property(engine: Engine) -> None:
    answer = engine.diff(
        QUEUE,
        "q",
        {"name": "q", "tags": {"kept": "a", "team.a": "b", "gone": "c"}},
        {"name": "q", "tags": {"kept": "a", "team.a": "d", "new": "e"}},
    )
    kinds = {
        path: pb.PropertyDiff.Kind.Name(each.kind) for path, each in answer.detailedDiff.items()
    }
    assert kinds == {'tags["team.a"]': "UPDATE", "tags.gone": "DELETE", "tags.new": "ADD"}
    assert not answer.replaces


def test_another_region_of_the_provider_replaces_what_stands_in_the_former(engine: Engine) -> None:
    inputs, stands = {"name": "q"}, {"name": "q", "region": "eu-west-1"}
    assert not engine.diff(QUEUE, "q", inputs, inputs, stands).replaces
    engine.configure("eu-west-2")
    assert list(engine.diff(QUEUE, "q", inputs, inputs, stands).replaces) == ["region"]
    # A region of its own is the resource's word, not the provider's.
    own = {**inputs, "region": "eu-west-1"}
    assert not engine.diff(QUEUE, "q", own, own, stands).replaces


@pytest.mark.parametrize(
    ("name", "before"), [("fixed", True), ("q-1234567", False), ("q-12345678", True)]
)
def test_a_replacement_deletes_first_only_where_the_name_stays(
    engine: Engine, name: str, before: bool
) -> None:
    answer = engine.diff(
        QUEUE, "q", {"name": name, "region": "eu-west-1"}, {"name": name, "region": "eu-west-2"}
    )
    assert list(answer.replaces) == ["region"]
    assert answer.deleteBeforeReplace == before


def test_an_update_shows_in_preview_what_it_may_change(engine: Engine) -> None:
    request = pb.UpdateRequest(
        urn=f"urn:pulumi:s::p::{QUEUE}::q",
        olds=encode({"arn": "arn:x", "url": "https://x", "delaySeconds": 1}),
        news=encode({"delaySeconds": 2}),
        preview=True,
    )
    outputs, _ = decode(engine.provider.Update(request, Call()).properties)
    assert outputs == {"arn": "arn:x", "url": UNKNOWN, "delaySeconds": 2}


def test_a_resource_is_read_by_its_id_and_one_that_is_gone_is_not(engine: Engine) -> None:
    made = engine.create(PARAMETER, "key", name="key-1", type="String")
    read = engine.read(PARAMETER, made.id)
    assert decode(read.inputs)[0] == {"name": "key-1", "type": "String"}
    engine.provider.lifecycle.lose(engine.context.store.all()[0])
    assert engine.read(PARAMETER, made.id).id == ""


def test_what_was_being_made_when_the_process_ended_is_taken_away(
    contexts: Callable[[], Context],
) -> None:
    engine = Engine(contexts())
    record = Record("aws", QUEUE, "half", f"urn:pulumi:s::p::{QUEUE}::q", {"name": "half"}, {})
    engine.context.store.begin(record)
    engine.context.kv.put("queues", "half", "half")
    after = Engine(contexts())
    after.provider.lifecycle.clean_up()
    assert after.context.kv.items("queues") == {}
    assert after.context.store.unfinished() == []
    assert after.context.ledger.entries()[0].verb == "interrupted"


def test_a_policy_document_is_what_the_real_function_makes_of_it(engine: Engine) -> None:
    statement = {
        "sid": "Read",
        "actions": ["s3:List*", "s3:Get*"],
        "resources": ["*"],
        "principals": [{"type": "Service", "identifiers": ["lambda.amazonaws.com"]}],
        "conditions": [{"test": "Bool", "variable": "aws:SecureTransport", "values": ["true"]}],
    }
    request = pb.InvokeRequest(
        tok="aws:iam/getPolicyDocument:getPolicyDocument", args=encode({"statements": [statement]})
    )
    answer = decode(getattr(engine.provider.Invoke(request, Call()), "return"))[0]
    assert json.loads(answer["json"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": ["s3:Get*", "s3:List*"],
                "Resource": "*",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Condition": {"Bool": {"aws:SecureTransport": "true"}},
            }
        ],
    }


def test_an_unknown_function_is_refused_with_those_that_are_known(engine: Engine) -> None:
    with pytest.raises(Refused, match=r"does not answer aws:x:y; it answers .*getCallerIdentity"):
        engine.provider.Invoke(pb.InvokeRequest(tok="aws:x:y"), Call())
