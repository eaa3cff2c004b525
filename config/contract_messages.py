"""The text of errors in a model.toml: its sibling for the stack file is config/messages.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from config.messages import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from config.messages import Errors

UNIONS = {"fields": 2, "answer": 1}
"""Where pydantic puts the kind of a table into the place of an error: `fields.<name>.<type>`, `answer.<kind>`."""


def contract_error_report(file: str, errors: Errors) -> str:
    """All errors of a contract, and what to do."""
    count = f"{len(errors)} entries are" if len(errors) > 1 else "an entry is"
    lines = [f"{file}: {count} wrong. Nothing was written.", ""]
    for key, (value, advice) in sorted(errors.items()):
        lines += [f"  {key}: {value}".rstrip(), f"      {advice}", ""]
    lines.append(
        f"Correct {file} and run the command again. All keys: docs/reference/model-contract.md."
    )
    # Half of a character, which JSON may have, cannot be printed.
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def explanation(
    detail: ErrorDetails,
    whole: type[BaseModel],
    kinds: Mapping[str, Mapping[str, type[BaseModel]]],
) -> tuple[str, str]:
    """The key with the error, and what is wrong and what is allowed instead.

    ``kinds`` are the tables that a union of the contract can be, by the union's key.
    """
    place, table = _place(detail["loc"], whole, kinds)
    key = ".".join(place)
    wanted = kinds.get(place[0] if place else "", {})
    match detail["type"]:
        case "value_error":
            return key, str(detail["ctx"]["error"])
        case "extra_forbidden":
            known = list(table.model_fields)
            return key, (
                f"No such key.{did_you_mean(place[-1], known)} There are: {', '.join(known)}."
            )
        case "missing":
            return key, f"Missing.{_what_is_needed(table, place)}"
        case "union_tag_not_found":
            member = "kind" if place[0] == "answer" else "type"
            return f"{key}.{member}", f"Missing. Allowed: {', '.join(wanted)}."
        case "union_tag_invalid":
            member, tag = "kind" if place[0] == "answer" else "type", str(detail["ctx"]["tag"])
            hint = did_you_mean(tag, list(wanted))
            return f"{key}.{member}", f"{tag} is none. Allowed: {', '.join(wanted)}.{hint}"
        case "literal_error":
            allowed = re.findall(r"'(\w+)'", detail["ctx"]["expected"])
            hint = did_you_mean(str(detail["input"]), allowed)
            return key, f"Allowed: {', '.join(allowed)}.{hint}"
        case "int_type" | "int_from_float":
            return key, "A whole number is needed, written without quotes."
        case "float_type" | "finite_number":
            return key, "A finite number is needed, written without quotes."
        case "string_type":
            return key, "A text is needed; write it in quotes."
        case "bool_type":
            return key, "Allowed: true, false."
        case "dict_type" | "model_type" | "model_attributes_type":
            return key, f"A table is needed: [{key}], and below it lines of the form key = value."
        case "list_type":
            return key, 'A list is needed, such as ["one", "two"].'
        case "too_short" | "too_long":
            limits = detail["ctx"]
            bound = (
                f"at least {limits['min_length']}"
                if "min_length" in limits
                else f"at most {limits['max_length']}"
            )
            return key, f"There are {limits['actual_length']}, and {bound} are allowed."
        case _:
            return key, f"{detail['msg']}."


def _place(
    loc: tuple[int | str, ...],
    whole: type[BaseModel],
    kinds: Mapping[str, Mapping[str, type[BaseModel]]],
) -> tuple[list[str], type[BaseModel]]:
    """The place as a person writes it, and the table in which it is."""
    parts = [str(part) for part in loc if part != "[key]"]
    index = UNIONS.get(parts[0] if parts else "")
    if index is not None and len(parts) > index and parts[index] in kinds[parts[0]]:
        table = kinds[parts[0]][parts.pop(index)]
        return parts, table
    return parts, whole


def _what_is_needed(table: type[BaseModel], place: list[str]) -> str:
    """The description of a key, if its table has one."""
    field = table.model_fields.get(place[-1])
    return f" {field.description}" if field is not None and field.description else ""
