"""The identities of a platform: what each may do to which things. docs/reference/identities.md is made of it.

The rows are those of the recorded plan, so the page cannot say less than the program grants. The plain words are data here, and
a permission, a role or a thing without one is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from api_models.resource import Plan, Resource
from components.azure.roles import BUILT_IN
from config.clouds import CLOUD_NAMES, Cloud
from operations.engine.installation import HOME
from policy import record
from tools import generated_part

PAGE = HOME / "docs" / "reference" / "identities.md"
SETTINGS = {
    "triplane:delivery": {"repository": "acme/triplane", "environment": "production"},
    "triplane:machine": {"aws": "ml.m5.large"},
}
"""With these a platform has the most identities and grants."""

IDENTITIES = {
    "delivery": "The pipeline: `make check-account`, `release` and `drift` in a job of the one repository and branch",
    "build": "The cloud's build service, while it builds an image",
    "serving-flight-delay": "The model server of the endpoint `flight-delay`. Each endpoint has such an identity, which reads its"
    " own models alone",
    "gateway": "The gateway",
    "endpoint-workspace": "The Azure ML workspace itself",
    "person": "Whoever runs the first `pulumi up`; beside it what"
    " [the page of the cloud](../README.md#reference) lists as needed before",
}
"""By the name of its resources after the platform's."""
IDENTITY_TYPES: Mapping[Cloud, str] = {
    "aws": "aws:iam/role:Role",
    "gcp": "gcp:serviceaccount/account:Account",
    "azure": "azure-native:managedidentity:UserAssignedIdentity",
}
SUFFIX = re.compile("-(role|sa|identity)$")
# Azure's mocks give every identity the same principal. A role assignment of the program's user has the user's.
PERSONAL = ("triplane-key-keeper", "triplane-lake-keeper")

# The first that fits: how the clouds spell what a permission lets somebody do.
VERBS: Mapping[str, str] = {
    "runs services as it": r"iam:PassRole$|\.actAs$|/assign/action$",
    "gets predictions": r":InvokeEndpoint$|endpoints\.predict$|/score/action$",
    "says who may call it": r"\.setIamPolicy$|:(Add|Remove)Permission$",
    "uses": r"/join/action$",
    "builds": r":StartBuild$|builds\.create$|/scheduleRun/action$|/listBuildSourceUploadUrl/action$",
    "reads": r":(Get|List|Describe|BatchGet|BatchCheck)\w+$|\.(get|getIamPolicy|list|access|downloadArtifacts)$"
    r"|/read$|/(config|listLogSasUrl|listKeys|getEntityStatus|list\w*)(/list)?/action$",
    "deletes": r":(Delete|Deregister|Remove)\w+$|\.(delete|destroy|undeploy)$|/delete$",
    "creates": r":(Create|Register|Publish)\w+$|\.(create|add|upload|deploy)$|/add/action$"
    r"|:(CompleteLayerUpload|InitiateLayerUpload|UploadLayerPart|PutImage|PutObject|PutLogEvents|PutMetricData)$",
    "changes": r":(Put|Update|Tag|Untag|Add)\w+$|\.(update|enable)$",
    "creates and changes": r"/write$",
}
ROLES: Mapping[str, str] = {
    "roles/artifactregistry.writer": "reads, creates",
    "roles/iam.serviceAccountUser": "runs services as it",
    "roles/logging.logWriter": "creates",
    "roles/secretmanager.secretAccessor": "reads",
    "roles/storage.objectCreator": "creates",
    "roles/storage.objectViewer": "reads",
    "AcrPull": "reads",
    "Contributor": "reads, creates, changes, deletes",
    "Key Vault Administrator": "reads, creates, changes, deletes",
    "Key Vault Secrets User": "reads",
    "Storage Blob Data Contributor": "reads, creates, changes, deletes",
    "Storage Blob Data Reader": "reads",
}
"""The clouds' own roles that the program gives."""
# By an ARN's service, or by the type of a resource.
THINGS: Mapping[str, str] = {
    "application-autoscaling": "scaling of endpoints",
    "cloudwatch": "alarms",
    "codebuild": "builds",
    "iam": "roles of the platform",
    "lambda": "functions",
    "logs": "logs",
    "s3": "the lake",
    "sagemaker": "endpoints and models",
    "secretsmanager": "the gateway's key",
    "*": "the account",
    "aws:cloudwatch/logGroup:LogGroup": "logs",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "alarms",
    "aws:ecr/repository:Repository": "the repository",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "the provider for GitHub",
    "aws:s3/bucket:Bucket": "the lake",
    "aws:sagemaker/endpoint:Endpoint": "the endpoint",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": "the repository",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": "the gateway",
    "gcp:projects/iAMMember:IAMMember": "the project",
    "gcp:secretmanager/secretIamMember:SecretIamMember": "the gateway's key",
    "gcp:serviceaccount/iAMMember:IAMMember": "an account of the platform",
    "gcp:storage/bucketIAMMember:BucketIAMMember": "the lake",
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember": "the endpoint",
    "azure-native:applicationinsights:Component": "the workspace's insights",
    "azure-native:containerregistry:Registry": "the registry",
    "azure-native:keyvault:Secret": "the gateway's key",
    "azure-native:keyvault:Vault": "the workspace's vault",
    "azure-native:machinelearningservices:OnlineEndpoint": "the endpoint",
    "azure-native:managedidentity:UserAssignedIdentity": "an identity of the platform",
    "azure-native:resources:ResourceGroup": "the resource group",
    "azure-native:storage:BlobContainer": "a zone of the lake",
    "azure-native:storage:StorageAccount": "the lake",
    "subscription": "the subscription",
}
TARGETS = ("bucket", "repository", "endpoint", "name", "secretId", "serviceAccountId", "project")
"""The inputs by which Google's bindings name what they are on."""


class NotListed(Exception):
    """Something that the tables of this module do not list; the message names it."""


@dataclass(frozen=True)
class Grant:
    """A row: what an identity may do on some things."""

    identity: str
    things: tuple[str, ...]
    """In plain words."""
    names: tuple[str, ...]
    """As the program names them; ``*`` for everything that the wildcard covers."""
    does: str
    exactly: tuple[str, ...]
    """Permissions, or the name of the cloud's own role."""
    condition: str = ""


def grants(cloud: Cloud) -> list[Grant]:
    """All grants of the plan with the most of them. Raises NotListed."""
    plan = record.of_program(cloud, SETTINGS)
    of_cloud = {"aws": _aws, "gcp": _gcp, "azure": _azure}[cloud]
    return sorted(of_cloud(plan), key=lambda each: [*IDENTITIES].index(each.identity))


def identities(cloud: Cloud, plan: Plan) -> set[str]:
    """The identities that a plan registers."""
    found = {SUFFIX.sub("", each.name) for each in plan if each.type == IDENTITY_TYPES[cloud]}
    return {name.removeprefix("triplane-") for name in found}


def _aws(plan: Plan) -> Iterator[Grant]:
    names = _names(plan)
    for policy in (each for each in plan if each.type == "aws:iam/rolePolicy:RolePolicy"):
        identity = _identity(names[policy.inputs["role"]].name)
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            condition = _aws_condition(statement.get("Condition", {}), names)
            for service, actions in _services(statement["Action"], ":").items():
                resources = of_service(statement["Resource"], service)
                yield Grant(
                    identity,
                    _unique(_thing_of_arn(each, names) for each in resources),
                    _unique(_readable(each, names) for each in resources),
                    verbs(actions),
                    tuple(actions),
                    condition,
                )


def of_service(arns: Sequence[str], service: str) -> Sequence[str]:
    """The ARNs that actions of a service can be on; one of the mocks, which names no service, is among them."""
    return [each for each in arns if each.split(":")[2:3] in ([], ["mock"], [service])]


def _aws_condition(condition: Mapping[str, Mapping[str, Any]], names: Names) -> str:
    return "; ".join(
        f"{key} {operator} {_readable(json.dumps(wanted), names)}"
        for operator, pairs in condition.items()
        for key, wanted in pairs.items()
    )


def _thing_of_arn(arn: str, names: Names) -> str:
    for id, resource in names.items():
        if arn.startswith(f"arn:aws:mock:::{id}"):
            return word(THINGS, resource.type)
    return word(THINGS, arn.split(":")[2] if ":" in arn else arn)


def _gcp(plan: Plan) -> Iterator[Grant]:
    names = _names(plan)
    accounts = {
        f"serviceAccount:{each.id}": each for each in plan if each.type == IDENTITY_TYPES["gcp"]
    }
    for binding in (each for each in plan if each.type.endswith(("IamMember", "IAMMember"))):
        member = next((m for m in accounts if binding.inputs["member"].startswith(m)), None)
        if member is None:
            continue  # who may sign in as the delivery: a principal of GitHub
        role = binding.inputs["role"]
        custom = names[role].inputs["permissions"] if role in names else None
        target = next(binding.inputs[each] for each in TARGETS if each in binding.inputs)
        condition = binding.inputs.get("condition") or {}
        yield Grant(
            _identity(accounts[member].name),
            (word(THINGS, binding.type),),
            (_readable(str(target), names),),
            verbs(custom) if custom else word(ROLES, role),
            tuple(custom or [role]),
            _readable(condition.get("expression", ""), names),
        )


def _azure(plan: Plan) -> Iterator[Grant]:
    names = _names(plan)
    built_in = {guid: role for role, guid in BUILT_IN.items()}
    owners = sorted(identities("azure", plan), key=len, reverse=True)
    for each in (e for e in plan if e.type == "azure-native:authorization:RoleAssignment"):
        name = each.name.removeprefix("triplane-")
        identity = next((owner for owner in owners if name.startswith(f"{owner}-")), "person")
        if identity == "person" and each.name not in PERSONAL:
            raise NotListed(f"tools/identities.py does not know whose {each.name} is")
        role, scope = each.inputs["roleDefinitionId"], each.inputs["scope"]
        if scope in names:
            thing, named = names[scope].type, names[scope].name
        else:
            thing, named = "subscription", scope.removeprefix("/subscriptions/")
        custom = names[role].inputs["permissions"][0] if role in names else {}
        actions = [*custom.get("actions", ()), *custom.get("dataActions", ())]
        own = built_in.get(role.rpartition("/")[2], role)
        for exactly in _services(actions, "/").values() if actions else ([own],):
            yield Grant(
                identity,
                (word(THINGS, thing),),
                (named,),
                verbs(exactly) if actions else word(ROLES, own),
                tuple(exactly),
                str(each.inputs.get("condition") or ""),
            )


def _services(actions: Iterable[str], separator: str) -> dict[str, list[str]]:
    """The actions of each service, so that a row of the page is of one."""
    found: dict[str, list[str]] = {}
    for each in actions:
        found.setdefault(each.partition(separator)[0], []).append(each)
    return found


Names = Mapping[str, Resource]
"""The plan's resources by their id, the longest first."""


def _names(plan: Plan) -> Names:
    by_id = {each.id: each for each in sorted(plan, key=lambda each: -len(each.id)) if each.id}
    # Vertex AI's endpoint has a number for a name.
    numbered = {name: each for each in plan if (name := str(each.inputs.get("name"))).isdecimal()}
    return {**by_id, **numbered}


def _readable(text: str, names: Names) -> str:
    """A text of the plan with the resources' names in place of the mocks' ids."""
    for id, resource in names.items():
        text = text.replace(id, resource.name)
    text = text.replace("arn:aws:mock:::", "").replace("key-AbCdEf", "triplane-key-secret")
    return re.sub(r"arn:aws:([\w-]+):[\w-]*:\d*:", r"\1: ", text)


def _identity(name: str) -> str:
    identity = SUFFIX.sub("", name).removeprefix("triplane-")
    if identity not in IDENTITIES:
        raise NotListed(f"IDENTITIES of tools/identities.py has no sentence about {identity}")
    return identity


def word(table: Mapping[str, str], key: str) -> str:
    """A table's word for a role or a thing. Raises NotListed."""
    if key not in table:
        raise NotListed(f"ROLES and THINGS of tools/identities.py do not list {key}")
    return table[key]


def verbs(permissions: Iterable[str]) -> str:
    """What permissions let somebody do, in plain words. Raises NotListed."""
    found = set()
    for permission in permissions:
        verb = next((v for v, spelling in VERBS.items() if re.search(spelling, permission)), None)
        if verb is None:
            raise NotListed(f"VERBS of tools/identities.py does not list {permission}")
        found.add(verb)
    order = ("reads", "creates", "creates and changes", "changes", "deletes")
    return ", ".join(
        sorted(found, key=lambda verb: (order.index(verb) if verb in order else 9, verb))
    )


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def tables() -> str:
    """The page's generated part: for each cloud a table for each identity."""
    parts = []
    for cloud in get_args(Cloud):
        parts.append(f"## {CLOUD_NAMES[cloud]}\n")
        rows = grants(cloud)
        for identity in dict.fromkeys(each.identity for each in rows):
            parts.append(f"### {identity}\n\n{IDENTITIES[identity]}.\n")
            lines = [_row(each) for each in rows if each.identity == identity]
            parts.append("\n".join(["| to | does | exactly |", "|---|---|---|", *lines]) + "\n")
    return "\n".join(parts)


def _row(grant: Grant) -> str:
    things = f"{', '.join(grant.things)}: {_code(grant.names)}"
    condition = f", if `{grant.condition}`".replace("|", r"\|") if grant.condition else ""
    return f"| {things}{condition} | {grant.does} | {_code(_by_service(grant.exactly))} |"


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _by_service(permissions: Iterable[str]) -> list[str]:
    """Permissions of one service or kind of thing together: ``s3:{GetObject, PutObject}``."""
    groups: dict[str, list[str]] = {}
    for each in permissions:
        start = re.match(r"[\w-]+:|Microsoft\.\w+/|(?!roles/)(\w+\.)+(?=\w+$)", each)
        groups.setdefault(start[0] if start else "", []).append(
            each[len(start[0]) if start else 0 :]
        )
    return [
        f"{start}{{{', '.join(ends)}}}" if start and len(ends) > 1 else f"{start}{', '.join(ends)}"
        for start, ends in groups.items()
    ]


def current(page: str) -> str:
    """The page's text with the tables of today's program. Raises ValueError for a page without their place."""
    missing = "docs/reference/identities.md has no place for the tables"
    return generated_part.renewed(page, "identities", f"\n{tables()}\n", missing)


def main() -> None:
    PAGE.write_text(current(PAGE.read_text()))


if __name__ == "__main__":
    main()
