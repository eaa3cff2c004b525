"""A model that was loaded, held against its contract, and found fit."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import onnxruntime

from model_server import answers
from model_server.contract import Contract, version
from model_server.defects import BadAnswer, Defect, UnfitModel, shortened
from model_server.inputs import Inputs
from model_server.readings import UNREADABLE

Read = TypeVar("Read")
SLOW_SECONDS = 0.005
"""From so long an answer on, other requests would wait for it noticeably, so it is made in a thread of its own."""


TRIES = 3
"""The quickest of so many answers counts: a busy machine must not make a quick model a slow one for good."""


class Model:
    """Raises UnfitModel, with all rules that the model breaks, for one that could not answer as its contract describes."""

    def __init__(self, model: bytes, contract: bytes) -> None:
        self.version = version(contract, model)
        self.contract = Contract.read(contract)
        self.name = self.contract.name
        self._session = _session(model)
        defects: list[Defect] = []
        try:
            kind = answers.KINDS[self.contract.answer["kind"]]
            self._inputs = Inputs(self._session, self.contract)
            self._answer = kind(self.contract.answer, self._session.get_outputs())
            defects = [*self._inputs.defects, *self._answer.defects]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = (
                f"a part of contract.json is missing or wrong ({type(error).__name__}: {error})"
            )
            defects = [Defect("contract", reason, "the document that a model's model.toml gives")]
        # A model of another form cannot be asked about the example.
        defects = defects or list(self._wrong_answers())
        if defects:
            raise UnfitModel(defects)
        self._seconds = min(self._seconds_of_an_answer() for _ in range(TRIES))
        self._images = any(each["type"] == "image" for each in self.contract.fields)

    def predictions(self, instances: Sequence[Any]) -> list[dict[str, Any]]:
        """A prediction for each instance, in their order.

        Raises BadInstance, naming the instance, the field and the reason, and BadAnswer.
        """
        found = self._read(self._answer.predictions, instances)
        if len(found) != len(instances):
            raise BadAnswer(f"{len(found)} answers came for {len(instances)} instances")
        return found

    def is_slow(self, instances: Sequence[Any]) -> bool:
        """Whether the answer may take long: an image does that is small in bytes and large in pixels."""
        return self._images or self._seconds * len(instances) > SLOW_SECONDS

    def _seconds_of_an_answer(self) -> float:
        started = time.perf_counter()
        self.predictions([self.contract.example])
        return time.perf_counter() - started

    def _read(self, read: Callable[[list[Any]], Read], instances: Sequence[Any]) -> Read:
        """What a kind of an answer reads in the outputs. Raises BadInstance, BadAnswer."""
        feed = self._inputs.feed(instances)
        try:
            outputs = self._session.run(self._answer.names, feed)
        except Exception as error:  # ONNX Runtime's exceptions share no base class of its own
            reason = shortened(str(error)) or type(error).__name__
            raise BadAnswer(f"ONNX Runtime says: {reason}") from error
        try:
            return read(outputs)
        except UNREADABLE as error:
            reason = f"{type(error).__name__}: {shortened(str(error))}"
            raise BadAnswer(f"its outputs cannot be read ({reason})") from error

    def _wrong_answers(self) -> Iterator[Defect]:
        """What is wrong with the answers: to the example, and to the same without what may be left out."""
        required = {each["name"] for each in self.contract.fields if each["required"]}
        example: Mapping[str, Any] = self.contract.example
        bare = {name: value for name, value in example.items() if name in required}
        for name, instance in (("the example", example), ("the example's required fields", bare)):
            try:
                self._read(self._answer.verify, [instance])
                self.predictions([instance, instance])
            except ValueError as error:
                yield Defect(f"answer to {name}", str(error), "an example that the model can read")
                return
            except (BadAnswer, MemoryError) as error:
                reason = str(error) or type(error).__name__
                if "allocate" in reason or "bad_alloc" in reason or isinstance(error, MemoryError):
                    yield Defect("memory", reason, "an answer within the memory of an instance")
                else:
                    wanted = f"{self._answer.wanted}; finite, and for probabilities from 0 to 1 and together 1"
                    yield Defect(f"answer to {name}", reason, wanted)
                return


def _session(content: bytes) -> onnxruntime.InferenceSession:
    """The model, loaded. Raises UnfitModel."""
    options = onnxruntime.SessionOptions()
    # One prediction takes microseconds: other threads would only add time.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what matters of it is raised, too
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class of its own
        raise UnfitModel([_unloadable(str(error))]) from error


def _unloadable(reason: str) -> Defect:
    found = f"ONNX Runtime {onnxruntime.__version__} says: {shortened(reason)}"
    if "xternal data" in reason or "external_data" in reason:
        wanted = "the weights inside model.onnx, the only file that is uploaded (onnx.save with save_as_external_data=False)"
        return Defect("one file", found, wanted)
    if "protobuf" in reason.lower():
        return Defect("format", found, "a whole ONNX file")
    for pattern, words in UNKNOWN_PARTS.items():
        if match := re.search(pattern, reason):
            found = f"{words.format(match[1])} ({found})"
            break
    wanted = f"operators and opsets that ONNX Runtime {onnxruntime.__version__} has, as in a file that is exported for opset 21"
    return Defect("runtime", found, wanted)


UNKNOWN_PARTS = {
    r"No Op registered for (\S+)": "it has the operator {}, which is in no opset that it names",
    r"([\w.:]+)\(-?\d+\) is not a registered": "it has the operator {}, which ONNX Runtime does not have",
    r"No opset import for domain '(.*?)'": "it has operators of the set {}, and names no version of that set",
    r"Opset (\d+) i": "it is written for opset {}, which is newer than those of ONNX Runtime",
    r"IR version: (\d+)": "it has version {} of the file format, which is newer than those of ONNX Runtime",
    r"implementation for (\w+)": "it has the operator {} for a type of numbers for which ONNX Runtime has no code",
}
"""What ONNX Runtime says of a part that it does not have, in plain words."""
