"""The input of cfn-lint: the plans of AWS as CloudFormation templates. `make judge` runs cfn-lint."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from api_models.resource import Plan, Resource
from policy import cloudformation, judge, record
from policy.cloudformation import CONVERSIONS, NOT_CONVERTED
from tests.policy.conftest import Plans

LEAST = "as little as possible"
TABLE = "aws:dynamodb/table:Table"


def of_type(plan: Plan, type_: str) -> Resource:
    return next(each for each in plan if each.type == type_)


def leaves(value: Any) -> Iterator[str]:
    """Every value that is neither a mapping nor a list, as text: `true` is not 1."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield json.dumps(value)


def judged_inputs(resource: Resource) -> Iterator[str]:
    """The values of a resource that its template must have."""
    conversion = CONVERSIONS[resource.type]
    for name, value in resource.inputs.items():
        if name not in conversion.not_judged and name != conversion.part_of:
            yield from leaves(json.loads(value) if name in conversion.documents else value)


@pytest.mark.parametrize("variant", record.VARIANTS)
def test_every_input_is_in_the_template_or_reported_as_not_judged(
    variant: str, plans: Plans
) -> None:
    plan = plans["aws"][variant]
    template, not_judged = cloudformation.template(plan)
    wanted = Counter(
        value for each in plan if each.type in CONVERSIONS for value in judged_inputs(each)
    )
    missing = wanted - Counter(leaves(template["Resources"]))
    assert not missing, "the conversion lost values"
    reported = {(each.type, each.what) for each in not_judged}
    assert reported == {
        *((each.type, "") for each in plan if each.type in NOT_CONVERTED),
        *(
            (each.type, name)
            for each in plan
            if each.type in CONVERSIONS
            for name in CONVERSIONS[each.type].not_judged
            if name in each.inputs
        ),
    }
    assert all(each.reason for each in not_judged)


def test_what_protects_a_bucket_is_written_into_the_bucket(plans: Plans) -> None:
    template, _ = cloudformation.template(plans["aws"][LEAST])
    bucket = template["Resources"]["TriplaneLakeBucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] is True
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    ]
    captures, leftovers = bucket["LifecycleConfiguration"]["Rules"]
    assert captures["Prefix"] == "captures/"
    assert captures["ExpirationInDays"]
    assert leftovers["ExpiredObjectDeleteMarker"] is True


def test_maps_of_the_users_own_keys_keep_them(plans: Plans) -> None:
    template, _ = cloudformation.template(plans["aws"]["on instances, with more of everything"])
    function = template["Resources"]["TriplaneGatewayFunction"]["Properties"]
    assert "CAPTURE_URI" in function["Environment"]["Variables"]
    assert {"Key": "managed-by", "Value": "pulumi"} in function["Tags"]
    alarm = template["Resources"]["TriplaneEndpointFlightDelayErrors"]["Properties"]
    assert {"Name": "VariantName", "Value": "live"} in alarm["Dimensions"]


def test_a_name_that_pulumi_makes_up_is_judged_too(plans: Plans) -> None:
    plan = plans["aws"][LEAST]
    bucket = of_type(plan, "aws:s3/bucket:Bucket")
    assert cloudformation.properties(bucket)["BucketName"] == bucket.id


def test_a_type_in_no_table_is_an_error_and_not_left_out(plans: Plans) -> None:
    plan = plans["aws"][LEAST]
    with pytest.raises(cloudformation.NotConverted, match=TABLE):
        cloudformation.template([*plan, replace(plan[0], type=TABLE)])


def test_a_part_without_its_whole_is_an_error(plans: Plans) -> None:
    plan = plans["aws"][LEAST]
    alone = [each for each in plan if each.type != "aws:ecr/repository:Repository"]
    with pytest.raises(cloudformation.NotConverted, match="triplane-registry-lifecycle is part of"):
        cloudformation.template(alone)


def test_a_policy_that_is_no_json_is_an_error(plans: Plans) -> None:
    role = of_type(plans["aws"][LEAST], "aws:iam/role:Role")
    with pytest.raises(cloudformation.NotConverted, match="is no JSON"):
        cloudformation.template([replace(role, inputs={"assumeRolePolicy": "{"})])


@pytest.mark.parametrize("variant", record.VARIANTS)
def test_what_googles_documents_do_not_judge_is_reported(variant: str, plans: Plans) -> None:
    reported = {each.type for each in judge.not_in_discovery(plans["gcp"][variant])}
    assert {"gcp:projects/service:Service", "gcp:storage/bucket:Bucket"} <= reported


def test_a_type_of_google_without_a_model_and_a_reason_is_an_error(plans: Plans) -> None:
    plan = plans["gcp"][LEAST]
    unknown = replace(plan[0], type="gcp:sql/instance:Instance")
    with pytest.raises(cloudformation.NotConverted, match="gcp:sql/instance:Instance"):
        list(judge.not_in_discovery([unknown]))


def finding(resource: str, file: str = "aws-0.json") -> dict[str, Any]:
    """A finding as cfn-lint prints it."""
    return {
        "Filename": file,
        "Rule": {"Id": "E3034"},
        "Message": "64 is less than the minimum of 128",
        "Location": {"Path": ["Resources", resource, "Properties", "MemorySize"]},
    }


def test_a_finding_names_the_resource_and_the_property(plans: Plans) -> None:
    templates = {"aws-0": cloudformation.template(plans["aws"][LEAST])[0]}
    findings = [finding(judge.CONTROL), finding("TriplaneGatewayFunction")]
    [failed] = judge.by_template(findings, templates)["aws-0"]
    assert failed.resource == "AWS::Lambda::Function.TriplaneGatewayFunction"
    assert failed.check == "E3034"
    assert failed.message == "MemorySize: 64 is less than the minimum of 128"


def test_a_template_whose_control_sample_passes_was_not_examined() -> None:
    """As if a configuration file of the machine had switched cfn-lint's rules off."""
    templates: dict[str, Any] = {name: {"Resources": {}} for name in ("aws-0", "aws-1")}
    with pytest.raises(RuntimeError, match="did not examine aws-1: it passed"):
        judge.by_template([finding(judge.CONTROL)], templates)
