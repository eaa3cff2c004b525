"""The rules: what each demands, why, and from which document.

How a cloud's resources are checked: `aws`, `gcp`, `azure` and, for permissions and trust, `access`.
`enforcement` runs the checks.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.tags import PLATFORM_TAGS


@dataclass(frozen=True)
class Rule:
    """One demand on everything that a stack registers."""

    name: str
    demands: str
    why: str
    sources: tuple[str, ...]


PRIVATE = Rule(
    "private",
    "Data, images and secrets are closed to the public, by the strongest switch that the cloud has.",
    "One wrong grant must not publish a lake: the switch overrides the grants.",
    (
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html",
        "https://cloud.google.com/storage/docs/public-access-prevention",
        "https://learn.microsoft.com/azure/storage/blobs/anonymous-read-access-prevent",
    ),
)
AUTHENTICATED = Rule(
    "authenticated-callers",
    "Every endpoint requires the cloud's own authentication, except a gateway that checks its callers.",
    "A model endpoint that anybody can call serves strangers, at the owner's cost.",
    (
        "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
        "https://cloud.google.com/run/docs/authenticating/public",
        "https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint",
    ),
)
ENCRYPTED = Rule(
    "encrypted",
    "Stored data is encrypted, and where a cloud has a setting for it, the setting is explicit.",
    "A copied disk, snapshot or backup must not be readable without the key.",
    (
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html",
        "https://cloud.google.com/docs/security/encryption/default-encryption",
        "https://learn.microsoft.com/azure/security/fundamentals/encryption-atrest",
    ),
)
TLS = Rule(
    "tls",
    "Every endpoint accepts TLS 1.2 or newer, and no clear text.",
    "Clear text can be read and changed on its way, and TLS before 1.2 has known attacks.",
    (
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html",
        "https://learn.microsoft.com/azure/storage/common/transport-layer-security-configure-minimum-version",
        "https://learn.microsoft.com/azure/app-service/overview-tls",
    ),
)
IDENTITY = Rule(
    "identity",
    "Each workload has an identity of its own: no keys, no admin users, no default accounts.",
    "A key leaks and does not expire; a shared account has everybody's permissions.",
    (
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html",
        "https://cloud.google.com/iam/docs/best-practices-service-accounts",
        "https://learn.microsoft.com/azure/storage/common/shared-key-authorization-prevent",
    ),
)
PINNED_IMAGE = Rule(
    "pinned-image",
    "An image runs by its digest, never by a tag, and a tag cannot be moved.",
    "The image that was tested is the image that runs.",
    (
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html",
        "https://cloud.google.com/run/docs/deploying#service",
        "https://learn.microsoft.com/azure/container-registry/container-registry-image-tag-version",
    ),
)
LEAST_PRIVILEGE = Rule(
    "least-privilege",
    "No permission for every action, or on every resource, without a reason written in policy/.",
    "A permission that is not granted cannot be misused, by an attacker or by mistake.",
    (
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
        "https://cloud.google.com/iam/docs/using-iam-securely",
        "https://learn.microsoft.com/azure/role-based-access-control/best-practices",
    ),
)
TRUST = Rule(
    "trusted-by-name",
    "An outside identity is trusted by issuer and exact subject; a service, on behalf of one account.",
    "An issuer signs tokens for everybody: a pattern also trusts strangers.",
    (
        "https://docs.github.com/actions/concepts/security/openid-connect",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
        "https://cloud.google.com/iam/docs/best-practices-for-using-workload-identity-federation",
        "https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations",
    ),
)
TAGGED = Rule(
    "tagged",
    f"Every resource that can have tags or labels has {', '.join(PLATFORM_TAGS)}.",
    "They show cost and ownership, and discovery finds the resource by them when the state is lost.",
    ("config/tags.py",),
)
VERSIONED = Rule(
    "versioned",
    "Data that is overwritten or deleted in a lake or a vault can be restored.",
    "Without versions, recovery depends on luck.",
    (
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html",
        "https://cloud.google.com/storage/docs/object-versioning",
        "https://learn.microsoft.com/azure/storage/blobs/versioning-overview",
    ),
)
RETENTION = Rule(
    "retention",
    "Logs, captures, old versions and untagged images are kept for a set time; images with a tag are not deleted.",
    "Data that nobody decided to keep costs money, and is a liability if captures hold personal data."
    " But no registry knows which images are in use: without its image a function or a deployment cannot start again.",
    (
        "https://gdpr-info.eu/art-5-gdpr/",
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html",
        "https://docs.cloud.google.com/artifact-registry/docs/repositories/cleanup-policy-overview",
    ),
)
SECRETS = Rule(
    "secrets-by-reference",
    "A secret's value is in the secret store and nowhere else; other resources have a reference to it.",
    "Consoles, logs and exports show environment variables.",
    (
        "https://docs.aws.amazon.com/secretsmanager/latest/userguide/best-practices.html",
        "https://cloud.google.com/run/docs/configuring/services/secrets",
        "https://learn.microsoft.com/azure/app-service/app-service-key-vault-references",
    ),
)

RULES = (
    PRIVATE, AUTHENTICATED, ENCRYPTED, TLS, IDENTITY, PINNED_IMAGE, LEAST_PRIVILEGE, TRUST, TAGGED,
    VERSIONED, RETENTION, SECRETS,
)  # fmt: skip
