"""A recording engine: builds a program under Pulumi's mocks and keeps what it registered.

Under mocks an assertion inside ``apply`` passes silently, so tests assert on the record instead.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pulumi
import pulumi.log
import pulumi.output
import pulumi.resource
import pulumi.runtime.resource
from pulumi import _types
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.proto import resource_pb2, source_pb2

from components import clouds, stack_readme
from components.platform import Platform
from config.schema import StackConfig

ACCOUNT = "123456789012"
PROJECT_NUMBER = "210987654321"
SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "66666666-7777-4888-9999-000000000000"

INVOKES: dict[str, dict[str, Any]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/deployer",
        "userId": "AIDAEXAMPLE",
        "id": ACCOUNT,
    },
    "aws:index/getPartition:getPartition": {
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
        "id": "aws",
    },
    "aws:index/getRegion:getRegion": {
        "region": "eu-west-1",
        "name": "eu-west-1",
        "endpoint": "ec2.eu-west-1.amazonaws.com",
        "id": "eu-west-1",
    },
    "gcp:organizations/getProject:getProject": {
        "number": PROJECT_NUMBER,
        "projectId": "triplane-dev",
        "id": "projects/triplane-dev",
    },
    "gcp:organizations/getClientConfig:getClientConfig": {
        "project": "triplane-dev",
        "region": "europe-west1",
        "accessToken": "token",
        "id": "client",
    },
    "azure-native:authorization:getClientConfig": {
        "clientId": "0",
        "objectId": "22222222-3333-4444-8555-666666666666",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    },
}

# What a cloud computes and a program reads, by type; everything else echoes the inputs.
DIGEST = "sha256:" + "0" * 64
COMPUTED: dict[str, dict[str, Any]] = {
    "aws:ecr/repository:Repository": {
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/images"
    },
    "aws:lambda/function:Function": {"version": "1"},
    "aws:lambda/functionUrl:FunctionUrl": {
        "functionUrl": "https://abcdef.lambda-url.eu-west-1.on.aws/"
    },
    "aws:secretsmanager/secret:Secret": {
        "arn": f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:key-AbCdEf"
    },
    "aws:secretsmanager/secretVersion:SecretVersion": {
        "versionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"
    },
    "pulumi-python:dynamic/triplane:AwsBuiltImage": {
        "image": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/images@{DIGEST}"
    },
    "gcp:serviceaccount/account:Account": {"uniqueId": "123456789012345678901"},
    "gcp:secretmanager/secret:Secret": {"secretId": "the-key"},
    "gcp:secretmanager/secretVersion:SecretVersion": {"version": "1"},
    "gcp:cloudrunv2/service:Service": {"uri": "https://gateway-abcdef-ew.a.run.app"},
    "pulumi-python:dynamic/triplane:GcpBuiltImage": {
        "image": f"europe-west1-docker.pkg.dev/triplane-dev/images/platform@{DIGEST}"
    },
    "pulumi-python:dynamic/triplane:VertexTraffic": {"model_version": "0" * 64},
    "azure-native:containerregistry:Registry": {"loginServer": "images.azurecr.io"},
    "azure-native:containerregistry:TaskRun": {
        "runResult": {
            "outputImages": [
                {"registry": "images.azurecr.io", "repository": "triplane", "digest": DIGEST}
            ]
        }
    },
    "azure-native:keyvault:Secret": {
        "properties": {
            "secretUriWithVersion": "https://vault.vault.azure.net/secrets/gateway-api-key/1"
        }
    },
    "azure-native:machinelearningservices:OnlineEndpoint": {
        "identity": {},  # A list of ids goes in, a map by id comes out.
        "properties": {"scoringUri": "https://endpoint.westeurope.inference.ml.azure.com/score"},
    },
    "azure-native:machinelearningservices:Workspace": {"identity": {}},
    "azure-native:managedidentity:UserAssignedIdentity": {
        "clientId": "33333333-4444-4555-8666-777777777777",
        "principalId": "44444444-5555-4666-8777-888888888888",
    },
    "azure-native:storage:StorageAccount": {
        "primaryEndpoints": {"blob": "https://account.blob.core.windows.net/"}
    },
    "azure-native:web:WebApp": {"defaultHostName": "gateway.azurewebsites.net", "identity": {}},
    "pulumi-python:dynamic/triplane:AzureEndpointTraffic": {"serving": "0" * 64},
    "pulumi-python:dynamic/triplane:RandomKey": {
        "value": "a-key-of-forty-three-characters-of-base64-url"
    },
}


class Inline(ThreadPoolExecutor):
    """Runs what it is given at once: mocks answer out of memory, and a thread would only cost the way there."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


LOOP = asyncio.new_event_loop()
"""Of every build. Whatever ran before, `asyncio.run` for one, may have left the thread without any."""
LOOP.set_default_executor(Inline())

# Beginnings of ARNs whose form matters: AWS takes a role by an ARN of a role only.
ARNS = {"aws:iam/role:Role": f"arn:aws:iam::{ACCOUNT}:role/"}


def autonamed(type_: str, name: str) -> str:
    """What a provider makes of a name: 7 digits after a hyphen; azure-native, whose names are often of
    letters and digits only, 8 without one. Here the same at every run.

    https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
    """
    digits = hashlib.sha256(type_.encode()).hexdigest()
    return f"{name}{digits[:8]}" if type_.startswith("azure-native:") else f"{name}-{digits[:7]}"


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it: wire names, unwrapped inputs."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    custom: bool
    id: str


@dataclass
class Engine(Mocks):
    """Answers as a cloud would, with values derived from the resource's name and nothing else."""

    registered: list[Registered] = field(default_factory=list)

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = {k: v for k, v in args.inputs.items() if k != "__provider"}
        identifier = autonamed(args.typ, args.name)
        self.registered.append(
            Registered(args.typ, args.name, inputs, bool(args.custom), identifier)
        )
        email = f"{identifier}@triplane-dev.iam.gserviceaccount.com"
        outputs = {
            "name": identifier,
            "bucket": identifier,
            "arn": f"{ARNS.get(args.typ, 'arn:aws:mock:::')}{identifier}",
            "email": email,
            "member": f"serviceAccount:{email}",
            **inputs,
        }
        outputs |= COMPUTED.get(args.typ, {})
        return identifier, outputs

    def call(self, args: MockCallArgs) -> dict[str, Any]:  # type: ignore[override]  # also taken
        try:
            return INVOKES[args.token]
        except KeyError:
            raise AssertionError(
                f"the program invokes {args.token}, unknown to policy/mock_engine.py"
            ) from None

    def __iter__(self) -> Iterator[Registered]:
        return iter(sorted(self.registered, key=lambda r: (r.type, r.name)))

    def of(self, type_: str) -> list[Registered]:
        """Everything of one type, by name."""
        return [r for r in self if r.type == type_]

    def one(self, type_: str) -> Registered:
        """The only resource of a type; says what there was when it is not the only one."""
        found = self.of(type_)
        if len(found) != 1:
            raise AssertionError(f"expected one {type_}, registered: {[r.name for r in found]}")
        return found[0]


class Monitor(MockMonitor):
    """Sends what a resource echoes back as it came. Pulumi's own takes every value apart and wraps it anew,
    in an event loop that it runs inside of the one that is running."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the protocol's name
        if request.type == "pulumi:pulumi:Stack":
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]
        urn = self.make_urn(request.parent, request.type, request.name)
        inputs = rpc.deserialize_properties(request.object)
        id_, outputs = self.mocks.new_resource(
            MockResourceArgs(
                typ=request.type,
                name=request.name,
                inputs=inputs,
                provider=request.provider,
                resource_id=request.importId,
                custom=request.custom,
            )
        )
        # A component has no id.
        told = resource_pb2.RegisterResourceResponse(urn=urn, id=id_ or "", object=request.object)
        for name in inputs.keys() - outputs.keys():
            del told.object[name]
        for name, value in outputs.items():
            if name not in inputs or inputs[name] is not value:
                told.object[name] = value
        self.resources[urn] = MockMonitor.ResourceRegistration(urn, id_ or "", outputs)
        return told


class _NoUrn:
    """In the place of a URN that the SDK works out in case that there is no engine to tell it."""

    async def future(self) -> str:
        return ""


async def _no_former_names(*_: object) -> list[object]:
    return []


def _nothing(*_: object, **__: object) -> None:
    """In the place of a type's former name, up to 60 a resource of azure-native, and of a line of a log."""


UNTOLD = (
    (pulumi.resource, "collapse_alias_to_urn", _nothing),
    (pulumi.runtime.resource, "prepare_aliases", _no_former_names),
    (pulumi.runtime.resource, "create_urn", lambda *_: _NoUrn()),
    (pulumi.runtime.resource, "_get_stack_trace", source_pb2.StackTrace),
    (pulumi.log, "debug", _nothing),
    # It is no preview: all is known.
    (pulumi.output, "contains_unknowns", lambda _: False),
    (rpc, "contains_unknowns", lambda _: False),
    (_types, "resource_types", functools.cache(_types.resource_types)),
)
"""What mocks are never told, and what the SDK works out again for each resource: most of a build's time."""


@contextmanager
def quick() -> Iterator[None]:
    """Leave out what mocks are never told: former names (each three tasks of the event loop), where in the
    program a resource was declared, what is logged for debugging.

    Garbage is collected once, at the end, among what the build has made. Python by itself would look through
    all that has been made so far again and again, as a build makes more than it drops while it goes on. The
    SDKs' classes are set aside for good once a program has imported them.
    """
    imported = len(sys.modules)
    with ExitStack() as untold:
        for where, name, instead in UNTOLD:
            untold.enter_context(mock.patch.object(where, name, instead))
        enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if enabled:
                gc.enable()
    if len(sys.modules) > imported:
        gc.collect()  # lest the build's own garbage be kept with them
        gc.freeze()
    else:
        gc.collect(0)


def build(
    program: Callable[[], Mapping[str, Any]], stack: str = "dev"
) -> tuple[Engine, dict[str, Any]]:
    """Run ``program`` under mocks to its end; gives the record and the resolved values it returned."""
    engine = Engine()
    resolved: dict[str, Any] = {}
    asyncio.set_event_loop(LOOP)
    pulumi.runtime.set_mocks(
        engine, project="triplane", stack=stack, preview=False, monitor=Monitor(engine)
    )

    @pulumi.runtime.test
    def run() -> pulumi.Output[None]:
        return pulumi.Output.all(**program()).apply(resolved.update)

    with quick():
        run()
    return engine, resolved


Built = tuple[Engine, dict[str, Any]]
"""The record of a platform, and what its stack exports."""
Build = Callable[..., Built]
"""The fixture ``platform`` of tests/conftest.py: a cloud and settings in, a platform under mocks out."""


def platform(config: StackConfig) -> Built:
    """The whole platform under mocks, as `__main__.py` builds it."""

    def program() -> dict[str, Any]:
        outputs = dict(Platform("triplane", config, clouds.load(config.cloud)).outputs)
        outputs["readme"] = stack_readme.render(outputs)
        return outputs

    return build(program)
