"""The rules: what each demands and why. How each cloud shows that it is kept is in aws.py, gcp.py, azure.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from config.tags import PLATFORM_TAGS
from policy.record import Check, Plan, Resource

PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
ISSUERS = ("https://token.actions.githubusercontent.com",)
"""Whose tokens may be taken at all."""
# One repository, and in it one environment or one branch: no wildcards, no shorter subject, as of pull
# requests, which anybody opens. https://docs.github.com/actions/reference/security/oidc#example-subject-claims
SUBJECT = re.compile(r"repo:[^/:*?\s]+/[^/:*?\s]+:(environment:|ref:refs/)[^*?\s]+")
# Whose types the rules read, and what is no resource of a cloud: Pulumi's own, the platform's components.
# Not the types of azure-native that name an API version, which say their properties otherwise.
READ_PROVIDERS = re.compile(r"(aws|gcp|pulumi|pulumi-python|triplane):.*|azure-native:[^/]*:[^/]*")


@dataclass(frozen=True)
class Rule:
    """One demand on everything that a stack registers."""

    name: str
    demands: str
    why: str
    sources: tuple[str, ...]
    checks: dict[str, list[Check]] = field(default_factory=dict)
    """By resource type; with wildcards, ``aws:*`` or ``aws:iam/*``, all types that fit."""

    def on(self, *types: str) -> Callable[[Check], Check]:
        """Decorator: this function finds what breaks the rule in a resource of these types."""

        def add(check: Check) -> Check:
            for type_ in types:
                self.checks.setdefault(type_, []).append(check)
            return check

        return add

    def expects(self, type_: str, **inputs: Any) -> None:
        """Inputs of a type that must have this value (a set: one of these); ``__`` goes a level down."""

        def check(resource: Resource, _plan: Plan) -> Iterator[str]:
            for name, allowed in inputs.items():
                path = name.replace("__", ".")
                found, values = (
                    resource.get(path),
                    allowed if isinstance(allowed, set) else {allowed},
                )
                if found not in values:
                    wanted = " or ".join(sorted(map(repr, values)))
                    yield f"{path} is {found!r}; it must be {wanted}"

        self.on(type_)(check)


PRIVATE = Rule(
    "private",
    "Data, images and secrets are closed to the public, by the strongest switch that there is.",
    "A wrong grant must not be enough to publish a lake: the switch stands above the grants.",
    (
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html",
        "https://cloud.google.com/storage/docs/public-access-prevention",
        "https://learn.microsoft.com/azure/storage/blobs/anonymous-read-access-prevent",
    ),
)
ONE_DOOR = Rule(
    "one-door",
    "Nothing answers without the cloud's own authentication but a gateway that checks its callers.",
    "A model endpoint that anybody can call is somebody else's compute.",
    (
        "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
        "https://cloud.google.com/run/docs/authenticating/public",
        "https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint",
    ),
)
ENCRYPTED = Rule(
    "encrypted",
    "What is stored is encrypted, and where a cloud lets one say so, it is said.",
    "Google Cloud and Azure encrypt everything at rest and have no switch: nothing to hold there.",
    (
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html",
        "https://cloud.google.com/docs/security/encryption/default-encryption",
        "https://learn.microsoft.com/azure/security/fundamentals/encryption-atrest",
    ),
)
TLS = Rule(
    "tls",
    "Every way in takes TLS 1.2 or newer, and no clear text.",
    "On Google Cloud nothing is to be held: its APIs and Cloud Run send clear text away.",
    (
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html",
        "https://learn.microsoft.com/azure/storage/common/transport-layer-security-configure-minimum-version",
        "https://learn.microsoft.com/azure/app-service/overview-tls",
    ),
)
IDENTITY = Rule(
    "identity",
    "Workloads act through an identity of their own: no keys, no admin users, no default accounts.",
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
    "What was tested is what runs.",
    (
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html",
        "https://cloud.google.com/run/docs/deploying#service",
        "https://learn.microsoft.com/azure/container-registry/container-registry-image-tag-version",
    ),
)
LEAST_PRIVILEGE = Rule(
    "least-privilege",
    "No permission to do everything, or on everything, without a reason written in policy/.",
    "What is not granted cannot be misused, by a thief or by a mistake.",
    (
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
        "https://cloud.google.com/iam/docs/using-iam-securely",
        "https://learn.microsoft.com/azure/role-based-access-control/best-practices",
    ),
)
TRUST = Rule(
    "trusted-by-name",
    "Who comes from outside is trusted by issuer and exact subject; a service, on behalf of one account.",
    "An issuer signs tokens for everybody: whoever is trusted by a pattern is joined by strangers.",
    (
        "https://docs.github.com/actions/concepts/security/openid-connect",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
        "https://cloud.google.com/iam/docs/best-practices-for-using-workload-identity-federation",
        "https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations",
    ),
)
TAGGED = Rule(
    "tagged",
    f"Whatever takes tags or labels carries {', '.join(PLATFORM_TAGS)}.",
    "Cost and ownership; and so it is found again when the state is lost.",
    ("config/tags.py",),
)
VERSIONED = Rule(
    "versioned",
    "What is overwritten or deleted in a lake or a vault can be brought back.",
    "Without it, recovery is luck.",
    (
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html",
        "https://cloud.google.com/storage/docs/object-versioning",
        "https://learn.microsoft.com/azure/storage/blobs/versioning-overview",
    ),
)
RETENTION = Rule(
    "retention",
    "Logs, captures, old versions and old images are kept for a set time, not for ever.",
    "What nobody decided to keep costs money, and is a liability when captures hold personal data.",
    ("https://gdpr-info.eu/art-5-gdpr/",),
)
SECRETS = Rule(
    "secrets-by-reference",
    "A secret's value is in the secret store and nowhere else; others hold its reference.",
    "Environment variables are shown in consoles, logs and exports.",
    (
        "https://docs.aws.amazon.com/secretsmanager/latest/userguide/best-practices.html",
        "https://cloud.google.com/run/docs/configuring/services/secrets",
        "https://learn.microsoft.com/azure/app-service/app-service-key-vault-references",
    ),
)

RULES = (
    PRIVATE, ONE_DOOR, ENCRYPTED, TLS, IDENTITY, PINNED_IMAGE, LEAST_PRIVILEGE, TRUST, TAGGED,
    VERSIONED, RETENTION, SECRETS,
)  # fmt: skip


@dataclass(frozen=True)
class Violation:
    """A resource that breaks a rule."""

    rule: str
    type: str
    resource: str
    says: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.resource} ({self.type}): {self.says}"


def applying(rule: Rule, plan: Plan) -> Iterator[tuple[Resource, Check]]:
    """Every resource of a plan with every check that the rule has for it."""
    for resource in plan:
        for type_, checks in rule.checks.items():
            if resource.type == type_ or ("*" in type_ and fnmatchcase(resource.type, type_)):
                for check in checks:
                    yield resource, check


def violations(rule: Rule, plan: Plan) -> list[Violation]:
    """Everything in a plan that breaks one rule."""
    return [
        Violation(rule.name, resource.type, resource.name, said)
        for resource, check in applying(rule, plan)
        for said in check(resource, plan)
    ]


def held(rule: Rule, plan: Plan) -> int:
    """How many checks of a rule apply to a plan."""
    return sum(1 for _ in applying(rule, plan))


def companions(resource: Resource, plan: Plan, type_: str, by: str) -> list[Resource]:
    """The resources of a type that name this one in their input ``by``."""
    # Azure's ids are paths, and what names a resource names the path's end.
    called = {resource.id, resource.id.rpartition("/")[2], resource.name}
    return [each for each in plan if each.type == type_ and str(each.inputs.get(by)) in called]


def pinned(image: Any) -> Iterator[str]:
    """A complaint, unless the image is pinned by its digest."""
    if not PINNED.fullmatch(str(image)):
        yield f"the image {image} is not pinned: repository@sha256:… is needed"


def issuer(found: Any) -> Iterator[str]:
    """A complaint, unless it is one whose tokens may be taken."""
    if found not in ISSUERS:
        yield f"takes tokens of the issuer {found}; known: {', '.join(ISSUERS)}"


def subject(found: Any) -> Iterator[str]:
    """A complaint, unless a token's subject is written in full."""
    if not SUBJECT.fullmatch(str(found)):
        yield f"trusts the subject {found}; it must be repo:owner/name:environment:… or …:ref:refs/…"


def tagged(resource: Resource, found: Any) -> Iterator[str]:
    """A complaint for each of the required tags that is not there."""
    for tag in PLATFORM_TAGS:
        if not (isinstance(found, Mapping) and found.get(tag)):
            yield f"the tag {tag} is missing"


@LEAST_PRIVILEGE.on("*")
def _unread(resource: Resource, _plan: Plan) -> Iterator[str]:
    if not READ_PROVIDERS.fullmatch(resource.type):
        yield f"no rule reads {resource.type}: what it grants or opens is not known"
