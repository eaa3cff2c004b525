"""The gateway's OpenAPI document is valid, and the gateway keeps to it: schemathesis asks a running one.

`make fuzz` makes many more requests than `make test`: TRIPLANE_FUZZ_REQUESTS.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gateway import openapi
from gateway.contract import Contract
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from config.model_contract import name_problem

from .gateway_models import DOCUMENTS, KEY, PREDICTIONS, VERSIONS, got, handler
from .test_gateway_asgi import serving
from .test_gateway_inference_protocol import VECTOR

EXAMPLES = max(1, int(os.environ.get("TRIPLANE_FUZZ_REQUESTS", "100")) // 20)
"""For each operation and phase."""
SEED = os.environ.get("TRIPLANE_FUZZ_SEED", "1")
CONTRACTS = [Contract(document, VERSIONS[name]) for name, document in DOCUMENTS.items()]


@pytest.mark.parametrize("names", [["flight-delay"], list(DOCUMENTS)])
@pytest.mark.parametrize("key_needed", [True, False])
def test_the_document_is_valid_openapi(names: list[str], key_needed: bool) -> None:
    contracts = [each for each in CONTRACTS if each.name in names]
    document = openapi.document(contracts, only=len(names) == 1, key_needed=key_needed)
    OpenAPIV31SpecValidator(document).validate()
    assert ("/predict" in document["paths"]) == (len(names) == 1)
    assert ("securitySchemes" in document["components"]) == key_needed
    assert document["openapi"] == "3.1.0"


NAMES = st.lists(
    st.lists(
        st.sampled_from(
            ["churn", "ready", "infer", "metadata", "contract", "predict", "v2", "versioned"]
        ),
        min_size=1,
        max_size=3,
    ).map("-".join),
    min_size=1,
    max_size=6,
    unique=True,
).filter(lambda names: not any(map(name_problem, names)))


@settings(max_examples=40, deadline=None)
@given(NAMES)
@example(["churn", "churn-ready", "churn-infer", "churn-versioned"])
@example(["churn", "ready-churn", "churn-contract", "v2-churn", "infer-churn", "predict-churn"])
def test_models_of_any_names_have_operations_of_their_own(names: list[str]) -> None:
    contracts = [Contract({**VECTOR, "name": name}, "0" * 64) for name in names]
    document = openapi.document(contracts, only=len(names) == 1, key_needed=True)
    found = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert [each for each, count in Counter(found).items() if count > 1] == []
    assert len(found) == 8 + 8 * len(names) + (len(names) == 1)


def test_every_route_of_a_model_is_in_the_document() -> None:
    paths = openapi.document(CONTRACTS[:1], only=True, key_needed=True)["paths"]
    name, at = CONTRACTS[0].name, handler(CONTRACTS[0].name)
    for version in ("", "/versions/{version}"):
        for what, method in (("", "get"), ("/ready", "get"), ("/infer", "post")):
            path = f"/v2/models/{name}{version}{what}"
            assert list(paths[path]) == [method]
            real = path.replace("{version}", CONTRACTS[0].version)
            assert at._route(real)[0] == method.upper()
            assert bool(version) == ("404" in paths[path][method]["responses"])


def test_the_gateway_serves_the_document_of_its_models() -> None:
    document = json.loads(got("/openapi.json", handler(*DOCUMENTS)).body)
    assert document == openapi.document(CONTRACTS, only=False, key_needed=True)


FIELDS: list[dict[str, Any]] = [
    {"name": "number", "type": "number", "minimum": 0, "maximum": 1},
    {"name": "integer", "type": "integer"},
    {"name": "boolean", "type": "boolean"},
    {"name": "category", "type": "category", "values": {"a": "A"}},
    {"name": "text", "type": "text", "max_length": 3},
    {"name": "date", "type": "date", "minimum": "2013-01-01"},
    {"name": "time", "type": "time"},
    {"name": "timestamp", "type": "timestamp"},
    {"name": "vector", "type": "vector", "length": 2},
    {"name": "image", "type": "image", "max_bytes": 300},
]


@pytest.mark.parametrize("required", [True, False])
def test_a_contract_with_every_type_of_field_is_valid_openapi(required: bool) -> None:
    fields = [{**each, "label": each["name"], "required": required} for each in FIELDS]
    every = Contract({**VECTOR, "name": "every", "fields": fields}, "v" * 64)
    OpenAPIV31SpecValidator(openapi.document([every], only=True, key_needed=True)).validate()
    schema = openapi.instance(every)
    instance = {"number": 1, "integer": 2.0, "boolean": True, "category": "a", "text": "abc"}
    jsonschema.validate({**instance, **REST}, schema)
    assert every.check({"instances": [{**instance, **REST, "image": PNG}]})[1] == []
    nothing = dict.fromkeys([*instance, *REST])
    assert bool(list(jsonschema.Draft202012Validator(schema).iter_errors(nothing))) == required
    assert bool(every.check({"instances": [nothing]})[1]) == required


REST: dict[str, Any] = {
    "date": "2013-01-01",
    "time": "23:59",
    "timestamp": "2013-01-01T00:00:00Z",
    "vector": [1, 2],
    "image": "AAAA",
}
PNG: str = DOCUMENTS["digits"]["example"]["image"]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each.name)
def test_examples_and_predictions_are_inside_of_their_schemas(contract: Contract) -> None:
    jsonschema.validate(contract.document["example"], openapi.instance(contract))
    jsonschema.validate(PREDICTIONS[contract.name], openapi.prediction(contract))


DECIDABLE = [each for each in FIELDS if each["type"] not in ("date", "timestamp", "image")]
"""JSON Schema has words for all that these types allow."""
EVERY = Contract(
    {
        **VECTOR,
        "name": "every",
        "fields": [
            {**each, "label": "x", "required": number % 2 == 0}
            for number, each in enumerate(DECIDABLE)
        ],
    },
    "v" * 64,
)


def allowed(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values inside of a field's schema."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "null" in kinds:
        other = {**schema, "type": next(kind for kind in kinds if kind != "null")}
        return st.none() | allowed(other)
    if "enum" in schema:
        return st.sampled_from([each for each in schema["enum"] if each is not None])
    low, high = schema.get("minimum"), schema.get("maximum")
    match kinds[0]:
        case "number":
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case "integer":
            return st.integers(low, high) | st.integers(-99, 99).map(float)
        case "boolean":
            return st.booleans()
        case "array":
            sizes = {"min_size": schema["minItems"], "max_size": schema["maxItems"]}
            return st.lists(allowed(schema["items"]), **sizes)
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True).filter(
            lambda text: not text.endswith("\n")  # `$` of Python, but not of JSON Schema's dialect
        )
    return st.text(max_size=schema["maxLength"])


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    values = {name: allowed(each) for name, each in schema["properties"].items()}
    needed = {name: values.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(needed, optional=values)


@settings(max_examples=150, deadline=None)
@given(instances(openapi.instance(EVERY)))
def test_what_the_document_allows_the_gateway_accepts(instance: Any) -> None:
    _, errors = EVERY.check({"instances": [instance]})
    assert errors == []


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each.name)
def test_the_document_has_the_size_of_a_batch_as_the_gateway_has_it(contract: Contract) -> None:
    document = openapi.document([contract], only=True, key_needed=False)
    operation = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    batch = operation["application/json"]["schema"]["properties"]["instances"]
    assert (batch["minItems"], batch["maxItems"]) == (1, contract.max_batch)
    example = [contract.document["example"]]
    assert contract.check({"instances": example * batch["maxItems"]})[1] == []
    assert contract.check({"instances": example * (batch["maxItems"] + 1)})[1]


CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
"""All that a document can be held against without a state; not `positive_data_acceptance`: JSON Schema has no words for a range
of dates, nor for what an image is, nor for the length of a tensor (`openapi._beyond_schema`)."""


def test_every_answer_of_a_running_gateway_is_inside_of_its_document(tmp_path: Path) -> None:
    """schemathesis has a plugin for pytest, too, which does not work with pytest 9."""
    # An image that is larger than its contract allows is a 422 here, before the whole body is too large.
    with serving(*DOCUMENTS, MAX_BODY_BYTES=str(2**20), MAX_CONCURRENCY="8") as gateway:
        assert gateway.process.stdout
        # A full pipe would stop the gateway.
        threading.Thread(target=gateway.process.stdout.read, daemon=True).start()
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"http://127.0.0.1:{gateway.port}/openapi.json"),
            *("--header", f"x-api-key: {KEY}", "--checks", ",".join(CHECKS)),
            *(
                "--max-examples",
                str(EXAMPLES),
                "--seed",
                SEED,
                "--phases",
                "examples,coverage,fuzzing",
            ),
            *("--generation-database", "none", "--no-color", "--warnings", "off"),
        ]
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=3600,
        )
    report = "\n".join(line[:300] for line in (ended.stdout + ended.stderr).splitlines())
    assert ended.returncode == 0, report
    assert "No issues found" in report, report
