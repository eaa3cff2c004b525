"""SageMaker: an endpoint runs the model's own container as a local process, with its archive unpacked.

Serverless or not, one process serves; instance types and memory sizes are checked and recorded.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import ClassVar

from rehearsal.aws import account_settings, credentials, permissions, s3
from rehearsal.aws.arns import region, set_arn
from rehearsal.aws.calls import Call
from rehearsal.aws.cloudwatch import ALARM, log_as
from rehearsal.aws.tags import check_tags
from rehearsal.core import tar_archives
from rehearsal.core.records import CheckFailure, Incomplete, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.provider.retries import retried
from rehearsal.runtime.containers import Container, ContainerFailed, only_recorded

MODEL = "aws:sagemaker/model:Model"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
# What scales a variant: an endpoint's update depends on it.
SCALING_TARGET = "aws:appautoscaling/target:Target"
API = "https://docs.aws.amazon.com/sagemaker/latest/APIReference"
SERVICE = "sagemaker.amazonaws.com"
# What an endpoint really serves. After a rollback it differs from the inputs of its record.
SERVING = "aws.sagemaker"
FAILED = "Failed"
SERVERLESS_MEMORY = (1024, 2048, 3072, 4096, 5120, 6144)
PULL = ("ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")


def _name_rule() -> Name:
    return Name(
        property="name",
        pattern=r"[a-zA-Z0-9](-*[a-zA-Z0-9])*",
        max=63,
        rule="letters, digits and hyphens are allowed, no hyphen at either end",
        unique=("region",),
        taken="ValidationException",
    )


class Model(ResourceType):
    """A container image, its model archive and its role."""

    token = MODEL
    source = f"{API}/API_CreateModel.html"
    name = _name_rule()
    replace_on = frozenset(
        {
            "containers",
            "enableNetworkIsolation",
            "executionRoleArn",
            "inferenceExecutionConfig",
            "name",
            "primaryContainer",
            "vpcConfig",
        }
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)

    def create(self, context: Context, record: Record) -> None:
        """The provider waits two minutes for a role that is not in force yet: for any ValidationException.

        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/sagemaker/model.go
        """
        record.id = record.inputs["name"]
        set_arn(context, record, "sagemaker", f"model/{record.id.lower()}")
        retried(
            context.behaviour,
            lambda: self._check_access(context, record),
            code="ValidationException",
            seconds=120,
        )

    def _check_access(self, context: Context, record: Record) -> None:
        """Refuse a role that cannot read what the model consists of."""
        arn = record.inputs["executionRoleArn"]
        role = permissions.role_for(context, arn, SERVICE)
        if role is None:
            raise Refusal(
                "ValidationException",
                f"Could not assume role {arn}. Please ensure that the role exists and allows"
                f" principal '{SERVICE}' to assume the role.",
            )
        for container in _containers(record):
            _check_image(context, container["image"], role)
            if uri := container.get("modelDataUrl"):
                _check_data(context, uri, role, region(context, record))


class EndpointConfiguration(ResourceType):
    """A configuration. One in use can be deleted, though the documentation forbids it."""

    token = CONFIGURATION
    source = f"{API}/API_CreateEndpointConfig.html"
    name = _name_rule()
    references: ClassVar = {"productionVariants.modelName": MODEL}
    replace_on = frozenset(
        {"asyncInferenceConfig", "dataCaptureConfig", "kmsKeyArn", "name", "productionVariants"}
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)
        for variant in inputs.get("productionVariants", []):
            serverless, instance = variant.get("serverlessConfig"), variant.get("instanceType")
            if serverless and instance:
                raise CheckFailure(
                    "productionVariants",
                    "ValidationException: a variant has a ServerlessConfig or an InstanceType",
                )
            if serverless:
                _check_serverless(serverless)
            elif instance and not instance.startswith("ml."):
                raise CheckFailure(
                    "productionVariants",
                    f"ValidationException: {instance} is not an instance type of SageMaker: they"
                    " begin with ml.",
                )

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["name"]
        set_arn(context, record, "sagemaker", f"endpoint-config/{record.id.lower()}")


class Endpoint(ResourceType):
    """An endpoint, which serves the model of its configuration."""

    token = ENDPOINT
    source = f"{API}/API_CreateEndpoint.html"
    executes = "the model's container runs as a local process and answers InvokeEndpoint"
    name = _name_rule()
    references: ClassVar = {
        "endpointConfigName": CONFIGURATION,
        "deploymentConfig.autoRollbackConfiguration.alarms.alarmName": ALARM,
    }

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["name"]
        set_arn(context, record, "sagemaker", f"endpoint/{record.id.lower()}")
        if wanted := context.find_referenced(CONFIGURATION, record.inputs["endpointConfigName"]):
            _check_quotas(context, record, wanted)
        try:
            _serve(context, record)
        except ContainerFailed as failure:
            context.containers.stop(container_key(record.id))
            reason = _unhealthy(record, failure)
            _record_state(context, record, record.inputs["endpointConfigName"], reason, FAILED)
            # The provider keeps it: it has the id before it waits for the endpoint.
            # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/sagemaker/endpoint.go
            raise Incomplete("Failed", reason) from failure
        _record_state(context, record, record.inputs["endpointConfigName"])

    def update(self, context: Context, old: Record, record: Record) -> None:
        """A new version that does not start is rolled back, and the update looks like a success.

        https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
        """
        if context.kv.get(SERVING, record.id, {}).get("status") == FAILED:
            _refuse_update_of_failed(old, record)
            return
        previous = context.find_referenced(
            CONFIGURATION, context.kv.get(SERVING, record.id, {}).get("config", "")
        )
        wanted = context.find_referenced(CONFIGURATION, record.inputs["endpointConfigName"])
        if previous and wanted and _serverless(wanted) and not _serverless(previous):
            raise Refusal(
                "ValidationException",
                "An endpoint on instances cannot be updated to a serverless one: delete it first."
                " https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html",
            )
        if previous and wanted:
            _check_scaling(context, record, previous, wanted)
        if wanted:
            _check_quotas(context, record, wanted)
            _check_alarms(context, record, wanted)
        try:
            _serve(context, record)
        except ContainerFailed as failure:
            serving = context.kv.get(SERVING, record.id, {}).get("config", "")
            _record_state(context, record, serving, _unhealthy(record, failure))
            context.ledger.note("refused", record, f"rolled back: {serving} continues to serve")
            return
        _record_state(context, record, record.inputs["endpointConfigName"])

    def read(self, context: Context, record: Record) -> bool:
        if serving := context.kv.get(SERVING, record.id):
            record.outputs["endpointConfigName"] = serving["config"]
            record.inputs["endpointConfigName"] = serving["config"]
        return True

    def delete(self, context: Context, record: Record) -> None:
        context.containers.stop(container_key(record.id))
        context.kv.delete(SERVING, record.id)
        shutil.rmtree(_models_folder(context, record), ignore_errors=True)


def _refuse_update_of_failed(old: Record, record: Record) -> None:
    """The provider calls UpdateEndpoint for another configuration only; of a failed endpoint AWS refuses it.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html (EndpointStatus)
    """
    if any(
        old.inputs.get(name) != record.inputs.get(name)
        for name in ("endpointConfigName", "deploymentConfig")
    ):
        raise Refusal(
            "ValidationException",
            f'Cannot update endpoint "{record.outputs["arn"]}" in status Failed: DeleteEndpoint is the only'
            " operation that can be performed on a failed endpoint.",
        )


def container_key(endpoint: str) -> str:
    """The key of an endpoint's container."""
    return f"sagemaker/{endpoint}"


def describe_endpoint(call: Call) -> Json:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html"""
    endpoint = called_endpoint(call, "sagemaker:DescribeEndpoint", call.body["EndpointName"])
    serving = call.context.kv.get(SERVING, endpoint.id, {})
    reason = {"FailureReason": serving["failure"]} if serving.get("failure") else {}
    return {
        "EndpointName": endpoint.id,
        "EndpointArn": endpoint.outputs["arn"],
        "EndpointConfigName": serving.get("config", endpoint.inputs["endpointConfigName"]),
        "EndpointStatus": serving.get("status", "InService"),
        "CreationTime": endpoint.created,
        "LastModifiedTime": serving.get("since", endpoint.created),
        **reason,
    }


def delete_endpoint(call: Call) -> Json:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpoint.html"""
    endpoint = called_endpoint(call, "sagemaker:DeleteEndpoint", call.body["EndpointName"])
    with call.context.store.transaction():
        Endpoint().delete(call.context, endpoint)
        call.context.store.remove(endpoint)
        call.context.ledger.note("deleted", endpoint, "by DeleteEndpoint")
    return {}


def describe_endpoint_config(call: Call) -> Json:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpointConfig.html"""
    name = call.body["EndpointConfigName"]
    found = call.context.find(CONFIGURATION, name=name, region=call.region)
    arn = call.arn("sagemaker", f"endpoint-config/{name.lower()}")
    call.require("sagemaker:DescribeEndpointConfig", arn)
    if found is None:
        raise Refusal("ValidationException", f'Could not find endpoint configuration "{arn}".')
    return {
        "EndpointConfigName": name,
        "EndpointConfigArn": arn,
        "CreationTime": found.created,
        "ProductionVariants": [
            {
                "VariantName": variant.get("variantName", "AllTraffic"),
                "ModelName": variant["modelName"],
                "InitialVariantWeight": variant.get("initialVariantWeight", 1.0),
                **({"InstanceType": variant["instanceType"]} if "instanceType" in variant else {}),
            }
            for variant in found.inputs["productionVariants"]
        ],
    }


def called_endpoint(call: Call, action: str, name: str) -> Record:
    """The endpoint, if the caller may do this to it and it exists."""
    arn = call.arn("sagemaker", f"endpoint/{name.lower()}")
    call.require(action, arn)
    found = call.context.find(ENDPOINT, name=name, region=call.region)
    if found is None:
        raise Refusal("ValidationException", f'Could not find endpoint "{arn}".')
    return found


def _check_scaling(context: Context, endpoint: Record, previous: Record, wanted: Record) -> None:
    """Refuse another instance type for a variant that is a scalable target, and the removal of such a variant.

    The words are ours: AWS documents the refusal, not its text.
    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
    https://github.com/hashicorp/terraform-provider-aws/issues/14337
    """
    targets = {each.id for each in context.all(SCALING_TARGET)}
    after = {
        v.get("variantName"): v.get("instanceType") for v in wanted.inputs["productionVariants"]
    }
    for variant in previous.inputs["productionVariants"]:
        name = variant.get("variantName")
        target = f"endpoint/{endpoint.id}/variant/{name}"
        if target in targets and after.get(name) != variant.get("instanceType"):
            raise Refusal(
                "ValidationException",
                f"{target} is registered with Application Auto Scaling, and the update changes its instance type"
                f" from {variant.get('instanceType')} to {after.get(name)}. Deregister the scalable target first.",
            )


def _check_alarms(context: Context, endpoint: Record, wanted: Record) -> None:
    """Refuse an update that is to be rolled back by alarms which the model's role may not read.

    The words are ours: AWS documents the permission, not what happens without it.
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
    """
    deployment = endpoint.inputs.get("deploymentConfig") or {}
    rollback = deployment.get("autoRollbackConfiguration") or {}
    for each in rollback.get("alarms") or []:
        alarm = context.find_referenced(ALARM, each["alarmName"])
        for variant in wanted.inputs["productionVariants"]:
            model = context.find_referenced(MODEL, variant.get("modelName", ""))
            role = permissions.role_for(
                context, model.inputs["executionRoleArn"] if model else "", SERVICE
            )
            if alarm and role:
                permissions.require(
                    context, role, "cloudwatch:DescribeAlarms", alarm.outputs["arn"]
                )


def _serve(context: Context, record: Record) -> None:
    """Put the configuration's model behind the endpoint; the previous one serves until it is healthy."""
    configuration = context.find_referenced(CONFIGURATION, record.inputs["endpointConfigName"])
    variant = configuration.inputs["productionVariants"][0] if configuration else {}
    model = context.find_referenced(MODEL, variant.get("modelName", ""))
    if model is None:
        raise Refusal("ValidationException", f'Could not find model "{variant.get("modelName")}".')
    role = permissions.role_for(context, model.inputs["executionRoleArn"], SERVICE)
    container = _containers(model)[0]
    _check_user(context, container["image"])
    if context.images.is_from_elsewhere(container["image"]):
        context.ledger.note("recorded", record, only_recorded(container["image"]))
    isolated = model.inputs.get("enableNetworkIsolation")
    where = region(context, record)
    log_as(context, role, where, f"/aws/sagemaker/Endpoints/{record.id}")
    arn = model.inputs["executionRoleArn"]
    files = {}
    if uri := container.get("modelDataUrl"):
        files["opt/ml/model"] = _unpacked(context, record, uri, role)
    context.containers.run(
        container_key(record.id),
        Container(
            image=container["image"],
            args=("serve",),
            env={
                # Where SageMaker mounts the archive's content. A local process can be given another
                # path in this variable, but not /opt/ml/model itself.
                "SM_MODEL_DIR": "/opt/ml/model",
                **({} if isolated else credentials.workload_environment(context, arn, where)),
                **(container.get("environment") or {}),
            },
            port_env="SAGEMAKER_BIND_TO_PORT",
            health="/ping",
            files=files,
        ),
    )


def _check_user(context: Context, image: str) -> None:
    """SageMaker expects a container that runs as root; as another user it "can" fail. Here it always does (believed).

    https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
    """
    found = context.images.find(image)
    user = found.config.get("User", "") if found else ""
    if user.partition(":")[0] not in ("", "0", "root"):
        raise ContainerFailed(
            f"SageMaker expects containers that run as root, and {image} runs as {user}"
            " (USER in its Dockerfile)"
        )


def _record_state(
    context: Context,
    record: Record,
    configuration: str,
    failure: str = "",
    status: str = "InService",
) -> None:
    state = {
        "config": configuration,
        "failure": failure,
        "since": time.time(),
        "status": status,
    }
    context.kv.put(SERVING, record.id, state)


def _models_folder(context: Context, endpoint: Record) -> Path:
    """Where the model archives of an endpoint are unpacked."""
    return context.state_dir / "sagemaker" / endpoint.id


def _unpacked(context: Context, endpoint: Record, uri: str, role: Record | None) -> Path:
    """The archive's content, in a folder named by it: a running container's never changes."""
    try:
        archive = s3.read_object(context, uri, role)
    except Refusal as refused:
        # Believed: CreateModel has read it with the role, so that an endpoint fails only for a later removal.
        raise ContainerFailed(f"could not download {uri}: {refused.message}") from None
    folder = _models_folder(context, endpoint) / hashlib.sha256(archive).hexdigest()
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            tar_archives.unpack(opened, scratch)
        scratch.rename(folder)
    except tarfile.TarError as error:
        shutil.rmtree(scratch)
        raise Refusal("ValidationException", f"{uri} is not a tar archive: {error}") from None
    return folder


def _containers(record: Record) -> list[Json]:
    primary = record.inputs.get("primaryContainer")
    return [primary] if primary else list(record.inputs.get("containers") or [])


def _check_image(context: Context, image: str, role: Record) -> None:
    if context.images.find(image) is None and not context.images.is_from_elsewhere(image):
        raise Refusal("ValidationException", f"Requested image {image} not found.")
    if ".dkr.ecr." not in image:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-containers-inference-private.html
        raise Refusal(
            "ValidationException",
            f"Using non-ECR image {image} without Vpc repository access mode.",
        )
    repository = image.partition("@")[0].partition("/")[2]
    host = image.partition("/")[0].split(".")
    arn = f"arn:aws:ecr:{host[3]}:{host[0]}:repository/{repository}"
    try:
        permissions.require(context, role, "ecr:GetAuthorizationToken")
        for action in PULL:
            permissions.require(context, role, action, arn)
    except Refusal as refused:
        raise Refusal(
            "ValidationException",
            f"The role {role.outputs['arn']} has no permission to pull {image}: {refused.message}",
        ) from None


def _check_data(context: Context, uri: str, role: Record, where: str) -> None:
    try:
        bucket, _, path = uri.removeprefix("s3://").partition("/")
        permissions.require(context, role, "s3:GetObject", f"arn:aws:s3:::{bucket}/{path}")
        allowed = True
    except Refusal:
        allowed = False
    if not allowed or not s3.object_exists(context, uri):
        raise Refusal(
            "ValidationException",
            f'Could not access model data at {uri}. Please ensure that the role "'
            f'{role.outputs["arn"]}" exists and that its trust relationship policy allows the'
            f' action "sts:AssumeRole" for the service principal "{SERVICE}". Also ensure that the'
            f' role has "s3:GetObject" permissions and that the object is located in {where}.',
        )


def _check_serverless(config: Json) -> None:
    memory, concurrency = config.get("memorySizeInMb"), config.get("maxConcurrency", 1)
    if memory is not None and memory not in SERVERLESS_MEMORY:
        sizes = ", ".join(map(str, SERVERLESS_MEMORY))
        raise CheckFailure(
            "productionVariants",
            f"ValidationException: MemorySizeInMB must be one of {sizes}, not {memory:g}"
            f" ({API}/API_ProductionVariantServerlessConfig.html)",
        )
    if not 1 <= concurrency <= 200:
        raise CheckFailure(
            "productionVariants",
            f"ValidationException: MaxConcurrency {concurrency:g} is not in 1 to 200",
        )
    if config.get("provisionedConcurrency", 0) > concurrency:
        raise CheckFailure(
            "productionVariants",
            "ValidationException: ProvisionedConcurrency is above MaxConcurrency",
        )


def _check_quotas(context: Context, endpoint: Record, wanted: Record) -> None:
    """Refuse what is more than the account's quota, in SageMaker's words.

    While instances are updated, the new ones run beside the old ones. A serverless endpoint's concurrency is not taken
    twice during an update (believed: no document says either).
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
    https://github.com/aws-samples/sagemaker-custom-project-templates/issues/51
    """
    used: Counter[str] = Counter()
    for each in context.all(ENDPOINT):
        serving = context.kv.get(SERVING, each.id, {}).get("config", "")
        configuration = context.find_referenced(CONFIGURATION, serving)
        if configuration and (each.id != endpoint.id or not _serverless(wanted)):
            used += _capacity(configuration)
    quotas = context.behaviour.quotas
    for what, delta in _capacity(wanted).items():
        serverless = what == account_settings.SERVERLESS
        limit = quotas.sagemaker_serverless if serverless else quotas.sagemaker_instances
        if used[what] + delta > limit:
            unit = "" if serverless else " Instances"
            raise Refusal(
                "ResourceLimitExceeded",
                f"The account-level service limit '{what}' is {limit}{unit}, with current utilization of"
                f" {used[what]}{unit} and a request delta of {delta}{unit}. Please use AWS Service Quotas to request"
                " an increase for this quota.",
            )


def _capacity(configuration: Record) -> Counter[str]:
    """What an endpoint with this configuration takes of the account's quotas, by the quota's name."""
    taken: Counter[str] = Counter()
    for variant in configuration.inputs["productionVariants"]:
        if serverless := variant.get("serverlessConfig"):
            taken[account_settings.SERVERLESS] += int(serverless["maxConcurrency"])
        elif machine := variant.get("instanceType"):
            count = int(variant.get("initialInstanceCount") or 1)
            taken[f"{machine} for endpoint usage"] += count
    return taken


def _serverless(configuration: Record) -> bool:
    return any(v.get("serverlessConfig") for v in configuration.inputs["productionVariants"])


def _unhealthy(record: Record, failure: ContainerFailed) -> str:
    return (
        "The primary container for the production variant did not pass the ping health check."
        f" Please check CloudWatch logs for this endpoint ({record.id}). {failure}"
    )
