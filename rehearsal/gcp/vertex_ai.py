"""Vertex AI: models, endpoints, deployments, traffic and predictions.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
"""

from __future__ import annotations

import random
import re
import secrets
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rehearsal.core.records import Inputs, Json, Record, Refusal
from rehearsal.gcp import iam, operations, storage_api, workload
from rehearsal.gcp.labels import check_labels
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.runtime.containers import Container, ContainerFailed

if TYPE_CHECKING:
    from rehearsal.provider.context import Context

API = "aiplatform.googleapis.com"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
DRAIN_SECONDS = 0.5
"""For who has chosen the deployment and not yet asked it."""

# Models and deployments are changed by reading and writing the whole of one entry.
_changing = threading.RLock()


class Endpoint(ResourceType):
    token = ENDPOINT
    source = "https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/create"
    executes = "models are deployed to it as local processes of their image, and answer predictions"
    needs = API
    name = Name(
        property="name",
        pattern=r"[1-9][0-9]{0,8}",
        max=9,
        says="a Vertex AI endpoint's name is a number of at most 9 digits without leading zero",
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
        state = _state(context, record)
        record.outputs["deployedModels"] = [
            {"id": each["id"], "model": each["model"]} for each in state["deployedModels"]
        ]
        return True

    def delete(self, context: Context, record: Record) -> None:
        if _state(context, record)["deployedModels"]:
            raise Refusal(
                "badRequest",
                f'Error 400: The Endpoint "{record.id}" has deployed or being-deployed DeployedModels.'
                " Please undeploy them before deleting the Endpoint.",
            )
        context.kv.delete("gcp/endpoints", record.id)


# Models


def upload_model(context: Context, project: str, location: str, request: Json) -> Json:
    """``models:upload``"""
    iam.require_api(context, project, API)
    model, parent = request["model"], f"projects/{project}/locations/{location}"
    name = f"{parent}/models/{request.get('modelId') or secrets.randbelow(10**18)}"
    if not re.fullmatch(r"[a-z_0-9][a-z0-9_-]{0,62}", name.rsplit("/", 1)[1]):
        raise Refusal("INVALID_ARGUMENT", "Model ID: up to 63 of [a-z0-9_-], no hyphen first.")
    if context.kv.get("gcp/models", name):
        raise Refusal("ALREADY_EXISTS", f"Model {name} already exists.")
    image = model["containerSpec"]["imageUri"]
    workload.require_image(context, image)
    _require_artifact(context, model.get("artifactUri", ""))

    def work() -> Json:
        now = _now()
        fresh = {**model, "name": name, "versionId": "1", "createTime": now, "updateTime": now}
        context.kv.put("gcp/models", name, fresh)
        return {"model": name, "modelVersionId": "1"}

    return operations.start(context, parent, work)


def get_model(context: Context, name: str) -> Json:
    """``models.get``"""
    model: Json | None = context.kv.get("gcp/models", name.split("@")[0])
    if model is None:
        raise Refusal("NOT_FOUND", f"The Model does not exist: {name}.")
    return model


def list_models(context: Context, project: str, location: str) -> Json:
    """``models.list``, all on one page"""
    iam.require_api(context, project, API)
    within = f"projects/{project}/locations/{location}/models/"
    models = context.kv.items("gcp/models").items()
    return {"models": [model for name, model in models if name.startswith(within)]}


def patch_model(context: Context, name: str, mask: str, request: Json) -> Json:
    """``models.patch`` of what can be changed: display name, description and labels."""
    fields = set(mask.split(","))
    if unknown := fields - {"displayName", "description", "labels"}:
        raise Refusal("INVALID_ARGUMENT", f"Fields cannot be updated: {', '.join(unknown)}.")
    with _changing:
        model = get_model(context, name)
        model |= {field: request.get(field) for field in fields} | {"updateTime": _now()}
        context.kv.put("gcp/models", name, model)
    return model


def delete_model(context: Context, name: str) -> Json:
    """``models.delete``; refused while deployed."""
    get_model(context, name)
    users = [
        record.id
        for record in context.all(ENDPOINT)
        if any(each["model"] == name for each in _state(context, record)["deployedModels"])
    ]
    if users:
        raise Refusal(
            "FAILED_PRECONDITION",
            f"There are DeployedModels of {name} in {', '.join(users)}. Please undeploy them first.",
        )

    def work() -> Json:
        context.kv.delete("gcp/models", name)
        return {}

    return operations.start(context, name.rsplit("/models/", 1)[0], work)


def _require_artifact(context: Context, uri: str) -> None:
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    if uri and not storage_api.names(context, bucket, f"{prefix.rstrip('/')}/"):
        raise Refusal("INVALID_ARGUMENT", f'There are no files under "{uri}" to copy.')


# Endpoints


def get_endpoint(context: Context, name: str) -> Json:
    """``endpoints.get``"""
    return _shown(context, _endpoint(context, name))


def list_endpoints(context: Context, project: str, location: str) -> Json:
    """``endpoints.list``, all on one page"""
    iam.require_api(context, project, API)
    within = f"projects/{project}/locations/{location}/endpoints/"
    records = (record for record in context.all(ENDPOINT) if record.id.startswith(within))
    return {"endpoints": [_shown(context, record) for record in records]}


def patch_endpoint(context: Context, name: str, mask: str, request: Json) -> Json:
    """``endpoints.patch`` of the traffic; everything else belongs to the Pulumi resource."""
    if mask != "trafficSplit":
        raise Refusal("INVALID_ARGUMENT", f"The rehearsal updates trafficSplit only, not {mask}.")
    record = _endpoint(context, name)
    with _changing:
        state = _state(context, record)
        split = {key: int(share) for key, share in request.get("trafficSplit", {}).items() if share}
        unknown = split.keys() - {each["id"] for each in state["deployedModels"]}
        if unknown:
            raise Refusal(
                "INVALID_ARGUMENT",
                f"Traffic split names unknown DeployedModels: {sorted(unknown)}.",
            )
        if split and sum(split.values()) != 100:
            raise Refusal("INVALID_ARGUMENT", "The traffic percentage values must add up to 100.")
        context.kv.put("gcp/endpoints", record.id, {**state, "trafficSplit": split})
    return _shown(context, record)


def deploy_model(context: Context, name: str, request: Json) -> Json:
    """``endpoints.deployModel``"""
    record = _endpoint(context, name)
    wanted: Json = {"id": str(10**9 + secrets.randbelow(9 * 10**9)), **request["deployedModel"]}
    if not re.fullmatch(r"[0-9]{1,10}", wanted["id"]):
        raise Refusal("INVALID_ARGUMENT", "DeployedModel ID: 1 to 10 digits.")
    model = get_model(context, wanted["model"])
    if any(each["id"] == wanted["id"] for each in _state(context, record)["deployedModels"]):
        raise Refusal("ALREADY_EXISTS", f"DeployedModel {wanted['id']} already exists.")
    if not wanted.get("dedicatedResources", {}).get("machineSpec", {}).get("machineType"):
        raise Refusal("INVALID_ARGUMENT", "'dedicated_resources.machine_spec' is required.")
    if email := wanted.get("serviceAccount"):
        workload.require_account(context, email)

    def work() -> Json:
        try:
            context.containers.run(
                _key(record, wanted["id"]), _container(context, record, wanted, model)
            )
        except ContainerFailed as failed:
            raise Refusal(
                "FAILED_PRECONDITION", f"Model server exited unexpectedly. Its log: {failed}"
            ) from failed
        fresh = {**wanted, "createTime": _now(), "modelVersionId": "1"}
        with _changing:
            state = _state(context, record)
            state["deployedModels"].append(fresh)
            if split := request.get("trafficSplit"):
                given = {wanted["id"] if key == "0" else key: share for key, share in split.items()}
                state["trafficSplit"] = given
            context.kv.put("gcp/endpoints", record.id, state)
        context.ledger.note("executed", record, f"{wanted['model']} was deployed and is healthy")
        return {"deployedModel": fresh}

    return operations.start(context, record.id, work)


def mutate_deployed_model(context: Context, name: str, request: Json) -> Json:
    """``endpoints.mutateDeployedModel``: the number of replicas, which is only recorded."""
    record, change = _endpoint(context, name), request["deployedModel"]
    with _changing:
        state = _state(context, record)
        deployed = _one(state, change["id"])
        deployed["dedicatedResources"] |= change["dedicatedResources"]
        context.kv.put("gcp/endpoints", record.id, state)
    return operations.start(context, record.id, lambda: {"deployedModel": deployed})


def undeploy_model(context: Context, name: str, request: Json) -> Json:
    """``endpoints.undeployModel``; refused while traffic goes there and others could take it."""
    record, deployed_id = _endpoint(context, name), request["deployedModelId"]
    with _changing:
        state = _state(context, record)
        deployed = _one(state, deployed_id)
        split = request.get("trafficSplit") or state["trafficSplit"]
        if split.get(deployed_id) and len(state["deployedModels"]) > 1:
            raise Refusal(
                "FAILED_PRECONDITION",
                f"DeployedModel {deployed_id} has {split[deployed_id]} % of the traffic of {name}."
                " Please move its traffic first.",
            )
        state["deployedModels"].remove(deployed)
        state["trafficSplit"] = {} if not state["deployedModels"] else split
        context.kv.put("gcp/endpoints", record.id, state)

    def work() -> Json:
        time.sleep(DRAIN_SECONDS)
        context.containers.stop(_key(record, deployed_id))
        return {}

    return operations.start(context, record.id, work)


def answering(context: Context, email: str, name: str) -> tuple[str, str, Json]:
    """Who answers a prediction: the workload's key, its predict route, and the deployment."""
    record = _endpoint(context, name)
    what = f"//{API}/{record.id}"
    predict = "aiplatform.endpoints.predict"
    iam.require(context, email, predict, iam.endpoint(record), what)
    state = _state(context, record)
    split = state["trafficSplit"]
    if not split:
        raise Refusal(
            "FAILED_PRECONDITION",
            f"Endpoint {name} doesn't have traffic_split: nothing can answer.",
        )
    chosen = random.choices(list(split), weights=list(split.values()))[0]  # noqa: S311
    deployed = _one(state, chosen)
    route = get_model(context, deployed["model"])["containerSpec"].get("predictRoute", "/predict")
    return _key(record, chosen), route, deployed


def _container(context: Context, record: Record, deployed: Json, model: Json) -> Container:
    # https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements#aip-variables
    spec, email = model["containerSpec"], deployed.get("serviceAccount")
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
            # Vertex AI names a copy in a bucket of its own; here the lake itself is read.
            "AIP_STORAGE_URI": model.get("artifactUri", ""),
            "AIP_PROJECT_NUMBER": context.account.gcp_number(record.outputs["project"]),
            "AIP_ENDPOINT_ID": record.inputs["name"],
            "AIP_DEPLOYED_MODEL_ID": deployed["id"],
            "AIP_MACHINE_TYPE": deployed["dedicatedResources"]["machineSpec"]["machineType"],
            **{each["name"]: each["value"] for each in spec.get("env", ())},
            **(workload.identity(context, email) if email else {}),
        },
    )


def _endpoint(context: Context, name: str) -> Record:
    match = re.fullmatch(r"projects/([^/]+)/locations/([^/]+)/endpoints/(\d+)", name)
    if match:
        project, location, number = match.groups()
        iam.require_api(context, project, API)
        for record in context.all(ENDPOINT):
            here = record.outputs["location"], record.inputs["name"]
            known = (
                record.outputs["project"],
                context.account.gcp_number(record.outputs["project"]),
            )
            if here == (location, number) and project in known:
                return record
    raise Refusal("NOT_FOUND", f"Endpoint `{name}` not found.")


def _state(context: Context, record: Record) -> Json:
    nothing: Json = {"deployedModels": [], "trafficSplit": {}}
    state: Json = context.kv.get("gcp/endpoints", record.id, nothing)
    return state


def _one(state: Json, deployed_id: str) -> Json:
    for deployed in state["deployedModels"]:
        if deployed["id"] == deployed_id:
            found: Json = deployed
            return found
    raise Refusal("NOT_FOUND", f"DeployedModel {deployed_id} is not found.")


def _shown(context: Context, record: Record) -> Json:
    labels = record.inputs.get("labels") or {}
    return {
        "name": record.id,
        "displayName": record.inputs["displayName"],
        "labels": labels,
        "createTime": record.outputs.get("createTime"),
        "updateTime": record.outputs.get("updateTime"),
        **_state(context, record),
    }


def _key(record: Record, deployed_id: str) -> str:
    return f"{record.id}/{deployed_id}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
