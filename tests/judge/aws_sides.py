"""Who answers the operations of `aws_operations`: the rehearsal, and doubles of AWS by other people.

The rehearsal answers most of a data plane's calls to boto3. A resource is created through its provider, as Pulumi does
it: `RESOURCES` makes the inputs of a resource from the parameters of the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import boto3
import jmespath
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.aws.profile import PROFILE
from rehearsal.core.wire import encode
from rehearsal.provider.context import Context
from rehearsal.provider.service import Provider
from tests.judge.aws_operations import Json, Of, Operation
from tests.unit.rehearsal.archives import archive

REGION = "eu-west-1"
AT_CHECK = "refused at Check"
"""The code of a refusal that names none: the provider itself refuses, before AWS is asked."""


NO_ANSWER = "no answer"
"""The code of a side that does not know the operation, or failed."""


class Answer(NamedTuple):
    """What a side answers. None of a field: this side does not report it."""

    code: str = ""
    """The error's code; empty: it is done."""
    status: int | None = None
    fields: list[Any] | None = None

    def differs(self, other: Answer) -> bool:
        if NO_ANSWER in (self.code, other.code):
            return False
        if bool(self.code) != bool(other.code):
            return True
        if AT_CHECK not in (self.code, other.code) and self.code != other.code:
            return True
        pairs = ((self.status, other.status), (self.fields, other.fields))
        return any(a is not None and b is not None and a != b for a, b in pairs)


class Side:
    """One double of AWS behind an address, called by boto3."""

    def __init__(self, address: str, key: str, secret: str) -> None:
        self._session = boto3.session.Session(key, secret, region_name=REGION)
        self._config = Config(
            parameter_validation=False,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path"},
        )
        self._address = address
        self._clients: dict[str, Any] = {}
        self._raw: dict[str, Json] = {}

    def answers(self, operations: Iterable[Operation]) -> dict[str, Answer]:
        return {each.name: self.answer(each, self._filled(each.params)) for each in operations}

    def answer(self, operation: Operation, params: Json) -> Answer:
        if operation.service not in self._clients:
            self._clients[operation.service] = self._session.client(
                operation.service, endpoint_url=self._address, config=self._config
            )
        call = getattr(self._clients[operation.service], operation.method)
        try:
            got = call(**params)
        except ResponseParserError:
            return Answer(NO_ANSWER)
        except ClientError as error:
            meta = error.response["ResponseMetadata"]
            if meta["HTTPStatusCode"] >= 500:
                return Answer(NO_ANSWER)
            return Answer(str(error.response["Error"]["Code"]), meta["HTTPStatusCode"])
        if hasattr(got.get("Body"), "read"):
            got["Body"] = got["Body"].read().decode()
        self._raw[operation.name] = got
        fields = [jmespath.search(path, got) for path in operation.fields]
        return Answer("", got["ResponseMetadata"]["HTTPStatusCode"], fields)

    def _filled(self, value: Any) -> Any:
        """With the values of earlier answers in the places of `Of`."""
        if isinstance(value, Of):
            return jmespath.search(value.path, self._raw.get(value.operation, {})) or "no-answer"
        if isinstance(value, Mapping):
            return {name: self._filled(each) for name, each in value.items()}
        return [self._filled(each) for each in value] if isinstance(value, list) else value


class Call:
    """A call of the provider, as its methods use it."""

    def peer(self) -> str:
        return "here"

    def is_active(self) -> bool:
        return True

    def set_trailing_metadata(self, metadata: Any) -> None:
        pass

    def abort(self, code: Any, text: str) -> None:
        raise Refused(text)


class Refused(Exception):
    pass


class Rehearsal(Side):
    """Ours: resources through the provider, everything else through the APIs."""

    def __init__(self, context: Context, address: str) -> None:
        key = context.access_keys.deployer
        super().__init__(address, key.id, key.secret)
        self._provider = Provider(context, PROFILE)
        self._provider.Configure(pb.ConfigureRequest(args=encode({"region": REGION})), Call())
        self._count = 0

    def answer(self, operation: Operation, params: Json) -> Answer:
        if resource := RESOURCES.get(operation.method):
            token, inputs = resource
            return self._created(token, inputs(params))
        if operation.method == "delete_role":
            return self._deleted("aws:iam/role:Role", params["RoleName"])
        return super().answer(operation, params)

    def _created(self, token: str, inputs: Json) -> Answer:
        self._count += 1
        urn = f"urn:pulumi:s::p::{token}::r{self._count}"
        try:
            news = encode(inputs)
            checked = self._provider.Check(
                pb.CheckRequest(urn=urn, news=news, randomSeed=b"seed"), Call()
            )
            if checked.failures:
                code = re.match(r"(\w+): ", checked.failures[0].reason)
                return Answer(code[1] if code else AT_CHECK)
            self._provider.Create(pb.CreateRequest(urn=urn, properties=checked.inputs), Call())
        except Refused as refused:
            code = re.match(r"(\w+): ", str(refused))
            return Answer(code[1] if code else str(refused))
        return Answer()

    def _deleted(self, token: str, id: str) -> Answer:
        try:
            self._provider.Delete(
                pb.DeleteRequest(urn=f"urn:pulumi:s::p::{token}::r", id=id), Call()
            )
        except Refused as refused:
            return Answer(str(refused).partition(":")[0])
        return Answer()


def _inputs(given: Json, **names: str) -> Json:
    """The parameters of a call by their names as inputs."""
    return {wire: given[name] for wire, name in names.items() if given.get(name) is not None}


def _role(given: Json) -> Json:
    made = _inputs(
        given,
        name="RoleName",
        path="Path",
        description="Description",
        assumeRolePolicy="AssumeRolePolicyDocument",
        maxSessionDuration="MaxSessionDuration",
    )
    if tags := given.get("Tags"):
        made["tags"] = {each["Key"]: each["Value"] for each in tags}
    return made


def _function(given: Json) -> Json:
    made = _inputs(
        given,
        name="FunctionName",
        role="Role",
        runtime="Runtime",
        handler="Handler",
        memorySize="MemorySize",
        timeout="Timeout",
        publish="Publish",
    )
    made["code"] = archive({"main.py": "def handler(event, context):\n    return 1\n"})
    if environment := given.get("Environment"):
        made["environment"] = {"variables": environment["Variables"]}
    return made


def _lifecycle(given: Json) -> Json:
    rules = []
    for rule in given["LifecycleConfiguration"]["Rules"]:
        made = {
            "id": rule["ID"],
            "status": rule["Status"],
            "filter": {"prefix": rule["Filter"]["Prefix"]},
        }
        if ends := rule.get("Expiration"):
            names = {"days": "Days", "expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker"}
            made["expiration"] = _inputs(ends, **names)
        rules.append(made)
    return {"bucket": given["Bucket"], "rules": rules}


def _renamed(**names: str) -> Callable[[Json], Json]:
    return lambda given: _inputs(given, **names)


RESOURCES: dict[str, tuple[str, Callable[[Json], Json]]] = {
    "create_bucket": ("aws:s3/bucket:Bucket", _renamed(bucket="Bucket")),
    "put_bucket_policy": (
        "aws:s3/bucketPolicy:BucketPolicy",
        _renamed(bucket="Bucket", policy="Policy"),
    ),
    "put_bucket_lifecycle_configuration": (
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        _lifecycle,
    ),
    "create_role": ("aws:iam/role:Role", _role),
    "put_role_policy": (
        "aws:iam/rolePolicy:RolePolicy",
        _renamed(role="RoleName", name="PolicyName", policy="PolicyDocument"),
    ),
    "create_policy": (
        "aws:iam/policy:Policy",
        _renamed(name="PolicyName", policy="PolicyDocument"),
    ),
    "attach_role_policy": (
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        _renamed(role="RoleName", policyArn="PolicyArn"),
    ),
    "create_open_id_connect_provider": (
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        _renamed(url="Url", clientIdLists="ClientIDList"),
    ),
    "create_function": ("aws:lambda/function:Function", _function),
    "create_alias": (
        "aws:lambda/alias:Alias",
        _renamed(functionName="FunctionName", name="Name", functionVersion="FunctionVersion"),
    ),
    "add_permission": (
        "aws:lambda/permission:Permission",
        _renamed(
            function="FunctionName",
            statementId="StatementId",
            action="Action",
            principal="Principal",
            qualifier="Qualifier",
            functionUrlAuthType="FunctionUrlAuthType",
        ),
    ),
    "create_function_url_config": (
        "aws:lambda/functionUrl:FunctionUrl",
        _renamed(functionName="FunctionName", qualifier="Qualifier", authorizationType="AuthType"),
    ),
    "put_metric_alarm": (
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        _renamed(
            name="AlarmName",
            namespace="Namespace",
            metricName="MetricName",
            comparisonOperator="ComparisonOperator",
            threshold="Threshold",
            evaluationPeriods="EvaluationPeriods",
            period="Period",
            statistic="Statistic",
            extendedStatistic="ExtendedStatistic",
            datapointsToAlarm="DatapointsToAlarm",
            treatMissingData="TreatMissingData",
        ),
    ),
    "create_log_group": ("aws:cloudwatch/logGroup:LogGroup", _renamed(name="logGroupName")),
}
"""By boto3's method: the type of the resource that is created instead, and its inputs."""
