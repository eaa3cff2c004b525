"""The rules for tags, for all types that take some."""

from __future__ import annotations

import re

from rehearsal.core.records import CheckFailure, Inputs

RESERVED = ("microsoft", "azure", "windows")


def check_tags(inputs: Inputs, *, maximum: int = 50, name: int = 512) -> None:
    """Raise `CheckFailure` for tags that the Resource Manager, or this type's service, would refuse.

    ``name`` is the length of a tag's name. Names are compared without their case.
    https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations
    https://learn.microsoft.com/rest/api/resources/tags/create-or-update (the reserved prefixes)
    """
    tags = inputs.get("tags") or {}
    if len(tags) > maximum:
        raise CheckFailure("tags", f"at most {maximum} tags are allowed, not {len(tags)}")
    if len({each.lower() for each in tags}) < len(tags):
        raise CheckFailure("tags", "two tag names differ in case alone, and Azure ignores case")
    for each, value in tags.items():
        if not 0 < len(each) <= name or len(str(value)) > 256:
            raise CheckFailure(
                "tags",
                f"{each[:20]}…: a name has 1 to {name} characters, a value at most 256",
            )
        if re.search(r"[<>%&\\?/\x00-\x1f]", each):
            raise CheckFailure(
                "tags",
                f"InvalidTagNameCharacters: The tag names '{each}' have reserved characters"
                " '<,>,%,&,\\,?,/' or control characters.",
            )
        if each.lower().startswith(RESERVED):
            raise CheckFailure(
                "tags", f"{each} begins with {', '.join(RESERVED)}, which Azure reserves"
            )
