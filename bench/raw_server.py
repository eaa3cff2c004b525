"""What bench/serving.py holds the model server against: the least that answers the same requests from the same ONNX file.

One route, in raw ASGI on the same uvicorn. It trusts every request, knows the flight model alone, and has no contract, no health, no
refusals and no limits.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson
import uvicorn

FOLDER = Path(os.environ["SM_MODEL_DIR"])


def _reader(column: dict[str, Any]) -> Callable[[Any], Any]:
    """How a value becomes a number."""
    if column["table"]:
        return column["table"].__getitem__  # type: ignore[no-any-return]
    if column["reads"] == "weekday":
        return lambda value: date.fromisoformat(value).weekday()
    if column["reads"] == "minute":
        return lambda value: int(value[:2]) * 60 + int(value[3:])
    return lambda value: value


def main() -> None:
    """Serve until SIGTERM."""
    content = (FOLDER / "model.onnx").read_bytes()
    version = hashlib.sha256(content).hexdigest()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    columns = json.loads(session.get_modelmeta().custom_metadata_map["columns"])
    reads = [(each["field"], _reader(each)) for each in columns]

    async def app(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        flights = orjson.loads(body)["instances"]
        rows = [[read(flight.get(field)) for field, read in reads] for flight in flights]
        found = session.run(["probabilities"], {"X": np.array(rows, np.float32)})[0]
        answer = orjson.dumps(
            {
                "predictions": [
                    {"probability": round(late, 6), "late": late >= 0.5}
                    for late in found[:, 1].tolist()
                ],
                "model_version": version,
            }
        )
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )


if __name__ == "__main__":
    main()
