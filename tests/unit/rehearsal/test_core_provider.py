"""The provider, called as the engine calls it, with types that have rules and types that have none."""

from __future__ import annotations

import importlib.metadata
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import grpc
import pytest
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc as pb_grpc

from rehearsal.aws.profile import PROFILE as AWS
from rehearsal.azure.profile import PROFILE as AZURE
from rehearsal.core.records import CheckFailure, Incomplete, Inputs, Record, Refusal
from rehearsal.core.wire import UNKNOWN, decode, encode
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import renewed
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.provider.service import MESSAGE_BYTES, Provider, as_read, serve

QUEUE = "aws:sqs/queue:Queue"
TOPIC = "aws:sns/topic:Topic"
PARAMETER = "aws:ssm/parameter:Parameter"


class Queue(ResourceType):
    token = QUEUE
    source = "https://example.test/queues"
    executes = "nothing, in a test"
    volatile = frozenset({"url"})
    name = Name(
        property="name", pattern="[a-z0-9-]+", max=20, rule="lower-case letters, digits and -"
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
        if record.inputs.get("policy") == "incomplete":
            raise Incomplete("Failed", f"it is not healthy: {record.inputs.get('kmsMasterKeyId')}")

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

    def set_trailing_metadata(self, trailer: list[tuple[str, bytes]]) -> None:
        self.trailer = dict(trailer)

    def abort(self, code: grpc.StatusCode, text: str) -> None:
        raise Refused(text)


class Engine:
    """Calls a provider as the engine does."""

    def __init__(self, context: Context) -> None:
        self.provider = Provider(context, replace(AWS, resource_types=(Queue, Topic)))
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
        self, token: str, name: str, olds: dict, news: dict, outputs: dict | None = None
    ) -> Any:
        request = pb.DiffRequest(
            urn=self._urn(token, name),
            old_inputs=encode(olds),
            news=encode(news),
            olds=encode(outputs or {}),
        )
        return self.provider.Diff(request, Call())

    def create(
        self,
        token: str,
        called: str,
        secrets: tuple = (),
        preview: bool = False,
        call: Call | None = None,
        **inputs: Any,
    ) -> Any:
        properties = encode(inputs, secrets)
        request = pb.CreateRequest(
            urn=self._urn(token, called), properties=properties, preview=preview
        )
        return self.provider.Create(request, call or Call())

    def read(self, token: str, id: str) -> Any:
        return self.provider.Read(pb.ReadRequest(urn=self._urn(token, "x"), id=id), Call())

    def delete(self, token: str, id: str) -> None:
        self.provider.Delete(pb.DeleteRequest(urn=self._urn(token, "x"), id=id), Call())


@pytest.fixture
def engine(contexts: Callable[[], Context]) -> Engine:
    return Engine(contexts())


def test_a_preview_and_its_update_make_the_same_name(engine: Engine) -> None:
    first, _ = engine.check(PARAMETER, "key", {"type": "String"})
    again, _ = engine.check(PARAMETER, "key", {"type": "String"})
    assert first["name"] == again["name"]
    assert len(first["name"]) == len("key-1234567")


def test_a_name_is_kept_after_its_creation(engine: Engine) -> None:
    inputs, _ = engine.check(PARAMETER, "key", {"type": "String"}, olds={"name": "key-7654321"})
    assert inputs["name"] == "key-7654321"


def test_a_name_that_would_be_too_long_is_refused_with_the_numbers(engine: Engine) -> None:
    _, failures = engine.check(QUEUE, "a-name-of-some-length", {})
    assert "is 29 long, and at most 20 are allowed; shorten it by 9" in failures["name"]


def test_the_refusal_of_a_name_cites_the_rule(engine: Engine) -> None:
    _, failures = engine.check(QUEUE, "q", {"name": "Jobs"})
    assert "lower-case letters, digits and -" in failures["name"]
    assert "https://example.test/queues" in failures["name"]


def test_the_settings_of_autonaming_are_followed(engine: Engine) -> None:
    option = pb.CheckRequest.AutonamingOptions(proposed_name="wanted")
    inputs, _ = engine.check(PARAMETER, "key", {"type": "String"}, autonaming=option)
    assert inputs["name"] == "wanted"


def test_a_resource_type_checks_only_known_inputs(engine: Engine) -> None:
    assert engine.check(QUEUE, "q", {"delaySeconds": 1000})[1] == {"delaySeconds": "at most 900 s"}
    assert engine.check(QUEUE, "q", {"delaySeconds": UNKNOWN})[1] == {}


def test_outputs_repeat_the_inputs_and_have_the_shape_of_the_real_ones(engine: Engine) -> None:
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


def test_a_secret_input_is_a_secret_output_and_is_not_in_the_ledger(engine: Engine) -> None:
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
    ledger = " ".join(entry.text for entry in engine.context.ledger.entries())
    assert "hunter" not in ledger


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


def test_a_reference_to_something_that_does_not_exist_is_refused(engine: Engine) -> None:
    with pytest.raises(Refused, match="kmsMasterKeyId: aws:sqs/queue:Queue nowhere does not exist"):
        engine.create(TOPIC, "t", name="t", kmsMasterKeyId="nowhere")
    queue = engine.create(QUEUE, "q", name="q")
    engine.create(TOPIC, "t", name="t", kmsMasterKeyId=queue.id)


def test_a_deletion_fails_while_in_use_and_succeeds_if_nothing_exists(engine: Engine) -> None:
    busy = engine.create(QUEUE, "q", name="q", policy="busy")
    with pytest.raises(Refused, match="QueueInUse"):
        engine.delete(QUEUE, busy.id)
    assert engine.read(QUEUE, busy.id).id == busy.id
    engine.delete(QUEUE, "never-existed")


def test_equal_inputs_have_no_difference(engine: Engine) -> None:
    inputs = {"name": "q", "tags": {"a": "b"}, "delaySeconds": 3}
    answer = engine.diff(QUEUE, "q", inputs, inputs)
    assert answer.changes == pb.DiffResponse.DIFF_NONE
    assert not answer.detailedDiff


def test_a_difference_names_the_innermost_property(engine: Engine) -> None:
    answer = engine.diff(
        QUEUE,
        "q",
        {"name": "q", "tags": {"kept": "a", "team.a": "b", "gone": "c"}},
        {"name": "q", "tags": {"kept": "a", "team.a": "d", "new": "e"}},
    )
    changes = {
        path: pb.PropertyDiff.Kind.Name(each.kind) for path, each in answer.detailedDiff.items()
    }
    assert changes == {'tags["team.a"]': "UPDATE", "tags.gone": "DELETE", "tags.new": "ADD"}
    assert not answer.replaces


def test_another_region_of_the_provider_replaces_the_resource_of_the_old_one(
    engine: Engine,
) -> None:
    inputs, outputs = {"name": "q"}, {"name": "q", "region": "eu-west-1"}
    assert not engine.diff(QUEUE, "q", inputs, inputs, outputs).replaces
    engine.configure("eu-west-2")
    assert list(engine.diff(QUEUE, "q", inputs, inputs, outputs).replaces) == ["region"]
    # A region of its own is the resource's word, not the provider's.
    own = {**inputs, "region": "eu-west-1"}
    assert not engine.diff(QUEUE, "q", own, own, outputs).replaces


@pytest.mark.parametrize(
    ("notes", "new_name", "before"),
    [
        ({"__defaults": []}, "fixed", True),
        ({"__defaults": []}, "another", True),
        ({"__defaults": ["name"]}, "fixed", False),
        ({}, "fixed", False),
    ],
)
def test_a_bridged_provider_deletes_first_if_the_program_gives_the_name(
    engine: Engine, notes: dict[str, Any], new_name: str, before: bool
) -> None:
    old = {"name": "fixed", "region": "eu-west-1", **notes}
    answer = engine.diff(QUEUE, "q", old, {"name": new_name, "region": "eu-west-2", **notes})
    assert "region" in answer.replaces
    assert answer.deleteBeforeReplace == before


MODEL = "azure-native:machinelearningservices:ModelVersion"
ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
CONTAINER = "azure-native:storage:BlobContainer"


@pytest.fixture
def azure(engine: Engine) -> Engine:
    """The engine's calls of azure-native, without rules of its own for any type."""
    engine.provider = Provider(engine.context, replace(AZURE, resource_types=()))
    return engine


@pytest.mark.parametrize(("notes", "before"), [({}, True), ({"__createBeforeDelete": True}, False)])
def test_azure_native_deletes_first_unless_it_has_chosen_a_random_name(
    azure: Engine, notes: dict[str, Any], before: bool
) -> None:
    place = {"resourceGroupName": "g", "name": "m"}
    old = {**place, "workspaceName": "w-12345678", **notes}
    answer = azure.diff(MODEL, "m", old, {**place, "workspaceName": "w-87654321"})
    assert list(answer.replaces) == ["workspaceName"]
    assert answer.deleteBeforeReplace == before


def test_azure_native_notes_a_random_name_and_keeps_the_note(azure: Engine) -> None:
    def notes(token: str, news: dict[str, Any], olds: dict[str, Any]) -> set[str]:
        request = pb.CheckRequest(
            urn=f"urn:pulumi:s::p::{token}::e",
            olds=encode(olds),
            news=encode({"resourceGroupName": "g", "properties": {}, **news}),
            randomSeed=b"seed",
        )
        answer = azure.provider.Check(request, Call())
        return {name for name in answer.inputs.fields if name.startswith("__")}

    noted = {"__createBeforeDelete"}
    endpoint = {"workspaceName": "w"}
    assert notes(ENDPOINT, endpoint, {}) == noted
    old = {"endpointName": "e12345678"}
    assert notes(ENDPOINT, endpoint, {**old, "__createBeforeDelete": True}) == noted
    assert notes(ENDPOINT, endpoint, old) == set()  # as after an import
    assert notes(ENDPOINT, {**endpoint, "endpointName": "e"}, {}) == set()
    assert notes(CONTAINER, {"accountName": "a"}, {}) == set()  # a copy of the program's name


def test_a_preview_of_an_update_shows_the_outputs_that_may_change_as_unknown(
    engine: Engine,
) -> None:
    request = pb.UpdateRequest(
        urn=f"urn:pulumi:s::p::{QUEUE}::q",
        olds=encode({"arn": "arn:x", "url": "https://x", "delaySeconds": 1}),
        news=encode({"delaySeconds": 2}),
        preview=True,
    )
    outputs, _ = decode(engine.provider.Update(request, Call()).properties)
    assert outputs == {"arn": "arn:x", "url": UNKNOWN, "delaySeconds": 2}


def test_a_resource_is_read_by_its_id_and_only_while_it_exists(engine: Engine) -> None:
    made = engine.create(PARAMETER, "key", name="key-1", type="String")
    read = engine.read(PARAMETER, made.id)
    assert decode(read.inputs)[0] == {"name": "key-1", "type": "String"}
    engine.provider.lifecycle.lose(engine.context.store.all()[0])
    assert engine.read(PARAMETER, made.id).id == ""


def test_what_a_provider_does_not_read_stays_as_the_state_has_it() -> None:
    in_cloud = {"name": "a", "config": {"settings": ["by hand"], "image": "by hand"}}
    in_state = {"name": "a", "config": {"settings": ["ours"], "image": "ours"}}
    unread = ("config.settings",)
    found = {"name": "a", "config": {"settings": ["ours"], "image": "by hand"}}
    assert as_read(in_cloud, in_state, unread) == found
    assert as_read(in_cloud, {}, unread) == {"name": "a", "config": {"image": "by hand"}}
    assert as_read({"name": "a"}, in_state, unread) == {"name": "a"}
    assert in_cloud["config"]["settings"] == ["by hand"]


def test_an_interrupted_creation_is_deleted_at_the_next_start(
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


def test_a_policy_document_equals_that_of_the_real_function(engine: Engine) -> None:
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


def test_an_unknown_function_is_refused_with_a_list_of_the_known_ones(engine: Engine) -> None:
    with pytest.raises(Refused, match=r"does not answer aws:x:y; it answers .*getCallerIdentity"):
        engine.provider.Invoke(pb.InvokeRequest(tok="aws:x:y"), Call())


def test_an_incomplete_creation_is_kept_and_the_engine_is_given_it(engine: Engine) -> None:
    """As a bridged provider does: https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto"""
    call, secret = Call(), "a secret of sixty characters, which no message may have: 0123456"
    inputs = {"name": "q", "policy": "incomplete", "kmsMasterKeyId": secret}
    with pytest.raises(Refused, match="it is not healthy"):
        engine.create(QUEUE, "q", secrets=(("kmsMasterKeyId",),), call=call, **inputs)
    assert engine.context.all(QUEUE)
    status = status_pb2.Status.FromString(call.trailer["grpc-status-details-bin"])
    assert (status.code, "it is not healthy" in status.message) == (2, True)
    failed = pb.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failed)
    assert failed.id == engine.context.all(QUEUE)[0].id
    assert decode(failed.properties)[0]["name"] == "q"
    assert secret not in failed.reasons[0]


def test_the_engine_reaches_the_provider_by_grpc_and_learns_what_it_is(engine: Engine) -> None:
    """The methods of https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = serve(engine.provider, port)
    limit = [("grpc.max_receive_message_length", MESSAGE_BYTES)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", limit) as channel:
        stub = pb_grpc.ResourceProviderStub(channel)
        known = stub.Handshake(pb.ProviderHandshakeRequest())
        assert (known.accept_secrets, known.supports_autonaming_configuration) == (True, True)
        # Another version than the SDK's, and the engine warns.
        version = importlib.metadata.version("pulumi-aws")
        assert stub.GetPluginInfo(empty_pb2.Empty()).version == version
        stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
        news = encode({"region": "eu-west-1"})
        checked = stub.CheckConfig(pb.CheckRequest(urn="u", news=news))
        assert decode(checked.inputs)[0] == {"region": "eu-west-1"}
        for other, changes in (("eu-west-1", "DIFF_NONE"), ("us-east-1", "DIFF_SOME")):
            request = pb.DiffRequest(old_inputs=news, news=encode({"region": other}))
            found = stub.DiffConfig(request).changes
            assert pb.DiffResponse.DiffChanges.Name(found) == changes
        configured = stub.Configure(pb.ConfigureRequest(args=news))
        assert configured.acceptSecrets
        assert configured.supportsPreview
        assert configured.supports_autonaming_configuration
        large = {"type": "String", "value": "x" * 5_000_000}  # above the default of grpc
        properties = encode({"name": "large", **large})
        urn = engine._urn(PARAMETER, "large")
        made = stub.Create(pb.CreateRequest(urn=urn, properties=properties))
        assert decode(made.properties)[0]["value"] == large["value"]
        stub.Cancel(empty_pb2.Empty())
    server.stop(0)


def test_an_update_s_preview_knows_what_the_update_keeps(engine: Engine) -> None:
    made = engine.create(QUEUE, "jobs", name="jobs", delaySeconds=1)
    outputs = decode(made.properties)[0]
    urn = engine._urn(QUEUE, "jobs")
    news = encode({"name": "jobs", "delaySeconds": 2})

    def update(*, preview: bool, id: str = made.id) -> dict:
        request = pb.UpdateRequest(id=id, urn=urn, olds=made.properties, news=news, preview=preview)
        return decode(engine.provider.Update(request, Call()).properties)[0]

    before = update(preview=True)
    assert (before["delaySeconds"], before["url"]) == (2, UNKNOWN)
    assert before["arn"] == outputs["arn"]
    stored = engine.context.get(QUEUE, made.id)
    assert stored
    assert stored.inputs["delaySeconds"] == 1
    after = update(preview=False)
    assert (after["delaySeconds"], after["arn"]) == (2, outputs["arn"])
    with pytest.raises(Refused, match="none"):
        update(preview=False, id="none")


def test_a_change_by_hand_and_a_renewal_are_in_the_ledger(engine: Engine) -> None:
    made = engine.create(QUEUE, "jobs", name="jobs", delaySeconds=1)
    record = engine.context.get(QUEUE, made.id)
    assert record
    engine.provider.lifecycle.change(record, {"delaySeconds": 7})
    changed = engine.context.get(QUEUE, made.id)
    assert changed
    assert changed.inputs == {**record.inputs, "delaySeconds": 7}
    newest = engine.context.ledger.entries(1)[0]
    assert (newest.verb, newest.text) == ("changed", "by hand: delaySeconds")


@pytest.mark.parametrize(
    ("value", "same"),
    [
        ("abcdefgh", "abcd"),
        ({"created": "x", "createdBy": "x"}, {"created": "x", "createdBy": "x"}),
    ],
)
def test_what_a_service_renews_keeps_its_shape(value: Any, same: Any) -> None:
    found = renewed(value)
    if isinstance(value, str):
        assert found.startswith(same)
        assert found != value
        assert len(found) == len(value)
    else:
        assert found == same
    nested = renewed({"etag": "abcdefgh", "updatedAt": "2020-01-01T00:00:00Z", "count": 3})
    assert nested["etag"] != "abcdefgh"
    assert nested["count"] == 3
    assert nested["updatedAt"] > "2026"
    assert nested["updatedAt"].endswith("Z")


def test_an_unknown_function_is_refused_with_those_that_there_are(engine: Engine) -> None:
    request = pb.InvokeRequest(tok="aws:index/getNothing:getNothing")
    with pytest.raises(Refused, match="it answers aws:iam/getPolicyDocument:getPolicyDocument"):
        engine.provider.Invoke(request, Call())
    request = pb.InvokeRequest(tok="aws:index/getRegion:getRegion", args=encode({}))
    answer = engine.provider.Invoke(request, Call())
    assert decode(getattr(answer, "return"))[0]["region"] == "eu-west-1"
