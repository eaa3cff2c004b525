"""Tags and labels: the platform's own, and the rules of each cloud for a stack's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from config.clouds import CLOUD_NAMES, Cloud
from config.messages import did_you_mean, shown

PLATFORM_TAGS = ("project", "environment", "managed-by", "stack")
"""The tags that every resource carries. Lower case with hyphens: the spelling all three clouds take.

The stack's name tells two platforms of one environment apart when only the cloud is left to be asked, as
`make adopt` does: most names are Pulumi's, and the same but for a random end.
"""


def platform_tags(environment: str, stack: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The tags, or labels, of every resource: the platform's own and the stack's."""
    return {
        **extra,
        **dict(zip(PLATFORM_TAGS, ("triplane", environment, "pulumi", stack), strict=True)),
    }


def only_platform_tags(all_tags: Mapping[str, str]) -> dict[str, str]:
    """Of a resource's tags only the platform's own, for what takes fewer of them than the stack may set."""
    return {key: all_tags[key] for key in PLATFORM_TAGS}


def tags_as_text(own: Mapping[str, str]) -> str:
    """Tags as text, for what takes none; in at most 256 characters, what is longer is cut.

    Google Cloud's service accounts: https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts
    """
    return " ".join(f"{key}={own[key]}" for key in PLATFORM_TAGS if key in own)[:256]


def label_value(text: str) -> str:
    """``text`` as a Google Cloud label value: lower case, other characters become hyphens, 63 at most.

    https://cloud.google.com/resource-manager/docs/labels-overview#requirements
    """
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:63].strip("-")


TAG_RULES: dict[str, tuple[str, str, str]] = {
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
    # 128, because storage accounts allow no longer  The reserved beginnings:
    # https://learn.microsoft.com/rest/api/resources/tags/create-or-update
    "azure": (
        r"(?!(?i:microsoft|azure|windows))[^<>%&\\?/\x00-\x1f]{1,128}",
        r"[^\x00-\x1f]{0,256}",
        r"keys of 1 to 128 characters without < > % & \ ? /, which do not begin with microsoft, azure"
        " or windows; values of at most 256",
    ),
}
MOST_TAGS = {"aws": 50, "gcp": 63, "azure": 50}
"""What takes fewer has the platform's own tags alone: S3 objects, Key Vault's secret, the autoscale setting.
Google Cloud's 64th is the provider's own: goog-pulumi-provisioned."""
ONE_KEY_IN_ANY_CASE = {
    "aws": "IAM's roles",  # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
    "azure": "Azure",
}


def tag_problems(cloud: Cloud, tags: Mapping[str, str]) -> Iterator[str]:
    key_rule, value_rule, says = TAG_RULES[cloud]
    allowed = f"{CLOUD_NAMES[cloud]} allows {says}."
    for key, value in tags.items():
        if key.lower() in PLATFORM_TAGS:
            yield f"{key} is set by the platform itself; choose another key."
        elif not re.fullmatch(key_rule, key):
            yield f"The key {shown(key)} ({len(key)} characters) is not possible: {allowed}"
        elif not re.fullmatch(value_rule, value):
            near = did_you_mean(value, [label_value(value)]) if cloud == "gcp" else ""
            yield f"The value of {key}, {shown(value)} ({len(value)} characters), is not possible: {allowed}{near}"
    spelt: dict[str, str] = {}
    for key in tags:
        other = spelt.setdefault(key.lower(), key)
        if other != key and cloud in ONE_KEY_IN_ANY_CASE:
            who = ONE_KEY_IN_ANY_CASE[cloud]
            yield f"{other} and {key} differ in case alone, and to {who} they are one key; keep one of them."
    most = MOST_TAGS[cloud] - len(PLATFORM_TAGS)
    if len(tags) > most:
        yield (
            f"{len(tags)} tags are too many: {CLOUD_NAMES[cloud]} leaves room for {most} beside the"
            f" platform's own; remove {len(tags) - most}."
        )
