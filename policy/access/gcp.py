"""Who may do what on Google Cloud, and whose tokens are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy import rules
from policy.record import Plan, Resource

BINDINGS = (
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:serviceaccount/iAMMember:IAMMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember",
)
CUSTOM_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
READ = {
    *BINDINGS,
    CUSTOM_ROLE,
    PROVIDER,
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",  # trusts nobody without a provider
    "gcp:serviceaccount/account:Account",
    "gcp:serviceaccount/key:Key",  # rule identity refuses it
}
"""The types of Google's IAM that the rules read."""
# Whatever else of it there is: *IamBinding and *IamPolicy, which also take away what others granted
# (https://www.pulumi.com/registry/packages/gcp/api-docs/projects/iambinding/); members of other types.
GRANTS = ("gcp:*:*I[aA][mM]*", "gcp:iam/*", "gcp:serviceaccount/*")
# Roles that are granted on a project because nothing smaller takes them.
PROJECT_ROLES = {
    "roles/logging.logWriter": "Cloud Logging has no smaller resource to grant it on",
    "roles/aiplatform.serviceAgent": "what Google itself grants to the service's agent",
    "roles/run.serviceAgent": "what Google itself grants to the service's agent",
}
# What the delivery identity makes is not there yet, so that its role is granted on the project.
DELIVERY_ROLE = "-delivery-deployer"
"""Ends the name of the only custom role for which that, and `DELIVERY_MAY`, is allowed."""
DELIVERY_MAY = {
    "run.services.setIamPolicy": "asked of whoever sets up the gateway, which checks its key itself:"
    " https://cloud.google.com/run/docs/securing/managing-access#invoker_check"
}
BASIC_ROLES = ("roles/owner", "roles/editor", "roles/viewer")
# https://cloud.google.com/iam/docs/principal-identifiers
MANY = ("principalSet://", "domain:", "projectOwner:", "projectEditor:", "projectViewer:")
TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")


def delivers(resource: Resource) -> bool:
    """Whether this is the delivery identity's role."""
    return resource.type == CUSTOM_ROLE and resource.name.endswith(DELIVERY_ROLE)


@rules.LEAST_PRIVILEGE.on(*GRANTS)
def _unread(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in READ:
        yield f"no rule knows what a {resource.type} grants: *IamMember is read (policy/access/gcp.py)"


@rules.LEAST_PRIVILEGE.on(*BINDINGS)
def _narrow(binding: Resource, plan: Plan) -> Iterator[str]:
    role = str(binding.inputs.get("role"))
    if role in BASIC_ROLES or role.endswith((".admin", "Admin")):
        yield f"grants {role}"
    elif binding.type == "gcp:projects/iAMMember:IAMMember" and not (
        role in PROJECT_ROLES or any(each.id == role and delivers(each) for each in plan)
    ):
        yield f"grants {role} on the whole project"


@rules.LEAST_PRIVILEGE.on(CUSTOM_ROLE)
def _no_wildcards(role: Resource, _plan: Plan) -> Iterator[str]:
    for permission in role.inputs.get("permissions", []):
        if delivers(role) and permission in DELIVERY_MAY:
            continue
        verb = permission.rpartition(".")[2]
        # What changes who may do what, or acts as somebody else.
        # https://cloud.google.com/iam/docs/service-account-permissions
        changes = permission.startswith("iam.") and verb not in ("get", "getIamPolicy", "list")
        if changes or verb in ("setIamPolicy", "actAs") or "*" in permission:
            yield f"allows {permission}"


@rules.TRUST.on(*BINDINGS)
def _one_principal(binding: Resource, _plan: Plan) -> Iterator[str]:
    member = str(binding.inputs.get("member"))
    if member.startswith(MANY):
        yield f"trusts all of {member}"
    elif member.startswith("principal://"):
        yield from rules.subject(member.partition("/subject/")[2])


@rules.TRUST.on(PROVIDER)
def _one_subject(provider: Resource, _plan: Plan) -> Iterator[str]:
    """https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines#conditions"""
    yield from rules.issuer(provider.get("oidc.issuerUri"))
    mapped = (provider.inputs.get("attributeMapping") or {}).get("google.subject")
    if mapped != "assertion.sub":
        yield f"google.subject is {mapped}: a principal's subject is then not the token's"
    condition = str(provider.inputs.get("attributeCondition") or "")
    # Of conditions that all hold, one names the subject; with an `or` it need not hold.
    if re.search(r"[|?!\\]", TEXT.sub("", condition)):
        yield f"the condition may hold for others: {condition}"
    said = re.findall(
        r"(?:^|&&)\s*(?:assertion\.sub|google\.subject)\s*==\s*(?:'([^']*)'|\"([^\"]*)\")\s*(?=&&|$)",
        condition,
    )
    if not said:
        yield "takes tokens for any subject: attributeCondition must say assertion.sub == '…'"
    for one, other in said:
        yield from rules.subject(one or other)
