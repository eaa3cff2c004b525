"""What a check is, and the checks that several clouds share.

A problem-finder takes a resource and its plan, and yields one sentence for each problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from api_models.resource import Plan, Resource
from config.tags import PLATFORM_TAGS
from policy.rules import Rule

PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
ISSUERS = ("https://token.actions.githubusercontent.com",)
"""The only issuers whose tokens may be trusted."""
# One repository, and in it one environment or one branch. No wildcards, and no shorter subject: anybody can open
# a pull request. https://docs.github.com/actions/reference/security/oidc#example-subject-claims
SUBJECT = re.compile(r"repo:[^/:*?\s]+/[^/:*?\s]+:(environment:|ref:refs/)[^*?\s]+")

ProblemFinder = Callable[[Resource, Plan], Iterator[str]]


@dataclass(frozen=True)
class Check:
    """How resources of some types are examined for one rule."""

    rule: Rule
    types: tuple[str, ...]
    """Resource types. A wildcard stands for all types that match: ``aws:*``, ``aws:iam/*``."""
    problems: ProblemFinder

    def applies_to(self, type_: str) -> bool:
        """Whether a resource of this type is examined."""
        return any(type_ == each or fnmatchcase(type_, each) for each in self.types)


def requires(**inputs: Any) -> ProblemFinder:
    """A finder for inputs that must have this value (a set: one of these). ``__`` is one level down."""

    def problems(resource: Resource, _plan: Plan) -> Iterator[str]:
        for name, allowed in inputs.items():
            path = name.replace("__", ".")
            found = resource.get(path)
            values = allowed if isinstance(allowed, set) else {allowed}
            if found not in values:
                wanted = " or ".join(sorted(map(repr, values)))
                yield f"{path} is {found!r}; it must be {wanted}"

    return problems


def companions(resource: Resource, plan: Plan, type_: str, reference: str) -> list[Resource]:
    """The resources of a type that refer to this one by the input ``reference``."""
    # Azure's ids are paths, and the references use the last part of the path.
    names = {resource.id, resource.id.rpartition("/")[2], resource.name}
    return [
        each for each in plan if each.type == type_ and str(each.inputs.get(reference)) in names
    ]


def unpinned_image(image: Any) -> Iterator[str]:
    """A problem, unless the image is pinned by its digest."""
    if not PINNED.fullmatch(str(image)):
        yield f"the image {image} is not pinned: repository@sha256:… is needed"


def untrusted_issuer(issuer: Any) -> Iterator[str]:
    """A problem, unless the tokens of the issuer may be trusted."""
    if issuer not in ISSUERS:
        yield f"trusts tokens of the issuer {issuer}; allowed: {', '.join(ISSUERS)}"


def inexact_subject(subject: Any) -> Iterator[str]:
    """A problem, unless the subject of a token is written in full."""
    if not SUBJECT.fullmatch(str(subject)):
        yield f"trusts the subject {subject}; it must be repo:owner/name:environment:… or …:ref:refs/…"


def missing_tags(tags: Any) -> Iterator[str]:
    """A problem for each required tag that is missing."""
    for tag in PLATFORM_TAGS:
        if not (isinstance(tags, Mapping) and tags.get(tag)):
            yield f"the tag {tag} is missing"
