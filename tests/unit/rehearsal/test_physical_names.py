"""The physical names that each service takes, and what it answers when another resource has the name.

The rules: https://docs.aws.amazon.com (each type's page in `source`), https://cloud.google.com/compute/docs/naming-resources and
the services' pages, https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.core.records import CheckFailure
from rehearsal.core.wire import decode, encode
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle
from rehearsal.provider.resource_type import ResourceType
from rehearsal.provider.service import Provider
from rehearsal.server import PROFILES

BY_PACKAGE = {each.package: each for each in PROFILES}


@dataclass(frozen=True)
class Names:
    """What a service takes as a name."""

    shortest: str
    longest: str
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    taken: str = "AlreadyExists"
    within: tuple[str, ...] | None = ()
    """In which the name is unique; empty: everywhere; None: nowhere."""


WORD = Names("a", "a" * 64, ("A-z_9",), ("a b", "a.b", "ä", ""))
SAGEMAKER = Names(
    "a",
    "a" * 63,
    ("A--b-9",),
    ("-a", "a-", "a_b", "a.b"),
    taken="ValidationException",
    within=("region",),
)
IAM = Names("a", "a" * 128, ("a+=,.@-_9",), ("a b", "a/b", "a:b"), taken="EntityAlreadyExists")
GUID = "0a1B2c3d-0000-1111-2222-aAbBcCdDeEfF"
GUIDS = Names(GUID, GUID, (), (GUID[:-1], "g" + GUID[1:], GUID.replace("-", "")))
HYPHENS = Names("abc", "a" * 32, ("a-b-9",), ("9ab", "a--b", "ab-", "a_b"))
POOL = Names("abcd", "a" * 32, ("9-a-",), ("gcp-a", "A123", "a_bc"), taken="alreadyExists")

TABLE: dict[str, Names] = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    "aws:s3/bucket:Bucket": Names(
        "a-1",
        "a" * 63,
        ("a.b", "1.2.3", "1.2.3.4.5", "a--b"),
        (
            *("A-b", "a_b", "-ab", "ab-", "a..b", ".ab", "192.168.5.4", "xn--a", "sthree-a"),
            *("amzn-s3-demo-a", "a-s3alias", "a--ol-s3", "a.mrap", "a--x-s3", "a--table-s3"),
        ),
        taken="BucketAlreadyOwnedByYou",
    ),
    "aws:codebuild/project:Project": Names(
        "aB",
        "a" * 150,
        ("9-_a",),
        ("-ab", "_ab", "a.b"),
        taken="ResourceAlreadyExistsException",
        within=("region",),
    ),
    "aws:ecr/repository:Repository": Names(
        "ab",
        "a" * 256,
        ("a/b", "a__b", "a--b", "a.b/c_d"),
        ("A/b", "a..b", "a___b", "-ab", "a/", "/ab"),
        taken="RepositoryAlreadyExistsException",
        within=("region",),
    ),
    "aws:lambda/function:Function": replace(
        WORD, taken="ResourceConflictException", within=("region",)
    ),
    "aws:lambda/alias:Alias": Names(
        "a",
        "a" * 128,
        ("9a", "a-_9"),
        ("12", "a.b", "$LATEST"),
        taken="ResourceConflictException",
        within=("functionName",),
    ),
    "aws:iam/role:Role": replace(IAM, longest="a" * 64),
    "aws:iam/rolePolicy:RolePolicy": replace(IAM, within=("role",)),
    "aws:iam/policy:Policy": IAM,
    "aws:cloudwatch/logGroup:LogGroup": Names(
        "a",
        "a" * 512,
        ("/aws/lambda/a", "a#b.c_d-9"),
        ("aws/a", "a b", "a:b"),
        taken="ResourceAlreadyExistsException",
        within=("region",),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Names(
        "a", "a" * 255, ("a b/ä",), ("",), within=("region",)
    ),
    "aws:sagemaker/model:Model": SAGEMAKER,
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": SAGEMAKER,
    "aws:sagemaker/endpoint:Endpoint": SAGEMAKER,
    "aws:secretsmanager/secret:Secret": Names(
        "a",
        "a" * 512,
        ("a/b_c+d=e.f@g-9",),
        ("a b", "a:b"),
        taken="ResourceExistsException",
        within=("region",),
    ),
    "gcp:projects/service:Service": Names(
        "a.googleapis.com",
        "a" * 85 + ".googleapis.com",
        (),
        ("run", "a.example.com"),
        within=None,
    ),
    "gcp:serviceaccount/account:Account": Names(
        "abcde9",
        "a" * 30,
        ("a-b--c",),
        ("9abcde", "abcde-", "Abcdef", "abc_de"),
        within=("project",),
    ),
    "gcp:projects/iAMCustomRole:IAMCustomRole": Names(
        "abc", "a" * 64, ("A_b.9",), ("a-b", "a b"), within=("project",)
    ),
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": replace(POOL, within=("project",)),
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": replace(
        POOL, within=("project", "workloadIdentityPoolId")
    ),
    # https://cloud.google.com/storage/docs/buckets#naming
    "gcp:storage/bucket:Bucket": Names(
        "a-1",
        "a" * 63,
        ("a_b.c", "1.2.3"),
        ("A-b", "-ab", "ab-", "goog-a", "my-google-a", "192.168.5.4"),
        taken="conflict",
    ),
    "gcp:storage/bucketObject:BucketObject": Names(
        "a", "a" * 1024, ("a b/ä",), ("a\nb", "a\rb", ".well-known/acme-challenge/x"), within=None
    ),
    "gcp:artifactregistry/repository:Repository": Names(
        "a",
        "a" * 63,
        ("a-9",),
        ("9a", "a-", "A", "a_b"),
        taken="alreadyExists",
        within=("project", "location"),
    ),
    "gcp:secretmanager/secret:Secret": Names(
        "a", "a" * 255, ("A-_9",), ("a.b", "a/b"), taken="alreadyExists", within=("project",)
    ),
    "gcp:vertex/aiEndpoint:AiEndpoint": Names(
        "1",
        "1" * 9,
        ("10",),
        ("01", "a", "1a"),
        taken="alreadyExists",
        within=("project", "location"),
    ),
    "gcp:cloudrunv2/service:Service": Names(
        "a",
        "a" * 49,
        ("a-9",),
        ("9a", "a-", "A"),
        taken="alreadyExists",
        within=("project", "location"),
    ),
    "azure-native:resources:ResourceGroup": Names(
        "a", "a" * 90, ("a.(b)_-9", ".a"), ("a.", "a b"), taken="ResourceGroupAlreadyExists"
    ),
    "azure-native:managedidentity:UserAssignedIdentity": Names(
        "9-_", "a" * 128, ("A-b",), ("-ab", "_ab", "a.b"), within=("resourceGroupName",)
    ),
    "azure-native:managedidentity:FederatedIdentityCredential": Names(
        "9-_",
        "a" * 120,
        ("A-b",),
        ("-ab", "a.b"),
        within=("resourceGroupName", "resourceName"),
    ),
    "azure-native:authorization:RoleDefinition": replace(
        GUIDS, taken="RoleDefinitionAlreadyExists"
    ),
    "azure-native:authorization:RoleAssignment": replace(
        GUIDS, taken="RoleAssignmentExists", within=("scope",)
    ),
    "azure-native:storage:StorageAccount": Names(
        "a1b", "a" * 24, (), ("a-b", "A12"), taken="StorageAccountAlreadyTaken"
    ),
    "azure-native:storage:BlobContainer": Names(
        "a-1",
        "a" * 63,
        ("$root", "$web", "$logs"),
        ("a--b", "ab-", "-ab", "Abc", "$other"),
        taken="ContainerAlreadyExists",
        within=("accountName",),
    ),
    "azure-native:containerregistry:Registry": Names(
        "aB345", "a" * 50, (), ("a-bcde", "a_bcde"), taken="AlreadyInUse"
    ),
    "azure-native:keyvault:Vault": Names(
        "a-1", "a" * 24, ("A-b",), ("9ab", "a--b", "ab-"), taken="VaultAlreadyExists"
    ),
    "azure-native:keyvault:Secret": Names(
        "9", "a" * 127, ("-a-B",), ("a_b", "a.b"), within=("vaultName",)
    ),
    "azure-native:operationalinsights:Workspace": Names(
        "a-12", "a" * 63, ("9--a",), ("-abc", "abc-", "a_bc"), within=("resourceGroupName",)
    ),
    "azure-native:machinelearningservices:Workspace": Names(
        "9_-",
        "a" * 33,
        ("A-b",),
        ("-ab", "_ab", "a.b"),
        taken="WorkspaceAlreadyExists",
        within=("resourceGroupName",),
    ),
    "azure-native:machinelearningservices:Datastore": Names(
        "a", "a" * 255, ("a_9",), ("A", "a-b"), within=("resourceGroupName", "workspaceName")
    ),
    "azure-native:machinelearningservices:OnlineEndpoint": replace(
        HYPHENS, taken="EndpointAlreadyExists", within=("location",)
    ),
    "azure-native:machinelearningservices:OnlineDeployment": replace(
        HYPHENS,
        taken="DeploymentAlreadyExists",
        within=("resourceGroupName", "workspaceName", "endpointName"),
    ),
    "azure-native:web:AppServicePlan": Names(
        "a", "a" * 60, ("A-9",), ("a_b", "a.b"), within=("resourceGroupName",)
    ),
    "azure-native:web:WebApp": Names(
        "a9", "a" * 60, ("A-9",), ("-ab", "ab-", "a_b"), taken="Conflict"
    ),
}


@cache
def rules_of(token: str) -> ResourceType:
    return BY_PACKAGE[token.partition(":")[0]].rules()[token]


def is_taken(token: str, name: str) -> bool:
    rules = rules_of(token)
    assert rules.name
    try:
        Lifecycle.check_name(None, rules, {rules.name.property: name})  # type: ignore[arg-type]
    except CheckFailure as failure:
        # The words name the value, the rule and its source.
        return rules.source not in failure.reason or name not in failure.reason
    return True


@pytest.mark.parametrize("token", TABLE)
def test_a_name_is_as_the_service_wants_it(token: str) -> None:
    names = TABLE[token]
    for good in (names.shortest, names.longest, *names.good):
        assert is_taken(token, good), good
    bad = [*names.bad, names.longest + names.longest[-1], names.shortest[:-1]]
    for each in bad:
        assert not is_taken(token, each), each


@pytest.mark.parametrize("token", TABLE)
def test_a_name_that_another_resource_has_is_refused_in_the_services_words(token: str) -> None:
    rules = rules_of(token)
    assert rules.name
    assert (rules.name.taken, rules.name.unique) == (TABLE[token].taken, TABLE[token].within)


def test_every_type_with_a_rule_for_its_name_is_in_the_table() -> None:
    ruled = {
        token for profile in PROFILES for token, rules in profile.rules().items() if rules.name
    }
    assert ruled == set(TABLE)


class Quiet:
    """As much of a grpc context as a check uses."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def is_active(self) -> bool:
        return True

    def abort(self, code: grpc.StatusCode, text: str) -> None:
        raise AssertionError(text)


GIVEN = {"gcp:projects/service:Service", "gcp:vertex/aiEndpoint:AiEndpoint"}
"""Whose names the program gives: none that is made of its own would fit."""
LOWERED = {
    *("aws:s3/bucket:Bucket", "aws:ecr/repository:Repository"),
    *("gcp:serviceaccount/account:Account", "gcp:storage/bucket:Bucket"),
    "gcp:cloudrunv2/service:Service",
}
"""Whose names the provider makes of the program's in lower case (believed)."""


@pytest.mark.parametrize(
    "token",
    [each for each in TABLE if each not in GIVEN],
)
def test_a_name_that_the_provider_makes_is_one_that_the_service_takes(
    contexts: Callable[[], Context], token: str
) -> None:
    # https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
    rules = rules_of(token)
    assert rules.name
    provider = Provider(contexts(), BY_PACKAGE[token.partition(":")[0]])
    urn = f"urn:pulumi:s::p::{token}::{'Thing' if token in LOWERED else 'thing'}"
    request = pb.CheckRequest(urn=urn, news=encode({}), randomSeed=b"seed")
    answer: Any = provider.Check(request, Quiet())
    made = decode(answer.inputs)[0].get(rules.name.property)
    assert made
    assert is_taken(token, made), made
