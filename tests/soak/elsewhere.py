"""Renders of the program in a process of its own: `python -m tests.soak.elsewhere here|elsewhere STORE`.

Elsewhere it is another time, on another machine, and every set that the program makes is walked the other way.
Hash seeds alone would not do: of two strings, two seeds give the same order as often as not. So the program's
own sets are made of classes with an order; what only a library walks is left to the two seeds.
"""

from __future__ import annotations

import ast
import builtins
import datetime
import hashlib
import json
import platform
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
LATER = datetime.timedelta(days=401, hours=7, minutes=13)
UNORDERED = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)
"""Operators whose result may be a set."""

FILES: dict[str, dict[str, Any]] = {
    "a key, on instances": {
        "triplane:environment": "staging",
        "triplane:model": "champion",
        "triplane:machine": {
            "aws": "ml.m5.large",
            "gcp": "n1-standard-4",
            "azure": "Standard_DS4_v2",
        },
        "triplane:endpoint": {"min_instances": 2, "max_instances": 3},
        "triplane:gateway": {
            "access": "key",
            "key_rotation": 7,
            "max_concurrency": 50,
            "max_body_kib": 64,
        },
        "triplane:lake": {"captures_days": 7, "noncurrent_days": 2},
        "triplane:delivery": {
            "repository": "acme@1/triplane@2",
            "branch": "release",
            "environment": "production",
            "existing_provider": False,
        },
        "triplane:tags": {letter: letter for letter in "zyxwvutsrq"},
        "triplane:keep_data": True,
    },
    "public, and to be thrown away": {
        "triplane:gateway": {"access": "public"},
        "triplane:delivery": {"repository": "acme/triplane", "existing_provider": True},
        "triplane:keep_data": False,
    },
}
"""The first sets everything; the second has the other branches."""
PLACES = {
    "aws:region": "eu-west-1",
    "gcp:project": "triplane-dev",
    "gcp:region": "europe-west1",
    "azure-native:location": "westeurope",
}


class Walked:
    """A set's elements in an order that is known."""

    backwards = False

    def __iter__(self) -> Iterator[Any]:
        walk = super().__iter__()  # type: ignore[misc]  # the set's
        return iter(sorted(walk, key=repr, reverse=self.backwards))


class WalkedSet(Walked, set[Any]):
    pass


class WalkedFrozenSet(Walked, frozenset[Any]):
    pass


def walked(value: Any) -> Any:
    """A set with an order, of a set that came without; anything else as it is."""
    if type(value) is set:
        return WalkedSet(value)
    return WalkedFrozenSet(value) if type(value) is frozenset else value


class Sets(ast.NodeTransformer):
    """Makes ``{a, b}``, ``{… for …}``, ``set(…)``, ``frozenset(…)`` and ``a | b`` walked sets."""

    def visit_Set(self, node: ast.Set) -> ast.AST:  # ast's own names
        return self._walked(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        return self._walked(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        # Any call: methods of sets (`union`, `keys() - …`) give sets, too.
        return self._walked(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        return self._walked(node) if isinstance(node.op, UNORDERED) else self.generic_visit(node)

    def _walked(self, node: ast.expr) -> ast.AST:
        self.generic_visit(node)
        name = ast.Name(walked.__name__, ast.Load())
        return ast.copy_location(ast.Call(name, [node], []), node)


class Program(SourceFileLoader):
    """Loads the program's own modules with walked sets, whatever byte code there is of them."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = Sets().visit(ast.parse(self.get_data(path), path))
        code: CodeType = compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
        return code


def walk_sets(backwards: bool) -> None:
    """From here on, what is imported of the program has its sets walked."""

    def of_program(folder: str) -> FileFinder:
        if folder != str(ROOT) and not Path(folder).is_relative_to(ROOT / "components"):
            raise ImportError(folder)
        return FileFinder(folder, (Program, [".py"]))

    Walked.backwards = backwards
    setattr(builtins, walked.__name__, walked)
    sys.path_hooks.insert(0, of_program)
    sys.path_importer_cache.clear()


class Then(datetime.datetime):
    """A clock that is ahead."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Then:
        return super().now(tz) + LATER

    @classmethod
    def utcnow(cls) -> Then:
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Then:
        return cls.now()


class ThatDay(datetime.date):
    """Its day."""

    @classmethod
    def today(cls) -> ThatDay:
        return cls.fromordinal(Then.now().toordinal())


def go_elsewhere() -> None:
    """Another time, and another machine's name; the time zone, home, user and folder are the caller's to set."""
    seconds, nanoseconds = time.time, time.time_ns
    gmtime, localtime, strftime = time.gmtime, time.localtime, time.strftime
    for name, then in {
        "time": lambda: seconds() + LATER.total_seconds(),
        "time_ns": lambda: nanoseconds() + int(LATER.total_seconds()) * 10**9,
        "gmtime": lambda at=None: gmtime(time.time() if at is None else at),
        "localtime": lambda at=None: localtime(time.time() if at is None else at),
        "strftime": lambda form, at=None: strftime(form, at or time.localtime()),
    }.items():
        setattr(time, name, then)
    setattr(datetime, "datetime", Then)  # noqa: B010  # mypy takes no assignment to a type
    setattr(datetime, "date", ThatDay)  # noqa: B010
    socket.gethostname = platform.node = lambda: "elsewhere"


def told(value: Any) -> Any:
    """Inputs with files and archives by what is in them, and without the dynamic providers' byte code."""
    from policy.plain import SIGNATURE

    if isinstance(value, list):
        return [told(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if SIGNATURE in value and "path" in value:
        return {"file": hashlib.sha256(Path(value["path"]).read_bytes()).hexdigest()}
    return {name: told(item) for name, item in value.items() if name != "__provider"}


def registered(request: Any) -> dict[str, Any]:
    """A resource as the engine is told of it: its inputs and every option."""
    from google.protobuf.json_format import MessageToDict

    whole: dict[str, Any] = MessageToDict(request)
    for name in ("sourcePosition", "stackTrace"):
        whole.pop(name, None)
    # The SDK keeps these as sets, and so does the engine.
    whole["dependencies"] = sorted(whole.get("dependencies", []))
    for each in whole.get("propertyDependencies", {}).values():
        each["urns"] = sorted(each.get("urns", []))
    return whole | {"object": told(whole.get("object", {}))}


def rendered(store: Path) -> dict[str, Any]:
    """All that is registered and exported, of each file on each cloud."""
    from pulumi.runtime.mocks import MockMonitor

    from config.validation import config_of_values
    from policy import mock_engine
    from tests.soak.stack_files import CLOUDS, handed_over

    found: dict[str, Any] = {}
    answer = MockMonitor.RegisterResource
    for cloud in CLOUDS:
        for what, file in FILES.items():
            requests: list[Any] = []

            def keep(monitor: MockMonitor, request: Any, kept: list[Any] = requests) -> Any:
                kept.append(request)
                return answer(monitor, request)

            raw = handed_over({**PLACES, **file, "triplane:cloud": cloud})
            config = config_of_values(raw, "Pulumi.elsewhere.yaml", store=store)
            with mock.patch.object(MockMonitor, "RegisterResource", keep):
                _, outputs = mock_engine.platform(config)
            found[f"{cloud}, {what}: outputs"] = outputs
            for request in requests:
                found[f"{cloud}, {what}: {request.type} {request.name}"] = registered(request)
    return found


def main() -> None:
    where, store = sys.argv[1:]
    # Before the clock is set: what the libraries make of it at their import is theirs.
    import pulumi_aws  # noqa: F401
    import pulumi_azure_native  # noqa: F401
    import pulumi_gcp  # noqa: F401
    import pydantic  # noqa: F401

    walk_sets(backwards=where == "elsewhere")
    if where == "elsewhere":
        go_elsewhere()
    json.dump(rendered(Path(store)), sys.stdout)


if __name__ == "__main__":
    main()
