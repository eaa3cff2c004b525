"""The comparison of bench/gateway.py: the plainest gateway with the same checks, FastAPI in front and httpx behind.

It runs in an environment of its own (bench/plain_gateway.txt): `python plain_gateway.py`, with PORT, ENDPOINT and CONTRACT.
It has no captures, no log, no key and no security headers.
"""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, create_model

CONTRACT = json.loads(Path(os.environ["CONTRACT"]).read_text())


def kind(spec: dict[str, Any]) -> Any:
    """The type of a field."""
    if spec["type"] == "category":
        return Literal[tuple(spec["values"])]
    if spec["type"] == "number":
        return Annotated[float, Field(ge=spec["minimum"], le=spec["maximum"])]
    if spec["type"] == "date":
        low, high = (datetime.date.fromisoformat(spec[key]) for key in ("minimum", "maximum"))
        return Annotated[datetime.date, Field(ge=low, le=high)]
    return Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


def member(spec: dict[str, Any]) -> Any:
    """The type and the default of a field."""
    return (kind(spec), ...) if spec["required"] else (kind(spec) | None, None)


Instance: Any = create_model(
    "Instance",
    __config__=ConfigDict(extra="forbid"),
    **{spec["name"]: member(spec) for spec in CONTRACT["fields"]},
)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    instances: Annotated[list[Instance], Field(min_length=1, max_length=100)]


class Prediction(BaseModel):
    probability: Annotated[float, Field(ge=0, le=1)]
    late: bool


class Answer(BaseModel):
    predictions: list[Prediction]
    model_version: str


app = FastAPI()
client = httpx.AsyncClient(limits=httpx.Limits(max_connections=80, max_keepalive_connections=80))


@app.post("/predict")
async def predict(body: Body) -> Answer:
    content = body.model_dump_json(exclude_none=True).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer token"}
    found = await client.post(os.environ["ENDPOINT"], content=content, headers=headers)
    return Answer.model_validate_json(found.content)


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["PORT"]), log_level="warning", access_log=False, loop="uvloop"
    )
