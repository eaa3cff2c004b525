"""What the real providers do beyond the program: defaults of `Check`, what a read fills in, what they take for equal."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.aws.provider import PROVIDER as AWS
from rehearsal.core.assets import ASSET, SIGNATURE
from rehearsal.core.records import Json
from rehearsal.core.schema import Schemas
from rehearsal.core.wire import DEFAULTS, decode, encode
from rehearsal.gcp.provider import PROVIDER as GCP
from rehearsal.provider.bridged import BridgedProvider
from rehearsal.provider.context import Context
from rehearsal.provider.service import Provider
from rehearsal.server import PROFILES
from tests.unit.rehearsal.aws_account import Account, allow, trust
from tests.unit.rehearsal.test_core_provider import Call

SCHEMAS = {each.package: Schemas(each.package) for each in PROFILES}
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
FUNCTION = "aws:lambda/function:Function"
SERVICE = "gcp:cloudrunv2/service:Service"
PROJECT = "aws:codebuild/project:Project"
BUCKET = "aws:s3/bucket:Bucket"


def checked(provider: BridgedProvider, token: str, olds: Json, news: Json, *filled: str) -> Json:
    schema = SCHEMAS[provider.package].get(token)
    return provider.checked(schema, encode(olds), news, list(filled), random=False)


def as_refreshed(provider: BridgedProvider, token: str, requested: Json, found: Json) -> Json:
    schema = SCHEMAS[provider.package].get(token)
    return provider.inputs_as_read(schema, encode(requested), found, is_import=False)


def properties_at(token: str, path: str) -> Json:
    """The description of the input at a dotted path."""
    schema = SCHEMAS[token.split(":")[0]].get(token)
    properties: Json = schema.inputs
    described: Json = {}
    for part in path.split("."):
        described = properties[part]
        kind = described["type"]
        while isinstance(kind, list) and kind[0] == "list":
            kind = kind[1]
        properties = schema.types[kind[1]] if isinstance(kind, list) and kind[0] == "object" else {}
    return described


@pytest.mark.parametrize(
    ("token", "path", "value"),
    [
        (token, path, value)
        for provider in (AWS, GCP)
        for token, defaults in provider.check_defaults.items()
        for path, value in defaults.items()
    ],
)
def test_a_default_is_an_optional_input_and_is_not_falsy(token: str, path: str, value: Any) -> None:
    described = properties_at(token, path)
    assert described["required"] is False
    assert value


def test_check_fills_in_defaults_and_lists_them_in_every_object() -> None:
    news = {
        "name": "s",
        "deletionProtection": False,
        "template": {"containers": [{"image": "i", "startupProbe": {"timeoutSeconds": 5}}]},
        "labels": {"a": "b"},
    }
    inputs = checked(GCP, SERVICE, {}, news, "name")
    assert inputs[DEFAULTS] == ["name"]
    assert inputs["labels"] == {"a": "b"}, "a map has no defaults"
    template = inputs["template"]
    assert template[DEFAULTS] == template["containers"][0][DEFAULTS] == []
    probe = template["containers"][0]["startupProbe"]
    assert probe == {
        "timeoutSeconds": 5,
        "failureThreshold": 3,
        "periodSeconds": 10,
        DEFAULTS: ["failureThreshold", "periodSeconds"],
    }


def test_the_notes_in_inputs_are_no_values() -> None:
    inputs = checked(GCP, SERVICE, {}, {"name": "s", "template": {"containers": [{"image": "i"}]}})
    assert decode(encode(inputs))[0] == {
        "name": "s",
        "deletionProtection": True,
        "template": {"containers": [{"image": "i"}]},
    }


def test_a_default_that_was_changed_by_hand_stays_after_a_refresh_if_it_was_the_only_one() -> None:
    """The bridge drops the empty list, and then takes every old value for a default of its own."""
    before = checked(GCP, ROLE, {}, {"roleId": "r", "title": "t", "permissions": []})
    assert before["stage"] == "GA"
    refreshed = as_refreshed(GCP, ROLE, before, {**decode(encode(before))[0], "stage": "DISABLED"})
    assert DEFAULTS not in refreshed
    program = {"roleId": "r", "title": "t", "permissions": []}
    assert checked(GCP, ROLE, refreshed, program)["stage"] == "DISABLED"
    assert checked(GCP, ROLE, refreshed, {**program, "stage": "GA"})["stage"] == "GA"


def test_a_default_that_was_changed_by_hand_is_taken_back_if_others_are_left() -> None:
    program = {"name": "f", "role": "arn:aws:iam::1:role/r"}
    before = checked(AWS, FUNCTION, {}, program)
    refreshed = as_refreshed(AWS, FUNCTION, before, {**decode(encode(before))[0], "timeout": 60})
    assert refreshed["timeout"] == 60
    assert refreshed[DEFAULTS] == ["memorySize", "packageType", "reservedConcurrentExecutions"]
    assert checked(AWS, FUNCTION, refreshed, program)["timeout"] == 3


def test_a_state_without_defaults_is_no_difference(contexts: Callable[[], Context]) -> None:
    """A rehearsal of an earlier version wrote none: another `mode` would replace the registry."""
    token = "gcp:artifactregistry/repository:Repository"
    provider = Provider(contexts(), next(each for each in PROFILES if each.package == "gcp"))
    old = {"repositoryId": "r", "format": "DOCKER", "location": "europe-west1"}
    request = pb.DiffRequest(
        urn=f"urn:pulumi:s::p::{token}::r",
        old_inputs=encode({**old, DEFAULTS: []}),
        olds=encode(old),
        news=encode(checked(GCP, token, old, old)),
    )
    assert provider.Diff(request, Call()).changes == pb.DiffResponse.DIFF_NONE


def test_an_import_reads_no_defaults() -> None:
    schema = SCHEMAS["aws"].get(PROJECT)
    found = {"name": "p", "buildTimeout": 60, "environment": {"type": "LINUX_CONTAINER"}}
    inputs = AWS.inputs_as_read(schema, encode({}), found, is_import=True)
    assert inputs == {
        "name": "p",
        "environment": {"type": "LINUX_CONTAINER", DEFAULTS: []},
        DEFAULTS: [],
    }


def test_a_bucket_is_read_with_what_other_resources_have_set(live_context: Context) -> None:
    account = Account(live_context)
    bucket = account.create(BUCKET, "lake", bucket="lake-1234567")
    assert bucket.outputs["versioning"] == {"enabled": False, "mfaDelete": False}
    account.create(
        "aws:s3/bucketVersioning:BucketVersioning",
        "versioning",
        bucket=bucket.id,
        versioningConfiguration={"status": "Enabled"},
    )
    statement = {**allow("s3:GetObject", "arn:aws:s3:::lake-1234567/*"), "Principal": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    account.create("aws:s3/bucketPolicy:BucketPolicy", "policy", bucket=bucket.id, policy=policy)
    account.create(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "lifecycle",
        bucket=bucket.id,
        rules=[{"id": "old", "status": "Enabled", "expiration": {"days": 1}}],
    )
    read = account.lifecycle.read(BUCKET, bucket.id)
    assert read
    assert read.inputs == bucket.inputs
    assert read.outputs["versioning"]["enabled"] is True
    assert read.outputs["policy"] == policy
    assert read.outputs["lifecycleRules"] == [{"id": "old", "enabled": True}]


def test_a_role_is_read_with_its_inline_policies(live_context: Context) -> None:
    account = Account(live_context)
    role = account.create("aws:iam/role:Role", "r", assumeRolePolicy=trust("lambda"))
    assert role.outputs["inlinePolicies"] == []
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:GetObject", "*")]})
    account.create("aws:iam/rolePolicy:RolePolicy", "p", role=role.id, policy=policy, name="p")
    read = account.lifecycle.read(role.token, role.id)
    assert read
    assert read.outputs["inlinePolicies"] == [{"name": "p", "policy": policy}]


OBJECT = "gcp:storage/bucketObject:BucketObject"


def hash_of(content: str) -> str:
    digest = hashlib.md5(content.encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("checked", "wanted", "found", "same"),
    [
        (True, "different hash", hash_of("ours"), True),
        (True, "different hash", hash_of("by hand"), False),
        (True, hash_of("ours"), hash_of("by hand"), False),
        # A refresh runs no `Check`, and `Diff` gets no content: without a hash of its own every object differs.
        (False, "different hash", hash_of("ours"), False),
        (False, hash_of("ours"), hash_of("ours"), True),
        (False, hash_of("ours"), hash_of("by hand"), False),
    ],
)
def test_an_object_is_compared_by_a_file_that_only_check_writes(
    contexts: Callable[[], Context], checked: bool, wanted: str, found: str, same: bool
) -> None:
    provider = Provider(contexts(), next(each for each in PROFILES if each.package == "gcp"))
    urn, news = f"urn:pulumi:s::p::{OBJECT}::o", {"bucket": "b", "name": "o"}
    news["detectMd5hash"] = wanted
    asset = {SIGNATURE: ASSET, "hash": "1"}
    if checked:
        content = {"source": {**asset, "text": "ours"}}
        provider.Check(pb.CheckRequest(urn=urn, news=encode({**news, **content})), Call())
    olds = {**news, "detectMd5hash": found, "source": asset}
    request = pb.DiffRequest(
        urn=urn,
        old_inputs=encode(olds),
        olds=encode(olds),
        news=encode({**news, "source": asset}),
    )
    assert (provider.Diff(request, Call()).changes == pb.DiffResponse.DIFF_NONE) == same


def test_the_service_renews_etags_and_nothing_of_the_program(live_context: Context) -> None:
    account = Account(live_context)
    role = account.role("f", "lambda")
    function = account.function("f", role, "def handler(event, context): return 1")
    former = dict(function.outputs)
    former["lastModified"] = function.outputs["lastModified"] = "2020-01-01T00:00:00.000+0000"
    assert account.lifecycle.renew(function) == ["lastModified"]
    read = account.lifecycle.read(function.token, function.id)
    assert read
    assert read.inputs == function.inputs
    assert {k for k in former if read.outputs[k] != former[k]} == {"lastModified"}
