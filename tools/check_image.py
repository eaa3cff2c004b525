"""`make check-image`: whether a running server keeps the contract for containers (docs/reference/container.md).

It gets the requests of the clouds and of the gateway, and hostile ones. Each rule is a function that returns what it found wrong,
or an empty text. The check needs the server's address and the contract of its model alone.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config.arguments import ArgumentParser
from config.messages import did_you_mean
from config.model_contract import BadContract, canonical_json, model_definition

HOME = Path(__file__).resolve().parents[1]
MODELS = HOME / "models"
GIVEN = HOME / ".models" / "checked"
"""Where the contract is written that an image of one's own gets, a folder for each model."""
ROUTES: Mapping[str, tuple[str, str]] = {
    "aws": ("/ping", "/invocations"),
    "gcp": ("/healthz", "/predict"),
    "azure": ("/healthz", "/score"),
}
"""The routes of health and predictions: SageMaker's are fixed, the others are those that the platform sets.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""
HEALTH_SECONDS = 2
"""SageMaker's limit, the shortest. https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
ANSWER_SECONDS = 60
"""SageMaker's limit. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""
WRONG: Mapping[str, Sequence[Any]] = {
    "number": ("a lot", True, [1], {}),
    "integer": (1.5, "1"),
    "boolean": ("true", 2),
    "category": ("no such code", 1),
    "text": (1, ["a"]),
    "date": ("17.11.2013", 20131117),
    "time": ("25:00", 1801),
    "timestamp": ("yesterday", 1384732860),
    "vector": ([], "1, 2", [[1]]),
    "image": ("no image", 1),
}
"""Values that a field of a type cannot have."""
NO_REQUESTS = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b"\xff",
    b'{"instances": []}',
    b'{"instances": {}}',
    b'{"instances": [1]}',
    b'{"instances": ' + b"[" * 100_000,
)
ODD_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400", "1" + 400 * "0", "-0.0", "1e300")


@dataclass(frozen=True)
class Answer:
    """What the server sent."""

    status: int
    type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.body[:200].decode(errors='replace')}"


class Server:
    """The server, the routes of one service, and the contract of the model that it serves."""

    def __init__(self, url: str, routes: tuple[str, str], contract: Mapping[str, Any]) -> None:
        parts = urlsplit(url)
        self.place = parts.hostname or "", parts.port or 80
        self.health_route, self.route = routes
        self.contract = contract
        self.example: Mapping[str, Any] = contract["example"]
        self.named: Mapping[str, str] = {}
        """The model's name, for a server of several, which needs it in each request."""

    def request(
        self, method: str, path: str, body: Any = None, seconds: float = ANSWER_SECONDS
    ) -> Answer:
        """One request on a connection of its own. Raises OSError and http.client.HTTPException."""
        connection = http.client.HTTPConnection(*self.place, timeout=seconds)
        try:
            headers = {"content-type": "application/json"} if body is not None else {}
            connection.request(method, path, body, headers)
            return _answer(connection)
        finally:
            connection.close()

    def predict(self, *instances: Any, **more: Any) -> Answer:
        """The answer to these instances."""
        return self.request("POST", self.route, self.body(*instances, **more))

    def body(self, *instances: Any, **more: Any) -> bytes:
        """A request for predictions."""
        return json.dumps({"instances": instances, **self.named, **more}).encode()

    def listed(self) -> Sequence[str]:
        """The models that the health route lists; an own image need not list any."""
        try:
            models = self.health().json["models"]
        except (OSError, http.client.HTTPException, KeyError, TypeError, ValueError):
            return ()
        return list(models) if isinstance(models, dict) else ()

    def health(self) -> Answer:
        """The answer of the health route, within its time."""
        return self.request("GET", self.health_route, seconds=HEALTH_SECONDS)


def _answer(connection: http.client.HTTPConnection) -> Answer:
    found = connection.getresponse()
    return Answer(found.status, found.headers.get("content-type", ""), found.read())


def it_is_healthy(server: Server) -> str:
    """The health route answers 200 within 2 s."""
    answer = server.health()
    return "" if answer.status == 200 else f"GET {server.health_route} is answered with {answer}"


def it_answers_the_example(server: Server) -> str:
    """The example gets one prediction, as the contract's answer has it."""
    return _problem(server, server.predict(server.example), 1)


def it_answers_each_instance_in_order(server: Server) -> str:
    """A full batch gets a prediction for each instance, in their order."""
    most = server.contract["max_batch"]
    required = {each["name"] for each in server.contract["fields"] if each["required"]}
    bare = {name: value for name, value in server.example.items() if name in required}
    batch = [bare if index % 3 == 1 else server.example for index in range(most)]
    answer = server.predict(*batch)
    if problem := _problem(server, answer, most):
        return problem
    alone = [server.predict(each) for each in (server.example, bare)]
    for index, found in enumerate(answer.json["predictions"]):
        expected = alone[index % 3 == 1].json["predictions"][0]
        if not _alike(found, expected):
            return f"prediction {index} of a batch is {_short(found)}, and alone {_short(expected)}"
    return ""


def it_takes_null_for_what_is_left_out(server: Server) -> str:
    """A field that may be left out may be null."""
    optional = [each["name"] for each in server.contract["fields"] if not each["required"]]
    if not optional:
        return ""
    bare = {name: value for name, value in server.example.items() if name not in optional}
    first, second = server.predict(bare), server.predict({**bare, **dict.fromkeys(optional)})
    if problem := _problem(server, first, 1) or _problem(server, second, 1):
        return problem
    alike = _alike(first.json["predictions"], second.json["predictions"])
    return "" if alike else f"left out: {first}; null: {second}"


def it_takes_the_models_name(server: Server) -> str:
    """The body may name the model."""
    return _problem(server, server.predict(server.example, model=server.contract["name"]), 1)


def it_names_one_version(server: Server) -> str:
    """An answer may name the version of its model: the SHA-256 of version.txt, the same in each answer."""
    versions = {
        server.predict(server.example).json.get("model_version"),
        server.predict(server.example).json.get("model_version"),
    }
    if versions == {None}:
        return ""
    (version, *others) = versions
    if others or not isinstance(version, str) or not re.fullmatch("[0-9a-f]{64}", version):
        return f"model_version is {' and '.join(map(str, versions))}"
    return ""


def it_refuses_what_is_no_request(server: Server) -> str:
    """A body that is no request is refused with 400 to 499."""
    for body in NO_REQUESTS:
        answer = server.request("POST", server.route, body)
        if not 400 <= answer.status < 500:
            return f"the body {body[:40]!r} is answered with {answer}"
    return ""


def it_refuses_wrong_values_and_names_the_field(server: Server) -> str:
    """A field that is missing, or has a value that it cannot have, is refused with 400 and its name."""
    for field in server.contract["fields"]:
        name = field["name"]
        wrong = [{**server.example, name: value} for value in WRONG[field["type"]]]
        if field["required"]:
            wrong.append({key: value for key, value in server.example.items() if key != name})
        for instance in wrong:
            answer = server.predict(server.example, instance)
            if answer.status != 400 or name.encode() not in answer.body:
                return f"{name}: {_short(instance.get(name))} is answered with {answer}"
    return ""


def it_stands_odd_numbers(server: Server) -> str:
    """NaN, infinity and numbers of any size are answered below 500, and never with NaN or infinity."""
    numeric = ("number", "integer", "vector")
    fields = [each for each in server.contract["fields"] if each["type"] in numeric]
    for field in fields[:3]:
        for number in ODD_NUMBERS:
            text = (
                number
                if field["type"] != "vector"
                else f"[{', '.join([number] * field['length'])}]"
            )
            marked = server.body({**server.example, field["name"]: "\0"})
            body = marked.replace(b'"\\u0000"', text.encode())
            answer = server.request("POST", server.route, body)
            if answer.status >= 500 or re.search(rb"\b(NaN|Infinity)\b", answer.body):
                return f"{field['name']}: {text[:40]} is answered with {answer}"
    return ""


def it_refuses_another_model(server: Server) -> str:
    """A request for a model that it does not serve is refused with 400 to 499."""
    answer = server.predict(server.example, model="no-such-model")
    return "" if 400 <= answer.status < 500 else f"it is answered with {answer}"


def it_refuses_other_paths_and_methods(server: Server) -> str:
    """What is at no route is 400 to 499."""
    for method, path in (("GET", "/no-such-path"), ("DELETE", server.route), ("GET", server.route)):
        answer = server.request(method, path)
        if not 400 <= answer.status < 500:
            return f"{method} {path} is answered with {answer}"
    return ""


def its_refusals_are_json(server: Server) -> str:
    """A refusal is a JSON object with the reason under error."""
    answer = server.request("POST", server.route, b"{}")
    try:
        error = answer.json["error"]
    except (KeyError, TypeError, ValueError):
        error = None
    return "" if isinstance(error, str) and error else f"the body {{}} is answered with {answer}"


def it_keeps_connections_open(server: Server) -> str:
    """A connection takes one request after another: a front end keeps it."""
    connection = http.client.HTTPConnection(*server.place, timeout=ANSWER_SECONDS)
    body = server.body(server.example)
    connection.connect()
    opened = connection.sock
    for _ in range(3):
        connection.request("POST", server.route, body, {"content-type": "application/json"})
        _answer(connection)
        if connection.sock is not opened:
            return "it closes the connection after an answer"
    connection.close()
    return ""


def it_reads_a_body_in_chunks(server: Server) -> str:
    """A body may come in chunks, without its length."""
    body = server.body(server.example)
    connection = http.client.HTTPConnection(*server.place, timeout=ANSWER_SECONDS)
    try:
        pieces = iter([body[:20], body[20:]])
        headers = {"content-type": "application/json"}
        connection.request("POST", server.route, pieces, headers, encode_chunked=True)
        return _problem(server, _answer(connection), 1)
    finally:
        connection.close()


def it_is_healthy_while_it_works(server: Server) -> str:
    """The health route answers within 2 s while 8 connections ask for full batches."""
    batch = [server.example] * server.contract["max_batch"]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(server.predict, *batch) for _ in range(24)]
        slow = 0.0
        while not all(each.done() for each in asked):
            started = time.monotonic()
            answer = server.health()
            slow = max(slow, time.monotonic() - started)
            if answer.status != 200:
                return f"the health is {answer} meanwhile"
            time.sleep(0.02)
    bad = [answer for each in asked if (answer := each.result()).status != 200]
    return f"a prediction is answered with {bad[0]}" if bad else ""


def it_outlives_a_caller_that_goes_away(server: Server) -> str:
    """A connection that ends in the middle of a request ends nothing else."""
    for part in (
        b"POST ",
        f"POST {server.route} HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n{{".encode(),
    ):
        with socket.create_connection(server.place, timeout=5) as connection:
            connection.sendall(part)
    return it_is_healthy(server) or it_answers_the_example(server)


RULES: Sequence[Callable[[Server], str]] = (
    it_is_healthy,
    it_answers_the_example,
    it_answers_each_instance_in_order,
    it_takes_null_for_what_is_left_out,
    it_takes_the_models_name,
    it_names_one_version,
    it_refuses_what_is_no_request,
    it_refuses_wrong_values_and_names_the_field,
    it_stands_odd_numbers,
    it_refuses_another_model,
    it_refuses_other_paths_and_methods,
    its_refusals_are_json,
    it_keeps_connections_open,
    it_reads_a_body_in_chunks,
    it_is_healthy_while_it_works,
    it_outlives_a_caller_that_goes_away,
)


def broken(server: Server, rule: Callable[[Server], str]) -> str:
    """What is wrong with the server by this rule; empty if nothing is."""
    try:
        return rule(server)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return f"there is no answer that can be read ({type(error).__name__}: {error})"


def _problem(server: Server, answer: Answer, count: int) -> str:
    """Why this is not the answer with so many predictions."""
    if answer.status != 200 or not answer.type.startswith("application/json"):
        return f"it is answered with {answer} ({answer.type or 'no content type'})"
    content = answer.json
    predictions = content.get("predictions") if isinstance(content, dict) else None
    if not isinstance(predictions, list) or len(predictions) != count:
        return f"it is answered with {answer}; wanted: predictions, a list of {count}"
    for each in predictions:
        if problem := prediction_problem(server.contract["answer"], each):
            return f"a prediction is {_short(each)}: {problem}"
    return ""


def prediction_problem(answer: Mapping[str, Any], prediction: Any) -> str:
    """Why this is no prediction of the contract's kind."""
    if not isinstance(prediction, dict):
        return "an object is needed"
    if answer["kind"] == "tensors":
        missing = [each for each in answer.get("outputs", ()) if each not in prediction]
        return f"{missing[0]} is missing" if missing else ""
    name, value = answer["name"], prediction.get(answer["name"])
    match answer["kind"]:
        case "regression":
            return "" if _is_number(value) else f"{name} should be a number"
        case "binary":
            fits = isinstance(value, bool)
            wanted = f"{name} should be true or false"
        case _:
            fits = value in answer["classes"]
            wanted = f"{name} should be one of the classes' codes"
            best = prediction.get("best")
            if not (isinstance(best, list) and best and best[0].get("label") == value):
                return f"best should be a list that begins with {name}"
    probability: Any = prediction.get("probability")
    if not _is_number(probability) or not 0 <= probability <= 1:
        return "probability should be a number from 0 to 1"
    return "" if fits else wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _alike(one: Any, other: Any) -> bool:
    """Whether two predictions are the same but for the last digit of a sum."""
    if _is_number(one) and _is_number(other):
        return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-5)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    return bool(one == other)


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 100 else f"{text[:99]}…"


def main() -> None:
    parser = ArgumentParser(prog="python -m tools.check_image")
    parser.add_argument("cloud", nargs="?", default="", help="whose routes; default: all three")
    parser.add_argument("--url", default="", help="where the server runs: http://127.0.0.1:8080")
    parser.add_argument("--model", default="", help="the folder models/<name>/ with its contract")
    chosen = parser.parse_args()
    try:
        contract = _contract(chosen.model)
        if chosen.cloud and chosen.cloud not in ROUTES:
            raise NotChecked(f"CLOUD={chosen.cloud}: Allowed: {', '.join(ROUTES)}.")
        _refuse_unreachable(chosen.url, contract)
        clouds = [chosen.cloud] if chosen.cloud else list(ROUTES)
        failures = sum(_broken_rules(chosen.url, cloud, contract) for cloud in clouds)
    except NotChecked as error:
        sys.exit(f"{error}\nNothing was checked.")
    except BadContract as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}. The contract of the model is written there.")
    if failures:
        count = "1 rule is" if failures == 1 else f"{failures} rules are"
        sys.exit(f"{count} broken. What each means: docs/reference/container.md")


class NotChecked(Exception):
    """The server was not checked; the message says why."""


def _contract(model: str) -> Mapping[str, Any]:
    """The contract of a model. Raises NotChecked, BadContract."""
    there = sorted(each.parent.name for each in MODELS.glob("*/model.toml"))
    if not model:
        raise NotChecked(f"MODEL is missing. There are: {', '.join(there)}.")
    if model not in there:
        near = did_you_mean(model, there)
        raise NotChecked(f"MODEL={model}: no such model.{near} There are: {', '.join(there)}.")
    return model_definition(MODELS / model).document


def _refuse_unreachable(url: str, contract: Mapping[str, Any]) -> None:
    """Raise NotChecked, with the command that starts a server, unless one answers. Writes the contract for it."""
    name = contract["name"]
    again = f"make check-image URL=http://127.0.0.1:8080 MODEL={name}"
    if url.startswith("https://"):
        raise NotChecked(
            f"URL={url}: only http:// counts: the clouds ask a container inside of their network, without TLS. Run it on this"
            f" machine: {again}."
        )
    if url and not re.fullmatch(r"http://[^/\s]+/?", url):
        raise NotChecked(f"URL={url}: the address of a server, without a path, is needed: {again}.")
    reason = "URL is missing."
    if url:
        try:
            Server(url, ROUTES["aws"], contract).request("GET", "/ping", seconds=10)
            return
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = (
                f"URL={url}: nothing answers there by HTTP ({str(error) or type(error).__name__})."
            )
    folder = GIVEN / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "contract.json").write_bytes(canonical_json(contract))
    raise NotChecked(
        f"{reason} Start the server first. An image of your own gets the contract, which is now in {folder.relative_to(HOME)}/:\n"
        f'  docker run --rm -p 8080:8080 -v "$PWD/{folder.relative_to(HOME)}:/opt/ml/model:ro" IMAGE serve\n'
        f"Then, beside it:\n  {again}"
    )


def _broken_rules(url: str, cloud: str, contract: Mapping[str, Any]) -> int:
    """How many rules the server breaks on the routes of a cloud. Raises NotChecked."""
    server = Server(url, ROUTES[cloud], contract)
    listed, name = server.listed(), contract["name"]
    if listed and name not in listed:
        raise NotChecked(f"URL={url}: this server serves {', '.join(listed)}, and not {name}.")
    if len(listed) > 1:
        server.named = {"model": name}
    print(f"{cloud}: {ROUTES[cloud][0]}, {ROUTES[cloud][1]}")
    failures = 0
    for rule in RULES:
        problem = broken(server, rule)
        failures += bool(problem)
        print(f"  {'FAILS' if problem else 'holds'}  {rule.__doc__}", flush=True)
        if problem:
            print(f"         {problem}")
    return failures


if __name__ == "__main__":
    main()
