"""Vertex AI: models, endpoints, deployments and traffic.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from rehearsal.core.records import Inputs, Json, Record, Refusal
from rehearsal.gcp import (
    artifact_registry,
    credentials,
    iam,
    operations,
    permissions,
    service_usage,
    storage,
)
from rehearsal.gcp.calls import Call, timestamp
from rehearsal.gcp.permissions import Resource, of_record
from rehearsal.gcp.tags import check_labels
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.runtime.containers import Container, ContainerFailed, only_recorded

API = "aiplatform.googleapis.com"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
ENDPOINT_BINDING = "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember"
DRAIN_SECONDS = 0.5
# Namespaces of the store:
CREATIONS = "gcp/creations"
ENDPOINTS = "gcp/endpoints"
MODELS = "gcp/models"
"""For requests that have chosen the deployment and not yet reached it."""

# Models and deployments are changed by reading and writing the whole of one entry.
_changing = threading.RLock()


class Endpoint(ResourceType):
    """An endpoint, to which models are deployed."""

    token = ENDPOINT
    source = "https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/create"
    executes = "models are deployed to it as local processes of their image, and answer predictions"
    needs = API
    name = Name(
        property="name",
        pattern=r"[1-9][0-9]{0,8}",
        max=9,
        rule="a Vertex AI endpoint's name is a number of at most 9 digits without leading zero",
        unique=("project", "location"),
        taken="alreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_labels(inputs)

    def create(self, context: Context, record: Record) -> None:
        place, name = record.outputs, record.inputs["name"]
        if record.inputs.get("trafficSplit"):
            raise Refusal(
                "badRequest",
                "Error 400: Traffic split cannot be set on an Endpoint without DeployedModels.",
            )
        record.id = f"projects/{place['project']}/locations/{place['location']}/endpoints/{name}"

    def read(self, context: Context, record: Record) -> bool:
        state = endpoint_state(context, record)
        record.outputs["deployedModels"] = [
            {"id": each["id"], "model": each["model"]} for each in state["deployedModels"]
        ]
        return True

    def delete(self, context: Context, record: Record) -> None:
        creations = context.kv.items(CREATIONS)
        deploying = [key for key in creations if key.startswith(f"{record.id}/")]
        if endpoint_state(context, record)["deployedModels"] or any(
            _under_way(context, key) for key in deploying
        ):
            raise Refusal(
                "badRequest",
                f'Error 400: The Endpoint "{record.id}" has deployed or being-deployed DeployedModels.'
                " Please undeploy them before deleting the Endpoint.",
            )
        context.kv.delete(ENDPOINTS, record.id)
        for key in deploying:
            context.kv.delete(CREATIONS, key)


class EndpointMember(iam.Member):
    """A role for a member on an endpoint."""

    token = ENDPOINT_BINDING
    source = "https://cloud.google.com/vertex-ai/docs/general/endpoint-access-control"
    references: ClassVar = {"endpoint": ENDPOINT}
    property = "endpoint"
    import_name = "projects/{project}/locations/{location}/endpoints/{endpoint}"


def resource(record: Record) -> Resource:
    """An endpoint, for a permission check."""
    return of_record(ENDPOINT_BINDING, "endpoint", record)


# Models


def upload_model(call: Call) -> Json:
    """``models.upload``"""
    context, request, parent = call.context, call.body, call.parent
    service_usage.require_api(context, call.project, API)
    model = request["model"]
    name = f"{parent}/models/{request.get('modelId') or secrets.randbelow(10**18)}"
    if not re.fullmatch(r"[a-z_0-9][a-z0-9_-]{0,62}", name.rsplit("/", 1)[1]):
        raise Refusal("INVALID_ARGUMENT", "Model ID: up to 63 of [a-z0-9_-], no hyphen first.")
    if context.kv.get(MODELS, name) or _under_way(context, name):
        raise Refusal("ALREADY_EXISTS", f"Model {name} already exists.")
    image = model["containerSpec"]["imageUri"]
    artifact_registry.require_image(context, image, own=True)
    _require_artifact(context, model.get("artifactUri", ""))

    def work() -> Json:
        context.behaviour.spend("aiplatform:models.upload")
        now = timestamp()
        fresh = {**model, "name": name, "versionId": "1", "createTime": now, "updateTime": now}
        context.kv.put(MODELS, name, fresh)
        return {"model": name, "modelVersionId": "1"}

    return _start_creation(context, name, name, work)


def get_model(call: Call) -> Json:
    """``models.get``"""
    return model_named(call.context, call.name("models"))


def model_named(context: Context, name: str) -> Json:
    """The model with this full name, or Google's refusal."""
    model: Json | None = context.kv.get(MODELS, name.split("@")[0])
    if model is None:
        raise Refusal("NOT_FOUND", f"The Model does not exist: {name}.")
    return model


def list_models(call: Call) -> Json:
    """``models.list``, all on one page"""
    service_usage.require_api(call.context, call.project, API)
    within = f"{call.parent}/models/"
    models = call.context.kv.items(MODELS).items()
    return {"models": [model for name, model in models if name.startswith(within)]}


def patch_model(call: Call) -> Json:
    """``models.patch`` of what can be changed: display name, description and labels."""
    context, request = call.context, call.body
    fields = set(call.query.get("updateMask", "").split(","))
    if unknown := fields - {"displayName", "description", "labels"}:
        raise Refusal("INVALID_ARGUMENT", f"Fields cannot be updated: {', '.join(unknown)}.")
    with _changing:
        model = get_model(call)
        model |= {field: request.get(field) for field in fields} | {"updateTime": timestamp()}
        context.kv.put(MODELS, model["name"], model)
    return model


def delete_model(call: Call) -> Json:
    """``models.delete``; refused while deployed."""
    context, name = call.context, call.name("models")
    get_model(call)
    users = [
        record.id
        for record in context.all(ENDPOINT)
        if any(each["model"] == name for each in endpoint_state(context, record)["deployedModels"])
    ]
    if users:
        raise Refusal(
            "FAILED_PRECONDITION",
            f"There are DeployedModels of {name} in {', '.join(users)}. Please undeploy them first.",
        )

    def work() -> Json:
        context.kv.delete(MODELS, name)
        return {}

    return operations.start(context, name, work)


def _require_artifact(context: Context, uri: str) -> None:
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    if uri and not storage.object_names(context, bucket, f"{prefix.rstrip('/')}/"):
        raise Refusal("INVALID_ARGUMENT", f'There are no files under "{uri}" to copy.')


# Endpoints


def get_location(call: Call) -> Json:
    """https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations/get"""
    service_usage.require_api(call.context, call.project, API)
    return {"name": call.parent, "locationId": call.path["location"]}


def get_endpoint(call: Call) -> Json:
    """``endpoints.get``"""
    return _described(call.context, called_endpoint(call))


def list_endpoints(call: Call) -> Json:
    """``endpoints.list``, all on one page"""
    context = call.context
    service_usage.require_api(context, call.project, API)
    within = f"{call.parent}/endpoints/"
    records = (record for record in context.all(ENDPOINT) if record.id.startswith(within))
    return {"endpoints": [_described(context, record) for record in records]}


def patch_endpoint(call: Call) -> Json:
    """``endpoints.patch`` of the traffic; everything else belongs to the Pulumi resource."""
    context, request, mask = call.context, call.body, call.query.get("updateMask", "")
    if mask != "trafficSplit":
        raise Refusal("INVALID_ARGUMENT", f"The rehearsal updates trafficSplit only, not {mask}.")
    record = called_endpoint(call)
    with _changing:
        state = endpoint_state(context, record)
        split = {key: int(share) for key, share in request.get("trafficSplit", {}).items() if share}
        unknown = split.keys() - {each["id"] for each in state["deployedModels"]}
        if unknown:
            raise Refusal(
                "INVALID_ARGUMENT",
                f"Traffic split names unknown DeployedModels: {sorted(unknown)}.",
            )
        if split and sum(split.values()) != 100:
            raise Refusal("INVALID_ARGUMENT", "The traffic percentage values must add up to 100.")
        context.kv.put(ENDPOINTS, record.id, {**state, "trafficSplit": split})
    return _described(context, record)


def deploy_model(call: Call) -> Json:
    """``endpoints.deployModel``"""
    context, request, record = call.context, call.body, called_endpoint(call)
    wanted: Json = {"id": str(10**9 + secrets.randbelow(9 * 10**9)), **request["deployedModel"]}
    if not re.fullmatch(r"[0-9]{1,10}", wanted["id"]):
        raise Refusal("INVALID_ARGUMENT", "DeployedModel ID: 1 to 10 digits.")
    model, key = model_named(context, wanted["model"]), container_key(record, wanted["id"])
    existing = endpoint_state(context, record)["deployedModels"]
    if _under_way(context, key) or any(each["id"] == wanted["id"] for each in existing):
        raise Refusal("ALREADY_EXISTS", f"DeployedModel {wanted['id']} already exists.")
    if not wanted.get("dedicatedResources", {}).get("machineSpec", {}).get("machineType"):
        raise Refusal("INVALID_ARGUMENT", "'dedicated_resources.machine_spec' is required.")
    if email := wanted.get("serviceAccount"):
        iam.require_act_as(context, call.caller, email)
        iam.require_account(context, email)
        # https://docs.cloud.google.com/gemini-enterprise-agent-platform/machine-learning/general/custom-service-account
        number = context.account.gcp_number(record.outputs["project"])
        agent = f"service-{number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
        iam.require_administrator(context, email, agent)
    _check_quota(context, record, wanted)

    def work() -> Json:
        try:
            context.containers.run(key, _container(context, record, wanted, model))
        except ContainerFailed as failed:
            # The reason is in the server's log, which the answer names and does not contain.
            # https://cloud.google.com/vertex-ai/docs/general/troubleshooting#model_server_never_became_ready
            context.ledger.note("refused", record, f"{wanted['model']} does not start: {failed}")
            raise Refusal(
                "FAILED_PRECONDITION",
                "Model server exited unexpectedly. Model server logs can be found at"
                f" {context.base_url} (the ledger).",
            ) from failed
        context.behaviour.spend("aiplatform:endpoints.deployModel")
        fresh = {**wanted, "createTime": timestamp(), "modelVersionId": "1"}
        with _changing:
            state = endpoint_state(context, record)
            state["deployedModels"].append(fresh)
            if split := request.get("trafficSplit"):
                given = {wanted["id"] if key == "0" else key: share for key, share in split.items()}
                state["trafficSplit"] = given
            context.kv.put(ENDPOINTS, record.id, state)
        image = model["containerSpec"]["imageUri"]
        if context.images.is_from_elsewhere(image):
            context.ledger.note("recorded", record, only_recorded(image))
        else:
            context.ledger.note(
                "executed", record, f"{wanted['model']} was deployed and is healthy"
            )
        return {"deployedModel": fresh}

    return _start_creation(context, record.id, key, work)


def _check_quota(context: Context, endpoint: Record, wanted: Json) -> None:
    """Refuse more CPUs than the quota has: a deployment is charged for the most replicas that it may have.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/DedicatedResources
    """
    everywhere = [
        deployed
        for each in context.all(ENDPOINT)
        if each.id.rpartition("/")[0] == endpoint.id.rpartition("/")[0]
        for deployed in endpoint_state(context, each)["deployedModels"]
    ]
    if sum(map(_charged_cpus, (*everywhere, wanted))) > context.behaviour.quotas.vertex_cpus:
        raise Refusal(
            "RESOURCE_EXHAUSTED",
            "The following quota metrics exceed quota limits:"
            " aiplatform.googleapis.com/custom_model_serving_cpus",
        )


def _charged_cpus(deployed: Json) -> int:
    resources = deployed["dedicatedResources"]
    machine = resources["machineSpec"]["machineType"]
    most = resources.get("maxReplicaCount") or resources.get("minReplicaCount") or 1
    cpus = machine.rpartition("-")[2]
    return int(most) * (int(cpus) if cpus.isdecimal() else 1)


def mutate_deployed_model(call: Call) -> Json:
    """``endpoints.mutateDeployedModel``: the number of replicas, which is only recorded."""
    context, record, change = call.context, called_endpoint(call), call.body["deployedModel"]
    with _changing:
        state = endpoint_state(context, record)
        deployed = deployed_model(state, change["id"])
        deployed["dedicatedResources"] |= change["dedicatedResources"]
        context.kv.put(ENDPOINTS, record.id, state)
    return operations.start(context, record.id, lambda: {"deployedModel": deployed})


def undeploy_model(call: Call) -> Json:
    """``endpoints.undeployModel``; refused while traffic goes there and others could take it."""
    context, request, name = call.context, call.body, call.name("endpoints")
    record, deployed_id = called_endpoint(call), request["deployedModelId"]
    with _changing:
        state = endpoint_state(context, record)
        deployed = deployed_model(state, deployed_id)
        split = request.get("trafficSplit") or state["trafficSplit"]
        if split.get(deployed_id) and len(state["deployedModels"]) > 1:
            raise Refusal(
                "FAILED_PRECONDITION",
                f"DeployedModel {deployed_id} has {split[deployed_id]} % of the traffic of {name}."
                " Please move its traffic first.",
            )
        state["deployedModels"].remove(deployed)
        state["trafficSplit"] = {} if not state["deployedModels"] else split
        context.kv.put(ENDPOINTS, record.id, state)

    def work() -> Json:
        time.sleep(DRAIN_SECONDS)
        context.containers.stop(container_key(record, deployed_id))
        return {}

    return operations.start(context, record.id, work)


def _start_creation(context: Context, owner: str, key: str, work: Callable[[], Json]) -> Json:
    """An operation that creates what ``key`` names. It can be seen when the operation is done, not before."""
    operation = operations.start(context, owner, work)
    context.kv.put(CREATIONS, key, operation["name"])
    return operation


def _under_way(context: Context, key: str) -> bool:
    """Whether an operation that has not ended creates what ``key`` names."""
    return operations.running(context.kv.get(CREATIONS, key))


def unknown_method(call: Call) -> Json:
    """Any other method of an endpoint."""
    raise Refusal("NOT_FOUND", f"Method not found: {call.path['verb']}.")


def _container(context: Context, record: Record, deployed: Json, model: Json) -> Container:
    # https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements#aip-variables
    spec = model["containerSpec"]
    email = deployed.get("serviceAccount") or _account_of(context, record, deployed, model)
    health = spec.get("healthRoute", "/health")
    return Container(
        image=spec["imageUri"],
        args=tuple(spec.get("args", ())),
        port_env="AIP_HTTP_PORT",
        health=health,
        env={
            "AIP_MODE": "PREDICTION",
            "AIP_HEALTH_ROUTE": health,
            "AIP_PREDICT_ROUTE": spec.get("predictRoute", "/predict"),
            # Vertex AI gives the URI of a copy in its own bucket; here it is the lake's own.
            "AIP_STORAGE_URI": model.get("artifactUri", ""),
            "AIP_PROJECT_NUMBER": context.account.gcp_number(record.outputs["project"]),
            "AIP_ENDPOINT_ID": record.inputs["name"],
            "AIP_DEPLOYED_MODEL_ID": deployed["id"],
            "AIP_MACHINE_TYPE": deployed["dedicatedResources"]["machineSpec"]["machineType"],
            **{each["name"]: each["value"] for each in spec.get("env", ())},
            **credentials.workload_environment(context, email),
        },
    )


def _account_of(context: Context, record: Record, deployed: Json, model: Json) -> str:
    """The account that Vertex AI has for a deployment: it may read the model's files, and nothing else."""
    bucket, _, folder = model.get("artifactUri", "").removeprefix("gs://").partition("/")
    name = f"custom-online-prediction-{record.inputs['name']}-{deployed['id']}"
    email = f"{name}@{record.outputs['project']}.iam.gserviceaccount.com"
    files = f"projects/_/buckets/{bucket}/objects/{folder.rstrip('/')}/"
    if context.kv.get(permissions.MODEL_FOLDERS, email) != files:
        context.kv.put(permissions.MODEL_FOLDERS, email, files)
        context.kv.put(permissions.MODEL_FOLDERS_SINCE, email, time.time())
    return email


def called_endpoint(call: Call) -> Record:
    """The endpoint in the address, or Google's refusal. Its project is an id or a number there."""
    context, project = call.context, call.project
    location, number = call.path["location"], str(call.path["endpoint"])
    service_usage.require_api(context, project, API)
    for record in context.all(ENDPOINT):
        name, place = record.inputs["name"], record.outputs
        names = (place["project"], context.account.gcp_number(place["project"]))
        if (name, place["location"]) == (number, location) and project in names:
            return record
    raise Refusal("NOT_FOUND", f"Endpoint `{call.name('endpoints')}` not found.")


def endpoint_state(context: Context, record: Record) -> Json:
    """What is deployed to an endpoint, and how its traffic is split."""
    nothing: Json = {"deployedModels": [], "trafficSplit": {}}
    state: Json = context.kv.get(ENDPOINTS, record.id, nothing)
    return state


def deployed_model(state: Json, deployed_id: str) -> Json:
    """The deployment with this id, or Google's refusal."""
    for deployed in state["deployedModels"]:
        if deployed["id"] == deployed_id:
            found: Json = deployed
            return found
    raise Refusal("NOT_FOUND", f"DeployedModel {deployed_id} is not found.")


def _described(context: Context, record: Record) -> Json:
    """An endpoint as the API reports it."""
    labels = record.inputs.get("labels") or {}
    return {
        "name": record.id,
        "displayName": record.inputs["displayName"],
        "labels": labels,
        "createTime": record.outputs.get("createTime"),
        "updateTime": record.outputs.get("updateTime"),
        **endpoint_state(context, record),
    }


def container_key(record: Record, deployed_id: str) -> str:
    """The key of a deployment's container."""
    return f"{record.id}/{deployed_id}"
