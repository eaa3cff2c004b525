"""Tags (on Google Cloud: labels): those that the platform sets, and each cloud's rules for those of a stack."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from config.clouds import CLOUD_NAMES, Cloud
from config.messages import did_you_mean, on_one_line

PLATFORM_TAGS = ("project", "environment", "managed-by", "stack")
"""The tags that every resource has. Lower case with hyphens: the spelling that all three clouds allow.

`stack` distinguishes two platforms of one environment when there is no state and only the cloud can be
queried, as `make adopt` does: most physical names are Pulumi's and differ in a random suffix only.
"""


def platform_tags(environment: str, stack: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The tags, or labels, of every resource: the platform's own and the stack's."""
    return {
        **extra,
        **dict(zip(PLATFORM_TAGS, ("triplane", environment, "pulumi", stack), strict=True)),
    }


def only_platform_tags(all_tags: Mapping[str, str]) -> dict[str, str]:
    """The platform's own tags without the stack's, for a resource type that allows fewer than a stack may set."""
    return {key: all_tags[key] for key in PLATFORM_TAGS}


def tags_as_text(tags: Mapping[str, str]) -> str:
    """The platform's own tags as a description, for a resource type without tags; cut at 256 characters.

    Google Cloud's service accounts: https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts
    """
    return " ".join(f"{key}={tags[key]}" for key in PLATFORM_TAGS if key in tags)[:256]


def label_value(text: str) -> str:
    """``text`` as a Google Cloud label value: lower case, other characters become hyphens, 63 at most.

    https://cloud.google.com/resource-manager/docs/labels-overview#requirements
    """
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:63].strip("-")


TAG_RULES: dict[str, tuple[str, str, str]] = {
    # For each cloud the pattern of a key, the pattern of a value, and both in words.
    # https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html says 128 and 256;
    # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Tag.html one less of both;
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules that aws: begins no value.
    "aws": (
        r"(?!(?i:aws:))[\w .:/=+@-]{1,127}",
        r"(?!(?i:aws:))[\w .:/=+@-]{0,255}",
        "keys of 1 to 127 and values of at most 255 letters, digits, spaces and _ . : / = + - @,"
        " none of them beginning with aws:",
    ),
    # https://cloud.google.com/resource-manager/docs/labels-overview#requirements
    "gcp": (
        r"(?!goog-)[a-z][a-z0-9_-]{0,62}",
        r"[a-z0-9_-]{0,63}",
        "keys and values of at most 63 lower-case letters, digits, _ and -, a letter first in keys"
        " and not goog-, which is Google's",
    ),
    # https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations;
    # 128, because storage accounts allow no more. The reserved beginnings:
    # https://learn.microsoft.com/rest/api/resources/tags/create-or-update
    "azure": (
        r"(?!(?i:microsoft|azure|windows))[^<>%&\\?/\x00-\x1f]{1,128}",
        r"[^\x00-\x1f]{0,256}",
        r"keys of 1 to 128 characters without < > % & \ ? /, which do not begin with microsoft, azure"
        " or windows; values of at most 256",
    ),
}
MAX_TAGS = {"aws": 50, "gcp": 63, "azure": 50}
"""Resource types that allow fewer have only the platform's own tags: S3 objects, Key Vault's secret, the autoscale
setting. Google Cloud allows 64: the provider sets one more, goog-pulumi-provisioned."""
CASE_INSENSITIVE_KEYS = {
    "aws": "IAM's roles",  # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
    "azure": "Azure",
}


def tag_problems(cloud: Cloud, tags: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a stack's tags on this cloud, a sentence a problem."""
    key_rule, value_rule, rules = TAG_RULES[cloud]
    allowed = f"{CLOUD_NAMES[cloud]} allows {rules}."
    for key, value in tags.items():
        if key.lower() in PLATFORM_TAGS:
            yield f"{key} is set by the platform itself; choose another key."
        elif not re.fullmatch(key_rule, key):
            yield f"The key {on_one_line(key)} ({len(key)} characters) is not possible: {allowed}"
        elif not re.fullmatch(value_rule, value):
            suggestion = did_you_mean(value, [label_value(value)]) if cloud == "gcp" else ""
            yield f"The value of {key}, {on_one_line(value)} ({len(value)} characters), is not possible: {allowed}{suggestion}"
    first_spelling: dict[str, str] = {}
    for key in tags:
        other = first_spelling.setdefault(key.lower(), key)
        if other != key and cloud in CASE_INSENSITIVE_KEYS:
            who = CASE_INSENSITIVE_KEYS[cloud]
            yield f"{other} and {key} differ only in case, and for {who} they are one key; keep one of them."
    most = MAX_TAGS[cloud] - len(PLATFORM_TAGS)
    if len(tags) > most:
        yield (
            f"{len(tags)} tags are too many: {CLOUD_NAMES[cloud]} leaves room for {most} beside the"
            f" platform's own; remove {len(tags) - most}."
        )
