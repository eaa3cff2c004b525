"""Service Usage: the APIs that are enabled in a project."""

from __future__ import annotations

from urllib.parse import quote

from rehearsal.core.records import Json, Record, Refusal
from rehearsal.gcp.calls import Call
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

SERVICE = "gcp:projects/service:Service"
SERVICE_USAGE, RESOURCE_MANAGER = (
    "serviceusage.googleapis.com",
    "cloudresourcemanager.googleapis.com",
)
BEFOREHAND = frozenset((SERVICE_USAGE, RESOURCE_MANAGER, "cloudbilling.googleapis.com"))
"""What is enabled in a project in which somebody has worked."""
ENABLED = "gcp/apis"
"""The namespace of the APIs that were enabled by Service Usage itself."""


class Service(ResourceType):
    """An API that is enabled."""

    token = SERVICE
    source = "https://cloud.google.com/service-usage/docs/enable-disable"
    name = Name(
        property="service",
        pattern=r"[a-z0-9.-]+\.googleapis\.com",
        max=100,
        rule="the name of an API ends in .googleapis.com",
        unique=None,
    )

    def create(self, context: Context, record: Record) -> None:
        # The provider reads the project to see whether the API is enabled.
        # https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/resourcemanager/resource_google_project_service.go
        for api in (SERVICE_USAGE, RESOURCE_MANAGER):
            require_api(context, record.outputs["project"], api)
        record.id = f"{record.outputs['project']}/{record.inputs['service']}"

    def stays(self, record: Record) -> bool:
        """It stays enabled, for the other stacks of the project too."""
        return record.inputs.get("disableOnDestroy") is False


def is_enabled(context: Context, project: str, api: str) -> bool:
    """Whether the API is enabled in the project: from the start, by its own API, or by the program."""
    from_the_start = context.behaviour.quotas.google_apis
    if api in (BEFOREHAND if from_the_start is None else from_the_start):
        return True
    if context.kv.get(ENABLED, f"{project}/{api}"):
        return True
    return any(
        record.inputs["service"] == api and record.outputs.get("project") in (None, project)
        for record in context.all(SERVICE)
    )


def require_api(context: Context, project: str, api: str) -> None:
    """Raise Google's refusal unless the API is enabled in the project."""
    if is_enabled(context, project, api):
        return
    url = f"https://console.developers.google.com/apis/api/{api}/overview?project={project}"
    raise Refusal(
        "PERMISSION_DENIED",
        f"{api} has not been used in project {project} before or it is disabled. Enable it by"
        f" visiting {url} then retry. If you enabled this API recently, wait a few minutes for the"
        " action to propagate to our systems and retry.",
    )


def batch_get(call: Call) -> Json:
    """https://cloud.google.com/service-usage/docs/reference/rest/v1/services/batchGet"""
    require_api(call.context, call.project, SERVICE_USAGE)
    services = []
    for name in call.query.getlist("names"):
        api = name.rpartition("/")[2]
        state = "ENABLED" if is_enabled(call.context, call.project, api) else "DISABLED"
        services.append({"name": name, "parent": f"projects/{call.project}", "state": state})
    return {"services": services}


def enable(call: Call) -> Json:
    """What `gcloud services enable` calls. https://cloud.google.com/service-usage/docs/reference/rest/v1/services/enable"""
    require_api(call.context, call.project, SERVICE_USAGE)
    api = call.path["service"]
    call.context.kv.put(ENABLED, f"{call.project}/{api}", True)
    service = {"name": f"projects/{call.project}/services/{api}", "state": "ENABLED"}
    return {"name": f"operations/acat.{api}", "done": True, "response": {"service": service}}


def get_quota(call: Call) -> Json:
    """One metric, with the limit of all regions that have none of their own.

    Believed: an API that is not enabled in the project has no quotas there.
    https://cloud.google.com/service-usage/docs/reference/rest/v1beta1/services.consumerQuotaMetrics/get
    """
    api, metric = call.path["service"], call.path["metric"]
    require_api(call.context, call.project, api)
    quotas = call.context.behaviour.quotas
    limits = {
        "run.googleapis.com/cpu_allocation": quotas.cloud_run_cpus,
        "cloudbuild.googleapis.com/concurrent_public_pool_build_cpus": quotas.cloud_build_cpus,
    }
    if metric.startswith("aiplatform.googleapis.com/custom_model_serving_"):
        limits[metric] = quotas.vertex_cpus
    if metric not in limits:
        raise Refusal("NOT_FOUND", f"Quota metric {metric} is not found.")
    number = str(limits[metric])
    name = f"projects/{call.project}/services/{api}/consumerQuotaMetrics/{quote(metric, safe='')}"
    bucket = {"effectiveLimit": number, "defaultLimit": number}
    return {
        "name": name,
        "metric": metric,
        "consumerQuotaLimits": [{"unit": "1/{project}/{region}", "quotaBuckets": [bucket]}],
    }
