"""The text of errors in a stack file: the key, the value that is written there, what is allowed, what to do next.

The settings themselves are in config/schema.py. config/validation.py collects the errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from config.clouds import Cloud

if TYPE_CHECKING:  # config.tags, and with it the policy pack, runs without pydantic
    from pydantic_core import ErrorDetails

Errors = dict[str, tuple[str, str]]
"""By key of the stack file: the value that is written there, and an explanation of what is wrong and what to do."""

NO_MAPPING = "A mapping is needed: indented lines of the form key: value."


def error_report(file: str, errors: Errors) -> str:
    """All errors of a file, and what to do."""
    count = f"{len(errors)} settings are" if len(errors) > 1 else "a setting is"
    lines = [f"{file}: {count} wrong. Nothing was created or changed.", ""]
    for key, (value, advice) in sorted(errors.items()):
        lines += [f"  {key}: {value}".rstrip(), f"      {advice}", ""]
    lines.append(
        f"Correct {file} and run the command again. All settings: docs/reference/settings.md."
    )
    return "\n".join(lines)


def no_mapping_report(file: str, place: str, value: object) -> str:
    """The report of a file, or of its settings, that is a list, a text or a number."""
    advice = (
        "Each line of it is a setting, such as triplane:cloud: aws."
        if place == "config"
        else "Of the file's own keys config: is the one that holds the settings."
    )
    return error_report(file, {place: (on_one_line(value), f"{NO_MAPPING} {advice}")})


def did_you_mean(written: str, allowed: Collection[str]) -> str:
    """`` Did you mean …?`` with the most similar of ``allowed``, or an empty text."""
    plain = {spelling.lower(): spelling for spelling in allowed}
    near = get_close_matches(written.lower().replace(" ", ""), plain, n=1, cutoff=0.6)
    return f" Did you mean {plain[near[0]]}?" if near else ""


def dotted_key(loc: tuple[int | str, ...]) -> str:
    """A place in the model as the key in the stack file: ``triplane:endpoint.min_instances``."""
    return ".".join(str(part) for part in loc)


def written_value(detail: ErrorDetails, hidden: bool) -> str:
    """The value that the file has where the model found an error."""
    value = detail["input"]
    if hidden:
        return "(encrypted, not shown)"
    return "(not set)" if detail["type"] == "missing" or value in (None, "") else on_one_line(value)


def on_one_line(value: object) -> str:
    """A value on one line: a long one is cut, one that is empty or has spaces at its ends is quoted."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if text != text.strip() or not text:
        return repr(text)
    return text if len(text) < 80 else f"{text[:76]} …"


def printable(text: str) -> str:
    """The text with what no terminal should get as escapes: control characters, line ends, half of a character."""
    if text.isprintable():
        return text
    escaped = (each if each.isprintable() else each.encode("unicode_escape") for each in text)
    return "".join(each if isinstance(each, str) else each.decode() for each in escaped)


RENAMED = "triplane:model"


def explanation(detail: ErrorDetails, values: Mapping[str, Any], known: Collection[str]) -> str:
    """What is wrong, and what is allowed instead. ``known`` are the keys of all settings."""
    loc = detail["loc"]
    match detail["type"]:
        case "value_error":
            text = str(detail["ctx"]["error"])
            if text.startswith("Missing"):
                text += _misspelt(dotted_key(loc), [key for key in values if key not in known])
            return text
        case "extra_forbidden" if loc == (RENAMED,):
            written = str(detail["input"])
            version = f'"{written}"' if re.fullmatch("[0-9a-f]{8,64}", written) else "champion"
            return (
                "It is triplane:models now, which names each model that the stack serves. Write"
                f" triplane:models: {{flight-delay: {version}}}"
            )
        case "extra_forbidden":
            return _nested_form(loc, detail["input"], known) or _unknown_setting(loc, known)
        case "missing":
            return f"Missing. Allowed: {', '.join(get_args(Cloud))}."
        case "literal_error":
            allowed = re.findall(r"'(\w+)'", detail["ctx"]["expected"])
            problem = "Not possible." if detail["input"] else "Missing."
            suggestion = did_you_mean(str(detail["input"]), allowed)
            return f"{problem} Allowed: {', '.join(allowed)}.{suggestion}"
        case "int_type":
            return "A whole number is needed, written without quotes."
        case "string_type":
            return "A text is needed; write it in quotes."
        case "bool_parsing" | "bool_type":
            return "Allowed: true, false."
        case "model_type" | "model_attributes_type" | "dict_type":
            return NO_MAPPING
        case _:
            return f"{detail['msg']}."


def _nested_form(loc: tuple[int | str, ...], value: object, known: Collection[str]) -> str | None:
    """How a key with dots is written, ready to be copied; None if there is no such setting.

    With dots only `pulumi config set --path` takes it, which writes the nested form into the file.
    https://www.pulumi.com/docs/iac/concepts/config/#structured-configuration
    """
    key = dotted_key(loc)
    section, _, name = key.partition(".")
    free = section == "triplane:tags" or (section == "triplane:models" and "." not in name)
    if len(loc) != 1 or not name or not (key in known or free):
        return None
    nested = f"{section}: {{{name}: {on_one_line(value)}}}"
    return (
        f"A setting in a mapping is written nested. Write {nested}; if the file has {section}: already, the line"
        f" {name}: {on_one_line(value)} below it, further to the right."
    )


def _unknown_setting(loc: tuple[int | str, ...], known: Collection[str]) -> str:
    section = dotted_key(loc[:-1])
    # Each model has the same settings in its section.
    parent = re.sub(r"^triplane:models\.[^.]+", "triplane:models.<name>", section)
    start = f"{parent}." if parent else "triplane:"
    inside = [key.removeprefix(start) for key in known if key.startswith(start)]
    siblings = [f"{start}{name}" for name in dict.fromkeys(key.split(".")[0] for key in inside)]
    allowed = ", ".join(key.removeprefix(start) for key in siblings)
    text = f"No such setting. {'In ' + section if section else 'Under triplane:'} there are: {allowed}."
    # Only the names are compared: with the prefix that all keys share, every key would be similar.
    by_name: dict[str, list[str]] = {}
    for key in [*siblings, *known]:
        by_name.setdefault(_last_part(key), []).append(key)
    near = get_close_matches(_last_part(str(loc[-1])), by_name, n=1, cutoff=0.6)
    if not near:
        return text
    places = [key for key in by_name[near[0]] if key in siblings][:1] or by_name[near[0]]
    if parent:
        places = [key.replace(start, f"{section}.") for key in places]
    return f"{text} Did you mean {' or '.join(places)}?"


def _last_part(key: str) -> str:
    return re.split("[.:]", key)[-1]


def _misspelt(key: str, others: Collection[str]) -> str:
    """A hint at a key of the file that is similar to a missing one, or an empty text."""
    near = get_close_matches(key, others, n=1, cutoff=0.7)
    return f" The file has {near[0]}: did you mean {key}?" if near else ""


def may_mean(section: str, key: str, known: Collection[str]) -> bool:
    """Whether a key is in this section of the file, or an unknown one that is spelt like it."""
    written, wanted = ([*re.split("[.:]", each), ""][1] for each in (key, section))
    if key.startswith(f"{section}.") or key == section:
        return True
    return key not in known and bool(get_close_matches(written, [wanted], cutoff=0.6))


def misspelt_namespaces(values: Mapping[str, Any], known: Collection[str]) -> Errors:
    """Keys whose namespace is a misspelt ``triplane``. Neither the engine nor a provider reports them."""
    found = {}
    for key in values:
        namespace, _, name = key.partition(":")
        if namespace != "triplane" and get_close_matches(namespace, ["triplane"], cutoff=0.8):
            ours = [each for each in known if each.startswith("triplane:")]
            suggestion = did_you_mean(f"triplane:{name}", ours)
            found[key] = (
                on_one_line(values[key]),
                f"The settings of this project begin with triplane:.{suggestion}",
            )
    return found
