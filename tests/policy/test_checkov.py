"""The input of checkov: no resource is left out, and references are kept. `make checkov` runs checkov."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api_models import arm
from components.resource_type import DYNAMIC
from policy import checkov, record, terraform
from tests.policy.conftest import Plans


@pytest.mark.parametrize(
    ("token", "terraforms"),
    [
        ("aws:s3/bucketVersioning:BucketVersioning", "aws_s3_bucket_versioning"),
        ("aws:s3/bucketObjectv2:BucketObjectv2", "aws_s3_object"),
        ("aws:iam/rolePolicy:RolePolicy", "aws_iam_role_policy"),
        ("aws:lambda/functionUrl:FunctionUrl", "aws_lambda_function_url"),
        ("gcp:artifactregistry/repository:Repository", "google_artifact_registry_repository"),
        ("gcp:cloudrunv2/service:Service", "google_cloud_run_v2_service"),
        ("gcp:projects/iAMCustomRole:IAMCustomRole", "google_project_iam_custom_role"),
        ("gcp:projects/iAMMember:IAMMember", "google_project_iam_member"),
        ("gcp:secretmanager/secretIamMember:SecretIamMember", "google_secret_manager_secret_iam_member"),
        ("gcp:serviceaccount/account:Account", "google_service_account"),
        ("gcp:storage/bucketIAMMember:BucketIAMMember", "google_storage_bucket_iam_member"),
        ("gcp:vertex/aiEndpoint:AiEndpoint", "google_vertex_ai_endpoint"),
    ],
)  # fmt: skip
def test_a_bridged_type_has_its_terraform_name(token: str, terraforms: str) -> None:
    assert terraform.type_name(token) == terraforms


def test_blocks_are_lists_and_maps_stay_maps() -> None:
    assert terraform.block(
        {
            "tags": {"camelCase": "kept"},
            "versioningConfiguration": {"status": "Enabled"},
            "rules": [{"noncurrentVersionExpiration": {"noncurrentDays": 30}}],
        }
    ) == {
        "tags": {"camelCase": "kept"},
        "versioning_configuration": [{"status": "Enabled"}],
        "rule": [{"noncurrent_version_expiration": [{"noncurrent_days": 30}]}],
    }


@pytest.mark.parametrize("variant", record.VARIANTS)
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_only_dynamic_resources_are_left_out_of_the_scan(
    cloud: str, variant: str, plans: Plans
) -> None:
    plan = plans[cloud][variant]
    document = checkov.document(cloud, plan)
    resources = (
        document["resources"]
        if cloud == "azure"
        else document["planned_values"]["root_module"]["resources"]
    )
    wanted = [each for each in plan if not each.type.startswith(DYNAMIC)]
    assert len(resources) == len(wanted)
    if cloud != "azure":
        assert len({each["address"] for each in resources}) == len(wanted), "addresses collide"


def test_application_insights_has_the_names_of_its_request(plans: Plans) -> None:
    """A judge passes over a name that it does not know: what it says of `Flow_Type` was never said of `flowType`."""
    component = "azure-native:applicationinsights:Component"
    insights = next(r for r in plans["azure"]["as little as possible"] if r.type == component)
    written = replace(insights, inputs={**insights.inputs, "retentionInDays": 30})
    assert set(arm.body(written)["properties"]) == {
        "Application_Type",
        "Flow_Type",
        "IngestionMode",
        "Request_Source",
        "RetentionInDays",
        "WorkspaceResourceId",
        "publicNetworkAccessForIngestion",
        "publicNetworkAccessForQuery",
    }


@pytest.mark.parametrize(
    ("type_", "name", "terraforms"),
    [
        ("aws:iam/openIdConnectProvider:OpenIdConnectProvider", "clientIdLists", "client_id_list"),
        ("aws:lambda/function:Function", "code", "filename"),
        ("aws:lambda/permission:Permission", "function", "function_name"),
    ],
)
def test_an_input_has_its_terraform_name_in_values_and_references(
    plans: Plans, type_: str, name: str, terraforms: str
) -> None:
    plan = plans["aws"]["deployed by GitHub Actions"]
    values = checkov.document("aws", plan)["planned_values"]["root_module"]["resources"]
    of_type = [each for each in values if each["type"] == terraform.type_name(type_)]
    assert of_type
    for each in of_type:
        assert terraforms in each["values"]
        assert terraform.snake(name) not in each["values"]


def test_a_permission_is_connected_with_its_function(plans: Plans) -> None:
    document = checkov.document("aws", plans["aws"]["as little as possible"])
    permissions = [
        each["expressions"]
        for each in document["configuration"]["root_module"]["resources"]
        if each["type"] == "aws_lambda_permission"
    ]
    assert permissions
    for expressions in permissions:
        assert "aws_lambda_function.triplane-gateway-function" in str(expressions["function_name"])


def test_a_list_that_nobody_has_named_is_an_error_and_not_passed_on(plans: Plans) -> None:
    """The bridge has made a plural of some, and a scanner passes over a name that it does not know."""
    plan = plans["aws"]["as little as possible"]
    function = next(r for r in plan if r.type == "aws:lambda/function:Function")
    unknown = replace(function, inputs={**function.inputs, "layers": ["arn:aws:lambda:…"]})
    with pytest.raises(checkov.NotConverted, match="layers"):
        checkov.document("aws", [unknown])


def test_a_type_that_cannot_be_converted_is_an_error_and_not_left_out(plans: Plans) -> None:
    plan = plans["azure"]["as little as possible"]
    unknown = replace(plan[0], type="azure-native:sql:Server")
    with pytest.raises(checkov.NotConverted, match="azure-native:sql:Server"):
        checkov.document("azure", [*plan, unknown])


def test_a_bucket_is_connected_with_the_resources_that_protect_it(plans: Plans) -> None:
    """Without the references checkov would report every bucket as unprotected."""
    document = checkov.document("aws", plans["aws"]["as little as possible"])
    configured = {
        each["address"]: each["expressions"]
        for each in document["configuration"]["root_module"]["resources"]
    }
    bucket = "aws_s3_bucket.triplane-lake-bucket"
    for protection in (
        "aws_s3_bucket_public_access_block.triplane-lake-public-access",
        "aws_s3_bucket_policy.triplane-lake-policy",
        "aws_s3_bucket_versioning.triplane-lake-versioning",
    ):
        assert bucket in configured[protection]["bucket"]["references"]


def test_flattened_inputs_of_azure_native_go_back_into_properties(plans: Plans) -> None:
    plan = plans["azure"]["as little as possible"]
    account = next(r for r in plan if r.type == "azure-native:storage:StorageAccount")
    body = arm.body(account)
    assert body["properties"]["allowSharedKeyAccess"] is False
    assert set(body) == {"location", "tags", "sku", "kind", "properties"}
    assert "resourceGroupName" not in body["properties"]
