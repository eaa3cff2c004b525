"""The conditions of a policy's statement: which requests they are about.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from rehearsal.aws.policy_documents import as_list
from rehearsal.core.records import Json, Refusal

Values = str | tuple[str, ...]
RequestContext = Mapping[str, Values]
"""What is known of a request, by condition key in lower case: AWS ignores the case of a key, that of a tag in it too.
A tuple: the key has many values, as `aws:TagKeys`."""

VARIABLE = re.compile(r"\$\{([^},]+)(?:,\s*'([^']*)')?\}")
LITERALS = {"*": "[*]", "?": "[?]", "$": "$"}
"""What a variable of one character means, where ``*`` and ``?`` are wildcards."""
MISSING = "\0"
"""In place of a variable that the request has no value for: equals nothing."""


def fulfilled(condition: Json, context: RequestContext) -> bool:
    """Whether a request fulfils all of a statement's conditions."""
    return all(
        _is_fulfilled(
            operator,
            context.get(key.lower()),
            [with_variables(w, context) for w in as_list(wanted)],
        )
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


def like(value: str, pattern: str) -> bool:
    """IAM's wildcards: ``*`` is any text, ``?`` one character."""
    parts = re.split(r"(\[\*\]|\[\?\]|\*|\?)", pattern)
    regular = {"*": ".*", "?": ".", "[*]": r"\*", "[?]": r"\?"}
    return (
        re.fullmatch(
            "".join(regular.get(each) or re.escape(each) for each in parts), value, re.DOTALL
        )
        is not None
    )


def arn_like(value: str, pattern: str) -> bool:
    """The six parts of an ARN, each for itself; what is missing at a pattern's end is any text.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    if pattern == "*":
        return True
    parts, patterns = value.split(":", 5), pattern.split(":", 5)
    patterns += ["*"] * (6 - len(patterns))
    return len(parts) == len(patterns) and all(map(like, parts, patterns))


def with_variables(text: object, context: RequestContext) -> str:
    """The text of a policy with the request's values in place of variables.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """

    def value(found: re.Match[str]) -> str:
        name, default = found[1].strip(), found[2]
        if name in LITERALS:
            return LITERALS[name]
        known = context.get(name.lower(), default)
        return known if isinstance(known, str) else MISSING

    if isinstance(text, bool):
        return str(text).lower()
    return VARIABLE.sub(value, str(text))


def _numbers(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, wanted: compare(float(value), float(wanted))


def _moment(text: str) -> float:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Date"""
    return (
        float(text) if re.fullmatch(r"\d{5,}", text) else datetime.fromisoformat(text).timestamp()
    )


def _moments(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, wanted: compare(_moment(value), _moment(wanted))


OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "stringequals": lambda value, wanted: value == wanted,
    "stringequalsignorecase": lambda value, wanted: value.lower() == wanted.lower(),
    "stringlike": like,
    "arnequals": arn_like,
    "arnlike": arn_like,
    "bool": lambda value, wanted: value.lower() == wanted.lower(),
    "numericequals": _numbers(float.__eq__),
    "numericlessthan": _numbers(float.__lt__),
    "numericlessthanequals": _numbers(float.__le__),
    "numericgreaterthan": _numbers(float.__gt__),
    "numericgreaterthanequals": _numbers(float.__ge__),
    "dateequals": _moments(float.__eq__),
    "datelessthan": _moments(float.__lt__),
    "datelessthanequals": _moments(float.__le__),
    "dategreaterthan": _moments(float.__gt__),
    "dategreaterthanequals": _moments(float.__ge__),
}


def _is_fulfilled(written: str, values: Values | None, wanted: list[str]) -> bool:
    """Whether the values of a key, if the request has it, are as an operator wants them."""
    quantifier, _, operator = written.lower().rpartition(":")
    if operator == "null":
        return (values is None) == (wanted[0] == "true")
    if operator.endswith("ifexists"):
        if values is None:
            return True
        operator = operator.removesuffix("ifexists")
    negated = operator.replace("not", "") in OPERATORS and "not" in operator
    compare = OPERATORS.get(operator.replace("not", ""))
    if compare is None:
        raise Refusal("NotRehearsed", f"the rehearsal does not evaluate the condition {written}")

    def holds(value: str) -> bool:
        return any(compare(value, each) for each in wanted) != negated

    if quantifier == "forallvalues":
        return all(map(holds, _each(values)))
    if quantifier == "foranyvalue":
        return any(map(holds, _each(values)))
    # A key that the request has not: AWS's own value is none of the wanted ones.
    return negated if values is None else all(map(holds, _each(values)))


def _each(values: Values | None) -> Iterable[str]:
    return () if values is None else (values,) if isinstance(values, str) else values
