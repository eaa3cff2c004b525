"""Insecure variants of permissions and trust."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from api_models.resource import Resource
from config.tags import platform_tags
from tests.policy.changes import Change, Mutation, add, edit, put

LEAST_PRIVILEGE, TRUST = "least-privilege", "trusted-by-name"
IAM = "aws:iam/"
ROLE = f"{IAM}role:Role"
ROLE_POLICY = f"{IAM}rolePolicy:RolePolicy"
ATTACHMENT = f"{IAM}rolePolicyAttachment:RolePolicyAttachment"
OIDC = f"{IAM}openIdConnectProvider:OpenIdConnectProvider"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
ACCOUNT = "123456789012"
GITHUB = "token.actions.githubusercontent.com"
AUDIENCE = {f"{GITHUB}:aud": "sts.amazonaws.com"}
SUBJECT = "repo:acme/triplane:environment:production"
EVERYTHING = json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
TAGS = platform_tags("dev", "dev", {})

CUSTOM_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
POOL_PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
BINDINGS = {
    "artifactregistry/repositoryIamMember:RepositoryIamMember": "artifactregistry.reader",
    "cloudrunv2/serviceIamMember:ServiceIamMember": "run.invoker",
    "projects/iAMMember:IAMMember": "logging.logWriter",
    "secretmanager/secretIamMember:SecretIamMember": "secretmanager.secretAccessor",
    "serviceaccount/iAMMember:IAMMember": "iam.serviceAccountUser",
    "storage/bucketIAMMember:BucketIAMMember": "storage.objectViewer",
    "vertex/aiEndpointIamMember:AiEndpointIamMember": "aiplatform.user",
}
"""Types of bindings, each with a role that it may grant."""
POOL = "iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p"

AUTHORIZATION = "azure-native:authorization:"
ASSIGNMENT = f"{AUTHORIZATION}RoleAssignment"
DEFINITION = f"{AUTHORIZATION}RoleDefinition"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"
READ_ROLES = "Microsoft.Authorization/roleDefinitions/read"
READ_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
ROLE_IDS = {
    "an owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "an owner in capitals": "8E3AF657-A8FF-443C-A75C-2FE8C4BCB635",
    "a contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "an access administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "a role administrator": "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
    "an unknown role": "00000000-1111-4222-8333-444444444444",
}


def listed() -> Iterator[Mutation]:
    """All of them, cloud by cloud."""
    yield from aws_grants()
    yield from aws_trust()
    yield from gcp_grants()
    yield from gcp_trust()
    yield from azure_grants()
    yield from azure_trust()


def allowing(action: str, resource: str) -> Change:
    """Add a policy with one statement."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return add(ROLE_POLICY, policy=json.dumps({"Statement": statement}))


def trusting(**changed: Any) -> Change:
    """Change the trust statement of the delivery's role."""

    def change(plan: list[Resource]) -> list[Resource]:
        role = next(each for each in plan if each.type == ROLE and "delivery" in each.name)
        (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        changed_statement = {
            key: each for key, each in {**statement, **changed}.items() if each is not None
        }
        document = json.dumps({"Statement": [changed_statement]})
        return put(ROLE, "assumeRolePolicy", document, "delivery")(plan)

    return change


def aws_grants() -> Iterator[Mutation]:
    for what, old, new in (
        ("every action", "s3:PutObject", "s3:*"),
        ("every action with a prefix", "s3:PutObject", "s3:Put?bject"),
        ("every resource", '"Action": ["s3:PutObject"], "Resource": ["', '"Action": ["s3:PutObject"], "Resource": ["*", "'),
        ("all but one action", '"Action": ["s3:PutObject"]', '"NotAction": ["iam:CreateUser"]'),
        ("all but one resource", '"Action": ["s3:PutObject"], "Resource"', '"Action": ["s3:PutObject"], "NotResource"'),
    ):  # fmt: skip
        yield Mutation(
            LEAST_PRIVILEGE, ROLE_POLICY, what,
            edit(ROLE_POLICY, "policy", old, new, "gateway-grants"),
        )  # fmt: skip
    for action, resource in (
        ("cloudwatch:PutMetricData", "*"),
        ("s3:GetObject", "?*"),
        ("s3:GetObject", "**"),
        ("s3:GetObject", "arn:aws:s3:::*/*"),
        ("s3:GetObject", "arn:aws:s3:::?*"),
        ("s3:GetObject", "arn:aws:s3:::triplane-*/*"),
        ("kms:Decrypt", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/*"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:triplane-key"),
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:t*"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/?*"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/triplane-*"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/triplane/*"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/triplane/dev-*"),
        ("IAM:passrole", f"arn:aws:iam::{ACCOUNT}:role/triplane-*"),
        ("iam:PassRole", "arn:aws:iam::*:role/triplane-gateway"),
    ):  # fmt: skip
        yield Mutation(
            LEAST_PRIVILEGE, ROLE_POLICY, f"{action} on {resource}", allowing(action, resource)
        )
    yield Mutation(
        LEAST_PRIVILEGE, f"{IAM}policy:Policy", "a policy that allows everything",
        add(f"{IAM}policy:Policy", tags=TAGS, policy=EVERYTHING),
    )  # fmt: skip
    for arn in (ADMINISTRATOR, "arn:aws:iam::aws:policy/job-function/SystemAdministrator"):
        yield Mutation(LEAST_PRIVILEGE, ATTACHMENT, arn, add(ATTACHMENT, policyArn=arn))
    yield Mutation(
        LEAST_PRIVILEGE, ROLE, "AWS's administrator by the role itself",
        put(ROLE, "managedPolicyArns", [ADMINISTRATOR]),
    )  # fmt: skip
    yield Mutation(
        LEAST_PRIVILEGE, ROLE, "everything by the role itself",
        put(ROLE, "inlinePolicies", [{"name": "all", "policy": EVERYTHING}]),
    )  # fmt: skip
    for type_ in (
        "policyAttachment:PolicyAttachment",
        "userPolicy:UserPolicy",
        "userPolicyAttachment:UserPolicyAttachment",
        "groupPolicy:GroupPolicy",
    ):
        unknown = add(f"{IAM}{type_}", policyArn=ADMINISTRATOR, policy=EVERYTHING, tags=TAGS)
        yield Mutation(LEAST_PRIVILEGE, f"{IAM}*", type_, unknown)
    for type_ in (
        "aws-native:iam:Role",
        "azure:role/assignment:Assignment",
        "azure-native:authorization/v20220401:RoleAssignment",
    ):
        yield Mutation(LEAST_PRIVILEGE, "*", f"{type_}, unknown", add(type_, tags=TAGS))


def aws_trust() -> Iterator[Mutation]:
    exact = {**AUDIENCE, f"{GITHUB}:sub": SUBJECT}
    yield Mutation(
        TRUST, ROLE, "any account's builds",
        edit(ROLE, "assumeRolePolicy", '"Condition"', '"Sid"', "build"),
    )  # fmt: skip
    yield Mutation(
        TRUST, ROLE, "builds of any account by a pattern",
        edit(ROLE, "assumeRolePolicy", "StringEquals", "StringLike", "build"),
    )  # fmt: skip
    for what, condition in {
        "every repository of GitHub": {"StringEquals": AUDIENCE},
        "every repository by a pattern": {
            "StringEquals": AUDIENCE, "StringLike": {f"{GITHUB}:sub": "repo:*"}},
        "every branch": {
            "StringEquals": AUDIENCE, "StringLike": {f"{GITHUB}:sub": "repo:acme/triplane:*"}},
        "a token with this subject, or none": {"StringEqualsIfExists": exact},
        "a token without another subject": {"ForAllValues:StringEquals": exact},
        "one subject of two by a pattern": {
            "StringEquals": {**AUDIENCE, f"{GITHUB}:sub": [SUBJECT, "repo:*"]}},
        "pull requests": {
            "StringEquals": {**AUDIENCE, f"{GITHUB}:sub": "repo:acme/triplane:pull_request"}},
        "any audience": {"StringEquals": {f"{GITHUB}:sub": SUBJECT}},
        "another issuer's subject": {"StringEquals": {"accounts.example:sub": SUBJECT, **AUDIENCE}},
    }.items():  # fmt: skip
        yield Mutation(TRUST, ROLE, what, trusting(Condition=condition))
    principals: dict[str, dict[str, Any]] = {
        "everybody": {"Principal": "*"},
        "everybody of AWS": {"Principal": {"AWS": "*"}},
        "everybody but one": {"Principal": None, "NotPrincipal": {"AWS": ACCOUNT}},
        "a whole account": {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}},
    }
    for what, changed in principals.items():
        yield Mutation(TRUST, ROLE, f"{what} may assume it", trusting(**changed))
    yield Mutation(TRUST, OIDC, "another issuer", put(OIDC, "url", "https://gitlab.example/oidc"))


def gcp_grants() -> Iterator[Mutation]:
    for binding in BINDINGS:
        token = f"gcp:{binding}"
        yield Mutation(
            LEAST_PRIVILEGE, token, f"editor on {binding}",
            add(token, role="roles/editor", member="serviceAccount:x"),
        )  # fmt: skip
    project = "gcp:projects/iAMMember:IAMMember"
    yield Mutation(
        LEAST_PRIVILEGE, project, "every bucket of the project",
        add(project, role="roles/storage.objectViewer", member="serviceAccount:x"),
    )  # fmt: skip
    for type_, family in {
        "projects/iAMBinding:IAMBinding": "gcp:*:*I[aA][mM]*",
        "cloudrunv2/serviceIamBinding:ServiceIamBinding": "gcp:*:*I[aA][mM]*",
        "storage/bucketIAMPolicy:BucketIAMPolicy": "gcp:*:*I[aA][mM]*",
        "pubsub/topicIAMMember:TopicIAMMember": "gcp:*:*I[aA][mM]*",
        "serviceaccount/iAMBinding:IAMBinding": "gcp:serviceaccount/*",
        "iam/workforcePool:WorkforcePool": "gcp:iam/*",
    }.items():
        owner = add(f"gcp:{type_}", role="roles/owner", members=["allUsers"], labels=TAGS)
        yield Mutation(LEAST_PRIVILEGE, family, type_, owner)
    for permission in (
        "resourcemanager.projects.setIamPolicy",
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.getAccessToken",
        "iam.workloadIdentityPoolProviders.update",
    ):
        yield Mutation(
            LEAST_PRIVILEGE, CUSTOM_ROLE, f"a role that has {permission}",
            put(CUSTOM_ROLE, "permissions", [permission], "predictor"),
        )  # fmt: skip
    # The one role that may, on the gateway's service, is no exception for the others.
    yield Mutation(
        LEAST_PRIVILEGE, CUSTOM_ROLE, "the policy of every service in the project",
        put(CUSTOM_ROLE, "permissions", ["run.services.setIamPolicy"], "deployer"),
    )  # fmt: skip


def gcp_trust() -> Iterator[Mutation]:
    for binding, role in BINDINGS.items():
        token = f"gcp:{binding}"
        yield Mutation(
            TRUST, token, f"{role} for a whole pool",
            add(token, role=f"roles/{role}", member=f"principalSet://{POOL}/*"),
        )  # fmt: skip
    impersonate = "gcp:serviceaccount/iAMMember:IAMMember"
    for member in (
        f"principalSet://{POOL}/*",
        f"principalSet://{POOL}/attribute.repository/acme/triplane",
        f"principal://{POOL}/subject/repo:acme/*",
        "domain:example.com",
    ):
        yield Mutation(
            TRUST, impersonate, f"{member} may impersonate",
            put(impersonate, "member", member, "impersonate"),
        )  # fmt: skip
    subject = f"assertion.sub == '{SUBJECT}'"
    for condition in (
        None,
        "assertion.aud == 'gcp'",
        "assertion.repository_owner == 'acme'",
        "assertion.sub.startsWith('repo:acme/')",
        "assertion.sub == 'repo:acme/triplane'",
        f"{subject} || true",
        f"!({subject})",
    ):
        yield Mutation(
            TRUST, POOL_PROVIDER, f"tokens on the condition {condition}",
            put(POOL_PROVIDER, "attributeCondition", condition),
        )  # fmt: skip
    yield Mutation(
        TRUST, POOL_PROVIDER, "a subject that is the owner",
        put(POOL_PROVIDER, "attributeMapping", {"google.subject": "assertion.repository_owner"}),
    )  # fmt: skip
    yield Mutation(
        TRUST, POOL_PROVIDER, "another issuer",
        put(POOL_PROVIDER, "oidc", {"issuerUri": "https://gitlab.example"}),
    )  # fmt: skip


def azure_grants() -> Iterator[Mutation]:
    for what, role in ROLE_IDS.items():
        identifier = f"/providers/Microsoft.Authorization/roleDefinitions/{role}"
        yield Mutation(
            LEAST_PRIVILEGE, ASSIGNMENT, what, put(ASSIGNMENT, "roleDefinitionId", identifier)
        )
    for scope in (
        "/",
        "/subscriptions/11111111-2222-4333-8444-555555555555",
        "/Subscriptions/11111111-2222-4333-8444-555555555555/",
        "/providers/Microsoft.Management/managementGroups/all",
    ):
        yield Mutation(
            LEAST_PRIVILEGE, ASSIGNMENT, f"a role on {scope}", put(ASSIGNMENT, "scope", scope)
        )
    # The one role on the subscription may read roles and their assignments, and nothing else.
    for permission in (
        {"actions": [READ_ROLES, "Microsoft.Storage/storageAccounts/read"]},
        {"actions": [READ_ROLES], "dataActions": [READ_BLOBS]},
    ):
        yield Mutation(
            LEAST_PRIVILEGE, ASSIGNMENT, f"{permission} on the subscription",
            put(DEFINITION, "permissions", [permission], "delivery-reader"),
        )  # fmt: skip
    yield Mutation(
        LEAST_PRIVILEGE, ASSIGNMENT, "the reader of roles on all subscriptions",
        put(ASSIGNMENT, "scope", "/", "delivery-read-roles"),
    )  # fmt: skip
    for permission in (
        {"actions": ["*"]},
        {"actions": ["Microsoft.Storage/*/read"]},
        {"dataActions": ["*"]},
        {"actions": ["Microsoft.Authorization/roleAssignments/write"]},
        {"actions": ["microsoft.authorization/roleDefinitions/Write"]},
        {"actions": ["Microsoft.Authorization/elevateAccess/action"]},
        {
            "actions": [
                "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"
            ]
        },
    ):
        yield Mutation(
            LEAST_PRIVILEGE, DEFINITION, f"a role with {permission}",
            put(DEFINITION, "permissions", [permission]),
        )  # fmt: skip
    for type_, family in {
        f"{AUTHORIZATION}RoleEligibilityScheduleRequest": "azure-native:authorization*",
        "azure-native:managedidentity:Unheard": "azure-native:managedidentity*",
    }.items():
        yield Mutation(LEAST_PRIVILEGE, family, type_, add(type_, tags=TAGS))


def azure_trust() -> Iterator[Mutation]:
    for path, value in (
        ("issuer", "https://gitlab.example"),
        ("issuer", None),
        ("subject", "repo:acme/*"),
        ("subject", "repo:acme/triplane:*"),
        ("subject", "repo:acme/triplane:pull_request"),
        ("subject", None),
        ("audiences", ["anybody"]),
    ):
        yield Mutation(TRUST, CREDENTIAL, f"{path} {value}", put(CREDENTIAL, path, value))
