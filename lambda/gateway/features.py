"""The fields of a flight, from features.json, and the reason for refusing a value."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

MAX_ERRORS = 20
"""The most errors that an answer lists: enough to correct a request, and a limit to the cost of a hostile one."""

Spec = Mapping[str, Any]
Ordered = TypeVar("Ordered", float, str)


@dataclass(frozen=True)
class FieldError:
    """The place in the body, as a JSON path, and the reason."""

    field: str
    reason: str


class InvalidValue(Exception):
    """The value is not valid; the message is the reason."""


class Features:
    """The request contract: validates a body, and returns only valid fields."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.max_batch: int = document["max_batch"]
        self._specs: dict[str, Spec] = {spec["name"]: spec for spec in document["fields"]}
        unknown = {spec["type"] for spec in self._specs.values()} - CHECKS.keys()
        if unknown:
            raise ValueError(f"features.json has a type that nothing here checks: {unknown}")

    @classmethod
    def load(cls) -> Features:
        """The contract in the file beside this module."""
        text = (Path(__file__).parent / "features.json").read_text(encoding="utf-8")
        return cls(json.loads(text))

    def check(self, body: object) -> tuple[list[dict[str, Any]], list[FieldError]]:
        """The instances, and their errors (the first `MAX_ERRORS`).

        An optional field that is null is removed, as if it had not been sent.
        """
        instances: list[dict[str, Any]] = []
        return instances, list(islice(self._errors(body, instances), MAX_ERRORS))

    def _errors(self, body: object, valid: list[dict[str, Any]]) -> Iterator[FieldError]:
        if not isinstance(body, dict):
            yield FieldError(
                "$", f'must be an object, {{"instances": […]}}, not {abbreviated(body)}'
            )
            return
        for name in [name for name in body if name != "instances"]:
            yield FieldError(name[:60], "is not known; the only field here is instances")
        instances = body.get("instances")
        if not isinstance(instances, list):
            given = f"not {abbreviated(instances)}" if "instances" in body else "and is missing"
            yield FieldError("instances", f"must be an array of flights, {given}")
        elif not 1 <= len(instances) <= self.max_batch:
            limits = f"must hold 1 to {self.max_batch} flights"
            yield FieldError("instances", f"{limits}, not {len(instances)}")
        else:
            for index, instance in enumerate(instances):
                valid.append({})
                yield from self._instance_errors(f"instances[{index}]", instance, valid[-1])

    def _instance_errors(
        self, path: str, instance: object, valid: dict[str, Any]
    ) -> Iterator[FieldError]:
        if not isinstance(instance, dict):
            yield FieldError(path, f"must be an object, not {abbreviated(instance)}")
            return
        for name, spec in self._specs.items():
            value = instance.get(name)
            if value is None:
                if spec["required"]:
                    hint = f"; write it {spec['help']}" if "help" in spec else ""
                    yield FieldError(f"{path}.{name}", "is missing" + hint)
                continue
            try:
                valid[name] = CHECKS[spec["type"]](spec, value)
            except InvalidValue as error:
                yield FieldError(f"{path}.{name}", str(error))
        for name in [name for name in instance if name not in self._specs]:
            near = difflib.get_close_matches(name[:60].casefold(), self._specs, n=1)
            known = f"did you mean {near[0]}?" if near else f"known: {', '.join(self._specs)}"
            yield FieldError(f"{path}.{name[:60]}", f"is not known; {known}")


def abbreviated(value: object) -> str:
    """A value in a form short enough for an error; a container by its kind only."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"


def _category(spec: Spec, value: object) -> str:
    codes: Mapping[str, str] = spec["values"]
    if isinstance(value, str) and value in codes:
        return value
    if len(codes) <= 20:
        reason = f"must be one of {', '.join(codes)}, not {abbreviated(value)}"
    else:
        reason = f"must be one of the {len(codes)} codes in features.json, not {abbreviated(value)}"
    near = _nearest(codes, value) if isinstance(value, str) else []
    if near:
        reason += "; nearest: " + ", ".join(f"{code} ({codes[code]})" for code in near)
    raise InvalidValue(reason)


def _nearest(codes: Mapping[str, str], value: str) -> list[str]:
    """Up to three codes that the caller may mean: by their name, else by spelling."""
    wanted = value.strip()[:40].casefold()
    named = [code for code, name in codes.items() if len(wanted) > 2 and wanted in name.casefold()]
    if named:
        return named[:3]
    spellings = {code.casefold(): code for code in codes}
    # 0.5: a code of two letters with one wrong letter is still found.
    return [spellings[each] for each in difflib.get_close_matches(wanted, spellings, cutoff=0.5)]


def _number(spec: Spec, value: object) -> float:
    # In Python bool is an int, but true is no temperature.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue(f"must be a number, not {abbreviated(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValue("must be a finite number")
    return _within(spec, value)


def _date(spec: Spec, value: object) -> str:
    # date.fromisoformat alone also accepts 20130105 and 2013-W01-6.
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            date.fromisoformat(value)
        except ValueError:
            raise InvalidValue(f"{abbreviated(value)} is not a day of the calendar") from None
        return _within(spec, value)
    raise InvalidValue(
        f"must be a date like {abbreviated(spec['minimum'])}, not {abbreviated(value)}"
    )


def _time(spec: Spec, value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        return _within(spec, value)
    raise InvalidValue(f'must be a time like "18:30", not {abbreviated(value)}')


def _within(spec: Spec, value: Ordered) -> Ordered:
    """The value, if it is in the range. Dates and times are compared as strings."""
    low, high = spec["minimum"], spec["maximum"]
    if low <= value <= high:
        return value
    unit = f" {spec['unit']}" if "unit" in spec else ""
    raise InvalidValue(f"must be from {low} to {high}{unit}, not {abbreviated(value)}")


CHECKS: Mapping[str, Callable[[Spec, object], Any]] = {
    "category": _category,
    "number": _number,
    "date": _date,
    "time": _time,
}
