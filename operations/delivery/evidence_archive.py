"""`make evidence`: an archive with what is needed to understand a run elsewhere, and no secret.

Nothing is changed. A part that cannot be had says why, and the others are still collected.
"""

from __future__ import annotations

import io
import json
import os
import platform
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from config.files import write_private
from config.stack_file import StackFile
from operations.account_check.report import checked_account
from operations.commands import preparation
from operations.delivery.evidence import DELIVERY_FOLDER, commit
from operations.delivery.redaction import REDACTED, Redaction, secrets_of
from operations.engine import gateway, previews
from operations.engine.cloud_errors import explanation
from operations.engine.installation import HOME
from operations.engine.resources import resource_name, resource_type
from operations.engine.stack import NamedStack

EVIDENCE_FOLDER = HOME / ".evidence"
PACKAGES = (
    "pulumi",
    "pulumi-aws",
    "pulumi-gcp",
    "pulumi-azure-native",
    "boto3",
    "google-auth",
    "azure-identity",
)
SETTINGS = (
    "aws:region",
    "gcp:project",
    "gcp:region",
    "azure-native:location",
    "azure-native:subscriptionId",
    "azure-native:tenantId",
)
"""The providers' settings that are shown; ours are, too."""
DELIVERIES = ("release-{}.json", "preview-{}.md", "drift-{}.md")
"""The files of a stack's deliveries. The evidence of `make deliver` is of two stacks, and this one's secrets are known."""
SHOWN = ("op", "replaceReasons", "diffReasons")
"""Of a step in a preview: the names of what changes. The values stay here."""
Part = Callable[[NamedStack], Any]


def collect_evidence(stack: NamedStack) -> None:
    """Write the archive of a stack. Leaves with a reason if there is no stack, or its secrets are not known."""
    preparation.read_ready(stack)
    preparation.refuse_missing(stack)
    redaction = Redaction(secrets_of(stack))
    parts = {name: redaction.value(_collected(part, stack)) for name, part in PARTS.items()}
    collected = datetime.now(UTC)
    file = EVIDENCE_FOLDER / f"{stack.name}-{collected:%Y%m%dT%H%M%SZ}.zip"
    EVIDENCE_FOLDER.mkdir(mode=0o700, exist_ok=True)
    texts = {f"{name}.json": json.dumps(part, indent=1) for name, part in parts.items()}
    texts |= {f"deliveries/{name}": text for name, text in deliveries(stack, redaction)}
    texts["README.md"] = redaction.text(_readme(stack, collected, parts))
    write_private(file, _zipped(texts))
    for name, part in parts.items():
        print(f"  {name}: {_summary(part)}")
    print(
        f"\n{file.relative_to(HOME)}: read it before you send it. {REDACTED} stands for known secrets and what looks"
        " like a credential, and for the whole line or value if a secret may be a word; account, project and resource"
        " names are in it."
    )


def _collected(part: Part, stack: NamedStack) -> Any:
    try:
        return part(stack)
    except SystemExit as left:
        return {"not collected": str(left)}
    except Exception as error:
        return {"not collected": explanation(error) or f"{type(error).__name__}: {error}"}


def versions(stack: NamedStack) -> dict[str, Any]:
    """Of this clone, of what runs it, and of the providers that the stack's state names."""
    providers = {
        each["type"].rpartition(":")[2]: (each.get("inputs") or {}).get("version")
        for each in stack.resources()
        if each["type"].startswith("pulumi:providers:")
    }
    return {
        "commit": commit(),
        "pulumi": stack.cli.unnamed("version").strip(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "providers": providers,
    }


def settings(stack: NamedStack) -> dict[str, Any]:
    """The stack file's settings that this program and the providers' addresses need; of others the names."""
    config = StackFile.read(stack.file).document.get("config") or {}
    return {
        key: _plain(value) if key in SETTINGS or key.startswith("triplane:") else "not shown"
        for key, value in config.items()
    }


def _plain(value: Any) -> Any:
    """A setting without what is encrypted in it, and with what."""
    match value:
        case Mapping():
            return (
                REDACTED
                if "secure" in value
                else {key: _plain(inner) for key, inner in value.items()}
            )
        case list():
            return [_plain(each) for each in value]
        case _:
            return value


def resources(stack: NamedStack) -> list[dict[str, Any]]:
    """What the state has, without inputs and outputs."""
    kept = ("id", "created", "modified", "pendingReplacement", "initErrors", "external")
    return [
        {
            "type": each["type"],
            "name": resource_name(each["urn"]),
            **{name: each[name] for name in kept if each.get(name)},
        }
        for each in stack.resources()
    ]


def account(stack: NamedStack) -> dict[str, Any]:
    """What the account lacks for the stack, and who asked."""
    os.environ.update(stack.environment)  # the clouds' clients read nothing else
    config = preparation.read_settings(stack)
    checked = checked_account(config, stack.resources())
    return {
        "signed in": checked.caller,
        "checks": checked.count,
        "findings": [asdict(each) for each in checked.findings],
    }


def outputs(stack: NamedStack) -> Any:
    """As Pulumi prints them, with secrets masked."""
    return stack.cli.json("stack", "output", "--json")


def preview(stack: NamedStack) -> list[dict[str, Any]]:
    """What an update would change: which properties, not to which values."""
    return [
        {
            "resource": resource_name(step["urn"]),
            "type": resource_type(step["urn"]),
            **{name: step[name] for name in SHOWN if step.get(name)},
        }
        for step in stack.preview_steps("preview", "--show-replacement-steps")
        if step["op"] != "same"
    ]


def drift(stack: NamedStack) -> dict[str, list[str]]:
    """What differs from the cloud: which properties, not from which values."""
    found = previews.drift(stack.cli.refresh_steps())
    return {resource_name(urn): names for urn, names in found.items()}


def last_update(stack: NamedStack) -> dict[str, Any]:
    """How long the last update of this clone took, in all and for each resource, and what was refused."""
    if not stack.event_log.exists():
        return {"not collected": "no update of this stack was run by `make` in this clone"}
    events = list(_events(stack.event_log.read_text()))
    began: dict[str, int] = {}
    seconds: dict[str, dict[str, Any]] = {}
    for event in events:
        if step := (event.get("resourcePreEvent") or {}).get("metadata"):
            began[step["urn"]] = event["timestamp"]
        elif step := (event.get("resOutputsEvent") or {}).get("metadata"):
            took = event["timestamp"] - began.get(step["urn"], event["timestamp"])
            if step["op"] != "same":
                seconds[resource_name(step["urn"])] = {"op": step["op"], "seconds": took}
    summaries = [event["summaryEvent"] for event in events if event.get("summaryEvent")]
    return {
        "seconds": summaries[-1].get("durationSeconds") if summaries else "interrupted",
        "changes": summaries[-1].get("resourceChanges") if summaries else {},
        "resources": dict(sorted(seconds.items(), key=lambda each: -each[1]["seconds"])),
        "refusals": list(_diagnostics(events)),
    }


def _events(text: str) -> Iterator[dict[str, Any]]:
    """The events of a log; the last line of a killed engine's may be half a line."""
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def _diagnostics(events: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    for event in events:
        found = event.get("diagnosticEvent") or {}
        if found.get("severity") in ("error", "warning"):
            urn = found.get("urn") or ""
            yield {
                "severity": found["severity"],
                "resource": resource_name(urn) if urn else "",
                "message": str(found.get("message", "")).strip(),
            }


def answers(stack: NamedStack) -> dict[str, Any]:
    """Whether the gateway answers, with which code and model, and how quickly."""
    plain = stack.outputs()
    if "gateway_url" not in plain:
        return {"not collected": "the stack has no gateway"}
    code = gateway.code_version(stack, plain)
    started = time.monotonic()
    answers = gateway.predictions(stack, plain)
    return {
        "code_version": code,
        "models": {name: answer.get("model_version") for name, answer in answers.items()},
        "milliseconds": round((time.monotonic() - started) * 1000),
    }


PARTS: Mapping[str, Part] = {
    "versions": versions,
    "settings": settings,
    "resources": resources,
    "account": account,
    "outputs": outputs,
    "last_update": last_update,
    "preview": preview,
    "drift": drift,
    "answers": answers,
}


def deliveries(stack: NamedStack, redaction: Redaction) -> Iterator[tuple[str, str]]:
    """The evidence of this stack's deliveries and drift checks, without secrets."""
    for name in (each.format(stack.name) for each in DELIVERIES):
        try:
            text = (DELIVERY_FOLDER / name).read_text()
            # Its values, and not its text: JSON writes a quote in a secret in another way.
            if name.endswith(".json"):
                text = json.dumps(redaction.value(json.loads(text)), indent=1)
            yield name, redaction.text(text)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # a killed run's may be half a file
            yield name, redaction.text(f"not collected: {error}\n")


def _readme(stack: NamedStack, collected: datetime, parts: Mapping[str, Any]) -> str:
    lines = [
        f"# Evidence of stack {stack.name}",
        "",
        f"Collected {collected:%Y-%m-%d %H:%M} UTC.",
        "",
    ]
    lines += [f"- `{name}.json`: {_summary(part)}" for name, part in parts.items()]
    return "\n".join(lines) + "\n"


def _summary(part: Any) -> str:
    if isinstance(part, Mapping) and "not collected" in part:
        return f"not collected: {str(part['not collected']).splitlines()[0]}"
    return f"{len(part)} entries"


def _zipped(texts: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return packed.getvalue()
