"""Secrets Manager: secrets, their versions, and reading one."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from rehearsal.aws.arns import set_arn
from rehearsal.aws.calls import Call
from rehearsal.aws.tags import check_tags
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

SECRET = "aws:secretsmanager/secret:Secret"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
API = "https://docs.aws.amazon.com/secretsmanager/latest/apireference"
# Names of secrets that are scheduled for deletion: a name is taken until the deletion.
SCHEDULED = "aws.secretsmanager.waiting"


class Secret(ResourceType):
    """A secret. A deleted one keeps its name for its recovery window."""

    token = SECRET
    source = f"{API}/API_CreateSecret.html"
    executes = "GetSecretValue returns the requested version, or else the current one"
    name = Name(
        property="name",
        pattern=r"[A-Za-z0-9/_+=.@-]+",
        max=512,
        rule="letters, digits and /_+=.@- are allowed",
        unique=("region",),
        taken="ResourceExistsException",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)
        days = inputs.get("recoveryWindowInDays", 30)
        if days != 0 and not 7 <= days <= 30:
            raise CheckFailure("recoveryWindowInDays", f"{days:g} is neither 0 nor in 7 to 30")

    def create(self, context: Context, record: Record) -> None:
        name = record.inputs["name"]
        if context.kv.get(SCHEDULED, name):
            raise Refusal(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled"
                f" for deletion: {name}",
            )
        # Six characters, so that another secret of the same name has another ARN.
        suffix = hashlib.sha256(f"{record.urn}{record.created}".encode()).hexdigest()[:6]
        record.id = set_arn(context, record, "secretsmanager", f"secret:{name}-{suffix}")

    def delete(self, context: Context, record: Record) -> None:
        if record.inputs.get("recoveryWindowInDays", 30):
            context.kv.put(SCHEDULED, record.inputs["name"], True)


class SecretVersion(ResourceType):
    """A value of a secret."""

    token = VERSION
    source = f"{API}/API_PutSecretValue.html"
    references: ClassVar = {"secretId": SECRET}
    replace_on = frozenset({"secretId", "secretString", "secretBinary"})
    secret_outputs = frozenset({"secretString", "secretBinary"})

    def check(self, context: Context, inputs: Inputs) -> None:
        text = inputs.get("secretString")
        if isinstance(text, str) and len(text.encode()) > 65_536:
            raise CheckFailure("secretString", "has more than 65536 bytes")

    def create(self, context: Context, record: Record) -> None:
        secret = context.find_referenced(SECRET, record.inputs["secretId"])
        arn = secret.outputs["arn"] if secret else ""
        version = hashlib.sha256(f"{record.urn}{record.created}".encode()).hexdigest()[:32]
        record.id = f"{arn}|{version}"
        record.outputs |= {
            "arn": arn,
            "secretArn": arn,
            "versionId": version,
            "versionStages": record.inputs.get("versionStages") or ["AWSCURRENT"],
        }


def get_secret_value(call: Call) -> Json:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html"""
    secret = call.context.find_referenced(SECRET, call.body["SecretId"])
    arn = secret.outputs["arn"] if secret else call.arn("secretsmanager", "secret:unknown")
    call.require("secretsmanager:GetSecretValue", arn)
    if secret is None:
        raise Refusal(
            "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
        )
    of_secret = [each for each in call.context.all(VERSION) if each.outputs["arn"] == arn]
    # A new version takes the stage AWSCURRENT from the previous one.
    staged = [each for each in of_secret if "AWSCURRENT" in each.outputs["versionStages"]]
    current = max(staged, key=lambda each: each.created, default=None)
    wanted = call.body.get("VersionId")
    version = next((each for each in of_secret if each.outputs["versionId"] == wanted), None)
    found = version if wanted else current
    if found is None:
        which = f"VersionId: {wanted}" if wanted else "staging label: AWSCURRENT"
        raise Refusal(
            "ResourceNotFoundException",
            f"Secrets Manager can't find the specified secret value for {which}",
        )
    values = {
        wire: found.inputs[given]
        for wire, given in (("SecretString", "secretString"), ("SecretBinary", "secretBinary"))
        if found.inputs.get(given) is not None
    }
    return {
        "ARN": arn,
        "Name": secret.inputs["name"],
        "VersionId": found.outputs["versionId"],
        "VersionStages": ["AWSCURRENT" if found is current else "AWSPREVIOUS"],
        "CreatedDate": found.created,
        **values,
    }


def describe_secret(call: Call) -> Json:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html"""
    secret = call.context.find_referenced(SECRET, call.body["SecretId"])
    arn = secret.outputs["arn"] if secret else call.arn("secretsmanager", "secret:unknown")
    call.require("secretsmanager:DescribeSecret", arn)
    if secret is None:
        raise Refusal(
            "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
        )
    versions = sorted(
        (each for each in call.context.all(VERSION) if each.outputs["arn"] == arn),
        key=lambda each: each.created,
    )
    stages: dict[str, list[str]] = {each.outputs["versionId"]: [] for each in versions}
    if versions:
        stages[versions[-1].outputs["versionId"]] = ["AWSCURRENT"]
    return {"ARN": arn, "Name": secret.inputs["name"], "VersionIdsToStages": stages}
