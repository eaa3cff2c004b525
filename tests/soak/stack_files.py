"""Valid stack files, drawn by hypothesis: everything that README.md's table of settings allows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

import stack_config
import stack_mistakes
from components import names
from components.contracts import Cloud

CLOUDS: tuple[Cloud, ...] = ("aws", "gcp", "azure")
VERSIONS = ("ab" * 32, "cd" * 32)
"""What the model store of these tests holds; the first is the champion."""

# What all three clouds take as a tag, so that the one word after `cloud:` can be changed.
TAG_KEY = r"[a-z][a-z0-9_-]{0,62}"
TAG_VALUE = r"[a-z0-9_-]{0,63}"


def fully(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section in which each setting may be left out."""
    return st.fixed_dictionaries({}, optional=fields)


def ordered(endpoint: dict[str, int]) -> bool:
    return endpoint.get("min_instances", 1) <= endpoint.get("max_instances", 2)


def unreserved(key: str) -> bool:
    return key not in names.TAGS and not stack_mistakes.CREDENTIAL_KEY.search(key)


catalogue = stack_config.CATALOGUE
required = {
    "triplane:cloud": st.sampled_from(CLOUDS),
    "gcp:project": fully(r"[a-z][a-z0-9-]{4,28}[a-z0-9]"),
    **{
        key: st.sampled_from(catalogue[cloud]["regions"])
        for cloud, key in stack_config.REGION_KEYS.items()
    },
}
settings = {
    "triplane:environment": fully(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?"),
    "triplane:model": st.sampled_from(["champion", *VERSIONS, VERSIONS[1][:8]]),
    "triplane:machine": optional(
        **{cloud: st.sampled_from(catalogue[cloud]["machines"]) for cloud in CLOUDS}
    ),
    "triplane:endpoint": optional(
        min_instances=st.integers(1, 20), max_instances=st.integers(1, 20)
    ).filter(ordered),
    "triplane:gateway": optional(
        access=st.sampled_from(["key", "public"]),
        key_rotation=st.integers(1, 1_000_000),
        max_concurrency=st.integers(1, 1000),
        max_body_kib=st.integers(1, 1024),
    ),
    "triplane:lake": optional(
        captures_days=st.integers(1, 3650), noncurrent_days=st.integers(1, 3650)
    ),
    "triplane:tags": st.dictionaries(
        fully(TAG_KEY).filter(unreserved), fully(TAG_VALUE), max_size=5
    ),
    "triplane:keep_data": st.booleans(),
}

stack_files = st.fixed_dictionaries(required, optional=settings)
"""The keys of a stack file and their values."""


def handed_over(file: dict[str, Any]) -> dict[str, Any]:
    """The settings as the engine hands them to a program: mappings and truth values as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in file.items()
    }
