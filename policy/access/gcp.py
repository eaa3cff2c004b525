"""Google Cloud: who may do what, and whose tokens are trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api_models.resource import Plan, Resource
from policy.checks import Check, inexact_subject, untrusted_issuer
from policy.rules import LEAST_PRIVILEGE, TRUST

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
KNOWN_TYPES = {
    *BINDINGS,
    CUSTOM_ROLE,
    PROVIDER,
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",  # trusts nobody without a provider
    "gcp:serviceaccount/account:Account",
    "gcp:serviceaccount/key:Key",  # rule identity refuses it
}
"""The types of Google's IAM that the rules examine."""
# All types that grant permissions. The others of them are *IamBinding and *IamPolicy, which also remove the grants
# of others (https://www.pulumi.com/registry/packages/gcp/api-docs/projects/iambinding/), and members of other types.
GRANTING_TYPES = ("gcp:*:*I[aA][mM]*", "gcp:iam/*", "gcp:serviceaccount/*")
# Roles that may be granted on a project, because no smaller resource accepts the grant.
PROJECT_ROLES = {
    "roles/logging.logWriter": "Cloud Logging has no smaller resource to grant it on",
    "roles/aiplatform.serviceAgent": "Google itself grants it to the service's agent",
    "roles/run.serviceAgent": "Google itself grants it to the service's agent",
}
PROJECT_ROLE = "-delivery-deployer"
"""The end of the name of the only custom role that may be granted on the project: what the delivery needs there has no
policy of its own, or does not exist yet."""
ROLE_PERMISSIONS = {
    "-delivery-updater": {
        "run.services.setIamPolicy": "required for the set-up of the gateway, which checks its key itself, and granted"
        " on its service: https://cloud.google.com/run/docs/securing/managing-access#invoker_check"
    }
}
"""By the end of a role's name: permissions that no other custom role may have."""
BASIC_ROLES = ("roles/owner", "roles/editor", "roles/viewer")
# https://cloud.google.com/iam/docs/principal-identifiers
GROUP_PREFIXES = ("principalSet://", "domain:", "projectOwner:", "projectEditor:", "projectViewer:")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def is_project_role(resource: Resource) -> bool:
    """Whether this is the custom role that may be granted on the project."""
    return resource.type == CUSTOM_ROLE and resource.name.endswith(PROJECT_ROLE)


def unknown_iam_type(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in KNOWN_TYPES:
        yield f"no rule knows what a {resource.type} grants: use a *IamMember that policy/access/gcp.py knows"


def broad_binding(binding: Resource, plan: Plan) -> Iterator[str]:
    role = str(binding.inputs.get("role"))
    if role in BASIC_ROLES or role.endswith((".admin", "Admin")):
        yield f"grants {role}"
    elif binding.type == "gcp:projects/iAMMember:IAMMember" and not (
        role in PROJECT_ROLES or any(each.id == role and is_project_role(each) for each in plan)
    ):
        yield f"grants {role} on the whole project"


def broad_custom_role(role: Resource, _plan: Plan) -> Iterator[str]:
    own = next((each for end, each in ROLE_PERMISSIONS.items() if role.name.endswith(end)), {})
    for permission in role.inputs.get("permissions", []):
        if permission in own:
            continue
        verb = permission.rpartition(".")[2]
        # Permissions that change other permissions, or act as another identity.
        # https://cloud.google.com/iam/docs/service-account-permissions
        changes = permission.startswith("iam.") and verb not in ("get", "getIamPolicy", "list")
        if changes or verb in ("setIamPolicy", "actAs") or "*" in permission:
            yield f"allows {permission}"


def trust_in_many(binding: Resource, _plan: Plan) -> Iterator[str]:
    member = str(binding.inputs.get("member"))
    if member.startswith(GROUP_PREFIXES):
        yield f"trusts all of {member}"
    elif member.startswith("principal://"):
        yield from inexact_subject(member.partition("/subject/")[2])


def inexact_trust(provider: Resource, _plan: Plan) -> Iterator[str]:
    """A problem, unless the provider trusts one subject of a known issuer.

    https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines#conditions
    """
    yield from untrusted_issuer(provider.get("oidc.issuerUri"))
    mapped = (provider.inputs.get("attributeMapping") or {}).get("google.subject")
    if mapped != "assertion.sub":
        yield f"google.subject is {mapped}: then a principal's subject is not the subject of the token"
    condition = str(provider.inputs.get("attributeCondition") or "")
    # In a conjunction one condition names the subject. With an `or`, that condition may be false.
    if re.search(r"[|?!\\]", QUOTED.sub("", condition)):
        yield f"the condition may be true for other subjects: {condition}"
    subjects = re.findall(
        r"(?:^|&&)\s*(?:assertion\.sub|google\.subject)\s*==\s*(?:'([^']*)'|\"([^\"]*)\")\s*(?=&&|$)",
        condition,
    )
    if not subjects:
        yield "trusts tokens for any subject: attributeCondition must have assertion.sub == '…'"
    for single_quoted, double_quoted in subjects:
        yield from inexact_subject(single_quoted or double_quoted)


CHECKS = (
    Check(LEAST_PRIVILEGE, GRANTING_TYPES, unknown_iam_type),
    Check(LEAST_PRIVILEGE, BINDINGS, broad_binding),
    Check(LEAST_PRIVILEGE, (CUSTOM_ROLE,), broad_custom_role),
    Check(TRUST, BINDINGS, trust_in_many),
    Check(TRUST, (PROVIDER,), inexact_trust),
)
