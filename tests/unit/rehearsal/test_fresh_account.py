"""The profile `fresh-account`: what a new account is refused, in the words of its cloud, and what its APIs answer."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from operations.account_check import aws as check
from rehearsal.aws import account_settings, codebuild, permissions, sagemaker
from rehearsal.azure import app_service, limits, machine_learning, storage
from rehearsal.core.behaviour import BEHAVIOURS
from rehearsal.core.records import Record, Refusal
from rehearsal.gcp import cloud_run, service_usage, vertex_ai
from rehearsal.provider.context import Context
from tests.unit.rehearsal.aws_account import Account, allow, trust
from tests.unit.rehearsal.azure_subscription import Subscription
from tests.unit.rehearsal.gcp_project import Project

PROJECT = "triplane-dev"


@pytest.fixture
def fresh(live_context: Context) -> Context:
    """The context of a rehearsal with the profile."""
    return replace(live_context, behaviour=BEHAVIOURS["fresh-account"])


# AWS


def test_a_new_account_has_no_execution_that_can_be_reserved(fresh: Context) -> None:
    account = Account(fresh)
    role = account.role("gateway", "lambda")
    account.function("free", role, "")
    with pytest.raises(Refusal, match=r"below its minimum value of \[10\]"):
        account.function("reserving", role, "", reservedConcurrentExecutions=1)


def test_lambda_reports_the_executions_that_are_not_reserved(live_context: Context) -> None:
    account = Account(live_context)
    role = account.role("gateway", "lambda")
    account.function("gateway", role, "", reservedConcurrentExecutions=20)
    auth = account.signed("lambda")
    answer = account.http.get("/aws/2016-08-19/account-settings", auth=auth).json()
    assert answer["AccountLimit"]["ConcurrentExecutions"] == 1000
    assert answer["AccountLimit"]["UnreservedConcurrentExecutions"] == 980


def configuration(account: Account, name: str, **variant: Any) -> str:
    """A configuration of a model that nobody made: a quota is looked at before it."""
    variants = [{"variantName": "live", "modelName": "model", **variant}]
    account.context.save(
        Record(
            *("aws", sagemaker.CONFIGURATION, name, f"u::{name}"),
            inputs={"name": name, "productionVariants": variants},
            outputs={"name": name},
        )
    )
    return name


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (
            {"serverlessConfig": {"memorySizeInMb": 2048, "maxConcurrency": 11}},
            rf"'{account_settings.SERVERLESS}' is 10, with current utilization of 0 and a request delta of 11\.",
        ),
        (
            {"instanceType": "ml.m5.large", "initialInstanceCount": 1},
            r"'ml\.m5\.large for endpoint usage' is 0 Instances",
        ),
    ],
)
def test_a_new_account_serves_little_and_on_no_instance(
    fresh: Context, variant: dict[str, Any], message: str
) -> None:
    account = Account(fresh)
    with pytest.raises(Refusal, match=f"ResourceLimitExceeded: .*{message}"):
        account.create(
            sagemaker.ENDPOINT,
            "endpoint",
            endpointConfigName=configuration(account, "big", **variant),
        )


def test_a_second_build_at_a_time_is_refused(
    fresh: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(fresh)
    role = account.role("build", "codebuild")
    project = account.create(codebuild.PROJECT, "image", serviceRole=role.outputs["arn"])
    monkeypatch.setattr(codebuild, "_running", {"another:1"})
    status, answer = account.call(
        "CodeBuild_20161006.StartBuild", {"projectName": project.inputs["name"]}
    )
    assert status == 400
    assert answer["message"] == "Cannot have more than 1 builds in queue for the account"


def test_a_simulation_decides_as_the_policies_of_a_role(live_context: Context) -> None:
    account = Account(live_context)
    role = account.role("narrow", "lambda", allow("ecr:*", "arn:aws:ecr:*:*:repository/triplane-*"))

    def decisions(arn: str, resource: str) -> list[str]:
        form = {
            "Action": "SimulatePrincipalPolicy",
            "PolicySourceArn": arn,
            "ActionNames.member.1": "ecr:CreateRepository",
            "ActionNames.member.2": "iam:CreateRole",
            "ResourceArns.member.1": resource,
        }
        auth = account.signed("iam")
        text = account.http.post("/aws/", data=form, auth=auth).text
        return [each.partition("<")[0] for each in text.split("<EvalDecision>")[1:]]

    own = "arn:aws:ecr:eu-west-1:123456789012:repository/triplane-x"
    assert decisions(role.outputs["arn"], own) == ["allowed", "implicitDeny"]
    assert decisions(role.outputs["arn"], "*") == ["implicitDeny", "implicitDeny"]
    assert decisions("arn:aws:iam::123456789012:user/rehearsal", "*") == ["allowed", "allowed"]


def test_the_check_finds_the_role_of_a_session_whose_role_has_a_path(
    live_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(live_context)
    name, path = "AWSReservedSSO_Deployer_0123456789abcdef", "/aws-reserved/sso.amazonaws.com/"
    role = account.create(permissions.ROLE, name, path=path, assumeRolePolicy=trust("codebuild"))
    own = allow("iam:GetRole", role.outputs["arn"])
    policy = json.dumps({"Version": "2012-10-17", "Statement": [own]})
    account.create(permissions.ROLE_POLICY, "own", role=role.id, policy=policy)
    auth = account.signed("iam", role)

    def get_role(RoleName: str) -> Any:  # noqa: N803
        form = {"Action": "GetRole", "RoleName": RoleName}
        text = account.http.post("/aws/", data=form, auth=auth).text
        return {"Role": {"Arn": text.partition("<Arn>")[2].partition("</Arn>")[0]}}

    session = f"arn:aws:sts::123456789012:assumed-role/{role.id}/ada@example.com"
    found = check._principal(SimpleNamespace(get_role=get_role), session)  # type: ignore[arg-type]
    assert found == role.outputs["arn"]
    assert path in found


# Google Cloud


def test_a_new_project_needs_resource_manager_before_any_api_is_enabled(fresh: Context) -> None:
    project = Project(fresh, apis=())
    with pytest.raises(Refusal, match=r"cloudresourcemanager\.googleapis\.com has not been used"):
        project.create(service_usage.SERVICE, "run", service="run.googleapis.com")
    with project.http:
        enabled = project.call(
            "POST",
            f"serviceusage/v1/projects/{PROJECT}/services/cloudresourcemanager.googleapis.com:enable",
        )
        assert enabled[1]["response"]["service"]["state"] == "ENABLED"
        names = [
            f"projects/{PROJECT}/services/{each}.googleapis.com" for each in ("run", "storage")
        ]
        query = "&".join(f"names={name}" for name in names)
        _, found = project.call(
            "GET", f"serviceusage/v1/projects/{PROJECT}/services:batchGet?{query}"
        )
    assert [each["state"] for each in found["services"]] == ["DISABLED", "ENABLED"]
    project.create(service_usage.SERVICE, "run", service="run.googleapis.com")


def test_quotas_of_an_api_are_reported_once_it_is_enabled(fresh: Context) -> None:
    project = Project(fresh, apis=())
    metric = quote("run.googleapis.com/cpu_allocation", safe="")
    path = f"serviceusage/v1beta1/projects/{PROJECT}/services/run.googleapis.com/consumerQuotaMetrics/{metric}"
    with project.http:
        assert project.call("GET", path)[0] == 403
        for api in ("cloudresourcemanager", "run"):
            project.call(
                "POST", f"serviceusage/v1/projects/{PROJECT}/services/{api}.googleapis.com:enable"
            )
        _, found = project.call("GET", path)
    (limit,) = found["consumerQuotaLimits"]
    assert limit["quotaBuckets"] == [{"effectiveLimit": "20000", "defaultLimit": "20000"}]


def test_a_deployment_is_charged_for_the_most_replicas_that_it_may_have() -> None:
    resources = {"machineSpec": {"machineType": "n1-standard-2"}, "maxReplicaCount": 3}
    assert vertex_ai._charged_cpus({"dedicatedResources": resources}) == 6


def test_cloud_run_has_no_more_instances_than_cpus(fresh: Context) -> None:
    def template(cpu: str, most: int) -> dict[str, Any]:
        container = {"resources": {"limits": {"cpu": cpu}}}
        return {"containers": [container], "scaling": {"maxInstanceCount": most}}

    cloud_run._check_quota(fresh, template("1", 20))
    cloud_run._check_quota(fresh, template("500m", 40))
    with pytest.raises(Refusal, match="Max instances must be set to 10 or fewer"):
        cloud_run._check_quota(fresh, template("2", 11))


def test_all_deployments_of_a_region_share_its_cpus(fresh: Context) -> None:
    def deployed(id: str, most: int) -> dict[str, Any]:
        resources = {"machineSpec": {"machineType": "n1-standard-2"}, "maxReplicaCount": most}
        return {"id": id, "dedicatedResources": resources}

    endpoint = Record(
        *("gcp", vertex_ai.ENDPOINT, "projects/p/locations/l/endpoints/1", "u::endpoint"),
        inputs={},
        outputs={"project": PROJECT},
    )
    fresh.save(endpoint)
    vertex_ai._check_quota(fresh, endpoint, deployed("1", 2))
    state = {"deployedModels": [deployed("1", 1)], "trafficSplit": {}}
    fresh.kv.put(vertex_ai.ENDPOINTS, endpoint.id, state)
    vertex_ai._check_quota(fresh, endpoint, deployed("2", 1))
    with pytest.raises(Refusal, match=r"RESOURCE_EXHAUSTED: .*custom_model_serving_cpus"):
        vertex_ai._check_quota(fresh, endpoint, deployed("2", 2))


# Azure


def test_a_type_of_a_provider_that_is_not_registered_is_refused(fresh: Context) -> None:
    azure = Subscription(fresh)
    with pytest.raises(Refusal, match=r"MissingSubscriptionRegistration: .*Microsoft\.Storage"):
        azure.create(storage.ACCOUNT, accountName="lake1", location="westeurope")
    fresh.kv.put(limits.REGISTERED, "microsoft.storage", True)
    azure.create(storage.ACCOUNT, accountName="lake1", location="westeurope")


def test_a_new_subscription_has_no_machine_of_the_tier_basic(fresh: Context) -> None:
    azure = Subscription(fresh)
    fresh.kv.put(limits.REGISTERED, "microsoft.web", True)
    with pytest.raises(Refusal, match=r"Unauthorized: .*Current Limit \(Basic VMs\): 0"):
        azure.create(app_service.PLAN, name="plan", sku={"name": "B1", "tier": "Basic"})
    plan = azure.create(app_service.PLAN, name="plan", sku={"name": "S1", "tier": "Standard"})
    with pytest.raises(Refusal, match=r"Basic VMs"):
        azure.update(plan, sku={"name": "B1", "tier": "Basic"})


def test_a_fifth_more_instances_than_run_count_against_the_cores(fresh: Context) -> None:
    def wanted(machine: str, instances: int) -> dict[str, Any]:
        return {"properties": {"instanceType": machine}, "sku": {"capacity": instances}}

    limits.require_cores(fresh, wanted("Standard_DS2_v2", 4))  # 5 × 2
    with pytest.raises(Refusal, match="OutOfQuota"):
        limits.require_cores(fresh, wanted("Standard_DS3_v2", 2))  # 3 × 4
    assert machine_learning.DEPLOYMENT == limits.DEPLOYMENT


@pytest.mark.parametrize("profile", ["instant", "realistic"])
def test_other_profiles_have_enough_of_everything(live_context: Context, profile: Any) -> None:
    quotas = BEHAVIOURS[profile].quotas
    assert quotas.resource_providers is None
    assert quotas.google_apis is None
    usual = replace(live_context, behaviour=BEHAVIOURS[profile])
    limits.require_machines(usual, {"sku": {"name": "B1", "tier": "Basic", "capacity": 30}})
