"""What a person needs before the first `up`, with the commands: a section of docs/reference/<cloud>.md.

Which services a cloud must know is generated from `components/<cloud>/resource_types.py`. Which role gives a service's
permissions is data here, and a service without one is an error: the pages cannot fall behind the program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from components.aws.resource_types import RESOURCE_TYPES as AWS
from components.azure.resource_types import RESOURCE_TYPES as AZURE
from components.gcp.resource_types import RESOURCE_TYPES as GCP
from components.resource_type import DeployPermissions, ResourceType
from config.clouds import Cloud
from operations.account_check.aws import ASKS_OF_IAM
from operations.account_check.azure import OF_ONLINE_ENDPOINTS, needed_providers
from operations.account_check.gcp import ASKED, BEFOREHAND
from operations.engine.installation import HOME
from tools import generated_part

# The statement that PowerUserAccess lacks: it allows all services but IAM.
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/PowerUserAccess.html
ROLES_OF_THE_PLATFORM = {
    "Effect": "Allow",
    "Action": [
        *(
            f"iam:{verb}Role"
            for verb in ("Create", "Delete", "Get", "Pass", "Tag", "Untag", "Update")
        ),
        *(f"iam:{verb}RolePolicy" for verb in ("Delete", "Get", "Put")),
        "iam:ListAttachedRolePolicies",
        "iam:ListInstanceProfilesForRole",
        "iam:ListRolePolicies",
        "iam:ListRoleTags",
        "iam:UpdateAssumeRolePolicy",
    ],
    "Resource": "arn:aws:iam::*:role/triplane-*",
}
GITHUB_PROVIDER = {
    "Effect": "Allow",
    "Action": [
        f"iam:{verb}OpenIDConnectProvider" for verb in ("Create", "Delete", "Get", "Tag", "Untag")
    ],
    "Resource": "arn:aws:iam::*:oidc-provider/token.actions.githubusercontent.com",
}
# The role's own name and path are its owner's. Both actions only read.
OWN_PERMISSIONS = {
    "Effect": "Allow",
    "Action": list(ASKS_OF_IAM),
    "Resource": "arn:aws:iam::*:role/*",
}
# By the beginning of a permission: the predefined role that has it to create, change and delete.
# https://cloud.google.com/iam/docs/roles-permissions
GOOGLE_ROLES: Mapping[str, tuple[str, ...]] = {
    "aiplatform": ("aiplatform.admin",),
    "artifactregistry": ("artifactregistry.admin",),
    "cloudbuild": ("cloudbuild.builds.editor",),
    "iam.roles": ("iam.roleAdmin",),
    # The build and the gateway run as accounts that the deployer must be allowed to use.
    "iam.serviceAccounts": ("iam.serviceAccountAdmin", "iam.serviceAccountUser"),
    "iam.workloadIdentityPoolProviders": ("iam.workloadIdentityPoolAdmin",),
    "iam.workloadIdentityPools": ("iam.workloadIdentityPoolAdmin",),
    "resourcemanager": ("resourcemanager.projectIamAdmin",),
    "run": ("run.admin",),
    "secretmanager": ("secretmanager.admin",),
    "serviceusage": ("serviceusage.serviceUsageAdmin",),
    "storage": ("storage.admin",),
}


class NoRole(Exception):
    """A permission that no role of the table gives; the message names it."""


def permissions(types: Mapping[str, ResourceType]) -> list[str]:
    """What the program does with these types, when it creates them, too."""
    creation = {each for type_ in types.values() for each in type_.creation}
    return sorted({*DeployPermissions.of(types).permissions, *creation})


def aws() -> str:
    """Managed policies, and one statement for IAM."""
    services = sorted({each.partition(":")[0] for each in permissions(AWS)} - {"iam"})
    allowed = {*ROLES_OF_THE_PLATFORM["Action"], *GITHUB_PROVIDER["Action"]}
    if lacking := [e for e in permissions(AWS) if e.startswith("iam:") and e not in allowed]:
        raise NoRole(f"no statement of tools/prerequisites.py allows {', '.join(lacking)}")
    document = {
        "Version": "2012-10-17",
        "Statement": [ROLES_OF_THE_PLATFORM, GITHUB_PROVIDER, OWN_PERMISSIONS],
    }
    return f"""A role with these two policies may create the platform. The first is AWS's own, and covers all but IAM:
{", ".join(services)}.
The second is for roles named `triplane-*`, the identity provider for GitHub, and `make check-account`, which reads what the
role itself may do. A person who signs in with `aws sso login` has them in a permission set of IAM Identity Center: the first as
a managed policy, the second as the inline policy. Any other role gets them so:

```sh
aws sts get-caller-identity       # signed in, to the account that is meant
aws iam attach-role-policy --role-name ROLE --policy-arn arn:aws:iam::aws:policy/PowerUserAccess
aws iam put-role-policy --role-name ROLE --policy-name triplane-iam --policy-document file://triplane-iam.json
```

`triplane-iam.json`:

```json
{json.dumps(document, indent=1)}
```
"""


def gcp() -> str:
    """APIs that are enabled beforehand, and predefined roles."""
    roles = {role for each in permissions(GCP) for role in google_roles(each)}
    return f"""The program enables the APIs itself, with two that must be there before: {", ".join(BEFOREHAND)}.
The others of the command are those that `make check-account` asks, which says *not known* without them. Owner of the project
has all of these roles; if it is not to be Owner:

```sh
gcloud billing projects describe PROJECT      # billingEnabled: true
gcloud services enable {_wrapped((*BEFOREHAND, *ASKED))} \\
    --project PROJECT
for role in {_wrapped(sorted(roles))}; do \\
  gcloud projects add-iam-policy-binding PROJECT --member user:PERSON --role "roles/$role" --condition None; done
```
"""


def google_roles(permission: str) -> tuple[str, ...]:
    """The roles that give a permission. Raises NoRole."""
    for prefix, roles in GOOGLE_ROLES.items():
        if permission.startswith(f"{prefix}."):
            return roles
    raise NoRole(f"GOOGLE_ROLES of tools/prerequisites.py has no role that gives {permission}")


def azure() -> str:
    """Resource providers, and roles."""
    providers = [each.removeprefix("Microsoft.") for each in needed_providers(permissions(AZURE))]
    of_endpoints = sorted(each.removeprefix("Microsoft.") for each in OF_ONLINE_ENDPOINTS)
    return f"""A subscription in which you may create resources, define roles and assign them: Owner, or the two roles below.
{", ".join(of_endpoints)} are what Azure ML uses for an endpoint.

```sh
az account set --subscription SUBSCRIPTION
for p in {_wrapped(providers)}; do \\
  az provider register --wait --namespace "Microsoft.$p"; done
for role in Contributor "User Access Administrator"; do \\
  az role assignment create --assignee PERSON --role "$role" --scope /subscriptions/SUBSCRIPTION; done
```
"""


def _wrapped(words: Iterable[str]) -> str:
    """Words of a shell's list on several lines."""
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 90:
            lines.append(line)
            line = ""
        line += f" {word}" if line else word
    return " \\\n    ".join([*lines, line])


SECTIONS: Mapping[Cloud, Callable[[], str]] = {"aws": aws, "gcp": gcp, "azure": azure}


def current(cloud: Cloud, page: str) -> str:
    """The page's text with the section of today's program. Raises ValueError for a page without its place."""
    missing = f"docs/reference/{cloud}.md has no place for the prerequisites"
    return generated_part.renewed(page, "prerequisites", f"\n{SECTIONS[cloud]()}\n", missing)


def main() -> None:
    for cloud in SECTIONS:
        page = HOME / "docs" / "reference" / f"{cloud}.md"
        page.write_text(current(cloud, page.read_text()))


if __name__ == "__main__":
    main()
