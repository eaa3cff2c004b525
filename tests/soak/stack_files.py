"""Valid stack files, drawn by hypothesis: everything that the schema of the settings allows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from config.catalogue import CATALOGUE
from config.clouds import REGION_KEYS, Cloud
from config.credentials import CREDENTIAL_KEY
from config.github import github_subject
from config.tags import MAX_TAGS, PLATFORM_TAGS

CLOUDS: tuple[Cloud, ...] = ("aws", "gcp", "azure")
VERSIONS = ("ab" * 32, "cd" * 32)
"""The versions of each model in the model store of these tests; the first is the champion."""
MODELS = ("flight-delay", "digits", "arrival-delay")


def matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


def between(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers from low to high, often one of these two."""
    return st.sampled_from((low, high)) | st.integers(low, high)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section in which each setting may be missing, except the repository of a delivery."""
    named = {key: fields.pop(key) for key in ("repository",) if key in fields}
    return st.fixed_dictionaries(named, optional=fields)


def minimum_is_not_above_maximum(endpoint: dict[str, int]) -> bool:
    return endpoint.get("min_instances", 1) <= endpoint.get("max_instances", 2)


def unreserved(key: str) -> bool:
    """Whether a tag's key is not the platform's, not a cloud's, and does not look like a credential's."""
    reserved = ("aws:", "goog-", "microsoft", "azure", "windows")
    return (
        key.lower() not in PLATFORM_TAGS
        and not key.lower().startswith(reserved)
        and not CREDENTIAL_KEY.search(key)
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
    "gcp": (matching(r"[a-z][a-z0-9_-]{0,62}"), matching(r"[a-z0-9_-]{0,63}"), 63, 63),
    "azure": (
        st.text(NAMES, min_size=1, max_size=128),
        st.text(VALUES, max_size=256),
        *(128, 256),
    ),
}
"""For each cloud the keys and values that it allows, and the lengths of the longest ones."""


def tags(cloud: Cloud) -> st.SearchStrategy[dict[str, str]]:
    """A few tags of any kind; sometimes the longest one, and sometimes as many as are allowed."""
    keys, values, longest_key, longest_value = TAGS[cloud]
    maximum = MAX_TAGS[cloud] - len(PLATFORM_TAGS)

    def filled(drawn: dict[str, str], count: int, longest: bool) -> dict[str, str]:
        if longest:
            drawn = drawn | {"k" * longest_key: "v" * longest_value}
        filler = {f"tag-{number}": "" for number in range(count)}
        one_case = {key.lower(): (key, value) for key, value in {**filler, **drawn}.items()}
        return dict(list(one_case.values())[-max(count, len(drawn)) :])

    few = st.dictionaries(keys.filter(unreserved), values, max_size=3)
    return st.builds(filled, few, st.sampled_from((0, 0, 0, 0, 0, 0, 0, maximum)), st.booleans())


OWNER, NAME, ID = (
    r"[A-Za-z0-9][A-Za-z0-9-]{0,38}",
    r"[A-Za-z0-9_.-]{1,100}",
    r"@[1-9][0-9]{0,19}",
)
LONGEST = "e" * (127 - len("repo:acme/triplane:environment:"))
"""The longest environment of acme/triplane: Google Cloud allows a subject of 127 characters."""

required = {
    "triplane:cloud": st.sampled_from(CLOUDS),
    "gcp:project": matching(r"[a-z][a-z0-9-]{4,28}[a-z0-9]"),
    **{key: st.sampled_from(CATALOGUE[cloud]["regions"]) for cloud, key in REGION_KEYS.items()},
}
sections: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "triplane:machine": {cloud: st.sampled_from(CATALOGUE[cloud]["machines"]) for cloud in CLOUDS},
    "triplane:endpoint": {
        "min_instances": between(1, 20),
        "max_instances": between(1, 20),
        "serverless_concurrency": between(1, 5),
    },
    "triplane:gateway": {
        "access": st.sampled_from(["key", "public"]),
        "key_rotation": between(1, 1_000_000),
        "max_concurrency": between(0, 1000),
        "max_body_kib": between(1, 1024),
        "app_service_plan": st.sampled_from(list(CATALOGUE["azure"]["app_service_plans"])),
        "captures": st.sampled_from(["background", "sync"]),
    },
    "triplane:lake": {"captures_days": between(1, 3650), "noncurrent_days": between(1, 3650)},
    "triplane:delivery": {
        "repository": st.sampled_from(("", "acme/triplane"))
        | matching(f"{OWNER}/{NAME}")
        | matching(f"{OWNER}{ID}/{NAME}{ID}"),
        "branch": matching(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}"),
        "environment": st.sampled_from(("", LONGEST)) | matching(r"[A-Za-z0-9_-]{0,100}"),
        "branch_in_subject": st.booleans(),
        "existing_provider": st.booleans(),
    },
}
SHARED = ("small", "tables-2")
versions = st.sampled_from(["champion", *VERSIONS, VERSIONS[1][:8]])
model_section: dict[str, st.SearchStrategy[Any]] = {
    "version": versions,
    "endpoint": st.sampled_from(("", *SHARED)),
    "machine": optional(**sections["triplane:machine"]),
    **sections["triplane:endpoint"],
    "image": st.sampled_from(("", f"registry.example.com/own@sha256:{'0f' * 32}")),
}


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """One to three models, each a version or a section. Those that share an endpoint leave its capacity to the defaults."""
    found: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(MODELS), min_size=1, max_size=3, unique=True)):
        section = draw(optional(**model_section))
        if section.get("endpoint"):
            section = {key: section[key] for key in ("version", "endpoint") if key in section}
        else:
            # Which defaults it would be compared with is not known here.
            section |= {"min_instances": 1, "max_instances": section.get("max_instances", 1)}
        if section.get("image"):
            section.pop("version", None)
        found[name] = draw(versions | st.just(section))
    return found


settings = {
    "triplane:environment": matching(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?"),
    "triplane:models": models(),
    **{
        key: optional(**inside).filter(minimum_is_not_above_maximum)
        if key.endswith("endpoint")
        else optional(**inside)
        for key, inside in sections.items()
    },
    "triplane:tags": st.fixed_dictionaries({cloud: tags(cloud) for cloud in CLOUDS}),
    "triplane:keep_data": st.booleans(),
}

DRAWN_SETTINGS = {
    *required,
    *settings,
    *(f"{top}.{key}" for top in sections for key in sections[top]),
    *(f"triplane:models.<name>.{key}" for key in model_section if key != "machine"),
    *(f"triplane:models.<name>.machine.{cloud}" for cloud in CLOUDS),
}
"""The keys of all settings that are drawn. A test holds that these are all that exist."""
stack_files = st.fixed_dictionaries(required, optional=settings)
"""Settings by key; the tags have an entry for each cloud. `settings_for` gives the settings for one cloud."""


def settings_for(cloud: Cloud, drawn: dict[str, Any]) -> dict[str, Any]:
    """The drawn settings for one cloud: its name, its tags, and a delivery that it allows."""
    file = {**drawn, "triplane:cloud": cloud}
    if "triplane:tags" in file:
        file["triplane:tags"] = file["triplane:tags"][cloud]
    delivery = {"branch": "main", "environment": "", **file.get("triplane:delivery", {})}
    if delivery.get("repository"):
        subject = github_subject(
            *(delivery[key] for key in ("repository", "branch", "environment")),
            branch_in_subject=delivery.get("branch_in_subject", False),
        )
        if cloud == "gcp" and len(subject) > 127:
            file["triplane:delivery"] = {"repository": "acme/triplane", "environment": LONGEST}
    return file


def engine_values(file: dict[str, Any]) -> dict[str, Any]:
    """The settings as the engine passes them to a program: mappings as JSON, all else as text."""
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in file.items()
    }
