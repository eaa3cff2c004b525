"""A recording engine: builds a program under Pulumi's mocks, and keeps what the program registers.

Under mocks an assertion inside ``apply`` may pass silently. So callers examine the record instead.
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
from components.resource_type import DYNAMIC
from config.schema import StackConfig
from policy.mock_values import (
    ANY_ARN_PREFIX,
    ARN_PREFIXES,
    COMPUTED,
    INVOKES,
    SERVICE_ACCOUNT_DOMAIN,
)


class InlineExecutor(ThreadPoolExecutor):
    """Runs each call at once, in the same thread: mocks answer from memory, so a thread only costs time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


EVENT_LOOP = asyncio.new_event_loop()
"""The event loop of every build. Earlier code, such as `asyncio.run`, may have left the thread without one."""
EVENT_LOOP.set_default_executor(InlineExecutor())


def autonamed(type_: str, name: str) -> str:
    """The physical name that a provider would generate: 7 digits after a hyphen. azure-native, many of whose
    names have only letters and digits, adds 8 digits without a hyphen. Here every run gives the same digits.

    https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
    """
    digits = hashlib.sha256(type_.encode()).hexdigest()
    return f"{name}{digits[:8]}" if type_.startswith("azure-native:") else f"{name}-{digits[:7]}"


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it, with unwrapped inputs under the providers' names."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    custom: bool
    id: str


@dataclass
class Engine(Mocks):
    """Answers as a cloud would. The values depend on the resource's type and name, and on nothing else."""

    registered: list[Registered] = field(default_factory=list)
    dependencies: dict[str, frozenset[str]] = field(default_factory=dict)
    """The names of the resources that each one, by its name, is created after."""
    requests: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What the SDK requested of the engine, by type and name. The resource's options are in it."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = {name: value for name, value in args.inputs.items() if name != "__provider"}
        identifier = autonamed(args.typ, args.name)
        self.registered.append(
            Registered(args.typ, args.name, inputs, bool(args.custom), identifier)
        )
        email = f"{identifier}@{SERVICE_ACCOUNT_DOMAIN}"
        prefix = ARN_PREFIXES.get(args.typ, ANY_ARN_PREFIX)
        outputs = {
            "name": identifier,
            "bucket": identifier,
            "arn": f"{prefix}{inputs.get('path', '/')[1:]}{identifier}",
            "email": email,
            "member": f"serviceAccount:{email}",
            **inputs,
        }
        outputs |= COMPUTED.get(args.typ, {})
        outputs |= self._served(args.typ, inputs)
        return identifier, outputs

    def _served(self, type_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The version that takes an endpoint's traffic: the one that was deployed there, as its artifact's folder names it."""
        if type_ == f"{DYNAMIC}AzureEndpointTraffic":
            return {"serving": inputs["model_version"]}
        if type_ != f"{DYNAMIC}VertexTraffic":
            return {}
        deployment = self._by_id(f"{DYNAMIC}VertexDeployment", inputs["deployed_model"])
        model = self._by_id(f"{DYNAMIC}VertexModel", deployment["model"])
        return {"model_version": model["artifact_uri"].rpartition("/")[2]}

    def _by_id(self, type_: str, id_: str) -> Mapping[str, Any]:
        return next(r.inputs for r in self.registered if (r.type, r.id) == (type_, id_))

    def call(self, args: MockCallArgs) -> dict[str, Any]:  # type: ignore[override]  # also accepted
        try:
            return INVOKES[args.token]
        except KeyError:
            raise LookupError(
                f"the program invokes {args.token}, unknown to policy/mock_values.py"
            ) from None

    def __iter__(self) -> Iterator[Registered]:
        return iter(sorted(self.registered, key=lambda each: (each.type, each.name)))

    def of(self, type_: str) -> list[Registered]:
        """All resources of one type, by name."""
        return [each for each in self if each.type == type_]

    def options(self, resource: Registered) -> Any:
        """The request to register a resource: ``retainOnDelete``, ``deletedWith``, ``replaceOnChanges`` and the others.

        https://github.com/pulumi/pulumi/blob/master/proto/pulumi/resource.proto (RegisterResourceRequest)
        """
        return self.requests[resource.type, resource.name]

    def one(self, type_: str) -> Registered:
        """The only resource of a type. Raises LookupError, with the names, if there is not exactly one."""
        found = self.of(type_)
        if len(found) != 1:
            raise LookupError(f"expected one {type_}, registered: {[each.name for each in found]}")
        return found[0]


class Monitor(MockMonitor):
    """Returns unchanged outputs without another conversion. Pulumi's own monitor unwraps and wraps every value
    again, in an event loop that it runs inside of the running one."""

    mocks: Engine

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the protocol's name
        if request.type == "pulumi:pulumi:Stack":
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]
        urn = self.make_urn(request.parent, request.type, request.name)
        self.mocks.requests[request.type, request.name] = request
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
        if isinstance(self.mocks, Engine):
            after = (each.rpartition("::")[2] for each in request.dependencies)
            self.mocks.dependencies[request.name] = frozenset(after)
        # A component has no id.
        response = resource_pb2.RegisterResourceResponse(
            urn=urn, id=id_ or "", object=request.object
        )
        for name in inputs.keys() - outputs.keys():
            del response.object[name]
        for name, value in outputs.items():
            if name not in inputs or inputs[name] is not value:
                response.object[name] = value
        self.resources[urn] = MockMonitor.ResourceRegistration(urn, id_ or "", outputs)
        return response


class _NoUrn:
    """Replaces a URN that the SDK computes in case the engine returns none."""

    async def future(self) -> str:
        return ""


async def _no_aliases(*_: object) -> list[object]:
    return []


def _nothing(*_: object, **__: object) -> None:
    """Replaces a resource's alias, up to 60 a resource of azure-native, and a debug line of the log."""


REPLACED_IN_SDK = (
    (pulumi.resource, "collapse_alias_to_urn", _nothing),
    (pulumi.runtime.resource, "prepare_aliases", _no_aliases),
    (pulumi.runtime.resource, "create_urn", lambda *_: _NoUrn()),
    (pulumi.runtime.resource, "_get_stack_trace", source_pb2.StackTrace),
    (pulumi.log, "debug", _nothing),
    # A build is no preview: every value is known.
    (pulumi.output, "contains_unknowns", lambda _: False),
    (rpc, "contains_unknowns", lambda _: False),
    (_types, "resource_types", functools.cache(_types.resource_types)),
)
"""Functions of the SDK whose results mocks never receive, or which the SDK computes again for each resource. They
take most of a build's time."""


@contextmanager
def without_unused_sdk_work() -> Iterator[None]:
    """Skip what mocks never receive: aliases (each is three tasks of the event loop), the place in the program
    where a resource was declared, debug lines.

    The garbage collector runs once, at the end, on the objects of the build only. By default Python examines
    all objects again and again, because a build allocates more than it frees. The SDKs' classes are excluded
    for good once a program has imported them.
    """
    imported = len(sys.modules)
    with ExitStack() as replaced:
        for owner, name, replacement in REPLACED_IN_SDK:
            replaced.enter_context(mock.patch.object(owner, name, replacement))
        enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if enabled:
                gc.enable()
    if len(sys.modules) > imported:
        gc.collect()  # so that the build's own garbage is not kept with the classes
        gc.freeze()
    else:
        gc.collect(0)


def build(
    program: Callable[[], Mapping[str, Any]], stack: str = "dev"
) -> tuple[Engine, dict[str, Any]]:
    """Run ``program`` under mocks to its end; returns the record, and the resolved outputs of the program."""
    engine = Engine()
    resolved: dict[str, Any] = {}
    asyncio.set_event_loop(EVENT_LOOP)
    pulumi.runtime.set_mocks(
        engine, project="triplane", stack=stack, preview=False, monitor=Monitor(engine)
    )

    @pulumi.runtime.test
    def run() -> pulumi.Output[None]:
        return pulumi.Output.all(**program()).apply(resolved.update)

    with without_unused_sdk_work():
        run()
    return engine, resolved


Built = tuple[Engine, dict[str, Any]]
"""The record of a platform, and the outputs of its stack."""
Build = Callable[..., Built]
"""A function that builds the platform of a cloud with some settings under mocks."""


def platform(config: StackConfig, stack: str = "dev") -> Built:
    """The whole platform under mocks, as `__main__.py` builds it."""

    def program() -> dict[str, Any]:
        outputs = dict(Platform("triplane", config, clouds.load(config.cloud)).outputs)
        outputs["readme"] = stack_readme.render(outputs)
        return outputs

    return build(program, stack)
