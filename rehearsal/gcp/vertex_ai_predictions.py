"""Vertex AI's predictions: a request to an endpoint, forwarded to a container that is deployed there."""

from __future__ import annotations

import json
import random

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.core.records import Json, Refusal
from rehearsal.core.request_bodies import BodyTooLarge, limited
from rehearsal.gcp import credentials, errors, permissions, vertex_ai
from rehearsal.gcp.calls import Call
from rehearsal.provider.context import Context

PREDICT = "aiplatform.endpoints.predict"
BODY_BYTES = 3 * 2**19
"""1.5 MB: https://cloud.google.com/vertex-ai/docs/predictions/get-online-predictions"""


async def predict(context: Context, request: Request) -> Response:
    """``endpoints.predict`` and ``endpoints.rawPredict``."""
    request = limited(request, BODY_BYTES)
    try:
        email = credentials.caller(context, request.headers.get("authorization", ""))
        # Read before the deployment is chosen: nothing is undeployed between the choice and the request.
        await request.body()
        call = Call(context, request.path_params, request.query_params)
        key, route, deployed = _chosen_deployment(call, email)
    except Refusal as refused:
        return errors.response(refused)
    except BodyTooLarge:
        return errors.response(errors.too_large(BODY_BYTES))
    answer = await context.containers.forward(key, request, route)
    if request.url.path.endswith(":rawPredict"):
        return answer
    if answer.status_code != 200:
        text = bytes(answer.body).decode(errors="replace")
        return errors.response(
            Refusal("INVALID_ARGUMENT", f"{answer.status_code} from the model: {text}")
        )
    return JSONResponse(
        {
            # predict passes on `predictions` alone. That is why the gateway uses rawPredict.
            "predictions": json.loads(bytes(answer.body))["predictions"],
            "deployedModelId": deployed["id"],
            "model": deployed["model"],
            "modelDisplayName": deployed.get("displayName", ""),
            "modelVersionId": deployed["modelVersionId"],
        }
    )


def _chosen_deployment(call: Call, email: str) -> tuple[str, str, Json]:
    """Where a prediction goes: the container's key, its predict route, and the deployment."""
    record = vertex_ai.called_endpoint(call)
    what = f"//{vertex_ai.API}/{record.id}"
    permissions.require(call.context, email, PREDICT, vertex_ai.resource(record), what)
    state = vertex_ai.endpoint_state(call.context, record)
    split = state["trafficSplit"]
    if not split:
        raise Refusal(
            "FAILED_PRECONDITION",
            f"Endpoint {call.name('endpoints')} doesn't have traffic_split: nothing can answer.",
        )
    chosen = random.choices(list(split), weights=list(split.values()))[0]  # noqa: S311
    deployed = vertex_ai.deployed_model(state, chosen)
    model = vertex_ai.model_named(call.context, deployed["model"])
    route = model["containerSpec"].get("predictRoute", "/predict")
    return vertex_ai.container_key(record, chosen), route, deployed
