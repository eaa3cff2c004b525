"""Valid stack files, drawn by hypothesis: everything that docs/reference/settings.md allows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from config import messages
from config.catalogue import CATALOGUE
from config.clouds import REGION_KEYS, Cloud
from config.github import github_subject
from config.tags import MAX_TAGS, PLATFORM_TAGS

CLOUDS: tuple[Cloud, ...] = ("aws", "gcp", "azure")
VERSIONS = ("ab" * 32, "cd" * 32)
"""What the model store of these tests holds; the first is the champion."""


def fully(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


def between(low: int, high: int) -> st.SearchStrategy[int]:
    """Both ends, often; and what lies between them."""
    return st.sampled_from((low, high)) | st.integers(low, high)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section in which each setting may be left out; but a delivery without its repository is none."""
    named = {key: fields.pop(key) for key in ("repository",) if key in fields}
    return st.fixed_dictionaries(named, optional=fields)


def ordered(endpoint: dict[str, int]) -> bool:
    return endpoint.get("min_instances", 1) <= endpoint.get("max_instances", 2)


def unreserved(key: str) -> bool:
    """Neither the platform's, nor a cloud's, nor one that looks like a credential's."""
    reserved = ("aws:", "goog-", "microsoft", "azure", "windows")
    return (
        key.lower() not in PLATFORM_TAGS
        and not key.lower().startswith(reserved)
        and not messages.CREDENTIAL_KEY.search(key)
    )


LETTERS = st.characters(codec="utf-8", categories=("L", "N"), include_characters=" _.:/=+-@")
NAMES = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="<>%&\\?/")
VALUES = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))
TAGS: dict[Cloud, tuple[st.SearchStrategy[str], st.SearchStrategy[str], int, int]] = {
    "aws": (
        st.text(LETTERS, min_size=1, max_size=127),
        st.text(LETTERS, max_size=255).filter(lambda text: not text.lower().startswith("aws:")),
        *(127, 255),
    ),
    "gcp": (fully(r"[a-z][a-z0-9_-]{0,62}"), fully(r"[a-z0-9_-]{0,63}"), 63, 63),
    "azure": (
        st.text(NAMES, min_size=1, max_size=128),
        st.text(VALUES, max_size=256),
        *(128, 256),
    ),
}
"""Keys and values that a cloud takes, and the lengths of the longest."""


def tags(cloud: Cloud) -> st.SearchStrategy[dict[str, str]]:
    """A few of any kind; now and then the longest, and as many as there may be."""
    keys, values, longest_key, longest_value = TAGS[cloud]
    most = MAX_TAGS[cloud] - len(PLATFORM_TAGS)

    def filled(drawn: dict[str, str], count: int, longest: bool) -> dict[str, str]:
        if longest:
            drawn = drawn | {"k" * longest_key: "v" * longest_value}
        filler = {f"tag-{number}": "" for number in range(count)}
        one_case = {key.lower(): (key, value) for key, value in {**filler, **drawn}.items()}
        return dict(list(one_case.values())[-max(count, len(drawn)) :])

    few = st.dictionaries(keys.filter(unreserved), values, max_size=3)
    return st.builds(filled, few, st.sampled_from((0, 0, 0, 0, 0, 0, 0, most)), st.booleans())


OWNER, NAME, ID = (
    r"[A-Za-z0-9][A-Za-z0-9-]{0,38}",
    r"[A-Za-z0-9_.-]{1,100}",
    r"@[1-9][0-9]{0,19}",
)
LONGEST = "e" * (127 - len("repo:acme/triplane:environment:"))
"""Of an environment of acme/triplane: Google Cloud takes a subject of 127 characters."""

catalogue = CATALOGUE
required = {
    "triplane:cloud": st.sampled_from(CLOUDS),
    "gcp:project": fully(r"[a-z][a-z0-9-]{4,28}[a-z0-9]"),
    **{key: st.sampled_from(catalogue[cloud]["regions"]) for cloud, key in REGION_KEYS.items()},
}
sections: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "triplane:machine": {cloud: st.sampled_from(catalogue[cloud]["machines"]) for cloud in CLOUDS},
    "triplane:endpoint": {"min_instances": between(1, 20), "max_instances": between(1, 20)},
    "triplane:gateway": {
        "access": st.sampled_from(["key", "public"]),
        "key_rotation": between(1, 1_000_000),
        "max_concurrency": between(1, 1000),
        "max_body_kib": between(1, 1024),
    },
    "triplane:lake": {"captures_days": between(1, 3650), "noncurrent_days": between(1, 3650)},
    "triplane:delivery": {
        "repository": st.sampled_from(("", "acme/triplane"))
        | fully(f"{OWNER}/{NAME}")
        | fully(f"{OWNER}{ID}/{NAME}{ID}"),
        "branch": fully(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}"),
        "environment": st.sampled_from(("", LONGEST)) | fully(r"[A-Za-z0-9_-]{0,100}"),
        "existing_provider": st.booleans(),
    },
}
settings = {
    "triplane:environment": fully(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?"),
    "triplane:model": st.sampled_from(["champion", *VERSIONS, VERSIONS[1][:8]]),
    **{
        key: optional(**inside).filter(ordered) if key.endswith("endpoint") else optional(**inside)
        for key, inside in sections.items()
    },
    "triplane:tags": st.fixed_dictionaries({cloud: tags(cloud) for cloud in CLOUDS}),
    "triplane:keep_data": st.booleans(),
}

DRAWN = {*required, *settings, *(f"{top}.{key}" for top in sections for key in sections[top])}
"""Every setting that there is."""
stack_files = st.fixed_dictionaries(required, optional=settings)
"""The keys of a stack file and their values; of the tags, each cloud's. `on` makes it a cloud's file."""


def on(cloud: Cloud, file: dict[str, Any]) -> dict[str, Any]:
    """The file with this cloud in it, and with what only this cloud takes."""
    file = {**file, "triplane:cloud": cloud}
    if "triplane:tags" in file:
        file["triplane:tags"] = file["triplane:tags"][cloud]
    delivery = {"branch": "main", "environment": "", **file.get("triplane:delivery", {})}
    if delivery.get("repository"):
        subject = (delivery[key] for key in ("repository", "branch", "environment"))
        if cloud == "gcp" and len(github_subject(*subject)) > 127:
            file["triplane:delivery"] = {"repository": "acme/triplane", "environment": LONGEST}
    return file


def handed_over(file: dict[str, Any]) -> dict[str, Any]:
    """The settings as the engine hands them to a program: mappings and truth values as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in file.items()
    }
