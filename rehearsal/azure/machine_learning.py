"""Machine Learning: workspaces, what is registered in them, and online endpoints that really score.

Rules: https://learn.microsoft.com/azure/machine-learning/how-to-safely-rollout-online-endpoints and
https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
"""

from __future__ import annotations

import copy
import re
import shutil
import time
from pathlib import Path
from typing import ClassVar

from rehearsal.azure import conditions, container_registry, limits, permissions, storage
from rehearsal.azure.calls import Call
from rehearsal.azure.ids import by_id, guid, last_name
from rehearsal.azure.key_vault import VAULT
from rehearsal.azure.monitor import INSIGHTS
from rehearsal.azure.resource_type import AzureResourceType, described, field, user_assigned
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name
from rehearsal.runtime.containers import Container, ContainerFailed, only_recorded

PACKAGE = "azure-native:machinelearningservices"
WORKSPACE = f"{PACKAGE}:Workspace"
DATASTORE = f"{PACKAGE}:Datastore"
ENVIRONMENT = f"{PACKAGE}:EnvironmentVersion"
MODEL = f"{PACKAGE}:ModelVersion"
ENDPOINT = f"{PACKAGE}:OnlineEndpoint"
DEPLOYMENT = f"{PACKAGE}:OnlineDeployment"
SCORE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"
BELOW = "Microsoft.MachineLearningServices/workspaces/{workspaceName}"
LIMITS = "https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas"
DELETED = "azure-deleted-workspaces"
SOFT_DELETE_SECONDS = 14 * 86400
UPDATING = "azure-updating-endpoints"
"""The namespace with the time until which an endpoint is changed, by its id."""


class Workspace(AzureResourceType):
    """A workspace. A deleted one keeps its name in its resource group for 14 days."""

    token = WORKSPACE
    source = "https://learn.microsoft.com/azure/machine-learning/concept-soft-delete"
    path = "Microsoft.MachineLearningServices/workspaces/{workspaceName}"
    references: ClassVar = {
        "storageAccount": storage.ACCOUNT,
        "keyVault": VAULT,
        "applicationInsights": INSIGHTS,
    }
    name = Name(
        property="workspaceName",
        pattern=r"[a-zA-Z0-9][a-zA-Z0-9_-]*",
        min=3,
        max=33,
        rule="3 to 33 letters, digits, hyphens and underscores, beginning with a letter or digit",
        unique=("resourceGroupName",),
        taken="WorkspaceAlreadyExists",
    )

    def on_create(self, context: Context, record: Record) -> None:
        until = context.kv.get(DELETED, record.id.lower())
        if until and until > time.time():
            raise Refusal(
                "Conflict",
                "Soft-deleted workspace exists. Please purge or recover it."
                " https://aka.ms/wsoftdelete",
            )
        location = record.outputs["location"]
        account = by_id(context, storage.ACCOUNT, record.inputs.get("storageAccount", ""))
        if (
            account
            and account.inputs.get("allowSharedKeyAccess") is False
            and record.inputs.get("systemDatastoresAuthMode", "accesskey").lower() != "identity"
        ):
            raise Refusal(
                "KeyBasedAuthenticationNotPermitted",
                "Key based authentication is not permitted on this storage account. Set"
                " systemDatastoresAuthMode to identity.",
            )
        _require_roles(context, record)
        record.outputs |= {
            "workspaceId": guid(record.id, "workspace"),
            "tenantId": context.account.azure_tenant,
            "discoveryUrl": f"https://{location}.api.azureml.ms/discovery",
            "mlFlowTrackingUri": f"azureml://{location}.api.azureml.ms/mlflow/v1.0{record.id}",
        }

    def delete(self, context: Context, record: Record) -> None:
        context.kv.put(DELETED, record.id.lower(), time.time() + SOFT_DELETE_SECONDS)


def _require_roles(context: Context, workspace: Record) -> None:
    """Refuse a workspace whose own identity may not use what is attached to it.

    https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication#workspace
    (believed: that the creation fails, and does not wait)
    """
    identity = workspace.inputs.get("primaryUserAssignedIdentity")
    if not identity:
        return
    principal = user_assigned(context, identity).outputs["principalId"]
    for property_, action in (
        ("storageAccount", "Microsoft.Storage/storageAccounts/read"),
        ("keyVault", "Microsoft.KeyVault/vaults/read"),
        ("applicationInsights", "Microsoft.Insights/components/read"),
    ):
        scope = workspace.inputs.get(property_)
        if scope and not permissions.allowed(context, principal, action, scope):
            raise Refusal(
                "AuthorizationFailed",
                f"The client '{principal}' does not have authorization to perform action '{action}'"
                f" over scope '{scope}'.",
            )


class Datastore(AzureResourceType):
    """A name for a container, known to the workspace."""

    token = DATASTORE
    source = "https://learn.microsoft.com/azure/machine-learning/how-to-datastore"
    path = f"{BELOW}/datastores/{{name}}"
    references: ClassVar = {"workspaceName": WORKSPACE}
    name = Name(
        property="name",
        pattern=r"[a-z0-9_]*",
        max=255,
        rule="lower case letters, digits and underscores",
        unique=("resourceGroupName", "workspaceName"),
    )

    def on_create(self, context: Context, record: Record) -> None:
        properties = record.inputs["properties"]
        if properties.get("datastoreType") == "AzureBlob":
            container = storage.container_id(
                context, properties["accountName"], properties["containerName"]
            )
            if by_id(context, storage.CONTAINER, container) is None:
                raise Refusal(
                    "UserError", f"The container '{properties['containerName']}' does not exist."
                )


class EnvironmentVersion(AzureResourceType):
    """A version of an environment: an image and its routes."""

    token = ENVIRONMENT
    source = "https://learn.microsoft.com/azure/machine-learning/reference-yaml-environment"
    path = f"{BELOW}/environments/{{name}}/versions/{{version}}"
    references: ClassVar = {"workspaceName": WORKSPACE}
    replace_on = frozenset({"version", "properties.image"})


class ModelVersion(AzureResourceType):
    """A version of a model: a path in a datastore."""

    token = MODEL
    source = "https://learn.microsoft.com/azure/machine-learning/reference-yaml-model"
    path = f"{BELOW}/models/{{name}}/versions/{{version}}"
    references: ClassVar = {"workspaceName": WORKSPACE}
    replace_on = frozenset({"version", "properties.modelUri", "properties.modelType"})

    def on_create(self, context: Context, record: Record) -> None:
        _model_place(context, record)


class OnlineEndpoint(AzureResourceType):
    """An endpoint: a name, a URL, and how the traffic is split among its deployments."""

    token = ENDPOINT
    source = "https://learn.microsoft.com/azure/machine-learning/reference-yaml-endpoint-online"
    executes = "its scoring URI takes requests with a token for https://ml.azure.com"
    path = f"{BELOW}/onlineEndpoints/{{endpointName}}"
    references: ClassVar = {"workspaceName": WORKSPACE}
    replace_on = frozenset({"properties.authMode"})
    volatile = frozenset({"properties"})
    name = Name(
        property="endpointName",
        pattern=r"[a-zA-Z](-?[a-zA-Z0-9])*",
        min=3,
        max=32,
        rule="3 to 32 letters, digits and single hyphens, beginning with a letter",
        unique=("location",),
        taken="EndpointAlreadyExists",
    )

    def on_create(self, context: Context, record: Record) -> None:
        if field(record.inputs, "properties.traffic"):
            raise Refusal(
                "BadArgument",
                "Traffic rules cannot be set on a new endpoint: the deployments that they name do"
                " not exist. Create the endpoint, then the deployment, then set the traffic.",
            )
        where = f"{context.base_url}/azure/ml/{record.outputs['location']}/{record.outputs['name']}"
        record.outputs["properties"] = {
            "publicNetworkAccess": "Enabled",
            **record.inputs["properties"],
            "provisioningState": "Succeeded",
            "scoringUri": f"{where}/score",
            "swaggerUri": f"{where}/swagger.json",
            "traffic": {},
            "mirrorTraffic": {},
        }

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        # A PUT writes the whole endpoint: traffic that it does not name is removed.
        record.outputs["properties"] = old.outputs["properties"] | record.inputs["properties"]
        set_traffic(context, record, field(record.inputs, "properties.traffic") or {})

    def delete(self, context: Context, record: Record) -> None:
        for deployment in deployments(context, record):
            context.containers.stop(container_key(deployment))
            context.store.remove(deployment)


class OnlineDeployment(AzureResourceType):
    """A deployment: the model's container behind its endpoint."""

    token = DEPLOYMENT
    source = "https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-managed-online"
    executes = "the image's own server as a process on this machine, with the model from the blobs"
    path = f"{BELOW}/onlineEndpoints/{{endpointName}}/deployments/{{deploymentName}}"
    references: ClassVar = {
        "workspaceName": WORKSPACE,
        "endpointName": ENDPOINT,
        "properties.environmentId": ENVIRONMENT,
        "properties.model": MODEL,
    }
    replace_on = frozenset({"properties.instanceType", "properties.endpointComputeType"})
    name = Name(
        property="deploymentName",
        pattern=r"[a-zA-Z](-?[a-zA-Z0-9])*",
        min=3,
        max=32,
        rule="3 to 32 letters, digits and single hyphens, beginning with a letter",
        unique=("resourceGroupName", "workspaceName", "endpointName"),
        taken="DeploymentAlreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        super().check(context, inputs)
        capacity = field(inputs, "sku.capacity")
        if capacity is not None and capacity < 1:
            raise CheckFailure("sku.capacity", "a deployment has at least 1 instance")

    def on_create(self, context: Context, record: Record) -> None:
        limits.require_cores(context, record.inputs)
        _deploy(context, record)

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        if old.inputs["properties"] != record.inputs["properties"]:
            _deploy(context, record)

    def delete(self, context: Context, record: Record) -> None:
        endpoint = endpoint_of(context, record)
        name = record.outputs["name"]
        if endpoint and endpoint.outputs["properties"]["traffic"].get(name):
            raise Refusal(
                "BadArgument",
                f"Cannot delete deployment '{name}': it has live traffic allocated to it. Set the"
                " traffic allocation for the deployment to 0% before deleting it.",
            )
        context.containers.stop(container_key(record))
        shutil.rmtree(_model_folder(context, record), ignore_errors=True)


def endpoint_of(context: Context, deployment: Record) -> Record | None:
    """The endpoint that a deployment belongs to."""
    return by_id(context, ENDPOINT, deployment.id.partition("/deployments/")[0])


def deployments(context: Context, endpoint: Record) -> list[Record]:
    """The deployments of an endpoint."""
    return [r for r in context.all(DEPLOYMENT) if r.id.startswith(f"{endpoint.id}/deployments/")]


def set_traffic(context: Context, endpoint: Record, traffic: Json) -> None:
    """Set the traffic of an endpoint, or refuse to; the caller saves the record."""
    shares = {name: int(share) for name, share in traffic.items() if share}
    names = {each.outputs["name"] for each in deployments(context, endpoint)}
    if unknown := sorted(shares.keys() - names):
        raise Refusal(
            "BadArgument", f"Traffic names deployments that do not exist: {', '.join(unknown)}."
        )
    if sum(shares.values()) not in (0, 100):
        raise Refusal(
            "BadArgument", f"Traffic values need to sum to 0 or 100, not {sum(shares.values())}."
        )
    endpoint.outputs["properties"]["traffic"] = shares


def get_endpoint(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/azureml/online-endpoints/get"""
    return _described_now(call.context, _called_endpoint(call))


def put_endpoint(call: Call) -> Json:
    """Write an endpoint that exists: what the body does not name is removed, the traffic too.

    Azure goes on after the answer, and refuses another change until it has finished:
    https://learn.microsoft.com/rest/api/azureml/online-endpoints/create-or-update
    https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#http-status-codes (409)
    """
    context, record = call.context, _called_endpoint(call)
    if _is_updating(context, record.id):
        raise Refusal(
            "Conflict",
            f"An operation is already in progress on the online endpoint '{record.outputs['name']}'.",
        )
    before = copy.deepcopy(record.outputs["properties"].get("traffic"))
    set_traffic(context, record, call.body["properties"].get("traffic") or {})
    record.outputs["tags"] = call.body.get("tags") or {}
    context.save(record)
    after = record.outputs["properties"]["traffic"]
    if after != before:
        split = ", ".join(f"{name} {share}%" for name, share in after.items()) or "nowhere"
        context.ledger.note("updated", record, f"traffic goes to {split}")
    if taken := context.behaviour.operation_seconds("machinelearningservices:endpoints.update"):
        context.kv.put(UPDATING, record.id, time.time() + taken)
    # https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
    where = (
        f"{call.url.scheme}://{call.url.netloc}/subscriptions/{call.path['rest'].partition('/')[0]}"
    )
    call.answer_headers["Azure-AsyncOperation"] = (
        f"{where}/providers/Microsoft.MachineLearningServices/locations/{record.outputs['location']}"
        f"/mfeOperationsStatus/oeidp:{guid(record.id)}"
    )
    return _described_now(context, record)


def get_operation(call: Call) -> Json:
    """The state of the last change of an endpoint. Nothing fails here after it was accepted."""
    wanted = call.path["operation"].partition(":")[2]
    changed = next((r for r in call.context.all(ENDPOINT) if guid(r.id) == wanted), None)
    if changed is None:
        raise Refusal("ResourceNotFound", f"There is no operation {call.path['operation']}.")
    running = _is_updating(call.context, changed.id)
    return {"name": call.path["operation"], "status": "InProgress" if running else "Succeeded"}


def _is_updating(context: Context, endpoint: str) -> bool:
    until: float = context.kv.get(UPDATING, endpoint, 0.0)
    return until > time.time()


def _described_now(context: Context, endpoint: Record) -> Json:
    """An endpoint as a GET returns it, with the state of a change that is under way."""
    found = described(endpoint)
    if _is_updating(context, endpoint.id):
        found["properties"] = {**found["properties"], "provisioningState": "Updating"}
    return found


def _called_endpoint(call: Call) -> Record:
    record = by_id(call.context, ENDPOINT, call.url.path)
    if record is None:
        raise Refusal("ResourceNotFound", f"The Resource '{call.url.path}' was not found.")
    return record


def _deploy(context: Context, record: Record) -> None:
    """Download the model, pull the image, and run it under the deployment's key."""
    properties = record.inputs["properties"]
    endpoint = endpoint_of(context, record)
    environment = by_id(context, ENVIRONMENT, properties["environmentId"])
    model = by_id(context, MODEL, properties["model"])
    # `references` has checked them.
    assert endpoint is not None
    assert environment is not None
    assert model is not None
    principal = _endpoint_principal(endpoint)
    image = container_registry.pulled_image(
        context, environment.inputs["properties"]["image"], principal
    )
    if context.images.is_from_elsewhere(image.reference):
        context.ledger.note("recorded", record, only_recorded(image.reference))
    account, container, prefix = _model_place(context, model)
    scope = storage.container_id(context, account, container)
    # It lists what is below the path, and reads that (believed).
    listing = {conditions.LIST_PREFIX: prefix, conditions.CONTAINER_NAME: container}
    reading = {conditions.BLOB_PATH: f"{prefix}/", conditions.CONTAINER_NAME: container}
    for suboperation, attributes in ((conditions.LISTING, listing), ("", reading)):
        if not permissions.allowed(
            context,
            principal,
            f"{permissions.BLOBS}/read",
            scope,
            data=True,
            suboperation=suboperation,
            attributes=attributes,
        ):
            raise Refusal(
                "BadArgument",
                "Authorization error: unable to download the user model. The endpoint's identity"
                f" {principal} does not have Storage Blob Data Reader on {scope} for {prefix}.",
            )
    folder = _model_folder(context, record)
    shutil.rmtree(folder, ignore_errors=True)
    storage.download(context, account, container, prefix, folder / last_name(prefix))
    routes = environment.inputs["properties"].get("inferenceConfig") or {}
    mounted = f"/var/azureml-app/azureml-models/{model.inputs['name']}/{model.inputs['version']}"
    try:
        context.containers.run(
            container_key(record),
            Container(
                image=image.reference,
                env={
                    "AZUREML_MODEL_DIR": mounted,
                    **(properties.get("environmentVariables") or {}),
                },
                health=(routes.get("readinessRoute") or {}).get("path", "/"),
                files={mounted: folder},
            ),
        )
    except ContainerFailed as error:
        raise Refusal(
            "ResourceNotReady",
            f"User container has crashed or terminated. Please see troubleshooting guide,"
            f" available here: https://aka.ms/oe-tsg#error-resourcenotready. {error}",
        ) from None
    record.outputs["properties"] = {**properties, "provisioningState": "Succeeded"}


def _endpoint_principal(endpoint: Record) -> str:
    """The principal as which an endpoint pulls and runs its containers."""
    assigned = (endpoint.outputs.get("identity") or {}).get("userAssignedIdentities") or {}
    if not assigned:
        raise Refusal(
            "NotSupported", "the rehearsal runs endpoints with a user-assigned identity only"
        )
    principal: str = next(iter(assigned.values()))["principalId"]
    return principal


def _model_place(context: Context, model: Record) -> tuple[str, str, str]:
    """Account, container and prefix of a model; refused when the path is empty."""
    uri = model.inputs["properties"].get("modelUri", "")
    match = re.fullmatch(r"azureml://.*/datastores/([^/]+)/paths/(.+?)/?", uri)
    if match is None:
        raise Refusal("UserError", f"the rehearsal does not know the model URI {uri}")
    workspace = model.id.partition("/models/")[0]
    datastore = by_id(context, DATASTORE, f"{workspace}/datastores/{match[1]}")
    if datastore is None:
        raise Refusal("UserError", f"Could not find datastore: {match[1]}.")
    place = datastore.inputs["properties"]
    account, container, prefix = place["accountName"], place["containerName"], match[2]
    if not storage.has_blobs(context, account, container, prefix):
        raise Refusal("UserError", f"There is nothing at the model's path {uri}.")
    return account, container, prefix


def container_key(deployment: Record) -> str:
    """The key of a deployment's container."""
    return f"azure/{deployment.id.partition('/workspaces/')[2]}"


def _model_folder(context: Context, deployment: Record) -> Path:
    return context.state_dir / "azure-models" / guid(deployment.id)
