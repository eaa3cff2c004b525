"""Lambda: functions run under AWS's own runtime client, in the version that an alias names."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from pathlib import Path
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.aws import account_settings, credentials, permissions
from rehearsal.aws.arns import region, set_arn
from rehearsal.aws.calls import Call
from rehearsal.aws.tags import check_tags
from rehearsal.core.assets import archive_bytes
from rehearsal.core.quotas import USUAL
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.core.request_bodies import InvalidBody, json_value
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.provider.retries import retried
from rehearsal.runtime.functions.pool import NoSuchFunction, TooManyRequests
from rehearsal.runtime.functions.registry import Function as Running
from rehearsal.runtime.functions.sandbox import FunctionError

FUNCTION = "aws:lambda/function:Function"
ALIAS = "aws:lambda/alias:Alias"
PERMISSION = "aws:lambda/permission:Permission"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg"
LATEST = "$LATEST"
# Published versions by "function:version". They never change.
VERSIONS = "aws.lambda.versions"
# When a statement of a function's own policy was last written, by function.
POLICY_WRITES = "aws.lambda.policy-writes"
# So long a function is being updated after a write to its policy. On AWS it is up to some seconds.
POLICY_WRITE_SECONDS = 0.3
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ZIP_BYTES, ENVIRONMENT_BYTES = 50 * 2**20, 4096
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
RESERVED = frozenset(
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    ]
)


class Function(ResourceType):
    """A function, and its published versions."""

    token = FUNCTION
    source = f"{GUIDE}/gettingstarted-limits.html"
    executes = "its code runs in a local process under AWS's own runtime client"
    name = Name(
        property="name",
        pattern=r"[a-zA-Z0-9_-]+",
        max=64,
        rule="letters, digits, - and _ are allowed",
        unique=("region",),
        taken="ResourceConflictException",
    )
    replace_on = frozenset({"name", "packageType"})
    volatile = frozenset(
        {
            "codeSha256",
            "lastModified",
            "qualifiedArn",
            "qualifiedInvokeArn",
            "sourceCodeHash",
            "sourceCodeSize",
            "version",
        }
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)
        _between(inputs, "memorySize", 128, 10_240)
        _between(inputs, "timeout", 1, 900)
        # Of any account; `create` knows how much this one has.
        _between(inputs, "reservedConcurrentExecutions", -1, USUAL.lambda_executions)
        variables = (inputs.get("environment") or {}).get("variables") or {}
        if reserved := sorted(RESERVED & variables.keys()):
            raise CheckFailure(
                "environment",
                "InvalidParameterValueException: Lambda was unable to configure your environment"
                " variables because the environment variables you have provided contains reserved"
                f" keys that are currently not supported for modification: {', '.join(reserved)}",
            )
        size = sum(
            len(name.encode()) + len(str(value).encode()) for name, value in variables.items()
        )
        if size > ENVIRONMENT_BYTES:
            raise CheckFailure(
                "environment",
                "InvalidParameterValueException: Lambda was unable to configure your environment"
                f" variables because they take {size} bytes, above the limit of {ENVIRONMENT_BYTES}",
            )

    def create(self, context: Context, record: Record) -> None:
        name = record.id = record.inputs["name"]
        arn = set_arn(context, record, "lambda", f"function:{name}")
        record.outputs |= {"invokeArn": _invoke_arn(record, arn), "version": LATEST}
        self._put(context, record)

    def update(self, context: Context, old: Record, record: Record) -> None:
        self._put(context, record)

    def delete(self, context: Context, record: Record) -> None:
        for each in aliases(context, record.id):
            context.functions.stop(instance_key(record.id, each.inputs["name"]))
        context.functions.stop(instance_key(record.id, LATEST))
        for each_key in context.kv.items(VERSIONS):
            if each_key.startswith(f"{record.id}:"):
                context.kv.delete(VERSIONS, each_key)
        used = {version["code"] for version in context.kv.items(VERSIONS).values()}
        for file in _zips(context).glob("*.zip"):
            if file.stem not in used:
                file.unlink()

    def _put(self, context: Context, record: Record) -> None:
        # The provider waits for a role that is not in force yet, in this version for a quarter of an hour:
        # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/function.go
        retried(
            context.behaviour,
            lambda: _require_role(context, record.inputs["role"]),
            code="InvalidParameterValueException",
            containing="cannot be assumed by Lambda",
            seconds=900,
        )
        self._check_concurrency(context, record)
        code = archive_bytes(record.inputs["code"])
        if len(code) > ZIP_BYTES:
            raise Refusal(
                "RequestEntityTooLargeException",
                f"Request must be smaller than {ZIP_BYTES} bytes for the UploadZip operation",
            )
        digest = hashlib.sha256(code).digest()
        _zips(context).mkdir(parents=True, exist_ok=True)
        (_zips(context) / f"{digest.hex()}.zip").write_bytes(code)
        version = _snapshot(context, record, digest.hex())
        record.outputs |= {
            "codeSha256": base64.b64encode(digest).decode(),
            "sourceCodeHash": base64.b64encode(digest).decode(),
            "sourceCodeSize": len(code),
            "lastModified": time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime()),
        }
        if record.inputs.get("publish"):
            _publish(context, record, version)
        qualified = f"{record.outputs['arn']}:{record.outputs['version']}"
        record.outputs |= {
            "qualifiedArn": qualified,
            "qualifiedInvokeArn": _invoke_arn(record, qualified),
        }
        context.kv.put(VERSIONS, f"{record.id}:{LATEST}", version)
        _run(context, record, LATEST, LATEST)
        for alias in aliases(
            context, record.id
        ):  # the reserved concurrency is shared by all of them
            _run(context, record, alias.inputs["name"], alias.inputs["functionVersion"])

    def _check_concurrency(self, context: Context, record: Record) -> None:
        wanted = record.inputs.get("reservedConcurrentExecutions", -1)
        least = context.behaviour.quotas.lambda_unreserved
        if wanted > 0 and account_settings.unreserved(context, without=record.id) - wanted < least:
            raise Refusal(
                "InvalidParameterValueException",
                "Specified ReservedConcurrentExecutions for function decreases account's"
                f" UnreservedConcurrentExecution below its minimum value of [{least}].",
            )


def _require_role(context: Context, role: str) -> None:
    """Raise Lambda's refusal unless it may assume the role."""
    if permissions.role_for(context, role, "lambda.amazonaws.com") is None:
        raise Refusal(
            "InvalidParameterValueException",
            f"The role defined for the function cannot be assumed by Lambda: {role}",
        )


class Alias(ResourceType):
    """A name for a version."""

    token = ALIAS
    import_as = "{functionName}/{name}"
    source = f"{GUIDE}/configuration-aliases.html"
    executes = "names the version that runs"
    name = Name(
        property="name",
        pattern=r"(?!\d+$)[a-zA-Z0-9_-]+",
        max=128,
        rule="letters, digits, - and _ are allowed, not digits alone",
        unique=("functionName",),
        taken="ResourceConflictException",
    )
    references: ClassVar = {"functionName": FUNCTION}
    replace_on = frozenset({"functionName"})

    def create(self, context: Context, record: Record) -> None:
        function = context.find_referenced(FUNCTION, record.inputs["functionName"])
        arn = f"{function.outputs['arn'] if function else ''}:{record.inputs['name']}"
        record.id = arn
        record.outputs |= {"arn": arn, "invokeArn": _invoke_arn(record, arn)}
        self._point(context, record)

    def update(self, context: Context, old: Record, record: Record) -> None:
        self._point(context, record)

    def delete(self, context: Context, record: Record) -> None:
        if function := context.find_referenced(FUNCTION, record.inputs["functionName"]):
            context.functions.stop(instance_key(function.id, record.inputs["name"]))

    def _point(self, context: Context, record: Record) -> None:
        function = context.find_referenced(FUNCTION, record.inputs["functionName"])
        if function:
            _run(context, function, record.inputs["name"], record.inputs["functionVersion"])


class Permission(ResourceType):
    """A statement of a function's own policy."""

    token = PERMISSION
    import_as = "{function}:{qualifier}/{statementId}"
    source = f"{GUIDE}/access-control-resource-based.html"
    executes = "a function URL without its two permissions answers 403"
    references: ClassVar = {"function": FUNCTION}
    replace_on = frozenset(
        {
            "action",
            "function",
            "functionUrlAuthType",
            "invokedViaFunctionUrl",
            "principal",
            "qualifier",
            "sourceAccount",
            "sourceArn",
            "statementId",
        }
    )

    def create(self, context: Context, record: Record) -> None:
        """The provider repeats an AddPermission that AWS refuses during another update: it never fails here.

        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/permission.go
        """
        record.id = record.inputs.get("statementId") or f"pulumi-{uuid.uuid4().hex[:20]}"
        _require_place_for(context, record)
        record.outputs["statementId"] = record.id
        _note_policy_write(context, record)

    def delete(self, context: Context, record: Record) -> None:
        _note_policy_write(context, record)


def _require_place_for(context: Context, permission: Record) -> None:
    """What a statement is for exists, and has no other one of this id.

    https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
    """
    function = permission.inputs["function"].rpartition(":")[2]
    qualifier = permission.inputs.get("qualifier")
    of_alias = [each.inputs["name"] for each in aliases(context, function)]
    if qualifier and not qualifier.isdigit() and qualifier != LATEST and qualifier not in of_alias:
        raise Refusal("ResourceNotFoundException", f"Function not found: {function}:{qualifier}")
    for each in context.all(PERMISSION):
        is_same = each.inputs["function"].rpartition(":")[2] == function
        # Not that of the same resource: its creation is repeated after an answer that was lost.
        same_place = each.inputs.get("qualifier") == qualifier and each.urn != permission.urn
        if is_same and same_place and each.outputs.get("statementId") == permission.id:
            raise Refusal(
                "ResourceConflictException",
                f"The statement id ({permission.id}) provided already exists."
                " Please provide a new statement id, or remove the existing statement.",
            )


def _note_policy_write(context: Context, permission: Record) -> None:
    function = permission.inputs["function"].rpartition(":")[2]
    context.kv.put(POLICY_WRITES, function, time.time())


def policy_is_being_written(context: Context, function: str) -> bool:
    """Whether another statement of this function's policy was written just now."""
    written: float = context.kv.get(POLICY_WRITES, function, 0.0)
    return time.time() - written < POLICY_WRITE_SECONDS


def instance_key(function: str, qualifier: str) -> str:
    """The key of what runs for an alias, or for the function itself ($LATEST)."""
    return f"{function}:{qualifier}"


def aliases(context: Context, function: str) -> list[Record]:
    """The aliases of a function, by whatever form of its name they use."""
    return [
        each
        for each in context.all(ALIAS)
        if each.inputs["functionName"].rpartition(":")[2] == function
    ]


async def invoke(call: Call, request: Request, name: str) -> Response:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
    name = name.rpartition("function:")[2]
    name, _, inline = name.partition(":")
    qualifier = request.query_params.get("Qualifier") or inline or LATEST
    call.require("lambda:InvokeFunction", call.arn("lambda", f"function:{name}"))
    try:
        body = json_value(await request.body())
    except InvalidBody as wrong:
        raise Refusal("InvalidRequestContentException", str(wrong)) from None
    headers = {"X-Amz-Executed-Version": qualifier}
    try:
        return JSONResponse(
            await call.context.functions.invoke(instance_key(name, qualifier), body),
            headers=headers,
        )
    except NoSuchFunction:
        arn = call.arn("lambda", f"function:{name}:{qualifier}")
        raise Refusal("ResourceNotFoundException", f"Function not found: {arn}") from None
    except TooManyRequests as refused:
        raise Refusal("TooManyRequestsException", str(refused)) from None
    except FunctionError as failure:
        headers["X-Amz-Function-Error"] = "Unhandled"
        return JSONResponse(dict(failure.payload), headers=headers)


def _zips(context: Context) -> Path:
    """Where the code of published versions is kept."""
    return context.state_dir / "lambda"


def _snapshot(context: Context, record: Record, code: str) -> Json:
    inputs = record.inputs
    return {
        "arn": record.outputs["arn"],
        "code": code,
        "env": (inputs.get("environment") or {}).get("variables") or {},
        "handler": inputs.get("handler", ""),
        "memory": int(inputs.get("memorySize", 128)),
        "role": inputs["role"],
        "runtime": inputs.get("runtime", ""),
        "timeout": int(inputs.get("timeout", 3)),
    }


def _publish(context: Context, record: Record, version: Json) -> None:
    """A version is published only if something changed since the last one."""
    published = [
        int(each.rpartition(":")[2])
        for each in context.kv.items(VERSIONS)
        if each.startswith(f"{record.id}:") and not each.endswith(LATEST)
    ]
    last = max(published, default=0)
    if not last or context.kv.get(VERSIONS, f"{record.id}:{last}") != version:
        last += 1
        context.kv.put(VERSIONS, f"{record.id}:{last}", version)
    record.outputs["version"] = str(last)


def _run(context: Context, function: Record, qualifier: str, version: str) -> None:
    found = context.kv.get(VERSIONS, f"{function.id}:{version}")
    if found is None:
        raise Refusal(
            "ResourceNotFoundException",
            f"Function not found: {function.outputs['arn']}:{version}",
        )
    reserved = function.inputs.get("reservedConcurrentExecutions", -1)
    where = region(context, function)
    context.functions.run(
        instance_key(function.id, qualifier),
        Running(
            name=function.id,
            version=version,
            arn=f"{found['arn']}:{qualifier}",
            region=where,
            code=(_zips(context) / f"{found['code']}.zip").read_bytes(),
            handler=found["handler"],
            runtime=found["runtime"],
            env=found["env"],
            platform_env=credentials.workload_environment(context, found["role"], where),
            timeout=found["timeout"],
            memory_mb=found["memory"],
            max_concurrency=int(reserved) if reserved >= 0 else None,
        ),
    )


def _invoke_arn(record: Record, arn: str) -> str:
    where = arn.split(":")[3]
    return f"arn:aws:apigateway:{where}:lambda:path/2015-03-31/functions/{arn}/invocations"


def _between(inputs: Inputs, property: str, low: int, high: int) -> None:
    value = inputs.get(property)
    if value is not None and not low <= value <= high:
        raise CheckFailure(property, f"{value:g} is not in {low} to {high} ({GUIDE})")
