"""What the delivery's role of one stack on AWS may do: its own work by the real engine, and nothing to another stack.

Both stacks are in one account, and the name of one begins as the other's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import boto3
import botocore.exceptions
import pytest

from bench.harness import Stack
from config.stack_file import StackFile
from tests.e2e.delivering_stack import github_token, refusal_after_its_work, stack_beside

SUBJECT = "repo:acme/triplane:environment:staging"
REFUSALS = {"AccessDenied", "AccessDeniedException"}
ACTION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")


class Refused(NamedTuple):
    """How AWS answered an attack."""

    code: str
    operation: str
    action: str
    """That the role lacks, by the message."""


def token(**claims: Any) -> str:
    """What GitHub gives a job of the environment on the main branch."""
    return github_token("sts.amazonaws.com", **{"sub": SUBJECT, **claims})


class Resources:
    """The names and ARNs of a stack's resources, by their names in the program."""

    def __init__(self, stack: Stack) -> None:
        self._outputs = {
            each["urn"].rpartition("::")[2]: each.get("outputs", {}) for each in stack.resources()
        }
        self.function = self.name("triplane-gateway-function")
        self.endpoint = self.name("triplane-endpoint-flight-delay-endpoint")
        self.secret = self.arn("triplane-key-secret")
        self.bucket = str(self._outputs["triplane-lake-bucket"]["bucket"])

    def name(self, resource: str) -> str:
        return str(self._outputs[resource]["name"])

    def arn(self, resource: str) -> str:
        return str(self._outputs[resource]["arn"])


class Delivery:
    """A stack that a pipeline delivers to, and a session of its role."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.own = Resources(stack)
        self.role = str(stack.outputs()["delivery_identity"])
        self.role_name = self.role.rpartition("/")[2]
        self.session = self.assume(token())

    def assume(self, web_identity: str) -> dict[str, str]:
        found: dict[str, str] = boto3.client(
            "sts", region_name="eu-west-1"
        ).assume_role_with_web_identity(
            RoleArn=self.role, RoleSessionName="e2e", WebIdentityToken=web_identity
        )["Credentials"]
        return found

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name="eu-west-1",
            endpoint_url=self.stack.rehearsal.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.session["AccessKeyId"],
            aws_secret_access_key=self.session["SecretAccessKey"],
            aws_session_token=self.session["SessionToken"],
        )

    def refusal(self, attempt: Callable[..., Any], *arguments: Any) -> Refused:
        """The error with which AWS refuses; an empty code: it does not."""
        try:
            attempt(*arguments)
        except botocore.exceptions.ClientError as error:
            found = ACTION.search(error.response["Error"]["Message"])
            return Refused(
                str(error.response["Error"]["Code"]),
                error.operation_name,
                found[1] if found else "",
            )
        return Refused("", "", "")


@pytest.fixture(scope="module")
def delivery(
    stack: Stack, models: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivery]:
    """The stack ``e2e-aws-eu`` beside the shared one, ``e2e-aws``."""
    own = stack_beside(stack, tmp_path_factory.mktemp("reach"))
    yield Delivery(own)
    own.up()  # the state has the session, with which a destroy would begin
    own.pulumi("destroy", "--yes", "--skip-preview")


@pytest.mark.parametrize("stack", ["aws"], indirect=True)
def test_the_delivery_does_its_whole_work_with_its_own_session(
    delivery: Delivery, stack: Stack, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = delivery.stack
    keys = {
        "accessKey": delivery.session["AccessKeyId"],
        "secretKey": delivery.session["SecretAccessKey"],
        "token": delivery.session["SessionToken"],
    }
    for name, value in keys.items():
        own.pulumi("config", "set", "--secret", f"aws:{name}", value)
    own.settings |= StackFile.read(own.file).settings
    for name, value in zip(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        keys.values(),
        strict=True,
    ):
        monkeypatch.setitem(own.rehearsal.environment, name, value)
    # Its own address is for the deployer alone.
    endpoint = own.rehearsal.environment["AWS_ENDPOINT_URL"]
    monkeypatch.setitem(own.rehearsal.environment, "AWS_ENDPOINT_URL_S3", endpoint)
    try:
        refused = refusal_after_its_work(own, models)
        assert "is not authorized to perform: s3:PutLifecycleConfiguration" in refused
    finally:
        for name in keys:
            del own.settings[f"aws:{name}"]
        own.configure()


ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
TAGS = {"stack": "e2e-aws-eu"}
ATTACKS: dict[str, Callable[[Delivery, Resources], Any]] = {
    # Another stack, whose name begins as the own one's
    "another's function: update the code": lambda d, v: d.client("lambda").update_function_code(
        FunctionName=v.function, ZipFile=b"x"
    ),
    "another's function: update the settings": lambda d, v: d.client(
        "lambda"
    ).update_function_configuration(
        FunctionName=v.function, Environment={"Variables": {"ACCESS": "public"}}
    ),
    "another's function: let anybody call it": lambda d, v: d.client("lambda").add_permission(
        FunctionName=v.function, StatementId="x", Action="lambda:InvokeFunction", Principal="*"
    ),
    "another's function: delete": lambda d, v: d.client("lambda").delete_function(
        FunctionName=v.function
    ),
    "another's function: tag as its own": lambda d, v: d.client("lambda").tag_resource(
        Resource=v.arn("triplane-gateway-function"), Tags=TAGS
    ),
    "another's endpoint: delete": lambda d, v: d.client("sagemaker").delete_endpoint(
        EndpointName=v.endpoint
    ),
    "another's endpoint: update": lambda d, v: d.client("sagemaker").update_endpoint(
        EndpointName=v.endpoint, EndpointConfigName=v.name("triplane-endpoint-flight-delay-config")
    ),
    "another's endpoint: tag as its own": lambda d, v: d.client("sagemaker").add_tags(
        ResourceArn=v.arn("triplane-endpoint-flight-delay-endpoint"),
        Tags=[{"Key": "stack", "Value": "e2e-aws-eu"}],
    ),
    "another's endpoint configuration: create an endpoint with it": lambda d, v: d.client(
        "sagemaker"
    ).create_endpoint(
        EndpointName="triplane-mine",
        EndpointConfigName=v.name("triplane-endpoint-flight-delay-config"),
        Tags=[{"Key": "stack", "Value": "e2e-aws-eu"}],
    ),
    "another's secret: read": lambda d, v: d.client("secretsmanager").get_secret_value(
        SecretId=v.secret
    ),
    "another's secret: write": lambda d, v: d.client("secretsmanager").put_secret_value(
        SecretId=v.secret, SecretString="mine"
    ),
    "another's log group: delete": lambda d, v: d.client("logs").delete_log_group(
        logGroupName=v.name("triplane-gateway-logs")
    ),
    "another's endpoint's log group: delete": lambda d, v: d.client("logs").delete_log_group(
        logGroupName=f"/aws/sagemaker/Endpoints/{v.endpoint}"
    ),
    "another's build: start": lambda d, v: d.client("codebuild").start_build(
        projectName=v.name("triplane-image-project")
    ),
    "another's build: update the commands": lambda d, v: d.client("codebuild").update_project(
        name=v.name("triplane-image-project"), source={"type": "NO_SOURCE", "buildspec": "x"}
    ),
    "another's image: delete": lambda d, v: d.client("ecr").batch_delete_image(
        repositoryName=v.name("triplane-registry-repository"), imageIds=[{"imageTag": "x"}]
    ),
    "another's lake: read": lambda d, v: d.client("s3").get_object(Bucket=v.bucket, Key="raw/a"),
    "another's lake: write a model": lambda d, v: d.client("s3").put_object(
        Bucket=v.bucket, Key="models/a", Body=b"x"
    ),
    "another's alarms: delete": lambda d, v: d.client("cloudwatch").delete_alarms(
        AlarmNames=[f"TargetTracking-endpoint/{v.endpoint}/variant/live-AlarmHigh-0"]
    ),
    "another's alarm: overwrite with its own tag": lambda d, v: d.client(
        "cloudwatch"
    ).put_metric_alarm(
        AlarmName=f"TargetTracking-endpoint/{v.endpoint}/variant/live-AlarmHigh-0",
        MetricName="m",
        Namespace="n",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="LessThanThreshold",
        Statistic="Sum",
        Tags=[{"Key": "stack", "Value": "e2e-aws-eu"}],
    ),
    # The own stack's data
    "its own lake: lifecycle": lambda d, v: d.client("s3").put_bucket_lifecycle_configuration(
        Bucket=d.own.bucket,
        LifecycleConfiguration={
            "Rules": [{"ID": "x", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]
        },
    ),
    "its own lake: suspend versions": lambda d, v: d.client("s3").put_bucket_versioning(
        Bucket=d.own.bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
    "its own lake: policy": lambda d, v: d.client("s3").put_bucket_policy(
        Bucket=d.own.bucket, Policy="{}"
    ),
    "its own lake: allow public access": lambda d, v: d.client("s3").delete_public_access_block(
        Bucket=d.own.bucket
    ),
    "its own lake: delete": lambda d, v: d.client("s3").delete_bucket(Bucket=d.own.bucket),
    "its own captures: delete": lambda d, v: d.client("s3").delete_object(
        Bucket=d.own.bucket, Key="captures/a"
    ),
    "its own raw data: read": lambda d, v: d.client("s3").get_object(
        Bucket=d.own.bucket, Key="raw/a"
    ),
    "its own models: delete a version": lambda d, v: d.client("s3").delete_object(
        Bucket=d.own.bucket, Key="models/a", VersionId="1"
    ),
    "its own repository: delete": lambda d, v: d.client("ecr").delete_repository(
        repositoryName=d.own.name("triplane-registry-repository"), force=True
    ),
    "its own repository: lifecycle": lambda d, v: d.client("ecr").put_lifecycle_policy(
        repositoryName=d.own.name("triplane-registry-repository"),
        lifecyclePolicyText="{}".ljust(100),
    ),
    "its own secret: delete": lambda d, v: d.client("secretsmanager").delete_secret(
        SecretId=d.own.secret
    ),
    "its own function: remove the tag": lambda d, v: d.client("lambda").untag_resource(
        Resource=d.own.arn("triplane-gateway-function"), TagKeys=["stack"]
    ),
    "its own function: tag as another's": lambda d, v: d.client("lambda").tag_resource(
        Resource=d.own.arn("triplane-gateway-function"), Tags={"stack": "e2e-aws"}
    ),
    # The role's own power
    "its own role: policy": lambda d, v: d.client("iam").put_role_policy(
        RoleName=d.role_name, PolicyName="x", PolicyDocument="{}"
    ),
    "its own role: trust": lambda d, v: d.client("iam").update_assume_role_policy(
        RoleName=d.role_name, PolicyDocument="{}"
    ),
    "its own role: attach AdministratorAccess": lambda d, v: d.client("iam").attach_role_policy(
        RoleName=d.role_name, PolicyArn=ADMIN
    ),
    "a workload's role: attach AdministratorAccess": lambda d, v: d.client(
        "iam"
    ).attach_role_policy(RoleName=d.own.name("triplane-gateway-role"), PolicyArn=ADMIN),
    "a workload's role: trust": lambda d, v: d.client("iam").update_assume_role_policy(
        RoleName=d.own.name("triplane-gateway-role"), PolicyDocument="{}"
    ),
    "a new role": lambda d, v: d.client("iam").create_role(
        RoleName="triplane-mine", AssumeRolePolicyDocument="{}"
    ),
    "a new user": lambda d, v: d.client("iam").create_user(UserName="triplane-mine"),
    "a new access key": lambda d, v: d.client("iam").create_access_key(UserName="admin"),
    "GitHub's provider: add an audience": lambda d, v: d.client(
        "iam"
    ).add_client_id_to_open_id_connect_provider(
        OpenIDConnectProviderArn=d.stack.outputs()["delivery_provider"], ClientID="mine"
    ),
    "a workload's role: assume": lambda d, v: d.client("sts").assume_role(
        RoleArn=d.own.arn("triplane-gateway-role"), RoleSessionName="mine"
    ),
    "its own function: run as another's role": lambda d, v: d.client(
        "lambda"
    ).update_function_configuration(
        FunctionName=d.own.function, Role=v.arn("triplane-gateway-role")
    ),
    "its own function: run as the delivery's role": lambda d, v: d.client(
        "lambda"
    ).update_function_configuration(FunctionName=d.own.function, Role=d.role),
    # The rest of the account
    "a scalable target of another service: register": lambda d, v: d.client(
        "application-autoscaling"
    ).register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId="service/default/web",
        ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=0,
        MaxCapacity=0,
        Tags=TAGS,
    ),
    "a scalable target of another service: deregister": lambda d, v: d.client(
        "application-autoscaling"
    ).deregister_scalable_target(
        ServiceNamespace="ecs",
        ResourceId="service/default/web",
        ScalableDimension="ecs:service:DesiredCount",
    ),
    "a new schedule": lambda d, v: d.client("scheduler").create_schedule(
        Name="x",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": v.arn("triplane-gateway-function"), "RoleArn": d.role},
    ),
    "a new rule": lambda d, v: d.client("events").put_rule(
        Name="x", ScheduleExpression="rate(1 day)"
    ),
    "a key: delete": lambda d, v: d.client("kms").schedule_key_deletion(KeyId="k"),
    "all secrets: list": lambda d, v: d.client("secretsmanager").list_secrets(),
    "all buckets: list": lambda d, v: d.client("s3").list_buckets(),
    "all roles: list": lambda d, v: d.client("iam").list_roles(),
    "all tagged resources: list": lambda d, v: d.client("resourcegroupstaggingapi").get_resources(),
}

OTHER_ACTIONS = {
    "its own lake: lifecycle": "s3:PutLifecycleConfiguration",
    "its own lake: allow public access": "s3:PutBucketPublicAccessBlock",
    "its own models: delete a version": "s3:DeleteObjectVersion",
    "all buckets: list": "s3:ListAllMyBuckets",
    "its own function: run as another's role": "iam:PassRole",
    "its own function: run as the delivery's role": "iam:PassRole",
}
"""Of the attacks whose right has not the name of their operation."""


@pytest.mark.parametrize("stack", ["aws"], indirect=True)
def test_the_delivery_is_refused_everything_else_by_aws_own_error(
    delivery: Delivery, stack: Stack
) -> None:
    victim = Resources(stack)
    found = {what: delivery.refusal(attack, delivery, victim) for what, attack in ATTACKS.items()}
    assert {what: each for what, each in found.items() if each.code not in REFUSALS} == {}
    # For the right that the attack is about, not for another that it needs on the way.
    other = {
        what: each
        for what, each in found.items()
        if each.action
        != OTHER_ACTIONS.get(what, each.action.partition(":")[0] + f":{each.operation}")
    }
    assert other == {}


@pytest.mark.parametrize("stack", ["aws"], indirect=True)
def test_a_session_is_for_jobs_of_the_branch_in_the_environment_only(
    delivery: Delivery, stack: Stack
) -> None:
    for claims in (
        {"ref": "refs/heads/mine"},
        {"ref": "refs/pull/1/merge"},
        {"sub": "repo:acme/triplane:environment:production"},
        {"sub": "repo:acme/triplane:pull_request"},
        {"sub": "repo:mallory/triplane:environment:staging"},
    ):
        refused = delivery.refusal(delivery.assume, token(**claims))
        assert refused.code == "AccessDenied", claims
