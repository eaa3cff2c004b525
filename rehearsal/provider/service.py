"""The provider that the engine attaches to: it translates Pulumi's protocol into calls of a `Lifecycle`.

https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
"""

# ruff: noqa: N802 (the protocol names its methods so)

from __future__ import annotations

import contextlib
import copy
import functools
import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from api_models.rules import problems
from rehearsal.core import schema
from rehearsal.core.faults import AnswerLost, Fault, Step
from rehearsal.core.records import CheckFailure, Incomplete, Inputs, Json, Record, Refusal
from rehearsal.core.settings import API_MODELS_VARIABLE, checks_api_models
from rehearsal.core.wire import (
    STATUS_DETAILS,
    UNKNOWN,
    decode,
    encode,
    has_unknown,
    known_part,
    rpc_status,
    scrub,
)
from rehearsal.provider import diff, generic
from rehearsal.provider.cloud_profile import CloudProfile
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle
from rehearsal.provider.resource_type import ResourceType

log = logging.getLogger(__name__)
MESSAGE_BYTES = 400 * 1024 * 1024
"""The engine's own limit."""
WORKERS = 64
"""Steps at a time; the engine's own default is 4 a core."""


def with_errors_and_faults(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn refusals into the engine's errors, and apply the faults that are set for a step."""
    word = method.__name__.lower()

    @functools.wraps(method)
    def answer(self: Provider, request: Any, call: grpc.ServicerContext) -> Any:
        token = request.tok if word == "invoke" else request.urn.split("::")[2].split("$")[-1]
        name = "" if word == "invoke" else request.urn.rsplit("::", 1)[-1]
        record = Record(self.package, token, "", "::" + name, {}, {})
        errors = self.lifecycle.provider.errors
        is_preview = getattr(request, "preview", False)

        def report(fault: Fault) -> None:
            self.context.ledger.note("fault", record, f"{fault.what} on {word}")

        def apply_faults(after: bool) -> None:
            if not is_preview:
                step = Step(token, name, word, errors)
                self.context.faults.apply(
                    step, after=after, is_awaited=call.is_active, report=report
                )

        try:
            apply_faults(after=False)
            result = method(self, request, call)
            apply_faults(after=True)
            return result
        except Incomplete as incomplete:
            text = self._scrubbed(str(incomplete), request)
            if incomplete.record:
                detail = provider_pb2.ErrorResourceInitFailed(
                    id=incomplete.record.id,
                    properties=self._outputs(incomplete.record),
                    inputs=encode(incomplete.record.inputs, map(tuple, incomplete.record.secrets)),
                    reasons=[text],
                )
                call.set_trailing_metadata([(STATUS_DETAILS, rpc_status(text, detail))])
                with contextlib.suppress(Refusal):
                    self.context.ledger.note("refused", record, f"{word}: {text}")
            call.abort(grpc.StatusCode.UNKNOWN, text)
        except (Refusal, CheckFailure, schema.UnknownType) as refused:
            text = self._scrubbed(str(refused), request)
            if not is_preview:
                with contextlib.suppress(Refusal):  # a full disk
                    self.context.ledger.note("refused", record, f"{word}: {text}")
            call.abort(grpc.StatusCode.UNKNOWN, text)
        except AnswerLost as lost:
            call.abort(grpc.StatusCode.UNKNOWN, str(lost))
        except Exception as failure:
            log.exception("%s of %s", word, request.urn if name else token)
            text = f"the rehearsal itself failed ({failure!r}); its log has the details"
            call.abort(grpc.StatusCode.INTERNAL, self._scrubbed(text, request))

    return answer


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One cloud's provider. Types without a `ResourceType` get what `rehearsal.provider.generic` gives to every type."""

    def __init__(self, context: Context, cloud: CloudProfile) -> None:
        self.context = context
        self.package = cloud.package
        self.schemas = schema.Schemas(cloud.package)
        self.lifecycle = Lifecycle(context, cloud, self.schemas)
        self._real = cloud.provider
        self._invokes = cloud.invokes
        self._require_for_step = cloud.require_for_step
        # The engine opens a connection for each provider resource of a program. Its requests do not name
        # that resource: only the connection distinguishes a provider in one region from one in another.
        self._configs: OrderedDict[str, Json] = OrderedDict()

    # Identity and settings

    def Handshake(self, request: Any, call: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def GetPluginInfo(self, request: Any, call: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.schemas.version)

    def Attach(self, request: Any, call: Any) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, call: Any) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, call: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, call: Any) -> Any:
        changed = decode(request.old_inputs)[0] != decode(request.news)[0]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME
            if changed
            else provider_pb2.DiffResponse.DIFF_NONE
        )

    def Configure(self, request: Any, call: grpc.ServicerContext) -> Any:
        # Settings that are not plain text arrive as JSON in text.
        settings = known_part(decode(request.args)[0])
        self._configs[call.peer()] = {
            name: json.loads(text) if isinstance(text, str) and text[:1] in ("{", "[") else text
            for name, text in settings.items()
        }
        if len(self._configs) > 1000:
            self._configs.popitem(last=False)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def _config(self, call: grpc.ServicerContext) -> Json:
        return self._configs.get(call.peer()) or next(reversed(self._configs.values()), {})

    def _scrubbed(self, text: str, request: Any) -> str:
        for field in ("properties", "news", "args"):
            if hasattr(request, field):
                values, secrets = decode(getattr(request, field))
                text = scrub(text, values, secrets)
        return text

    # Resources

    @with_errors_and_faults
    def Check(self, request: Any, call: grpc.ServicerContext) -> Any:
        olds, _ = decode(request.olds)
        news, secrets = decode(request.news)
        token, name = _token_and_name(request)
        shape, rules = self.lifecycle.schema_and_rules(token)
        config = self._config(call)
        news = self._real.placed(shape, news, config)
        failures = []
        filled: list[str] = []
        try:
            filled = self._fill_in_name(shape, rules, name, request, olds, news)
            wrong = schema.check(shape, news, converts_scalars=self._real.converts_scalars)
            failures += [CheckFailure(*each) for each in wrong]
            if not failures:
                unknown = frozenset(wire for wire, value in news.items() if has_unknown(value))
                stripped = {
                    w: known_part(value) for w, value in news.items() if value is not UNKNOWN
                }
                failures += model_failures(shape, news)
                self.lifecycle.check_name(rules, stripped)
                rules.check(self.context, Inputs(stripped, unknown))
                self._real.keep_content(request.urn, token, news)
        except CheckFailure as failure:
            # A type's own rule says more of an input than the request model.
            failures = [each for each in failures if each.property != failure.property]
            failures.append(failure)
        for each in failures:
            each.reason = scrub(each.reason, news, secrets)
        if failures:
            record = Record(self.package, token, "", request.urn, {}, {})
            reasons = "; ".join(f"{each.property} {each.reason}" for each in failures)
            self.context.ledger.note("refused", record, f"check: {reasons}")
        name_property = generic.name_property(self._real, shape, rules)
        is_random = self._real.makes_random_name(shape, name_property)
        inputs = self._real.checked(shape, request.olds, news, filled, random=is_random)
        return provider_pb2.CheckResponse(
            inputs=encode(inputs, secrets),
            failures=[
                provider_pb2.CheckFailure(property=each.property, reason=each.reason)
                for each in failures
            ],
        )

    def _fill_in_name(
        self,
        shape: schema.Schema,
        rules: ResourceType,
        name: str,
        request: Any,
        olds: Json,
        news: Json,
    ) -> list[str]:
        """Fill in the physical name as the real provider does: keep the old one, else create one.

        Returns the inputs that were filled in.
        """
        wire = generic.name_property(self._real, shape, rules)
        if wire is None or news.get(wire) is not None or news.get(f"{wire}Prefix") is not None:
            return []
        modes = provider_pb2.CheckRequest.AutonamingOptions
        option = request.autonaming if request.HasField("autonaming") else None
        if isinstance(olds.get(wire), str) and self._real.keeps_name(request.olds, wire):
            news[wire] = olds[wire]
        elif option and option.mode == modes.DISABLE:
            return []
        elif option and option.proposed_name:
            news[wire] = option.proposed_name
        else:
            news[wire] = generic.autoname(self._real, shape, rules, name, request.randomSeed)
        return [wire]

    @with_errors_and_faults
    def Diff(self, request: Any, call: Any) -> Any:
        token, _ = _token_and_name(request)
        shape, rules = self.lifecycle.schema_and_rules(token)
        # A state of an earlier rehearsal has no defaults, and those of the cloud are the same without them.
        olds = self._real.completed(shape, decode(request.old_inputs)[0])
        news = self._real.completed(shape, decode(request.news)[0])
        # An input that now repeats what the cloud had chosen is not a change.
        outputs = decode(request.olds)[0]
        repeated = [wire for wire in news if wire in outputs and news[wire] == outputs[wire]]
        olds |= {wire: news[wire] for wire in repeated if wire not in olds}
        replacing = generic.replacing_inputs(self._real, shape, rules)
        changes = diff.changes(olds, news, replacing, shape)
        config = self._configs.get(call.peer(), {})  # not another connection's
        changes |= generic.changed_places(self._real, shape, news, outputs, config)
        ignored = set(request.ignoreChanges)
        ignored |= self._real.suppressed(request.urn, token, olds, news)
        changes = {path: change for path, change in changes.items() if path not in ignored}
        replaced = [path for path, change in changes.items() if change.endswith("_REPLACE")]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME
            if changes
            else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=replaced,
            deleteBeforeReplace=bool(replaced)
            and self._real.deletes_first(token, request.old_inputs, request.news),
            diffs=sorted({path.split(".")[0].split("[")[0] for path in changes}),
            detailedDiff={
                path: provider_pb2.PropertyDiff(
                    kind=provider_pb2.PropertyDiff.Kind.Value(change), inputDiff=True
                )
                for path, change in changes.items()
            },
            hasDetailedDiff=True,
        )

    @with_errors_and_faults
    def Create(self, request: Any, call: Any) -> Any:
        inputs, secrets = decode(request.properties)
        token, _ = _token_and_name(request)
        self._real.drop_content(request.urn)
        if request.preview:
            shape, _ = self.lifecycle.schema_and_rules(token)
            outputs = {
                wire: generic.as_output(shape, wire, value)
                for wire, value in inputs.items()
                if wire in shape.outputs
            }
            return provider_pb2.CreateResponse(properties=encode(outputs, secrets))
        self._require_permission(call, "create", token, inputs)
        record = self.lifecycle.create(token, request.urn, inputs, secrets, self._config(call))
        return provider_pb2.CreateResponse(id=record.id, properties=self._outputs(record))

    @with_errors_and_faults
    def Read(self, request: Any, call: Any) -> Any:
        token, _ = _token_and_name(request)
        shape, rules = self.lifecycle.schema_and_rules(token)
        record = self.lifecycle.read(token, request.id)
        account, config = self.context.account, self._config(call)
        # Who may not read a resource does not learn that it is gone, either. An import has no inputs yet.
        if inputs := record.inputs if record else decode(request.inputs)[0]:
            self._require_permission(call, "read", token, inputs, record.id if record else "")
        if record is None or not self._real.sees(account, config, record):
            return provider_pb2.ReadResponse()
        in_state, _ = decode(request.inputs)
        read = self.lifecycle.read_back(record)
        found = {
            **as_read(record.inputs, in_state, rules.unread),
            **{name: read[name] for name in read.keys() & in_state.keys()},
        }
        found = self._real.inputs_as_read(
            shape, request.inputs, found, is_import=not request.properties.fields
        )
        return provider_pb2.ReadResponse(
            id=record.id,
            properties=self._outputs(record),
            inputs=encode(found, map(tuple, record.secrets)),
        )

    @with_errors_and_faults
    def Update(self, request: Any, call: Any) -> Any:
        inputs, secrets = decode(request.news)
        token, _ = _token_and_name(request)
        if request.preview:
            shape, rules = self.lifecycle.schema_and_rules(token)
            outputs = decode(request.olds)[0] | {
                wire: generic.as_output(shape, wire, value)
                for wire, value in inputs.items()
                if wire in shape.outputs
            }
            outputs |= dict.fromkeys(rules.volatile, UNKNOWN)
            return provider_pb2.UpdateResponse(properties=encode(outputs, secrets))
        self._require_permission(call, "update", token, inputs, request.id)
        record = self.lifecycle.update(token, request.id, request.urn, inputs, secrets)
        return provider_pb2.UpdateResponse(properties=self._outputs(record))

    @with_errors_and_faults
    def Delete(self, request: Any, call: Any) -> Any:
        token, _ = _token_and_name(request)
        if existing := self.context.get(token, request.id):
            self._require_permission(call, "delete", token, existing.inputs, request.id)
        self.lifecycle.delete(token, request.id)
        return empty_pb2.Empty()

    def _require_permission(
        self, call: grpc.ServicerContext, verb: str, token: str, inputs: Json, id: str = ""
    ) -> None:
        """Raise `Refusal` unless the credentials of the provider's settings allow the step."""
        if self._require_for_step:
            existing = self.context.get(token, id) if id else None
            config = self._config(call)
            self._require_for_step(self.context, config, verb, token, inputs, existing)

    def _outputs(self, record: Record) -> Any:
        rules = self.lifecycle.rules(record.token)
        paths = [tuple(path) for path in record.secrets] + [
            (wire,) for wire in rules.secret_outputs
        ]
        return encode(as_read(record.outputs, {}, rules.unread), paths)

    @with_errors_and_faults
    def Invoke(self, request: Any, call: grpc.ServicerContext) -> Any:
        invoke = self._invokes.get(request.tok)
        if invoke is None:
            raise Refusal(
                "NotRehearsed",
                f"the rehearsal does not answer {request.tok}; it answers "
                + ", ".join(sorted(self._invokes)),
            )
        arguments, secrets = decode(request.args)
        answer = invoke(self.context, arguments, self._config(call))
        return provider_pb2.InvokeResponse(**{"return": encode(answer, secrets)})


def model_failures(shape: schema.Schema, inputs: Json) -> list[CheckFailure]:
    """What the cloud's request model refuses of the inputs."""
    if not checks_api_models():
        return []
    advice = f"if the cloud accepts it, start the rehearsal with {API_MODELS_VARIABLE}=off"
    return [
        CheckFailure(path, f"{reason}; {advice}") for path, reason in problems(shape.rules, inputs)
    ]


def as_read(values: Json, known: Json, unread: tuple[str, ...]) -> Json:
    """A resource's values as the provider reads them: at the ``unread`` paths are the ``known`` ones, if any."""
    if not unread:
        return values
    read = copy.deepcopy(values)
    for path in unread:
        *parents, last = path.split(".")
        there, before = read, known
        for parent in parents:
            there, before = there.get(parent) or {}, before.get(parent) or {}
        there.pop(last, None)
        if last in before:
            there[last] = before[last]
    return read


def _token_and_name(request: Any) -> tuple[str, str]:
    """Type token and program name of a request's resource."""
    parts = request.urn.split("::", 3)
    return parts[2].split("$")[-1], parts[3]


def serve(provider: Provider, port: int) -> grpc.Server:
    """Serve the provider on this loopback port. Keep a reference: a collected server ends."""
    server = grpc.server(
        ThreadPoolExecutor(WORKERS, thread_name_prefix=provider.package),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server
