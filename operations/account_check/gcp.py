"""Google Cloud: the project, its APIs, permissions, and the quotas of Vertex AI, Cloud Run and Cloud Build."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from components.gcp import rest
from components.gcp.resource_types import Place, place_of
from config.endpoints import EndpointConfig
from operations.account_check.checks import Check, Finding, missing, not_known, too_little
from operations.account_check.plan import Plan

API = "gcp:projects/service:Service"
RUN = "gcp:cloudrunv2/service:Service"
# The program enables the others itself. These two are needed for that: the provider enables an API with the first,
# and reads the project with the second.
# https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/resourcemanager/resource_google_project_service.go
BEFOREHAND = ("serviceusage.googleapis.com", "cloudresourcemanager.googleapis.com")
# What the check asks besides. Until a project has one of them enabled, a person's question to it is not answered.
ASKED = tuple(
    f"{each}.googleapis.com" for each in ("aiplatform", "cloudbilling", "cloudbuild", "run")
)
PERMISSIONS_A_CALL = 100
"""https://cloud.google.com/resource-manager/reference/rest/v3/projects/testIamPermissions"""
APIS_A_CALL = 30
"""https://cloud.google.com/service-usage/docs/reference/rest/v1/services/batchGet"""
# By the beginning of the machine's name. https://docs.cloud.google.com/vertex-ai/quotas has N1 and E2 in one;
# the metrics' names are believed to follow those of training (`custom_model_training_c2_cpus`).
SERVING_CPUS = {
    "n1": "custom_model_serving_cpus",
    "e2": "custom_model_serving_cpus",
    "n2": "custom_model_serving_n2_cpus",
    "c2": "custom_model_serving_c2_cpus",
}
UNLIMITED = -1
# The sentence begins with the API's title, and the address after it has the name.
DISABLED = re.compile(r"has not been used in project .*?/apis/api/([a-z0-9.-]+)/")
LOCATIONS_PAGE = "https://docs.cloud.google.com/vertex-ai/docs/general/locations"
QUOTAS_PAGE = "https://console.cloud.google.com/iam-admin/quotas?project={project}"


def signed_in_as(plan: Plan) -> str:
    """Who asks, for which project."""
    return f"Google Cloud project {plan.config.project} as {rest.caller()}, region {plan.config.region}"


def checks(plan: Plan) -> list[Check]:
    """All questions to a project."""
    project, region = plan.config.project, plan.config.region
    quotas = QUOTAS_PAGE.format(project=project)

    def check(what: str, look: str, findings: Callable[[Plan], Iterable[Finding]]) -> Check:
        return Check(what=what, look=look, findings=lambda: _answered(plan, what, findings))

    return [
        check(f"project {project}", f"gcloud projects describe {project}", _project),
        check("billing", f"gcloud billing projects describe {project}", _billing),
        check("APIs", f"gcloud services list --enabled --project {project}", _apis),
        check("permissions", "docs/reference/gcp.md lists the roles", _permissions),
        check(f"Vertex AI in {region}", LOCATIONS_PAGE, _location),
        check("Vertex AI: CPUs", quotas, _serving_cpus),
        check("Cloud Run: CPUs", quotas, _run_cpus),
        check("Cloud Build: CPUs", quotas, _build_cpus),
    ]


def _answered(
    plan: Plan, what: str, findings: Callable[[Plan], Iterable[Finding]]
) -> Iterator[Finding]:
    """The findings; not known while the API that would answer is not enabled in the project.

    https://cloud.google.com/apis/docs/troubleshooting#service_disabled
    """
    try:
        yield from findings(plan)
    except rest.GoogleError as error:
        disabled = DISABLED.search(str(error))
        if error.status != 403 or not disabled:
            raise
        yield not_known(
            what,
            f"{disabled[1]}, which knows it, is not enabled in {plan.config.project}",
            f"Enable it, and check again: {_enable_command(plan, [disabled[1]])}",
        )


def _names(plan: Plan) -> list[str]:
    """The APIs that the program enables."""
    return sorted(each["service"] for each in plan.registered[API])


def _enable_command(plan: Plan, apis: list[str]) -> str:
    return f"gcloud services enable {' '.join(apis)} --project {plan.config.project}"


def _project(plan: Plan) -> Iterator[Finding]:
    project = plan.config.project
    try:
        state = rest.call("GET", f"{rest.resource_manager_url()}projects/{project}")["state"]
    except rest.GoogleError as error:
        if error.status not in (403, 404) or DISABLED.search(str(error)):
            raise
        yield missing(
            f"project {project}",
            f"{rest.caller()} does not see it: {error}",
            "Correct gcp:project, or sign in with an account that has a role in it: gcloud auth application-default"
            " login",
        )
        return
    if state != "ACTIVE":
        yield missing(
            f"project {project}",
            f"it is {state}",
            f"gcloud projects undelete {project}, or another gcp:project",
        )


def _billing(plan: Plan) -> Iterator[Finding]:
    """https://cloud.google.com/billing/docs/reference/rest/v1/projects/getBillingInfo"""
    project = plan.config.project
    info = rest.call("GET", f"{rest.billing_url()}projects/{project}/billingInfo")
    if not info.get("billingEnabled"):
        yield missing(
            "billing",
            f"project {project} has no billing account, without which most of the APIs cannot be enabled",
            f"gcloud billing projects link {project} --billing-account=…",
        )


def _apis(plan: Plan) -> Iterator[Finding]:
    """The APIs that the program cannot enable itself; of an existing stack all that it uses."""
    project = plan.config.project
    wanted = sorted({*BEFOREHAND, *(_names(plan) if plan.existing else ())})
    try:
        disabled = [each for each in wanted if each not in _enabled(plan, wanted)]
    except rest.GoogleError as error:
        if not DISABLED.search(str(error)):
            raise
        disabled = list(BEFOREHAND)
    if disabled:
        yield missing(
            "APIs",
            f"not enabled in {project}: {', '.join(disabled)}; "
            + (
                "they were switched off since"
                if plan.existing
                else "the program enables the others with them"
            ),
            _enable_command(plan, disabled),
        )


def _enabled(plan: Plan, apis: list[str]) -> set[str]:
    parent = f"projects/{plan.config.project}"
    found = set()
    for start in range(0, len(apis), APIS_A_CALL):
        names = "&".join(
            f"names={parent}/services/{each}" for each in apis[start : start + APIS_A_CALL]
        )
        answer = rest.call("GET", f"{rest.service_usage_url()}{parent}/services:batchGet?{names}")
        found |= {
            each["name"].rpartition("/")[2]
            for each in answer["services"]
            if each["state"] == "ENABLED"
        }
    return found


def _permissions(plan: Plan) -> Iterator[Finding]:
    """https://cloud.google.com/resource-manager/reference/rest/v3/projects/testIamPermissions"""
    # In an existing stack the delivery has the others on the stack's own resources, which this question leaves out.
    wanted = [
        each for each in plan.permissions if not plan.existing or place_of(each) is Place.PROJECT
    ]
    held: set[str] = set()
    url = f"{rest.resource_manager_url()}projects/{plan.config.project}:testIamPermissions"
    for start in range(0, len(wanted), PERMISSIONS_A_CALL):
        body = {"permissions": wanted[start : start + PERMISSIONS_A_CALL]}
        held |= set(rest.call("POST", url, body).get("permissions", ()))
    if lacking := [each for each in wanted if each not in held]:
        yield missing(
            "permissions",
            f"{rest.caller()} may not, in the whole project: {', '.join(lacking)}",
            "Give it the roles that docs/reference/gcp.md lists; to the delivery's account its own, by a person's"
            " pulumi up",
        )


def _location(plan: Plan) -> Iterator[Finding]:
    """https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations/get"""
    region = plan.config.region
    path = f"projects/{plan.config.project}/locations/{region}"
    if rest.find(rest.vertex_url(region) + path) is None:
        yield missing(
            f"Vertex AI in {region}",
            "Vertex AI has no such location for this project",
            f"Choose another gcp:region: {LOCATIONS_PAGE}",
        )


def _serving_cpus(plan: Plan) -> list[Finding]:
    """The CPUs of the endpoints, by family of machines: each has a quota of its own."""
    families: dict[str, list[EndpointConfig]] = {}
    for endpoint in plan.config.endpoints:
        families.setdefault(endpoint.machine.partition("-")[0], []).append(endpoint)
    return [
        finding
        for family, endpoints in families.items()
        for finding in _too_little(
            plan,
            "Vertex AI: CPUs",
            "aiplatform.googleapis.com",
            SERVING_CPUS[family],
            sum(2 * each.max_instances * _cpus(each.machine) for each in endpoints),
            "; ".join(
                f"{each.machine} has {_cpus(each.machine)}, endpoint.max_instances is {each.max_instances}"
                + (f" ({each.name})" if len(endpoints) > 1 else "")
                for each in endpoints
            )
            + ", and while the model changes two deployments run",
            "Lower triplane:endpoint.max_instances or choose a smaller triplane:machine.gcp"
            + (", or let models share an endpoint" if len(endpoints) > 1 else ""),
        )
    ]


def _cpus(machine: str) -> int:
    """The CPUs of a machine, which its name ends with."""
    return int(machine.rpartition("-")[2])


def _run_cpus(plan: Plan) -> list[Finding]:
    """Cloud Run refuses more instances than the quota of the region has CPUs for, in thousandths of one.

    https://cloud.google.com/run/docs/configuring/max-instances-limits
    """
    (service,) = plan.registered[RUN]
    template = service["template"]
    instances = (template.get("scaling") or {}).get("maxInstanceCount") or 1
    cpus = sum(
        float(re.sub("m$", "e-3", str(each["resources"]["limits"]["cpu"])))
        for each in template["containers"]
    )
    return _too_little(
        plan,
        "Cloud Run: thousandths of CPUs",
        "run.googleapis.com",
        "cpu_allocation",
        1000 * cpus * instances,
        f"gateway.max_concurrency needs {instances} instances",
        "Lower triplane:gateway.max_concurrency, or set it to 0: what the quota allows",
    )


def _build_cpus(plan: Plan) -> list[Finding]:
    """Some regions allow new projects no build: https://cloud.google.com/build/docs/locations"""
    return _too_little(
        plan,
        "Cloud Build: CPUs",
        "cloudbuild.googleapis.com",
        "concurrent_public_pool_build_cpus",
        1,
        "the image is built in the region",
        "Choose another gcp:region",
    )


def _too_little(
    plan: Plan, what: str, api: str, metric: str, needed: float, because: str, way_out: str
) -> list[Finding]:
    page = QUOTAS_PAGE.format(project=plan.config.project)
    has = _quota(plan, api, metric)
    if has is None:
        return [not_known(what, f"{api} reports no limit of {metric} for the region", page)]
    if has == UNLIMITED:
        return []
    return too_little(
        what, needed, has, because, f"{way_out}; or ask for more of {api}/{metric}: {page}"
    )


def _quota(plan: Plan, api: str, metric: str) -> float | None:
    """The limit of the region, else the one of all regions that have none of their own.

    https://cloud.google.com/service-usage/docs/reference/rest/v1beta1/services.consumerQuotaMetrics
    """
    name = f"projects/{plan.config.project}/services/{api}/consumerQuotaMetrics"
    url = f"{rest.service_usage_url('v1beta1')}{name}/{quote(f'{api}/{metric}', safe='')}"
    buckets: list[dict[str, Any]] = [
        bucket
        for limit in (rest.find(url) or {}).get("consumerQuotaLimits", ())
        if "{region}" in limit["unit"]
        for bucket in limit.get("quotaBuckets", ())
    ]
    for dimensions in ({"region": plan.config.region}, None):
        for bucket in buckets:
            if (bucket.get("dimensions") or None) == dimensions:
                return float(bucket["effectiveLimit"])
    return None
