"""The rules for tags, for all types that take some."""

from __future__ import annotations

from rehearsal.core.records import CheckFailure, Inputs


def check_tags(
    inputs: Inputs, *, maximum: int = 50, key: int = 128, value: int = 256, any_case: bool = False
) -> None:
    """Raise `CheckFailure` for tags that the service would refuse.

    ``key`` and ``value`` are lengths; with ``any_case`` two keys are one where only their case differs.
    https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html#tag-conventions
    """
    tags = inputs.get("tags") or {}
    if len(tags) > maximum:
        raise CheckFailure("tags", f"at most {maximum} tags are allowed, not {len(tags)}")
    if any_case and len({each.lower() for each in tags}) < len(tags):
        raise CheckFailure(
            "tags",
            "InvalidInput: Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        )
    for name, text in tags.items():
        for what, given, limit in (("key", name, key), ("value", str(text), value)):
            if len(given) > limit:
                reason = f"the {what} {given[:20]}… has {len(given)} characters, above {limit}"
                raise CheckFailure("tags", reason)
            if given.lower().startswith("aws:"):
                raise CheckFailure("tags", f"the {what} {given} begins with aws:, which is AWS's")
