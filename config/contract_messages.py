"""The text of errors in a model.toml: its sibling for the stack file is config/messages.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from config.messages import did_you_mean, on_one_line, printable

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from config.messages import Errors

TAGS = {"fields": "type", "answer": "kind"}
"""The key of a table whose word says what else the table has."""
UNIONS = {"fields": 2, "answer": 1}
"""Where pydantic puts the kind of a table into the place of an error: `fields.<name>.<type>`, `answer.<kind>`."""


def contract_error_report(file: str, errors: Errors) -> str:
    """All errors of a contract, and what to do."""
    count = f"{len(errors)} entries are" if len(errors) > 1 else "an entry is"
    lines = [f"{file}: {count} wrong. Nothing was written.", ""]
    for key, (value, advice) in sorted(errors.items()):
        lines += [f"  {printable(f'{key}: {value}'.rstrip())}", f"      {printable(advice)}", ""]
    lines.append(
        f"Correct {file} and run the command again. All keys: docs/reference/model-contract.md."
    )
    return "\n".join(lines)


def explanation(
    detail: ErrorDetails,
    place: Sequence[str],
    table: type[BaseModel],
    kinds: Mapping[str, Mapping[str, type[BaseModel]]],
) -> str:
    """What is wrong at a place of a table, and what is allowed instead.

    ``kinds`` are the tables that a union of the contract can be, by the union's key.
    """
    key = ".".join(place)
    wanted = kinds.get(place[0] if place else "", {})
    match detail["type"]:
        case "value_error":
            return str(detail["ctx"]["error"])
        case "extra_forbidden":
            known = list(table.model_fields)
            return f"No such key.{did_you_mean(place[-1], known)} There are: {', '.join(known)}."
        case "missing":
            return f"Missing.{_what_is_needed(table, place)}"
        case "union_tag_not_found":
            written = nearest(place[-1], detail["input"])
            hint = f" The table has {written}: did you mean {place[-1]}?" if written else ""
            return f"Missing.{hint} Allowed: {', '.join(wanted)}."
        case "union_tag_invalid":
            hint = did_you_mean(str(detail["ctx"]["tag"]), list(wanted))
            return f"Allowed: {', '.join(wanted)}.{hint}"
        case "literal_error":
            allowed = re.findall(r"'(\w+)'", detail["ctx"]["expected"])
            hint = did_you_mean(str(detail["input"]), allowed)
            return f"Allowed: {', '.join(allowed)}.{hint}"
        case "int_type" | "int_from_float":
            return "A whole number is needed, written without quotes."
        case "float_type" | "finite_number":
            return "A finite number is needed, written without quotes."
        case "string_type":
            return "A text is needed; write it in quotes."
        case "bool_type":
            return "Allowed: true, false."
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"A table is needed: [{key}], and below it lines of the form key = value."
        case "list_type":
            return 'A list is needed, such as ["one", "two"].'
        case "too_short" | "too_long":
            limits = detail["ctx"]
            bound = (
                f"at least {limits['min_length']} are needed"
                if "min_length" in limits
                else f"at most {limits['max_length']} are allowed"
            )
            return f"There are {limits['actual_length']}, and {bound}."
        case _:
            return f"{detail['msg']}."


def place_of(
    detail: ErrorDetails,
    whole: type[BaseModel],
    kinds: Mapping[str, Mapping[str, type[BaseModel]]],
) -> tuple[list[str], type[BaseModel]]:
    """The place as a person writes it, and the table in which it is."""
    parts = [str(part) for part in detail["loc"] if part != "[key]"]
    if detail["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return [*parts, TAGS[parts[0]]], whole
    index = UNIONS.get(parts[0] if parts else "")
    if index is not None and len(parts) > index and parts[index] in kinds[parts[0]]:
        table = kinds[parts[0]][parts.pop(index)]
        return parts, table
    return parts, whole


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The most similar of the words, if one is similar."""
    near = get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return near[0] if near else None


def shown(value: object) -> str:
    """A value of the file on one line. What has lines of its own is not shown."""
    return "" if isinstance(value, dict) and value else '""' if value == "" else on_one_line(value)


def _what_is_needed(table: type[BaseModel], place: Sequence[str]) -> str:
    """The description of a key, if its table has one."""
    field = table.model_fields.get(place[-1])
    return f" {field.description}" if field is not None and field.description else ""
