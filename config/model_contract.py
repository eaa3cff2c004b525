"""The contract of a model: what a request has, and what the answer means, checked and written in one form.

A person writes it as `models/<name>/model.toml`. The contract document is the same as data: `contract.json` beside
`model.onnx`. The version of an artifact is made of both (`version_text`), so that gateway, server and model cannot
disagree. docs/reference/model-contract.md describes every key.
"""

from __future__ import annotations

import copy
import datetime
import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from config.contract_messages import (
    contract_error_report,
    explanation,
    nearest,
    place_of,
    shown,
)
from config.contract_values import LARGEST_INTEGER, clock, day, refuse_value, seconds
from config.messages import did_you_mean
from config.model_store import CONTRACT_PAGE
from config.sections import between

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

NAME = re.compile(r"(?=.{2,24}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
RESERVED = (
    *("predict", "infer", "health", "ready", "live", "models", "v2"),  # words of routes
    *("champion", "checked", "shared", "tested", "trained"),  # words of the model store
)
MAX_DOCUMENT_BYTES = 2**18
"""The gateway reads the contract of every model when it starts."""
MAX_IMAGE_BYTES = 2**20
"""All images of an instance together; in base64 and with its other fields it is below the 1.5 MB that a request to Vertex AI or
Azure ML may have (`LARGEST_REQUEST` of lambda/gateway/endpoints.py)."""
MAX_FIELDS, MAX_LENGTH, MAX_CODES = 500, 65_536, 2000
"""Of a contract, of a vector, and of a category or the classes of an answer."""


def name_problem(name: str, thing: str = "model") -> str | None:
    """Why this cannot be the name of a model or an endpoint; None if it can."""
    if name in RESERVED:
        return f"{name} is a word of the gateway's routes or of the model store, and no name of a {thing}."
    if NAME.fullmatch(name):
        return None
    fitting = (
        re.sub("[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")[:24].rstrip("-")
    )
    hint = (
        f" Did you mean {fitting}?" if NAME.fullmatch(fitting) and fitting not in RESERVED else ""
    )
    return (
        "Allowed: 2 to 24 lower-case letters, digits and single hyphens, a letter first, no hyphen"
        f" last.{hint}"
    )


class BadContract(Exception):
    """The contract cannot be used; the message names the file, each key and the way out."""


def text_of(longest: int) -> AfterValidator:
    """A text on one line."""

    def check(value: str) -> str:
        if not value.strip() or len(value) > longest or not value.isprintable():
            raise ValueError(f"A text of 1 to {longest} characters on one line is needed.")
        return value

    return AfterValidator(check)


def matching(pattern: str, allowed: str) -> AfterValidator:
    """A text of a form."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"Allowed: {allowed}.")
        return value

    return AfterValidator(check)


Short = Annotated[str, text_of(100)]
Long = Annotated[str, text_of(300)]
Code = Annotated[str, text_of(200)]
FieldName = Annotated[
    str,
    # ONNX graphs have names such as `serving_default_x:0` and `input.1`.
    matching(
        "[A-Za-z_][A-Za-z0-9_.:/-]{0,63}", "1 to 64 letters, digits and _ . : / -, a letter first"
    ),
]
AnswerName = Annotated[
    str,
    matching("[a-z][a-z0-9_]{0,63}", "1 to 64 lower-case letters, digits and _, a letter first"),
]


class Part(BaseModel):
    """A table of model.toml, in which an unknown key is an error and no value is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def labelled(value: object) -> object:
    """Codes with their labels; a list has codes that are their own labels."""
    if not isinstance(value, list):
        return value
    texts = [each for each in value if isinstance(each, str)]
    if len(texts) < len(value):
        raise ValueError('Codes are texts: write them in quotes, such as ["0", "1"].')
    if twice := [each for each, count in Counter(texts).items() if count > 1]:
        raise ValueError(f"A code is written twice: {', '.join(sorted(twice)[:5])}.")
    return {each: each for each in texts}


class AnyField(Part):
    """What every field of a request has."""

    type: str
    label: Short | None = None
    required: bool = True
    help: Long | None = None
    unit: Annotated[str, text_of(30)] | None = None


class Ranged(AnyField):
    """A field whose values have an order."""

    @model_validator(mode="after")
    def minimum_is_not_above_maximum(self) -> Self:
        low, high = getattr(self, "minimum", None), getattr(self, "maximum", None)
        if low is not None and high is not None and self.ordered(low) > self.ordered(high):
            raise ValueError(f"minimum ({low}) is above maximum ({high}).")
        return self

    @staticmethod
    def ordered(value: Any) -> Any:
        """The value in a form that compares."""
        return value


Exact = Annotated[int, between(-LARGEST_INTEGER, LARGEST_INTEGER)]


class NumberField(Ranged):
    type: Literal["number"]
    minimum: float | None = None
    maximum: float | None = None


class IntegerField(Ranged):
    type: Literal["integer"]
    minimum: Exact | None = None
    maximum: Exact | None = None


class BooleanField(AnyField):
    type: Literal["boolean"]


class CategoryField(AnyField):
    type: Literal["category"]
    values: Annotated[dict[Code, Long], Field(min_length=1, max_length=MAX_CODES)]

    _list = field_validator("values", mode="before")(labelled)


class TextField(AnyField):
    type: Literal["text"]
    max_length: Annotated[int, between(1, 10_000)] = 1000


class DateField(Ranged):
    type: Literal["date"]
    minimum: Annotated[str, AfterValidator(day)] | None = None
    maximum: Annotated[str, AfterValidator(day)] | None = None


class TimeField(Ranged):
    type: Literal["time"]
    minimum: Annotated[str, AfterValidator(clock)] | None = None
    maximum: Annotated[str, AfterValidator(clock)] | None = None


def _timestamp(value: str) -> str:
    seconds(value)
    return value


class TimestampField(Ranged):
    type: Literal["timestamp"]
    minimum: Annotated[str, AfterValidator(_timestamp)] | None = None
    maximum: Annotated[str, AfterValidator(_timestamp)] | None = None

    @staticmethod
    def ordered(value: str) -> float:
        return seconds(value)


class VectorField(Ranged):
    type: Literal["vector"]
    length: Annotated[int, between(1, MAX_LENGTH)]
    minimum: float | None = None
    maximum: float | None = None


class ImageField(AnyField):
    type: Literal["image"]
    width: Annotated[int, between(1, 4096)]
    height: Annotated[int, between(1, 4096)]
    mode: Literal["grayscale", "rgb"]
    max_bytes: Annotated[int, between(100, MAX_IMAGE_BYTES)] = MAX_IMAGE_BYTES
    maximum: Annotated[float, between(1e-6, 1e6)] = 1.0
    inverted: bool = False


FieldSpec = Annotated[
    NumberField
    | IntegerField
    | BooleanField
    | CategoryField
    | TextField
    | DateField
    | TimeField
    | TimestampField
    | VectorField
    | ImageField,
    Field(discriminator="type"),
]


class NamedAnswer(Part):
    """An answer under a name of its own."""

    taken: ClassVar[frozenset[str]] = frozenset()
    """Names that an answer of this kind has beside it."""

    name: AnswerName
    label: Short | None = None
    output: Annotated[str, text_of(200)] | None = None

    @field_validator("name")
    @classmethod
    def name_is_free(cls, value: str) -> str:
        if value in cls.taken:
            raise ValueError(f"An answer has {value} beside it already. Choose another name.")
        return value


class Binary(NamedAnswer):
    taken = frozenset({"probability"})

    kind: Literal["binary"]
    threshold: Annotated[float, between(0, 1)] = 0.5
    yes: Short = "yes"
    no: Short = "no"


class Multiclass(NamedAnswer):
    taken = frozenset({"probability", "best"})

    kind: Literal["multiclass"]
    classes: Annotated[dict[Code, Long], Field(min_length=2, max_length=MAX_CODES)]
    best: Annotated[int, between(1, 100)] | None = None
    scores: Literal["probabilities", "logits"] = "probabilities"

    _list = field_validator("classes", mode="before")(labelled)

    @model_validator(mode="after")
    def best_are_classes(self) -> Self:
        if self.best and self.best > len(self.classes):
            raise ValueError(
                f"best ({self.best}) is above the number of classes ({len(self.classes)})."
            )
        return self


class Regression(NamedAnswer):
    kind: Literal["regression"]
    unit: Annotated[str, text_of(30)] | None = None


class Tensors(Part):
    kind: Literal["tensors"]
    outputs: (
        Annotated[list[Annotated[str, text_of(200)]], Field(min_length=1, max_length=50)] | None
    ) = None


Answer = Annotated[Binary | Multiclass | Regression | Tensors, Field(discriminator="kind")]


def setting(value: object) -> str | int | float:
    """A setting of the training, which can be written on a command line."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("Allowed: a text or a number.")
    return value


class ModelFile(Part):
    """model.toml as it is written."""

    title: Short
    question: Long
    max_batch: Annotated[int, between(1, 1000)] = 100
    fields: Annotated[dict[FieldName, FieldSpec], Field(min_length=1, max_length=MAX_FIELDS)]
    answer: Answer
    example: dict[str, Any]
    training: dict[
        Annotated[str, matching("[a-z][a-z0-9_]{0,39}", "lower-case letters, digits and _")],
        Annotated[Any, BeforeValidator(setting)],
    ] = {}


KINDS: Mapping[str, Mapping[str, type[Part]]] = {
    key: {
        get_args(table.model_fields[member].annotation)[0]: table
        for table in get_args(get_args(union)[0])
    }
    for key, member, union in (("fields", "type", FieldSpec), ("answer", "kind", Answer))
}
"""The tables that a field and an answer can be, by the word that chooses one."""


@dataclass(frozen=True, kw_only=True)
class ModelDefinition:
    """A folder `models/<name>/`, as its model.toml describes it."""

    folder: Path
    document: Mapping[str, Any]
    """The contract document: plain data, as in contract.json."""
    settings: Mapping[str, str | int | float]
    """The settings of the training, with their defaults; no part of the contract."""

    @property
    def name(self) -> str:
        return self.folder.name


def model_definition(folder: Path) -> ModelDefinition:
    """The definition of the model in a folder. Raises BadContract."""
    file = folder / "model.toml"
    shown = f"models/{folder.name}/model.toml"
    if problem := name_problem(folder.name):
        raise BadContract(f"{folder}: the folder's name is the model's. {problem}")
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        advice = (
            CONTRACT_PAGE
            if folder.is_dir()
            else f"A complete one: make model NAME={folder.name}"  # which leaves an existing folder alone
        )
        raise BadContract(
            f"{shown}: there is none. The folder of a model has its contract in it. {advice}"
        ) from None
    except OSError as error:
        raise BadContract(f"{shown}: it cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise BadContract(
            f"{shown}: no text in UTF-8 ({error.reason} at byte {error.start})."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise BadContract(f"{shown}: no TOML: {error}.") from None
    checked = _checked(_plain(values), shown)
    document = _document(folder.name, checked)
    if len(canonical_json(document)) > MAX_DOCUMENT_BYTES:
        raise BadContract(
            f"{shown}: as contract.json it has {len(canonical_json(document)):,} bytes, and {MAX_DOCUMENT_BYTES:,} are"
            " allowed. Shorten labels, or use a text in place of the longest category."
        )
    return ModelDefinition(folder=folder, document=document, settings=dict(checked.training))


def checked_document(document: object, file: str) -> Mapping[str, Any]:
    """A contract document that somebody else wrote, if it is one. Raises BadContract.

    ``file`` is the name that the message gives.
    """
    if not isinstance(document, dict) or not isinstance(document.get("fields"), list):
        raise BadContract(
            f"{file}: no contract: an object with name, title, question, fields, answer, example is needed."
        )
    name = document.get("name")
    if not isinstance(name, str) or (problem := name_problem(name)):
        raise BadContract(f"{file}: name: {problem if isinstance(name, str) else 'Missing.'}")
    fields: dict[str, Any] = {}
    for index, each in enumerate(document["fields"]):
        if (
            not isinstance(each, dict)
            or not isinstance(each.get("name"), str)
            or each["name"] in fields
        ):
            raise BadContract(
                f"{file}: fields[{index}].name: a name that no other field has is needed."
            )
        fields[each["name"]] = {key: value for key, value in each.items() if key != "name"}
    values = {key: value for key, value in document.items() if key != "name"}
    return _document(name, _checked({**values, "fields": fields}, file))


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """The content of contract.json: members in the order of the contract, as its categories' positions count."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def version_text(contract: bytes, model: bytes) -> str:
    """The content of version.txt, whose SHA-256 is the version: what `sha256sum contract.json model.onnx` prints."""
    return "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("contract.json", contract), ("model.onnx", model))
    )


def version_of(text: str) -> str:
    """The version that a version.txt names."""
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """TOML's own dates and times as texts."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case datetime.datetime() | datetime.date():
            return value.isoformat()
        case datetime.time(second=0, microsecond=0):
            return value.isoformat("minutes")
        case datetime.time():
            return value.isoformat()
    return value


def _checked(values: Mapping[str, Any], file: str) -> ModelFile:
    """The values, if they are a contract. Raises BadContract with all errors."""
    errors: dict[str, tuple[str, str]] = {}
    draft: Any = copy.deepcopy(dict(values))
    checked = None
    # A misspelt type hides what is wrong with the other keys of its table, and each of these that minimum is above maximum.
    for _ in range(4):
        try:
            checked = ModelFile.model_validate(draft)
            break
        except ValidationError as error:
            found = [(each, *place_of(each, ModelFile, KINDS)) for each in error.errors()]
        for detail, place, table in found:
            errors.setdefault(
                ".".join(place),
                (shown(_written(draft, place)), explanation(detail, place, table, KINDS)),
            )
        for detail, place, table in found:
            for key, advice in _keys_of_no_kind(draft, detail, place):
                errors.setdefault(".".join([*place[:-1], key]), advice)
            _correct(draft, detail, place, table)
    fields, example = draft.get("fields"), draft.get("example")
    sound = _sound_fields(fields) if isinstance(fields, dict) else {}
    if isinstance(fields, dict) and isinstance(example, dict):
        specs = {name: _members(each) for name, each in sound.items()}
        for name, reason in _example_problems(specs, list(fields), example):
            value = shown(_written(draft, ["example", name]))
            errors.setdefault(f"example.{name}", (value, reason))
    errors = {**_image_problems(sound), **errors}
    if errors or checked is None:
        raise BadContract(contract_error_report(file, errors))
    return checked


def _written(values: Any, place: Sequence[str]) -> Any:
    """The value at a place of the file."""
    for part in place:
        if isinstance(values, list):
            # A code in a list is its own label, and so its own place.
            values = part if part in values else values[int(part)]
        elif isinstance(values, dict) and part in values:
            values = values[part]
        else:
            return "(not set)"
    return values


def _keys_of_no_kind(
    draft: Any, detail: ErrorDetails, place: Sequence[str]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Keys of a table that it has under none of the words that choose its kind, when its own word is none of them."""
    if detail["type"] not in ("union_tag_invalid", "union_tag_not_found"):
        return
    known = {key for table in KINDS[place[0]].values() for key in table.model_fields}
    table = _written(draft, place[:-1])
    if not isinstance(table, dict):
        return  # pydantic writes a name that is no Unicode text otherwise than it is written
    misspelt = nearest(place[-1], table) if detail["type"] == "union_tag_not_found" else None
    for key in table.keys() - known - {misspelt}:
        yield key, (shown(table[key]), f"No such key.{did_you_mean(key, known)}")


def _correct(
    draft: Any, detail: ErrorDetails, place: Sequence[str], table: type[BaseModel]
) -> None:
    """Correct a mistake in a draft as it was probably meant, so that it does not hide others."""
    *parents, last = place
    parent = _written(draft, parents)
    if not isinstance(parent, dict) or parents == ["fields"]:
        return
    match detail["type"]:
        case "union_tag_invalid":
            parent[last] = nearest(str(parent[last]), KINDS[place[0]]) or parent[last]
        case "union_tag_not_found":
            if misspelt := nearest(last, parent):
                parent[last] = parent.pop(misspelt)
        case "extra_forbidden":
            value, meant = parent.pop(last), nearest(last, table.model_fields)
            if meant:
                parent.setdefault(meant, value)
        case _:
            part = table.model_fields.get(last)
            if part is not None and not part.is_required():
                parent.pop(last, None)


def _sound_fields(fields: Mapping[str, Any]) -> dict[str, Part]:
    """The fields that have no mistake."""
    sound: dict[str, Part] = {}
    for name, spec in fields.items():
        kind = spec.get("type") if isinstance(spec, dict) else None
        with suppress(KeyError, ValidationError):
            sound[name] = KINDS["fields"][str(kind)].model_validate(spec)
    return sound


def _image_problems(fields: Mapping[str, Part]) -> dict[str, tuple[str, str]]:
    """The place of the first image and the reason, if no endpoint takes all images of an instance in one request."""
    limits = {name: each.max_bytes for name, each in fields.items() if isinstance(each, ImageField)}
    total = sum(limits.values())
    if total <= MAX_IMAGE_BYTES:
        return {}
    name, first = next(iter(limits.items()))
    reason = (
        f"All images of an instance may have {MAX_IMAGE_BYTES:,} bytes together, as an endpoint takes requests of 1.5 MB,"
        f" and these have {total:,}. Write max_bytes = {MAX_IMAGE_BYTES // len(limits)} in each of the {len(limits)} image fields."
    )
    return {f"fields.{name}.max_bytes": (str(first), reason)}


def _example_problems(
    specs: Mapping[str, Mapping[str, Any]], names: Sequence[str], example: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Where the example is no valid instance of the fields without a mistake, and why."""
    for name, spec in specs.items():
        if name not in example:
            if spec["required"]:
                yield (
                    name,
                    "Missing: the field is required, and the example is a request that must work.",
                )
            continue
        try:
            refuse_value(spec, example[name])
        except ValueError as error:
            yield name, str(error)
    for name in example:
        if name not in names:
            yield (
                name,
                f"No such field.{did_you_mean(name, names)} There are: {', '.join(names)}.",
            )


def _members(part: Part) -> dict[str, Any]:
    """What a table of the contract has, without what was left out."""
    return {key: _number(value) for key, value in part.model_dump().items() if value is not None}


def _number(value: Any) -> Any:
    """A whole number as a person writes it: 5, not 5.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _document(name: str, file: ModelFile) -> dict[str, Any]:
    """The contract document."""
    fields = []
    for field, spec in file.fields.items():
        members = _members(spec)
        first = {"name": field, "type": spec.type, "label": spec.label or field}
        fields.append(
            {
                **first,
                "required": spec.required,
                **{k: v for k, v in members.items() if k not in first},
            }
        )
    answer = _members(file.answer)
    first = {"kind": file.answer.kind}
    if isinstance(file.answer, NamedAnswer):
        first |= {"name": file.answer.name, "label": file.answer.label or file.answer.name}
    if isinstance(file.answer, Multiclass):
        answer["best"] = file.answer.best or min(3, len(file.answer.classes))
    example = {field: file.example[field] for field in file.fields if field in file.example}
    return {
        "name": name,
        "title": file.title,
        "question": file.question,
        "max_batch": file.max_batch,
        "fields": fields,
        "answer": {**first, **{k: v for k, v in answer.items() if k not in first}},
        "example": example,
    }
