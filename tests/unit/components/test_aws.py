"""The AWS components under mocks: their resources, and the permissions of their roles."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.aws.dynamic import built_image
from components.contracts import Access, Grant, IdentityArgs, Workload
from config.schema import StackConfig
from policy import mock_engine
from policy.mock_engine import Build, Built, Engine, build
from policy.mock_values import ACCOUNT
from rehearsal.aws.conditions import like

ENDPOINT = "triplane-endpoint-flight-delay-endpoint"


def statements(engine: Engine, workload: str) -> Iterator[dict[str, Any]]:
    """The statements of all policies of a workload's role."""
    for each in engine.of("aws:iam/rolePolicy:RolePolicy"):
        if re.search(rf"triplane-{workload}(-flight-delay)?-role", each.inputs["role"]):
            yield from json.loads(each.inputs["policy"])["Statement"]


def actions(engine: Engine, workload: str) -> set[str]:
    return {action for each in statements(engine, workload) for action in each["Action"]}


def test_the_lake_is_private_encrypted_versioned_and_requires_tls(
    built: Built,
) -> None:
    engine, _ = built
    access = engine.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert [access[key] for key in access if key != "bucket"] == [True] * 4
    versioning = engine.one("aws:s3/bucketVersioning:BucketVersioning").inputs
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}
    ownership = engine.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls").inputs
    assert ownership["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    assert engine.one(token).inputs["rules"][0]["applyServerSideEncryptionByDefault"] == {
        "sseAlgorithm": "AES256"
    }
    policy = json.loads(engine.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    assert policy["Statement"][0]["Effect"] == "Deny"
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(policy["Statement"][0]["Resource"]) == 2


def test_captures_and_old_versions_expire(built: Built) -> None:
    engine, _ = built
    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    captures, leftovers = engine.one(token).inputs["rules"]
    assert captures["filter"] == {"prefix": "captures/"}
    assert leftovers["noncurrentVersionExpiration"] == {"noncurrentDays": 7}


@pytest.mark.parametrize("days", [2, 31, 3650])
def test_a_capture_is_gone_in_all_its_versions_after_captures_days(
    platform: Build, days: int
) -> None:
    """In a versioned bucket an expiration only hides the object; of several rules the shortest counts.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html
    """
    engine, _ = platform("aws", lake={"captures_days": days, "noncurrent_days": 30})
    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    rules = [
        rule
        for rule in engine.one(token).inputs["rules"]
        if "captures/a.json".startswith(rule["filter"]["prefix"])
    ]
    hidden = min(rule["expiration"]["days"] for rule in rules if "days" in rule["expiration"])
    kept = min(
        rule["noncurrentVersionExpiration"]["noncurrentDays"]
        for rule in rules
        if "noncurrentVersionExpiration" in rule
    )
    assert hidden + kept == days


@pytest.mark.parametrize("keep", [True, False])
def test_a_destroy_keeps_data_unless_keep_data_is_false(platform: Build, keep: bool) -> None:
    engine, _ = platform("aws", keep_data=keep)
    assert engine.one("aws:s3/bucket:Bucket").inputs["forceDestroy"] is not keep
    assert engine.one("aws:ecr/repository:Repository").inputs["forceDelete"] is not keep
    secret = engine.one("aws:secretsmanager/secret:Secret").inputs
    assert secret["recoveryWindowInDays"] == (30 if keep else 0)


def test_no_role_has_all_actions_or_all_resources_without_a_reason(
    built: Built,
) -> None:
    # The two actions that take no resource; components/aws/identity.py says why each is there.
    without_resource = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
    engine, _ = built
    for workload in Workload:
        granted = list(statements(engine, workload))
        assert granted, f"{workload} has no policy"
        for each in granted:
            assert not any("*" in action for action in each["Action"]), each
            if "*" in each["Resource"]:
                assert set(each["Action"]) <= without_resource, each


def test_each_role_has_the_permissions_for_its_work_and_no_others(built: Built) -> None:
    engine, _ = built
    logs = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert actions(engine, "gateway") == logs | {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:PutObject",
        "sagemaker:InvokeEndpoint",
        "secretsmanager:GetSecretValue",
    }
    assert not actions(engine, "serving") & {"s3:PutObject", "ecr:PutImage"}
    assert actions(engine, "serving") >= {"s3:GetObject", "ecr:BatchGetImage"}
    assert actions(engine, "build") >= logs | {"s3:GetObject", "ecr:PutImage"}
    assert "s3:PutObject" not in actions(engine, "build")


def test_a_role_trusts_one_service_on_behalf_of_this_account(
    built: Built,
) -> None:
    engine, _ = built
    services = set()
    for role in engine.of("aws:iam/role:Role"):
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
        services.add(trust["Principal"]["Service"])
    assert services == {
        "codebuild.amazonaws.com",
        "sagemaker.amazonaws.com",
        "lambda.amazonaws.com",
    }


def test_a_grant_without_a_permission_on_aws_is_refused() -> None:
    from components.aws import package as package_
    from components.contracts import FoundationArgs, ImageRegistryArgs

    def program() -> dict[str, Any]:
        foundation = package_.Foundation(
            "f", FoundationArgs(region="eu-west-1", environment="dev", tags={}, keep_data=True)
        )
        registry = package_.ImageRegistry("r", ImageRegistryArgs(foundation=foundation))
        grants = [Grant(registry, Access.INVOKE)]
        args = IdentityArgs(foundation=foundation, workload=Workload.BUILD, grants=grants)
        return {"principal": package_.Identity("i", args).principal}

    with pytest.raises(TypeError, match="ImageRegistry cannot be granted for invoke on AWS"):
        build(program)


def test_everything_that_takes_tags_is_tagged(built: Built) -> None:
    import pulumi_aws

    engine, _ = built
    tagged = 0
    for each in engine:
        if each.type.startswith("aws:"):
            module, _, class_name = each.type.partition(":")[2].partition("/")
            package = getattr(pulumi_aws, "lambda_" if module == "lambda" else module)
            cls = getattr(package, class_name.partition(":")[2])
            if hasattr(cls, "tags"):
                # S3 takes 10 tags an object: those have the platform's own.
                extra = None if class_name.endswith(":BucketObjectv2") else "flights"
                assert each.inputs.get("tags", {}).get("team") == extra, each.name
                assert each.inputs["tags"]["environment"] == "dev"
                tagged += 1
    assert tagged > 10


def test_a_serverless_endpoint_has_no_alarms_and_no_deployment_policy(
    built: Built, configured: Callable[..., StackConfig]
) -> None:
    engine, outputs = built
    (variant,) = engine.one("aws:sagemaker/endpointConfiguration:EndpointConfiguration").inputs[
        "productionVariants"
    ]
    assert variant["serverlessConfig"] == {"memorySizeInMb": 2048, "maxConcurrency": 5}
    assert "instanceType" not in variant
    assert "deploymentConfig" not in engine.one("aws:sagemaker/endpoint:Endpoint").inputs
    assert not engine.of("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert outputs["models"]["flight-delay"]["endpoint_url"] == (
        "https://runtime.sagemaker.eu-west-1.amazonaws.com"
        f"/endpoints/{outputs['models']['flight-delay']['endpoint_name']}/invocations"
    )
    (artifact,) = configured("aws").artifacts
    assert outputs["models"]["flight-delay"]["version"] == artifact.version


@pytest.mark.parametrize("machine", ["serverless", "ml.m5.large"])
def test_the_log_of_the_endpoint_exists_before_it_and_has_an_end(
    platform: Build, machine: str
) -> None:
    """SageMaker would create the group itself, and keep its logs forever."""
    engine, outputs = platform("aws", machine={"aws": machine})
    name = f"/aws/sagemaker/Endpoints/{outputs['models']['flight-delay']['endpoint_name']}"
    (group,) = (
        each
        for each in engine.of("aws:cloudwatch/logGroup:LogGroup")
        if each.inputs.get("name") == name
    )
    assert group.inputs["retentionInDays"] == 30
    assert "triplane-endpoint-flight-delay-may-log" in engine.dependencies[ENDPOINT]
    writes = [s for s in statements(engine, "serving") if "logs:PutLogEvents" in s["Action"]]
    assert [len(each["Resource"]) for each in writes] == [1]


def test_an_endpoint_on_instances_rolls_back_by_alarm_and_scales(platform: Build) -> None:
    engine, outputs = platform("aws", machine={"aws": "ml.m5.large"})
    alarms = engine.of("aws:cloudwatch/metricAlarm:MetricAlarm")
    dimensions = {
        "EndpointName": outputs["models"]["flight-delay"]["endpoint_name"],
        "VariantName": "live",
    }
    assert [alarm.inputs["dimensions"] for alarm in alarms] == [dimensions] * 2
    deployment = engine.one("aws:sagemaker/endpoint:Endpoint").inputs["deploymentConfig"]
    named = {each["alarmName"] for each in deployment["autoRollbackConfiguration"]["alarms"]}
    assert len(named) == 2
    readable = [
        each
        for each in statements(engine, "serving")
        if each["Action"] == ["cloudwatch:DescribeAlarms"]
    ]
    (allowed,) = (each["Resource"] for each in readable)
    assert sorted(arn.rpartition(":")[2] for arn in allowed) == sorted(named)
    assert "triplane-endpoint-flight-delay-may-read-alarms" in engine.dependencies[ENDPOINT]
    capacity = engine.one("aws:appautoscaling/target:Target").inputs
    assert (capacity["minCapacity"], capacity["maxCapacity"]) == (1, 2)
    # Also without scaling now: the same update may turn it off and change the machine.
    deregistration = engine.one("pulumi-python:dynamic/triplane:AwsScalingDeregistration")
    assert deregistration.inputs["machine"] == "ml.m5.large"
    assert deregistration.name in engine.dependencies[ENDPOINT]


def test_a_fixed_number_of_instances_is_not_scaled(platform: Build) -> None:
    fixed = {"min_instances": 2, "max_instances": 2}
    engine, _ = platform("aws", machine={"aws": "ml.m5.large"}, endpoint=fixed)
    assert not engine.of("aws:appautoscaling/target:Target")
    assert engine.one("pulumi-python:dynamic/triplane:AwsScalingDeregistration")


def test_model_and_configuration_have_no_fixed_name_and_so_can_be_replaced(
    built: Built,
) -> None:
    engine, _ = built
    assert "name" not in engine.one("aws:sagemaker/model:Model").inputs
    token = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    assert "name" not in engine.one(token).inputs


def test_the_url_is_public_and_calls_a_published_version(
    built: Built,
) -> None:
    engine, outputs = built
    permissions = {
        each.inputs["action"]: each.inputs for each in engine.of("aws:lambda/permission:Permission")
    }
    assert permissions["lambda:InvokeFunctionUrl"]["functionUrlAuthType"] == "NONE"
    assert permissions["lambda:InvokeFunction"]["invokedViaFunctionUrl"] is True
    assert {each["qualifier"] for each in permissions.values()} == {"live"}
    assert engine.one("aws:lambda/function:Function").inputs["publish"] is True
    assert not outputs["gateway_url"].endswith("/")


def test_the_permissions_of_the_url_are_created_after_it(built: Built) -> None:
    """The provider writes to the function's policy, too, when it creates the URL: at the same time is a 409."""
    engine, _ = built
    for permission in engine.of("aws:lambda/permission:Permission"):
        assert "triplane-gateway-url" in engine.dependencies[permission.name]


def test_the_function_has_a_reference_to_the_key_and_not_the_key(
    built: Built,
) -> None:
    engine, outputs = built
    variables = engine.one("aws:lambda/function:Function").inputs["environment"]["variables"]
    assert variables["ACCESS"] == "key"
    model = outputs["models"]["flight-delay"]
    assert variables["ENDPOINT_KIND"] == "sagemaker"
    assert json.loads(variables["MODELS"]) == {
        "flight-delay": [model["version"], model["endpoint_name"]]
    }
    assert variables["CAPTURE_URI"] == outputs["lake_uri"] + "/captures"
    assert variables["MODELS_URI"] == outputs["lake_uri"] + "/models"
    assert variables["MAX_BODY_BYTES"] == "65536"
    assert variables["API_KEY_SECRET_ARN"].startswith("arn:")
    # A rotation is another version, and so another function behind the alias.
    assert variables["API_KEY_SECRET_VERSION"]
    assert outputs["gateway_key"] not in json.dumps(variables)


def test_a_public_gateway_has_no_reference_to_a_key(platform: Build) -> None:
    engine, _ = platform("aws", gateway={"access": "public"})
    variables = engine.one("aws:lambda/function:Function").inputs["environment"]["variables"]
    assert variables["ACCESS"] == "public"
    assert "API_KEY_SECRET_ARN" not in variables


def test_the_zip_has_the_gateway_and_nothing_else(built: Built) -> None:
    engine, _ = built
    assets = engine.one("aws:lambda/function:Function").inputs["code"].assets
    assert "gateway/lambda_handler.py" in assets
    assert all(path.startswith("gateway/") and "__pycache__" not in path for path in assets)


def test_image_tags_cannot_be_moved(built: Built) -> None:
    engine, outputs = built
    repository = engine.one("aws:ecr/repository:Repository").inputs
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert "@sha256:" in outputs["image"]


def test_the_build_pushes_the_tag_that_the_built_image_reads(built: Built) -> None:
    engine, _ = built
    project = engine.one("aws:codebuild/project:Project").inputs
    variables = {v["name"]: v["value"] for v in project["environment"]["environmentVariables"]}
    wanted = engine.one("pulumi-python:dynamic/triplane:AwsBuiltImage").inputs
    assert variables["IMAGE"] == f"{wanted['repository']}:{wanted['tag']}"
    assert variables["REGISTRY"] == wanted["repository"].partition("/")[0]
    assert project["source"]["location"].endswith(f"/builds/{wanted['tag']}.zip")


def test_serverless_and_instances_have_different_endpoint_names(platform: Build) -> None:
    names = {
        platform("aws", machine={"aws": machine})[1]["models"]["flight-delay"]["endpoint_name"]
        for machine in ("serverless", "ml.m5.large")
    }
    assert len(names) == 2


def test_the_gateway_may_call_the_endpoint_of_either_kind_and_no_other(platform: Build) -> None:
    """So a switch between them changes no permission. SageMaker's ARNs have small letters only."""
    allowed = []
    for machine in ("serverless", "ml.m5.large"):
        engine, outputs = platform("aws", machine={"aws": machine})
        (resources,) = (
            each["Resource"]
            for each in statements(engine, "gateway")
            if each["Action"] == ["sagemaker:InvokeEndpoint"]
        )
        endpoint = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:endpoint/{outputs['models']['flight-delay']['endpoint_name'].lower()}"
        assert like(endpoint, *resources)
        allowed.append(resources)
    assert allowed[0] == allowed[1]


def test_the_arn_of_an_endpoint_has_small_letters_only(
    configured: Callable[..., StackConfig],
) -> None:
    engine, _ = mock_engine.platform(configured("aws"), stack="Prod")
    (resources,) = (
        each["Resource"]
        for each in statements(engine, "gateway")
        if each["Action"] == ["sagemaker:InvokeEndpoint"]
    )
    (name,) = (each.rpartition("/")[2] for each in resources)
    assert re.fullmatch(r"triplane-endpoint-flight-delay-prod-[0-9a-f]{6}-\*", name)


@pytest.mark.parametrize(
    ("asked", "admitted", "taken"), [(5, 20, 5), (5, 3, 3), (7, 0, 7), (20, 20, 20)]
)
def test_a_serverless_endpoint_takes_no_more_than_the_gateway_lets_through(
    platform: Build, asked: int, admitted: int, taken: int
) -> None:
    engine, _ = platform(
        "aws",
        endpoint={"serverless_concurrency": asked},
        gateway={"max_concurrency": admitted},
    )
    configuration = engine.one("aws:sagemaker/endpointConfiguration:EndpointConfiguration")
    (variant,) = configuration.inputs["productionVariants"]
    assert variant["serverlessConfig"]["maxConcurrency"] == taken


def test_a_gateway_without_a_number_reserves_nothing_of_the_accounts_concurrency(
    platform: Build,
) -> None:
    engine, _ = platform("aws", gateway={"max_concurrency": 0})
    # 0 would be a function that never runs.
    assert "reservedConcurrentExecutions" not in engine.one("aws:lambda/function:Function").inputs


def test_the_component_reports_a_failed_build_with_its_phase_and_log() -> None:
    text = built_image._explain(
        {
            "id": "project:1",
            "buildStatus": "FAILED",
            "phases": [
                {"phaseType": "DOWNLOAD_SOURCE", "phaseStatus": "SUCCEEDED"},
                {
                    "phaseType": "BUILD",
                    "phaseStatus": "FAILED",
                    "contexts": [{"message": "exit status 1"}],
                },
            ],
            "logs": {"deepLink": "https://logs"},
        }
    )
    assert (
        text == "build project:1 ended as FAILED in phase BUILD: exit status 1. Log: https://logs"
    )


@pytest.mark.parametrize(
    ("phase", "code", "message", "denied"),
    [
        ("QUEUED", "ACCESS_DENIED", "Service role r does not allow AWS CodeBuild to create", True),
        (
            "DOWNLOAD_SOURCE",
            "CLIENT_ERROR",
            "AccessDenied: Access Denied status code: 403 for primary source",
            True,
        ),
        (
            "PRE_BUILD",
            "COMMAND_EXECUTION_ERROR",
            "Error while executing command: aws ecr get-login-password | docker login --username AWS"
            ' --password-stdin "$REGISTRY". Reason: exit status 1',
            True,
        ),
        (
            "BUILD",
            "COMMAND_EXECUTION_ERROR",
            'Error while executing command: docker push "$IMAGE". Reason: exit status 1',
            True,
        ),
        (
            "BUILD",
            "COMMAND_EXECUTION_ERROR",
            'Error while executing command: docker build --tag "$IMAGE" .. Reason: exit status 1',
            False,
        ),
        ("DOWNLOAD_SOURCE", "CLIENT_ERROR", "NoSuchKey: The specified key does not exist.", False),
        ("BUILD", "BUILD_TIMED_OUT", "Build has timed out.", False),
    ],
)
def test_a_build_that_was_denied_something_is_told_from_one_that_failed(
    phase: str, code: str, message: str, denied: bool
) -> None:
    context = {"statusCode": code, "message": message}
    failed = {"phaseType": phase, "phaseStatus": "FAILED", "contexts": [context]}
    passed = {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED", "contexts": [context]}
    assert built_image._was_denied({"phases": [failed]}) is denied
    assert not built_image._was_denied({"phases": [passed]})
