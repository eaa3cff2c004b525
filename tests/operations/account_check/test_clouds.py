"""What each cloud is asked, and what its answers mean. The rehearsal answers in tests/e2e/test_fresh_account.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.aws.resource_types import RESOURCE_TYPES as AWS
from components.azure import arm
from components.gcp import rest
from components.gcp.resource_types import Place, delivery_permissions
from components.resource_type import DeployGroup
from components.resource_types import RESOURCE_TYPES
from config.clouds import Cloud
from config.schema import StackConfig
from operations.account_check import aws, azure, gcp
from operations.account_check.checks import Finding, findings_of
from operations.account_check.plan import Plan, plan_of
from operations.engine.installation import HOME

Plans = Callable[..., Plan]


@pytest.fixture
def plan(configured: Callable[..., StackConfig]) -> Plans:
    def make(cloud: Cloud, existing: Sequence[Mapping[str, Any]] = (), **changes: Any) -> Plan:
        return plan_of(configured(cloud, **changes), existing)

    return make


def only(findings: Sequence[Finding]) -> Finding:
    (finding,) = findings
    return finding


# What a stack needs


def test_the_first_deployment_needs_what_later_ones_only_read(plan: Plans) -> None:
    first = plan("aws")
    later = plan("aws", [{"type": aws.FUNCTION}])
    assert {"iam:CreateRole", "s3:CreateBucket"} <= set(first.permissions)
    assert not {"iam:CreateRole", "s3:CreateBucket"} & set(later.permissions)
    assert "lambda:CreateFunction" in later.permissions
    assert "iam:CreateOpenIDConnectProvider" not in first.permissions, "no delivery is planned"


def test_dynamic_resources_are_part_of_the_plan(plan: Plans) -> None:
    assert "codebuild:StartBuild" in plan("aws").permissions
    assert "aiplatform.endpoints.deploy" in plan("gcp").permissions


WRITTEN_BY_A_MERGE = ("aws:secretsmanager/secretVersion:SecretVersion",)
"""Of the group data, and yet written by a merge: a rotation of the key."""


def test_every_type_that_a_merge_only_reads_says_what_its_creation_needs() -> None:
    for token, type_ in RESOURCE_TYPES.items():
        if type_.deploy.group is not DeployGroup.COMPUTE and token not in WRITTEN_BY_A_MERGE:
            assert type_.creation, token


def test_the_actions_of_a_creation_exist_on_aws() -> None:
    import botocore.session

    session = botocore.session.get_session()
    # The actions of S3 have other names than its operations; PassRole is an action without an operation.
    services = {"ecr", "iam", "secretsmanager"}
    for type_ in AWS.values():
        for action in type_.creation:
            service, _, name = action.partition(":")
            if service in services and action != "iam:PassRole":
                operations = session.get_service_model(service).operation_names
                assert name in operations, action


# AWS


class FakeAws:
    """Answers of clients, by service and operation; a list is the pages of a paginator."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.requests: list[dict[str, Any]] = []

    def client(self, service: str, region: str) -> Any:
        def answer(name: str, **arguments: Any) -> Any:
            self.requests.append(arguments)
            found = self.answers[name]
            return found(**arguments) if callable(found) else found

        return SimpleNamespace(
            get_caller_identity=lambda: answer("get_caller_identity"),
            get_account_settings=lambda: answer("get_account_settings"),
            get_role=lambda **arguments: answer("get_role", **arguments),
            get_paginator=lambda name: SimpleNamespace(
                paginate=lambda **arguments: answer(name, **arguments)
            ),
        )


@pytest.fixture
def fake_aws(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeAws]:
    def make(**answers: Any) -> FakeAws:
        fake = FakeAws(**answers)
        monkeypatch.setattr(aws, "_client", fake.client)
        return fake

    return make


def account_limit(unreserved: int) -> dict[str, Any]:
    limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": unreserved}
    return {"AccountLimit": limit}


def test_lambda_keeps_a_hundred_executions_that_cannot_be_reserved(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    fake_aws(get_account_settings=account_limit(119))
    finding = only(aws._lambda_concurrency(plan("aws")))
    assert finding.rule.endswith("Lambda keeps 100 of those: 20 needed, 19 available")
    assert "max_concurrency: 0" in finding.way_out
    fake_aws(get_account_settings=account_limit(120))
    assert aws._lambda_concurrency(plan("aws")) == []


def test_the_stacks_own_reservation_is_not_counted_against_it(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    fake_aws(get_account_settings=account_limit(100))
    own = {"type": aws.FUNCTION, "inputs": {"reservedConcurrentExecutions": 20}}
    assert aws._lambda_concurrency(plan("aws", [own])) == []


def test_a_gateway_that_reserves_nothing_is_not_asked_about(plan: Plans) -> None:
    asked = {each.what for each in aws.checks(plan("aws", gateway={"max_concurrency": 0}))}
    assert "Lambda: executions to reserve" not in asked
    assert "Lambda: executions to reserve" in {each.what for each in aws.checks(plan("aws"))}


def quotas(**values: float) -> list[dict[str, Any]]:
    return [{"Quotas": [{"QuotaName": name, "Value": value}]} for name, value in values.items()]


def test_a_default_counts_where_the_account_has_no_quota_of_its_own(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    fake_aws(
        list_service_quotas=quotas(other=1),
        list_aws_default_service_quotas=quotas(**{aws.BUILDS: 0}),
    )
    finding = only(aws._build_quota(plan("aws")))
    assert finding.severity == "missing"
    assert finding.rule.endswith("1 needed, 0 available")


def test_a_machine_without_a_quota_in_the_region_is_not_known(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    fake_aws(list_service_quotas=[], list_aws_default_service_quotas=[])
    finding = only(aws._endpoint_quotas(plan("aws", machine={"aws": "ml.m5.large"})))
    assert finding.severity == "not known"
    assert "perhaps it is not offered there" in finding.rule


def test_instances_of_the_successor_run_beside_those_that_serve(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    fake_aws(list_service_quotas=quotas(**{"ml.m5.large for endpoint usage": 5}))
    wanted = plan(
        "aws",
        machine={"aws": "ml.m5.large"},
        endpoint={"min_instances": 2, "max_instances": 4},
    )
    assert only(aws._endpoint_quotas(wanted)).rule.endswith("6 needed, 5 available")


THREE = {
    "flight-delay": {"serverless_concurrency": 7, "machine": {"aws": "serverless"}},
    "digits": "champion",
    "arrival-delay": {"endpoint": "small", "machine": {"aws": "ml.m5.large"}, "max_instances": 3},
}


def test_the_endpoints_take_of_each_quota_together(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    available = quotas(**{aws.SERVERLESS: 11, "ml.m5.large for endpoint usage": 3})
    fake_aws(list_service_quotas=available)
    serverless, instances = sorted(
        aws._endpoint_quotas(plan("aws", models=THREE)), key=lambda each: each.what, reverse=True
    )
    assert serverless.rule.startswith("endpoint.serverless_concurrency of 2 endpoints")
    assert serverless.rule.endswith("12 needed, 11 available")
    assert "let models share one" in serverless.way_out
    assert instances.rule.endswith("4 needed, 3 available")


def simulated(allowed: Callable[[str, str], bool], keys: Sequence[str] = ()) -> Any:
    """SimulatePrincipalPolicy with policies that allow these actions on these resources."""

    def pages(ActionNames: list[str], ResourceArns: Sequence[str] = ("*",), **_: Any) -> Any:  # noqa: N803
        results = [
            {
                "EvalActionName": action,
                "EvalDecision": "allowed" if allowed(action, resource) else "implicitDeny",
                "MissingContextValues": list(keys),
            }
            for action in ActionNames
            for resource in ResourceArns
        ]
        return [{"EvaluationResults": results}]

    return pages


ROLE_SESSION = {"Arn": "arn:aws:sts::123456789012:assumed-role/deployer/ada"}
ROLE = "arn:aws:iam::123456789012:role/deployer"


def role(arn: str) -> Callable[..., Any]:
    """GetRole of the role with this ARN."""

    def answer(RoleName: str) -> Any:  # noqa: N803
        assert RoleName == arn.rpartition("/")[2]
        return {"Role": {"RoleName": RoleName, "Arn": arn}}

    return answer


def refused(**_: Any) -> Any:
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetRole")


SSO = "AWSReservedSSO_PowerUserAccess_0123456789abcdef"


@pytest.mark.parametrize("path", ["aws-reserved/sso.amazonaws.com/eu-west-1/", "deployers/", ""])
def test_the_role_of_a_session_is_simulated_with_its_path(
    path: str, plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    with_path = f"arn:aws:iam::123456789012:role/{path}{SSO}"
    session = f"arn:aws:sts::123456789012:assumed-role/{SSO}/ada@example.com"
    fake = fake_aws(
        get_caller_identity={"Arn": session},
        get_role=role(with_path),
        simulate_principal_policy=simulated(lambda *_: True),
    )
    assert list(aws._permissions(plan("aws"))) == []
    sources = {each["PolicySourceArn"] for each in fake.requests if "PolicySourceArn" in each}
    assert sources == {with_path}


def test_a_caller_that_may_not_read_its_role_is_taken_for_one_without_a_path(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    fake = fake_aws(
        get_caller_identity=ROLE_SESSION,
        get_role=refused,
        simulate_principal_policy=simulated(lambda *_: True),
    )
    assert list(aws._permissions(plan("aws"))) == []
    assert {each["PolicySourceArn"] for each in fake.requests if "PolicySourceArn" in each} == {
        ROLE
    }


def test_a_policy_for_the_platforms_own_names_is_enough(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    fake = fake_aws(
        get_caller_identity=ROLE_SESSION,
        get_role=role(ROLE),
        simulate_principal_policy=simulated(
            lambda action, resource: (
                "triplane-" in resource
                or action.split(":")[0] in ("application-autoscaling", "ecr", "logs")
            )
        ),
    )
    assert list(aws._permissions(plan("aws"))) == []
    sources = {each["PolicySourceArn"] for each in fake.requests if "PolicySourceArn" in each}
    assert sources == {ROLE}


def test_an_action_that_is_allowed_nowhere_is_missing(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    def allowed(action: str, _: str) -> bool:
        return action not in ("iam:PassRole", "s3:PutBucketPolicy")

    fake_aws(
        get_caller_identity=ROLE_SESSION,
        get_role=role(ROLE),
        simulate_principal_policy=simulated(allowed),
    )
    finding = only(list(aws._permissions(plan("aws"))))
    assert finding.severity == "missing"
    assert finding.rule.endswith("role/deployer may not: iam:PassRole, s3:PutBucketPolicy")


def test_an_action_under_a_condition_is_not_known(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    fake_aws(
        get_caller_identity=ROLE_SESSION,
        get_role=role(ROLE),
        simulate_principal_policy=simulated(
            lambda action, _: action != "iam:PassRole", ["iam:PassedToService"]
        ),
    )
    finding = only(list(aws._permissions(plan("aws"))))
    assert (finding.severity, "(iam:PassedToService)" in finding.rule) == ("not known", True)


def test_a_region_that_is_not_enabled_is_missing(
    plan: Plans, fake_aws: Callable[..., FakeAws]
) -> None:
    regions = [{"RegionName": "eu-west-1", "RegionOptStatus": "DISABLED"}]
    fake_aws(list_regions=[{"Regions": regions}])
    finding = only(list(aws._region(plan("aws"))))
    assert finding.way_out == "aws account enable-region --region-name eu-west-1"


# Google Cloud


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Answers by the end of the address."""
    answers: dict[str, Any] = {}

    def call(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        for end, answer in answers.items():
            if url.partition("?")[0].endswith(end):
                if isinstance(answer, Exception):
                    raise answer
                found: dict[str, Any] = answer(body) if callable(answer) else answer
                return found
        raise rest.GoogleError(404, f"{method} {url}: NOT_FOUND")

    monkeypatch.setattr(rest, "call", call)
    monkeypatch.setattr(rest, "caller", lambda: "ada@example.com")
    return answers


def test_the_page_enables_each_api_that_is_asked(
    plan: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An API answers a person only if the project has it enabled.
    asked: set[str] = set()

    def call(_: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        asked.update(re.findall(r"([a-z]+\.googleapis\.com)/(?:v|consumerQuotaMetrics)", url))
        raise rest.GoogleError(500, "no answer")

    monkeypatch.setattr(rest, "call", call)
    monkeypatch.setattr(rest, "caller", lambda: "ada@example.com")
    findings_of(gcp.checks(plan("gcp")))
    assert {f"{each}.googleapis.com" for each in ("aiplatform", "cloudbilling", "run")} <= asked
    page = (HOME / "docs" / "reference" / "gcp.md").read_text()
    section = page.partition("gcloud services enable ")[2].partition("--project")[0]
    assert asked <= set(section.split())


SERVING_CPUS = "custom_model_serving_cpus"


def limits(*buckets: dict[str, Any]) -> dict[str, Any]:
    return {
        "consumerQuotaLimits": [{"unit": "1/{project}/{region}", "quotaBuckets": list(buckets)}]
    }


def test_a_regions_own_limit_outweighs_that_of_all_regions(
    plan: Plans, google: dict[str, Any]
) -> None:
    google[SERVING_CPUS] = limits(
        {"effectiveLimit": "100"},
        {"effectiveLimit": "0", "dimensions": {"region": "us-east1"}},
        {"effectiveLimit": "7", "dimensions": {"region": "europe-west1"}},
    )
    assert only(gcp._serving_cpus(plan("gcp"))).rule.endswith("8 needed, 7 available")
    google[SERVING_CPUS] = limits({"effectiveLimit": "-1"})
    assert gcp._serving_cpus(plan("gcp")) == [], "-1 is no limit"


def test_the_endpoints_on_one_family_of_machines_share_its_quota(
    plan: Plans, google: dict[str, Any]
) -> None:
    models = {"flight-delay": "champion", "digits": {"machine": {"gcp": "n1-standard-4"}}}
    google[SERVING_CPUS] = limits({"effectiveLimit": "23"})
    finding = only(gcp._serving_cpus(plan("gcp", models=models)))
    assert finding.rule.endswith("24 needed, 23 available")
    assert "n1-standard-4 has 4, endpoint.max_instances is 2 (digits)" in finding.rule


def test_a_quota_that_is_not_reported_is_not_known(plan: Plans, google: dict[str, Any]) -> None:
    assert only(gcp._serving_cpus(plan("gcp"))).severity == "not known"


@pytest.mark.parametrize(("concurrency", "enough"), [(20, 1000), (200, 3000), (0, 1000)])
def test_cloud_run_needs_a_cpu_for_each_instance(
    concurrency: int, enough: int, plan: Plans, google: dict[str, Any]
) -> None:
    wanted = plan("gcp", gateway={"max_concurrency": concurrency})
    google["cpu_allocation"] = limits({"effectiveLimit": str(enough)})
    assert gcp._run_cpus(wanted) == []
    google["cpu_allocation"] = limits({"effectiveLimit": str(enough - 1)})
    assert only(gcp._run_cpus(wanted)).severity == "missing"


REFUSED = (
    "PERMISSION_DENIED: Vertex AI API has not been used in project 1 before or it is disabled. Enable it by visiting"
    " https://console.developers.google.com/apis/api/aiplatform.googleapis.com/overview?project=1 then retry."
)


def test_an_api_that_is_not_enabled_knows_nothing_and_is_named(
    plan: Plans, google: dict[str, Any]
) -> None:
    google[SERVING_CPUS] = rest.GoogleError(403, REFUSED)
    checks = [each for each in gcp.checks(plan("gcp")) if each.what == "Vertex AI: CPUs"]
    finding = only(findings_of(checks))
    assert finding.severity == "not known"
    assert finding.way_out.endswith(
        "gcloud services enable aiplatform.googleapis.com --project triplane-dev"
    )


def test_the_apis_that_enable_others_must_be_enabled_beforehand(
    plan: Plans, google: dict[str, Any]
) -> None:
    def services(*enabled: str) -> dict[str, Any]:
        names = ("serviceusage", "cloudresourcemanager", "run")
        return {
            "services": [
                {
                    "name": f"projects/p/services/{each}.googleapis.com",
                    "state": "ENABLED" if each in enabled else "DISABLED",
                }
                for each in names
            ]
        }

    google["services:batchGet"] = services("serviceusage")
    finding = only(list(gcp._apis(plan("gcp"))))
    assert finding.rule.startswith(
        "not enabled in triplane-dev: cloudresourcemanager.googleapis.com;"
    )
    google["services:batchGet"] = services("serviceusage", "cloudresourcemanager")
    assert list(gcp._apis(plan("gcp"))) == [], "the program enables the others"


def test_permissions_that_the_caller_does_not_hold_are_named(
    plan: Plans, google: dict[str, Any]
) -> None:
    def held(body: dict[str, Any]) -> dict[str, Any]:
        assert len(body["permissions"]) <= 100
        return {"permissions": [e for e in body["permissions"] if e != "iam.roles.create"]}

    google[":testIamPermissions"] = held
    finding = only(list(gcp._permissions(plan("gcp"))))
    assert finding.severity == "missing"
    assert finding.rule == "ada@example.com may not, in the whole project: iam.roles.create"


def test_of_an_existing_stack_only_what_is_granted_on_the_project_is_asked_of_it(
    plan: Plans, google: dict[str, Any]
) -> None:
    """The delivery's account has the others on the stack's own resources."""
    asked: set[str] = set()

    def held(body: dict[str, Any]) -> dict[str, Any]:
        asked.update(body["permissions"])
        return {"permissions": [e for e in body["permissions"] if e != "iam.roles.get"]}

    google[":testIamPermissions"] = held
    existing = [{"type": "gcp:storage/bucket:Bucket", "inputs": {}}]
    delivery = {"repository": "acme/triplane"}
    finding = only(list(gcp._permissions(plan("gcp", existing, delivery=delivery))))
    assert finding.severity == "missing"
    assert "iam.roles.get" in finding.rule
    assert asked <= set(delivery_permissions(Place.PROJECT))
    assert "cloudbuild.builds.create" in asked
    assert not [each for each in asked if each.startswith(("run.services", "storage"))]


def test_a_project_without_billing_is_missing_it(plan: Plans, google: dict[str, Any]) -> None:
    google["/billingInfo"] = {"billingEnabled": False}
    assert "gcloud billing projects link" in only(list(gcp._billing(plan("gcp")))).way_out
    google["/billingInfo"] = {"billingEnabled": True}
    assert list(gcp._billing(plan("gcp"))) == []


# Azure

SUBSCRIPTION = "/subscriptions/1"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Answers of the Resource Manager by the end of the address."""
    answers: dict[str, Any] = {}

    def get(resource: str, version: str = "") -> Any:
        return next((answers[end] for end in answers if resource.endswith(end)), None)

    monkeypatch.setattr(arm, "get", get)
    monkeypatch.setattr(arm, "listed", lambda *words: iter(get(*words)["value"]))
    return answers


def value(*items: dict[str, Any]) -> dict[str, Any]:
    return {"value": list(items)}


def test_free_credit_builds_no_images(manager: dict[str, Any]) -> None:
    manager[SUBSCRIPTION] = {
        "state": "Enabled",
        "subscriptionPolicies": {"quotaId": "FreeTrial_2014-09-01"},
    }
    finding = only(list(azure._offer(SUBSCRIPTION)))
    assert "the offer FreeTrial, and Azure builds no images on free credit" in finding.rule
    manager[SUBSCRIPTION]["subscriptionPolicies"] = {"quotaId": "PayAsYouGo_2014-09-01"}
    assert list(azure._offer(SUBSCRIPTION)) == []


def test_azure_ml_also_wants_providers_of_which_the_plan_has_no_type(plan: Plans) -> None:
    needed = azure.needed_providers(plan("azure").permissions)
    assert {"Microsoft.Cdn", "Microsoft.PolicyInsights", "Microsoft.Web"} <= set(needed)
    assert "Microsoft.Authorization" not in needed


def providers(plan: Plan, location: str = "West Europe", **states: str) -> dict[str, Any]:
    types = {
        "Microsoft.MachineLearningServices": "workspaces/onlineEndpoints",
        "Microsoft.Web": "serverFarms",
    }
    return value(
        *(
            {
                "namespace": each,
                "registrationState": states.get(each.rpartition(".")[2], "Registered"),
                "resourceTypes": [{"resourceType": types.get(each, "x"), "locations": [location]}],
            }
            for each in azure.needed_providers(plan.permissions)
        )
    )


def test_a_provider_that_is_not_registered_is_named_with_the_command(
    plan: Plans, manager: dict[str, Any]
) -> None:
    wanted = plan("azure")
    manager["/providers"] = providers(wanted)
    assert list(azure._providers(wanted, SUBSCRIPTION)) == []
    manager["/providers"] = providers(wanted, Cdn="NotRegistered", Web="Registering")
    finding = only(list(azure._providers(wanted, SUBSCRIPTION)))
    assert finding.rule == "not registered: Microsoft.Cdn, Microsoft.Web"
    assert "az provider register --wait --namespace" in finding.way_out
    manager["/providers"] = value()
    severities = {each.severity for each in azure._providers(wanted, SUBSCRIPTION)}
    assert severities == {"not known"}, "a caller may not be shown what is registered"
    manager["/providers"] = providers(wanted, location="East US")
    assert len(list(azure._providers(wanted, SUBSCRIPTION))) == 2, "neither service is there"


@pytest.mark.parametrize(
    ("roles", "lacking"),
    [
        ([{"actions": ["*"]}], None),
        (
            [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}],
            "roleAssignments",
        ),
        (
            [
                {"actions": ["*"], "notActions": ["Microsoft.Authorization/*"]},
                {"actions": ["Microsoft.Authorization/*"]},
            ],
            None,
        ),
        ([{"actions": ["*/read"]}], "Microsoft.Web/sites/write"),
    ],
)
def test_an_action_needs_a_role_that_gives_it_and_does_not_take_it_away(
    roles: list[dict[str, Any]], lacking: str | None, plan: Plans, manager: dict[str, Any]
) -> None:
    manager["/permissions"] = value(*roles)
    findings = list(azure._permissions(plan("azure"), SUBSCRIPTION))
    assert bool(findings) == bool(lacking)
    if lacking:
        assert (findings[0].severity, lacking in findings[0].rule) == ("missing", True)


def size(**changes: Any) -> dict[str, Any]:
    known = {"name": "Standard_DS3_v2", "family": "standardDSv2Family", "vCPUs": 4}
    return {**known, "supportedComputeTypes": ["AmlCompute", "MIR"], **changes}


def usage(name: str, limit: int, kind: str = "vmFamily/usages", used: int = 0) -> dict[str, Any]:
    return {
        "name": {"value": name},
        "type": f"Microsoft.MachineLearningServices/{kind}",
        "limit": limit,
        "currentValue": used,
    }


TOTAL = usage("Total Cluster Dedicated Regional vCPUs", 100, "dedicatedCores/usages")


@pytest.mark.parametrize(
    "family", ["Standard DSv2 Family Cluster Dedicated vCPUs", "standardDSv2Family"]
)
def test_a_fifth_more_instances_and_their_successors_need_cores(
    family: str, plan: Plans, manager: dict[str, Any]
) -> None:
    manager["/vmSizes"] = value(size())
    # One and at most two instances: ⌈1.2⌉ + ⌈2.4⌉ machines of 4 cores.
    manager["/usages"] = value(TOTAL, usage(family, 24, used=4))
    assert azure._cores(plan("azure"), SUBSCRIPTION) == []
    low_priority = usage(family.replace("Dedicated", "LowPriority"), 99, "lowPriorityCores/usages")
    manager["/usages"] = value(TOTAL, usage(family, 24, used=5), low_priority)
    assert only(azure._cores(plan("azure"), SUBSCRIPTION)).rule.endswith("20 needed, 19 available")


def test_the_endpoints_on_one_machine_need_its_cores_together_and_those_held_are_theirs(
    plan: Plans, manager: dict[str, Any]
) -> None:
    manager["/vmSizes"] = value(size())
    manager["/usages"] = value(TOTAL, usage("standardDSv2Family", 39))
    models = {"flight-delay": "champion", "digits": "champion"}
    finding = only(azure._cores(plan("azure", models=models), SUBSCRIPTION))
    assert finding.rule.endswith("40 needed, 39 available")
    assert "of 2 endpoints" in finding.rule
    own = {
        "type": "azure-native:machinelearningservices:OnlineDeployment",
        "inputs": {"properties": {"instanceType": "Standard_DS3_v2"}},
    }
    assert azure._cores(plan("azure", [own], models=models), SUBSCRIPTION) == []


def test_a_machine_that_managed_endpoints_do_not_offer_is_missing(
    plan: Plans, manager: dict[str, Any]
) -> None:
    manager["/vmSizes"] = value(size(supportedComputeTypes=["AmlCompute"]))
    manager["/usages"] = value()
    finding = only(azure._cores(plan("azure"), SUBSCRIPTION))
    assert (finding.severity, "do not offer it" in finding.rule) == ("missing", True)
    del manager["/vmSizes"]
    with pytest.raises(LookupError, match="lists no machines in westeurope"):
        azure._cores(plan("azure"), SUBSCRIPTION)
    manager["/vmSizes"] = value(size())
    severities = {each.severity for each in azure._cores(plan("azure"), SUBSCRIPTION)}
    assert severities == {"not known"}, "no quota is reported"


def test_a_tier_of_app_service_without_machines_is_missing(
    plan: Plans, manager: dict[str, Any]
) -> None:
    def tier(name: str, limit: int) -> dict[str, Any]:
        return {"name": {"value": name, "localizedValue": name}, "limit": limit, "currentValue": 0}

    manager["/usages"] = value(tier("Basic VMs", 0), tier("Standard VMs", 10))
    finding = only(azure._app_service(plan("azure"), SUBSCRIPTION))
    assert finding.rule == "the gateway's plan is B1: 1 needed, 0 available"
    other = plan("azure", gateway={"app_service_plan": "S1"})
    assert azure._app_service(other, SUBSCRIPTION) == []
    manager["/usages"] = value(tier("Something", 1))
    assert only(azure._app_service(other, SUBSCRIPTION)).severity == "not known"


def test_a_subscription_that_the_credentials_do_not_see_is_no_sign_in(
    plan: Plans, manager: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager["/subscriptions"] = value({"subscriptionId": "1", "displayName": "Flights"})
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", "1")
    assert (
        azure.signed_in_as(plan("azure")) == "Azure subscription Flights (1), location westeurope"
    )
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", "2")
    with pytest.raises(LookupError, match="do not see the subscription 2"):
        azure.signed_in_as(plan("azure"))


def test_one_of_several_subscriptions_must_be_named(
    plan: Plans, manager: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID", raising=False)
    monkeypatch.setattr(azure.shutil, "which", lambda _: None)
    manager["/subscriptions"] = value({"subscriptionId": "1"}, {"subscriptionId": "2"})
    with pytest.raises(LookupError, match="see 2 subscriptions, and ARM_SUBSCRIPTION_ID names"):
        azure._subscription(plan("azure"))
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", "2")
    assert azure._subscription(plan("azure")) == "2"
    foundation = {"type": "triplane:azure:Foundation", "inputs": {"account": "1"}}
    assert azure._subscription(plan("azure", [foundation])) == "1", "the stack's own comes first"
