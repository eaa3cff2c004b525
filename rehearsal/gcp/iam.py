"""IAM: service accounts, custom roles, bindings, and pools of identities from elsewhere."""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.gcp import credentials, expressions, permissions, service_usage
from rehearsal.gcp.calls import Call
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

ACCOUNT = "gcp:serviceaccount/account:Account"
ACCOUNT_BINDING = "gcp:serviceaccount/iAMMember:IAMMember"
# Namespaces with the time when a name was deleted:
DELETED_ROLES = "gcp/deleted-roles"
DELETED_POOLS = "gcp/deleted-pools"
AGENT = re.compile(
    r"service-\d+@(gcp-sa-[a-z0-9-]+|serverless-robot-prod)\.iam\.gserviceaccount\.com"
)


class Account(ResourceType):
    """A service account."""

    token = ACCOUNT
    source = "https://cloud.google.com/iam/docs/service-accounts-create"
    needs = "iam.googleapis.com"
    name = Name(
        property="accountId",
        pattern=r"[a-z]([a-z0-9-]*[a-z0-9])",
        min=6,
        max=30,
        rule="lower-case letters, digits and hyphens, beginning with a letter, no hyphen at the end",
        unique=("project",),
        lower=True,
    )

    def create(self, context: Context, record: Record) -> None:
        project = record.outputs["project"]
        email = f"{record.inputs['accountId']}@{project}.iam.gserviceaccount.com"
        record.id = f"projects/{project}/serviceAccounts/{email}"
        record.outputs |= {
            "email": email,
            "member": f"serviceAccount:{email}",
            "name": record.id,
            "uniqueId": f"1{secrets.randbelow(10**20):020}",
        }


class CustomRole(ResourceType):
    """A custom role. The id of a deleted one is blocked for a time."""

    token = permissions.CUSTOM_ROLE
    is_grant = True
    source = "https://cloud.google.com/iam/docs/creating-custom-roles"
    needs = "iam.googleapis.com"
    name = Name(
        property="roleId",
        pattern=r"[a-zA-Z0-9_.]{3,64}",
        max=64,
        rule="3 to 64 letters, digits, underscores and periods; no hyphens",
        unique=("project",),
        separator="",
    )
    UNDELETE_SECONDS = 7 * 24 * 3600
    FORGET_SECONDS = 37 * 24 * 3600

    def create(self, context: Context, record: Record) -> None:
        record.id = f"projects/{record.outputs['project']}/roles/{record.inputs['roleId']}"
        record.outputs |= {"name": record.id, "deleted": False}
        # For seven days the provider can undelete a role. For thirty more days its id stays blocked.
        deleted = time.time() - context.kv.get(DELETED_ROLES, record.id, 0)
        if self.UNDELETE_SECONDS < deleted < self.FORGET_SECONDS:
            raise Refusal(
                "failedPrecondition",
                f"Error 400: You can't create a role with role_id ({record.inputs['roleId']}) where"
                " there is an existing role with that role_id in a deleted state.",
            )
        context.kv.delete(DELETED_ROLES, record.id)

    def delete(self, context: Context, record: Record) -> None:
        context.kv.put(DELETED_ROLES, record.id, time.time())


class Member(ResourceType):
    """A role for a member on a resource: what all such bindings have in common."""

    is_grant = True
    source = "https://cloud.google.com/iam/docs/reference/rest/v1/Policy"
    replace_on = frozenset({"role", "member", "condition"})
    property: ClassVar[str] = "project"
    """The input that names the resource of the binding."""
    import_name: ClassVar[str] = "{project}"
    """The resource of the binding as ``pulumi import`` names it: a template over the outputs."""

    def imported_as(self, record: Record) -> str:
        """https://registry.terraform.io/providers/hashicorp/google/latest/docs/resources/google_project_iam#import"""
        title = (record.inputs.get("condition") or {}).get("title")
        named = self.import_name.format_map({**record.outputs, **record.inputs})
        parts = (named, record.inputs["role"], record.inputs["member"], title)
        return " ".join(part for part in parts if part)

    def check(self, context: Context, inputs: Inputs) -> None:
        role = inputs.get("role")
        if role and not re.fullmatch(r"(projects/[^/]+/|organizations/\d+/)?roles/[\w.]+", role):
            raise CheckFailure(
                "role", f'"{role}" is not a role: write roles/… or projects/…/roles/…'
            )
        member = inputs.get("member")
        if member and not re.fullmatch(r"allUsers|allAuthenticatedUsers|\w+:.+", member):
            raise CheckFailure(
                "member", f'"{member}" is not a member: write serviceAccount:…, user:…, group:…'
            )
        if "condition" not in inputs.unknown:
            permissions.check_condition(inputs.get("condition"))

    def create(self, context: Context, record: Record) -> None:
        member, role = record.inputs["member"], record.inputs["role"]
        kind, _, email = member.partition(":")
        if kind == "serviceAccount" and not account_exists(context, email):
            raise Refusal("badRequest", f"Error 400: Service account {email} does not exist.")
        if (
            role.startswith("projects/")
            and context.find(permissions.CUSTOM_ROLE, name=role) is None
        ):
            raise Refusal("badRequest", f"Error 400: Role {role} does not exist.")
        permissions.check_condition(record.inputs.get("condition"))
        record.id = "/".join([record.inputs.get(self.property) or "", role, member])
        if condition := record.inputs.get("condition"):
            record.id += f"/{condition['title']}"


class ProjectMember(Member):
    """A role for a member on a project."""

    token = permissions.PROJECT_BINDING
    needs = "cloudresourcemanager.googleapis.com"


class AccountMember(Member):
    """A role for a member on a service account: other accounts and identities of a pool act as it."""

    token = ACCOUNT_BINDING
    source = "https://cloud.google.com/iam/docs/manage-access-service-accounts"
    references: ClassVar = {"serviceAccountId": ACCOUNT}
    property = "serviceAccountId"
    import_name = "{serviceAccountId}"

    def create(self, context: Context, record: Record) -> None:
        pool = re.match(
            r"principal(?:Set)?://iam\.googleapis\.com/(projects/.+?/workloadIdentityPools/[^/]+)/",
            record.inputs["member"],
        )
        if pool and context.find(WorkloadIdentityPool.token, name=pool[1]) is None:
            raise Refusal(
                "badRequest", f"Error 400: Identity Pool does not exist ({pool[1]}). Please check."
            )
        super().create(context, record)


class WorkloadIdentityPool(ResourceType):
    """A deleted pool keeps its id for 30 days."""

    token = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"
    source = "https://cloud.google.com/iam/docs/manage-workload-identity-pools-providers"
    needs = "iam.googleapis.com"
    name = Name(
        property="workloadIdentityPoolId",
        pattern=r"(?!gcp-)[a-z0-9-]+",
        min=4,
        max=32,
        rule="lower-case letters, digits and hyphens, not beginning with gcp-",
        unique=("project",),
        taken="alreadyExists",
    )
    FORGET_SECONDS = 30 * 24 * 3600

    def create(self, context: Context, record: Record) -> None:
        project, pool = record.outputs["project"], record.inputs["workloadIdentityPoolId"]
        place = "locations/global/workloadIdentityPools"
        record.id = f"projects/{project}/{place}/{pool}"
        if time.time() - context.kv.get(DELETED_POOLS, record.id, 0) < self.FORGET_SECONDS:
            raise Refusal("alreadyExists", "Error 409: Requested entity already exists")
        number = context.account.gcp_number(project)
        record.outputs |= {"name": f"projects/{number}/{place}/{pool}", "state": "ACTIVE"}

    def delete(self, context: Context, record: Record) -> None:
        context.kv.put(DELETED_POOLS, record.id, time.time())


class WorkloadIdentityPoolProvider(ResourceType):
    """An issuer whose identities a pool accepts."""

    token = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
    source = (
        "https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines"
    )
    name = Name(
        property="workloadIdentityPoolProviderId",
        pattern=r"(?!gcp-)[a-z0-9-]+",
        min=4,
        max=32,
        rule="lower-case letters, digits and hyphens, not beginning with gcp-",
        unique=("project", "workloadIdentityPoolId"),
        taken="alreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        issuer = (inputs.get("oidc") or {}).get("issuerUri", "")
        unpinned = (
            not inputs.get("attributeCondition") and "attributeCondition" not in inputs.unknown
        )
        if unpinned and issuer.startswith("https://token.actions.githubusercontent.com"):
            raise CheckFailure(
                "attributeCondition",
                "The attribute condition must reference one of the provider's claims.",
            )
        try:
            expressions.check(inputs.get("attributeCondition") or "''")
        except expressions.Unsupported as unsupported:
            raise CheckFailure(
                "attributeCondition",
                f"the rehearsal does not evaluate {unsupported}; Google Cloud may take it",
            ) from None

    def create(self, context: Context, record: Record) -> None:
        wanted = record.inputs["workloadIdentityPoolId"]
        pool = context.find(WorkloadIdentityPool.token, workloadIdentityPoolId=wanted)
        if pool is None:
            raise Refusal("notFound", f"Error 404: workload identity pool {wanted} was not found")
        provider = record.inputs["workloadIdentityPoolProviderId"]
        record.id = f"{pool.id}/providers/{provider}"
        record.outputs |= {
            "name": f"{pool.outputs['name']}/providers/{provider}",
            "state": "ACTIVE",
        }


def account_exists(context: Context, email: str) -> bool:
    """Whether this is a service account, one of Google's agents or own accounts, or the deployer."""
    return (
        email == credentials.deployer(context)
        or context.find(ACCOUNT, email=email) is not None
        or AGENT.fullmatch(email) is not None
        or context.kv.get(permissions.MODEL_FOLDERS, email) is not None
    )


def require_account(context: Context, email: str) -> None:
    """Raise Google's refusal unless the service account exists."""
    if context.find(ACCOUNT, email=email) is None:
        raise Refusal("INVALID_ARGUMENT", f"Service account {email} does not exist.")


def require_administrator(context: Context, email: str, agent: str) -> None:
    """Raise a refusal unless a service agent is the administrator of the account, as its service needs it."""
    account = context.find(ACCOUNT, email=email)
    assert account is not None
    permissions.require(
        context, agent, "iam.serviceAccounts.setIamPolicy", resource(account), account.id
    )


def resource(record: Record) -> permissions.Resource:
    """A service account, for a permission check."""
    return permissions.of_record(AccountMember.token, "serviceAccountId", record)


def account_resource(context: Context, email: str) -> permissions.Resource:
    """The service account with this e-mail, for a permission check; one that does not exist has no bindings."""
    account = context.find(ACCOUNT, email=email)
    return resource(account) if account else permissions.PROJECT


def require_act_as(context: Context, caller: str, email: str) -> None:
    """Raise Google's refusal unless the caller may set up something that runs as the account.

    https://cloud.google.com/iam/docs/service-accounts-actas
    """
    on = account_resource(context, email)
    permissions.require(context, caller, "iam.serviceAccounts.actAs", on, email)


def access_token(call: Call) -> Json:
    """https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken"""
    require_account(call.context, call.path["account"])
    token = credentials.token(call.context, call.path["account"])
    ends = datetime.now(UTC) + timedelta(seconds=token["expires_in"])
    return {"accessToken": token["access_token"], "expireTime": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}


def list_accounts(call: Call) -> Json:
    """Twenty a page, a hundred at most. A new account is missing at first.

    https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts/list
    """
    service_usage.require_api(call.context, call.project, "iam.googleapis.com")
    accounts = (
        {
            "name": each.id,
            "email": each.outputs["email"],
            "displayName": each.inputs.get("displayName", ""),
            "description": each.inputs.get("description", ""),
        }
        for each in call.context.listed(ACCOUNT)
        if each.outputs.get("project") == call.project
    )
    return call.page("accounts", accounts, limit=20)
