"""Machine Learning's scoring: a request to an endpoint, forwarded to a deployment's container.

https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#http-status-codes
"""

from __future__ import annotations

import random

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.azure import credentials, machine_learning, permissions
from rehearsal.azure.ids import by_id
from rehearsal.azure.resource_type import field
from rehearsal.core.records import Record
from rehearsal.provider.context import Context

AUDIENCE = "https://ml.azure.com"


async def score(context: Context, request: Request) -> Response:
    """An endpoint's scoring URI."""
    location, name = request.path_params["location"], request.path_params["endpoint"]
    endpoint = context.find(machine_learning.ENDPOINT, name=name, location=location)
    if endpoint is None:
        return _error(404, "The specified endpoint does not exist.")
    principal = credentials.principal_of(context, request.headers.get("authorization"), AUDIENCE)
    if principal is None:
        return _error(401, "A Microsoft Entra token for https://ml.azure.com is required.")
    if not permissions.allowed(context, principal, machine_learning.SCORE, endpoint.id):
        return _error(
            403,
            f"The principal {principal} may not perform {machine_learning.SCORE} on {endpoint.id}.",
        )
    wanted = request.headers.get("azureml-model-deployment")
    deployment = _chosen_deployment(context, endpoint, wanted)
    if deployment is None:
        return _error(404, "The endpoint doesn't have any valid deployment with positive weight.")
    key, path = machine_learning.container_key(deployment), _scoring_path(context, deployment)
    answer = await context.containers.forward(key, request, path)
    answer.headers["azureml-model-deployment"] = deployment.outputs["name"]
    if answer.status_code != 200:
        answer.headers["ms-azureml-model-error-statuscode"] = str(answer.status_code)
        answer.status_code = 424
    return answer


def _chosen_deployment(context: Context, endpoint: Record, wanted: str | None) -> Record | None:
    """The deployment that the request names, or one chosen by the traffic split; None: there is none."""
    shares = endpoint.outputs["properties"]["traffic"]
    if wanted is None and shares:
        wanted = random.choices(list(shares), weights=list(shares.values()))[0]  # noqa: S311
    deployments = machine_learning.deployments(context, endpoint)
    return next((each for each in deployments if each.outputs["name"] == wanted), None)


def _scoring_path(context: Context, deployment: Record) -> str:
    """The path for scoring that the deployment's environment names."""
    identifier = deployment.inputs["properties"]["environmentId"]
    environment = by_id(context, machine_learning.ENVIRONMENT, identifier)
    routes = field(environment.inputs, "properties.inferenceConfig") if environment else {}
    path: str = ((routes or {}).get("scoringRoute") or {}).get("path", "/score")
    return path


def _error(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)
