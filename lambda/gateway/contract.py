"""The contract of a model, as its artifact has it: which requests are valid, and which answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from gateway import fields, predictions
from gateway.fields import InvalidValue, abbreviated
from gateway.images import MAX_PIXELS, MAX_PIXELS_OF_REQUEST
from gateway.predictions import BadPrediction

MAX_ERRORS = 20
"""The most errors that an answer lists: enough to correct a request, and a limit to the cost of a hostile one."""

LARGEST_IMAGES = (2**20 + 2) // 3 * 4
"""In base64: what the images of an instance may have together, as `make train` holds it for each model (config/model_contract.py)."""
MAX_HINTS = 3
"""So many errors of a request have the nearest spelling with them: each search takes up to 20 ms, and others wait."""

Found = tuple[str, str, Callable[[], str] | None]
"""The place of an error, the reason, and more of it that is searched only if it is wanted."""


@dataclass(frozen=True)
class FieldError:
    """The place in the body, as a JSON path, and the reason."""

    field: str
    reason: str


class UnusableContract(Exception):
    """The artifact's contract is not the version's own, or none that this gateway can use. The message is for the log."""


class Contract:
    """A model's contract in one version: validates requests and predictions, and returns only what is valid."""

    def __init__(
        self, document: Mapping[str, Any], version: str, is_own_image: bool = False
    ) -> None:
        """``is_own_image``: another container than the platform's serves it. Raises `UnusableContract`."""
        self.document, self.version, self.is_own_image = document, version, is_own_image
        try:
            self.name: str = document["name"]
            self.max_batch: int = document["max_batch"]
            self.fields: Mapping[str, Mapping[str, Any]] = {
                spec["name"]: spec for spec in document["fields"]
            }
            self.answer: Mapping[str, Any] = document["answer"]
            self._checks = [
                (name, spec["required"], fields.check(spec)) for name, spec in self.fields.items()
            ]
            self._prediction = predictions.check(self.answer)
            images = {name: spec for name, spec in self.fields.items() if spec["type"] == "image"}
            self.image_bytes = min(
                sum(map(fields.image_characters, images.values())), LARGEST_IMAGES
            )
            self._images = list(images)
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableContract(
                f"the contract has a member that is missing or unknown: {error}"
            ) from None
        self._names = self.fields.keys()

    def check(self, body: object) -> tuple[list[dict[str, Any]], list[FieldError]]:
        """The instances, and their errors (the first `MAX_ERRORS`).

        An optional field that is null is removed, as if it had not been sent.
        """
        instances: list[dict[str, Any]] = []
        errors = []
        hints = MAX_HINTS
        for path, reason, hint in islice(self._errors(body, instances), MAX_ERRORS):
            if hint and hints:
                hints -= 1
                reason += hint()
            errors.append(FieldError(path, reason))
        return instances, errors or list(self._pixel_errors(instances))

    def predictions(self, given: object, count: int) -> list[dict[str, Any]]:
        """The model's predictions for ``count`` instances. Raises `BadPrediction`."""
        if not isinstance(given, list) or len(given) != count:
            raise BadPrediction("the answer is not one prediction an instance")
        return [self._prediction(each) for each in given]

    def _errors(self, body: object, valid: list[dict[str, Any]]) -> Iterator[Found]:
        if not isinstance(body, dict):
            yield "$", f'must be an object, {{"instances": […]}}, not {abbreviated(body)}', None
            return
        for name in [name for name in body if name != "instances"]:
            yield name[:60], "is not known; the only field here is instances", None
        instances = body.get("instances")
        if not isinstance(instances, list):
            given = f"not {abbreviated(instances)}" if "instances" in body else "and is missing"
            yield "instances", f"must be an array, {given}", None
        elif not 1 <= len(instances) <= self.max_batch:
            limits = f"must have 1 to {self.max_batch} entries"
            yield "instances", f"{limits}, not {len(instances)}", None
        else:
            for index, instance in enumerate(instances):
                found: dict[str, Any] = {}
                valid.append(found)
                if not self._is_valid(instance, found):
                    found.clear()
                    yield from self._instance_errors(f"instances[{index}]", instance)

    def _pixel_errors(self, instances: list[dict[str, Any]]) -> Iterator[FieldError]:
        """What one request may have the model server decode: each image is small enough by itself."""
        if len(instances) * len(self._images) * MAX_PIXELS <= MAX_PIXELS_OF_REQUEST:
            return
        given = (each[name] for each in instances for name in self._images if name in each)
        if (pixels := sum(map(fields.pixels, given))) > MAX_PIXELS_OF_REQUEST:
            limit = f"may have images of {MAX_PIXELS_OF_REQUEST:,} pixels together, not {pixels:,}"
            yield FieldError("instances", limit)

    def _is_valid(self, instance: Any, found: dict[str, Any]) -> bool:
        """Whether an instance has no error; its fields are added to ``found``. Words for errors would take longer than this."""
        if type(instance) is not dict or not instance.keys() <= self._names:
            return False
        get = instance.get
        try:
            for name, required, check in self._checks:
                value = get(name)
                if value is not None:
                    found[name] = check(value)
                elif required:
                    return False
        except InvalidValue:
            return False
        return True

    def _instance_errors(self, path: str, instance: object) -> Iterator[Found]:
        if not isinstance(instance, dict):
            yield path, f"must be an object, not {abbreviated(instance)}", None
            return
        for name, required, check in self._checks:
            value = instance.get(name)
            if value is None:
                if required:
                    spec = self.fields[name]
                    words = [fields.FORMS.get(spec["type"]), spec.get("help")]
                    wanted = ", ".join(filter(None, words))
                    reason = f"is missing; {wanted}" if wanted else "is missing"
                    yield f"{path}.{name}", reason, None
                continue
            try:
                check(value)
            except InvalidValue as error:
                yield f"{path}.{name}", str(error), error.hint
        for name in [name for name in instance if name not in self.fields]:
            yield f"{path}.{name[:60]}", "is not known", partial(self._known_names, name)

    def _known_names(self, name: str) -> str:
        near = fields.similar(name.casefold(), self.fields, count=1)
        return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(self.fields)}"[:300]


def verified(version: str, version_text: bytes, document: bytes, model: str) -> Contract:
    """The contract in ``document``, if it belongs to this version of this model. Raises `UnusableContract`.

    A version is the SHA-256 of the text that has the SHA-256 of the contract.
    """
    if hashlib.sha256(version_text).hexdigest() != version:
        raise UnusableContract("version.txt is not the text of this version")
    lines = [line.partition("  ") for line in version_text.decode().splitlines()]
    files = {name: digest for digest, _, name in lines}
    if files.get("contract.json") != hashlib.sha256(document).hexdigest():
        raise UnusableContract("contract.json is not the one that version.txt names")
    try:
        found = json.loads(document)
    except ValueError:
        raise UnusableContract("contract.json is not JSON") from None
    name = found.get("name") if isinstance(found, dict) else None
    if name != model:
        raise UnusableContract(f"the version is one of another model: {str(name)[:40]}")
    return Contract(found, version, is_own_image="image" in files)
