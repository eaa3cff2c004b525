"""The gateway's interface as OpenAPI 3.1, made from the contracts of its models.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway import inference_protocol
from gateway.contract import Contract
from gateway.fields import LARGEST_INTEGER

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
VERSION: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256"}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": STRING,
                "message": STRING,
                "fields": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "reason"],
                        "properties": {"field": STRING, "reason": STRING},
                    },
                },
            },
        }
    },
}
V2_ERROR: Schema = {"type": "object", "required": ["error"], "properties": {"error": STRING}}
MODEL_ENTRY: Schema = {
    "type": "object",
    "required": ["name", "ready", "model_version", "title", "question"],
    "properties": {
        "name": STRING,
        "ready": {"type": "boolean", "description": "whether its contract could be read"},
        "model_version": VERSION,
        "title": {"type": ["string", "null"]},
        "question": {"type": ["string", "null"]},
    },
}
REASONS: Mapping[int, str] = {
    400: "The body is malformed.",
    401: "The key is missing or wrong.",
    404: "There is no such model or version.",
    405: "The path takes another method.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or the answer to it would be.",
    415: "The body is of another media type.",
    422: "A field is not valid, or the model could not use the input.",
    503: "Something that the answer needs is not available at the moment. Send it again.",
}
PREDICTION_REFUSALS = (400, 401, 405, 408, 413, 415, 422, 503)
READ_REFUSALS = (405, 503)


def document(contracts: Sequence[Contract], *, only: bool, key_needed: bool) -> dict[str, Any]:
    """The document. ``only``: there is one model, which has the short route, too."""
    paths = _fixed_paths()
    for contract in contracts:
        paths |= _model_paths(contract, key_needed)
    if only:
        paths["/predict"] = {
            "post": {**_predict(contracts[0], key_needed), "operationId": "predict"}
        }
    key = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": " · ".join(str(each.document.get("title")) for each in contracts),
            "version": "1",
            "description": "Predictions of the models that this gateway serves.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {
                "Error": ERROR,
                "V2Error": V2_ERROR,
                "ModelEntry": MODEL_ENTRY,
                **{f"{each.name}.instance": instance(each) for each in contracts},
                **{f"{each.name}.prediction": prediction(each) for each in contracts},
            },
            **({"securitySchemes": {"key": key}} if key_needed else {}),
        },
    }


def instance(contract: Contract) -> Schema:
    """The schema of one instance."""
    fields = contract.fields.values()
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [spec["name"] for spec in fields if spec["required"]],
        "properties": {spec["name"]: _described(spec) for spec in fields},
    }


def prediction(contract: Contract) -> Schema:
    """The schema of one prediction."""
    answer = contract.answer
    properties: Schema
    match answer["kind"]:
        case "binary":
            properties = {"probability": PROBABILITY, answer["name"]: {"type": "boolean"}}
        case "multiclass":
            code = {"type": "string", "enum": list(answer["classes"])}
            best = _object(label=code, probability=PROBABILITY)
            properties = {
                answer["name"]: code,
                "probability": PROBABILITY,
                "best": {
                    "type": "array",
                    "items": best,
                    "minItems": 1,
                    "maxItems": answer["best"],
                },
            }
        case "regression":
            properties = {answer["name"]: {"type": "number", **_unit(answer)}}
        case _:
            names = answer.get("outputs", ())
            properties = {name: {"description": "a tensor, as nested arrays"} for name in names}
            return {"type": "object", "required": list(names), "properties": properties}
    return _object(**properties)


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _unit(spec: Mapping[str, Any]) -> Schema:
    return {"description": f"in {spec['unit']}"} if spec.get("unit") else {}


def _described(spec: Mapping[str, Any]) -> Schema:
    """A field's schema. An optional one may be null."""
    schema = _field(spec)
    words = [spec.get("label", ""), _unit(spec).get("description", ""), spec.get("help", "")]
    text = ", ".join(each for each in words if each)
    if not spec["required"]:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return {**schema, "description": ". ".join([text, *_beyond_schema(spec)])}


def _beyond_schema(spec: Mapping[str, Any]) -> list[str]:
    """The rules that JSON Schema has no words for."""
    match spec["type"]:
        case "date" | "time" | "timestamp":
            return [
                f"Not {word} {spec[key]}"
                for key, word in (("minimum", "before"), ("maximum", "after"))
                if key in spec
            ]
        case "image":
            return [f"A PNG or JPEG in base64, up to {spec['max_bytes']} bytes"]
    return []


def _field(spec: Mapping[str, Any]) -> Schema:
    match spec["type"]:
        case "number":
            return {"type": "number", **_range(spec)}
        case "integer":
            exact = {"minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}
            return {"type": "integer", **exact, **_range(spec)}
        case "boolean":
            return {"type": "boolean"}
        case "category":
            return {"type": "string", "enum": list(spec["values"])}
        case "text":
            return {"type": "string", "maxLength": spec["max_length"]}
        case "date":
            return {"type": "string", "format": "date"}
        case "time":
            return {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
        case "timestamp":
            return {"type": "string", "format": "date-time"}
        case "vector":
            length = spec["length"]
            items = {"type": "number", **_range(spec)}
            return {"type": "array", "items": items, "minItems": length, "maxItems": length}
    return {
        "type": "string",
        "contentEncoding": "base64",
        "maxLength": (spec["max_bytes"] + 2) // 3 * 4,
    }


def _range(spec: Mapping[str, Any]) -> Schema:
    return {key: spec[key] for key in ("minimum", "maximum") if spec.get(key) is not None}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _answers(schema: Schema, refusals: Sequence[int], error: str = "Error") -> Schema:
    return {
        "200": {"description": "The answer.", "content": _json(schema)},
        **{
            str(status): {"description": REASONS[status], "content": _json(_reference(error))}
            for status in refusals
        },
    }


def _get(
    name: str, summary: str, schema: Schema, refusals: Sequence[int] = READ_REFUSALS
) -> Schema:
    error = "V2Error" if name.startswith(("v2", "versioned_v2")) else "Error"
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "responses": _answers(schema, refusals, error),
        }
    }


def _fixed_paths() -> Schema:
    health = _object(
        status={"const": "ok"},
        code_version=STRING,
        models={
            "type": "object",
            "additionalProperties": {"type": ["string", "null"]},
            "description": "the version of each model's last prediction",
        },
    )
    page = {
        "operationId": "page",
        "summary": "A page with a form for each model",
        "responses": {
            "200": {"description": "The page.", "content": {"text/html": {"schema": STRING}}},
            "405": {"description": REASONS[405], "content": _json(_reference("Error"))},
        },
    }
    models = _object(models={"type": "array", "items": _reference("ModelEntry")})
    server = _object(name=STRING, version=STRING, extensions={"type": "array", "items": STRING})
    return {
        "/": {"get": page},
        "/health": _get("health", "Whether the gateway runs", health),
        "/healthz": _get("healthz", "The same, for probes", health),
        "/models": _get("models", "The models that are served", models),
        "/openapi.json": _get("openapi", "This document", {"type": "object"}),
        "/v2": _get("v2", "The server, by the Open Inference Protocol", server),
        "/v2/health/live": _get(
            "v2_live", "Whether the gateway runs", _object(live={"type": "boolean"})
        ),
        "/v2/health/ready": _get(
            "v2_ready", "Whether all contracts could be read", _object(ready={"type": "boolean"})
        ),
    }


def _model_paths(contract: Contract, key_needed: bool) -> Schema:
    name = contract.name
    described = _object(
        name={"const": name},
        model_version=VERSION,
        title=STRING,
        question=STRING,
        max_batch={"type": "integer"},
        fields={"type": "array", "items": {"type": "object"}},
        answer={"type": "object"},
        example=_reference(f"{name}.instance"),
    )
    return {
        f"/models/{name}": _get(
            _operation("contract", name), "The contract of the model", described
        ),
        f"/models/{name}/predict": {"post": _predict(contract, key_needed)},
        **_v2_paths(contract, key_needed),
        **_v2_paths(contract, key_needed, of_version=True),
    }


def _operation(what: str, model: str) -> str:
    """The id of a model's operation.

    What it does is first, and no such word begins another: a model may be named as another one and a word, `churn-ready`.
    """
    return f"{what}_{model.replace('-', '_')}"


def _v2_paths(contract: Contract, key_needed: bool, of_version: bool = False) -> Schema:
    """The routes of a model in the Open Inference Protocol, which may name a version."""
    name, path, v2 = contract.name, f"/v2/models/{contract.name}", "v2"
    shared: Schema = {}
    refusals: tuple[int, ...] = READ_REFUSALS
    if of_version:
        path, v2 = f"{path}/versions/{{version}}", "versioned_v2"
        parameter = {"name": "version", "in": "path", "required": True, "schema": VERSION}
        shared = {"parameters": [{**parameter, "example": contract.version}]}
        refusals = (404, *READ_REFUSALS)
    ready = _object(name={"const": name}, ready={"type": "boolean"})
    reads = {
        path: _get(
            _operation(f"{v2}_metadata", name),
            "The model's tensors",
            _v2_metadata(contract),
            refusals,
        ),
        f"{path}/ready": _get(
            _operation(f"{v2}_ready", name),
            "Whether the model's contract could be read",
            ready,
            refusals,
        ),
    }
    infer = _infer(contract, _operation(f"{v2}_infer", name), key_needed, of_version)
    return {
        **{at: {"get": {**operation["get"], **shared}} for at, operation in reads.items()},
        f"{path}/infer": {"post": {**infer, **shared}},
    }


def _predict(contract: Contract, key_needed: bool) -> Schema:
    name = contract.name
    batch = {
        "type": "array",
        "items": _reference(f"{name}.instance"),
        "minItems": 1,
        "maxItems": contract.max_batch,
    }
    body = {**_object(instances=batch), "additionalProperties": False}
    example = {"instances": [contract.document["example"]]}
    answer = _object(
        predictions={"type": "array", "items": _reference(f"{name}.prediction")},
        model={"const": name},
        model_version=VERSION,
    )
    return {
        "operationId": _operation("predict", name),
        "summary": str(contract.document.get("question")),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": example}},
        },
        "responses": _answers(answer, _refusals(key_needed)),
        **_security(key_needed),
    }


def _infer(contract: Contract, operation: str, key_needed: bool, of_version: bool) -> Schema:
    """Which values a tensor may have is in the schema of an instance."""
    datatypes = sorted({*inference_protocol.FORMATS, "BYTES"})
    tensor = {
        **_object(
            name={"type": "string", "enum": list(contract.fields)},
            datatype={"type": "string", "enum": datatypes},
            shape={
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": 1,
                "maxItems": 2,
            },
            data={"type": "array"},
        ),
    }
    body = _object(inputs={"type": "array", "items": tensor})
    body["properties"]["id"] = STRING
    output = _object(
        name=STRING,
        datatype=STRING,
        shape={"type": "array", "items": {"type": "integer"}},
        data={"type": "array"},
    )
    answer = _object(
        model_name={"const": contract.name},
        model_version=VERSION,
        outputs={"type": "array", "items": output},
    )
    answer["properties"]["id"] = STRING
    refusals = (*((404,) if of_version else ()), *_refusals(key_needed))
    return {
        "operationId": operation,
        "summary": "A prediction by the Open Inference Protocol",
        "description": "Binary tensors, as Triton's clients send them, are understood and sent, too.",
        "requestBody": {"required": True, "content": _json(body)},
        "responses": _answers(answer, refusals, "V2Error"),
        **_security(key_needed),
    }


def _v2_metadata(contract: Contract) -> Schema:
    tensors = {
        "type": "array",
        "items": _object(
            name=STRING, datatype=STRING, shape={"type": "array", "items": {"type": "integer"}}
        ),
    }
    return _object(
        name={"const": contract.name},
        versions={"type": "array", "items": VERSION},
        platform=STRING,
        inputs=tensors,
        outputs=tensors,
    )


def _refusals(key_needed: bool) -> tuple[int, ...]:
    return tuple(status for status in PREDICTION_REFUSALS if key_needed or status != 401)


def _security(key_needed: bool) -> Schema:
    return {"security": [{"key": []}]} if key_needed else {}
