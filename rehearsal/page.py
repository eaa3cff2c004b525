"""The local page, and the same as JSON: existing resources, what happened, which faults are set."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

import anyio.to_thread
import psutil
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rehearsal.core.faults import Fault
from rehearsal.core.records import Json, Record
from rehearsal.core.request_bodies import TOKEN_BYTES, InvalidBody, json_object, limited
from rehearsal.core.settings import TOKEN_VARIABLE
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle
from rehearsal.provider.resource_type import ResourceType
from rehearsal.runtime.processes import last_lines

Handler = Callable[[Request], Awaitable[Response]]
HTML = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
STEPS = 200
"""So many of the last steps the page shows."""
LOG_LINES = 200


def _policy() -> str:
    """The page runs its own inline script only. `'self'` would allow an object of a lake: the stores have this origin."""
    sources = {
        tag: base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        for tag, inline in re.findall(r"<(script|style)>(.*?)</", HTML, re.DOTALL)
    }
    return (
        f"default-src 'none'; script-src 'sha256-{sources['script']}'; style-src 'sha256-{sources['style']}';"
        " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


HEADERS = {
    "content-security-policy": _policy(),
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Page:
    """Routes of ``/``, for people, and of ``/_api``, for callers with the rehearsal's token."""

    def __init__(
        self,
        context: Context,
        titles: Mapping[str, str],
        lifecycles: Mapping[str, Lifecycle],
        token: str,
    ) -> None:
        self._context = context
        self._titles = titles
        self._lifecycles = lifecycles
        self._token = token
        self._run = secrets.token_hex(4)
        """Of this process: numbers of another one count from elsewhere."""

    def routes(self) -> list[BaseRoute]:
        """What the rehearsal serves for people and for its own command line."""
        return [
            Route("/", self.page),
            Route("/overview.json", self.overview),
            self._api("status", self.status),
            self._api("resources", self.resources),
            self._api("ledger", self.ledger),
            self._api("faults", self.faults, "GET", "POST", "DELETE"),
            self._api("log", self.log),
            self._api("lose", self.lose, "POST"),
            self._api("change", self.change, "POST"),
            self._api("renew", self.renew, "POST"),
        ]

    def _api(self, name: str, answer: Handler, *methods: str) -> Route:
        """A route of the API: it answers callers with the token."""

        async def authorised(request: Request) -> Response:
            sent = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(sent.encode(), self._token.encode()):
                error = (
                    f"{request.url.path} wants the header Authorization: Bearer, with {TOKEN_VARIABLE} of"
                    " `python -m rehearsal env`"
                )
                return JSONResponse({"error": error}, 401, {"www-authenticate": "Bearer"})
            try:
                return await answer(limited(request, TOKEN_BYTES))
            except InvalidBody as wrong:
                return JSONResponse({"error": str(wrong)}, 400)

        return Route(f"/_api/{name}", authorised, methods=list(methods) or None)

    def _rules(self, record: Record) -> ResourceType:
        lifecycle = self._lifecycles.get(record.package)  # None: its SDK is not installed any more
        return lifecycle.rules(record.token) if lifecycle else ResourceType()

    async def status(self, request: Request) -> Response:
        """Its state: resources are counted, not listed."""
        records = self._context.store.all()
        return JSONResponse(
            {
                "ready": True,
                "pid": psutil.Process().pid,
                "url": self._context.base_url,
                "profile": self._context.behaviour.profile,
                "resources": {c: sum(r.package == c for r in records) for c in self._titles},
                "last_entry": self._newest_entry(),
                "memory_mb": round(psutil.Process().memory_info().rss / 2**20),
                "processes": [
                    {"pid": pid, "key": k} for pid, _, k in self._context.store.processes()
                ],
            }
        )

    def _newest_entry(self) -> int:
        """The number of the newest entry; 0 before the first."""
        entries = self._context.ledger.entries(1)
        return entries[0].entry if entries else 0

    async def resources(self, request: Request) -> Response:
        """The existing resources, without inputs and outputs: those may be secret."""
        return JSONResponse(
            [
                {
                    "package": record.package,
                    "token": record.token,
                    "name": record.name,
                    "id": record.id,
                    "urn": record.urn,
                    "created": record.created,
                    "executes": self._rules(record).executes or None,
                }
                for record in self._context.store.all()
            ]
        )

    async def ledger(self, request: Request) -> Response:
        """The newest entries; ``?limit=`` is their number."""
        limit = request.query_params.get("limit", "200")
        if not (limit.isdecimal() and len(limit) < 10):
            return JSONResponse({"error": "limit must be a whole number"}, 400)
        return JSONResponse([asdict(entry) for entry in self._context.ledger.entries(int(limit))])

    async def faults(self, request: Request) -> Response:
        """The faults that are set: list them, set one, clear all, or the one with ``?id=``."""
        if request.method == "GET":
            return JSONResponse([asdict(fault) for fault in self._context.faults.all()])
        if refused := _not_json(request):
            return refused
        if request.method == "DELETE":
            self._context.faults.clear(request.query_params.get("id"))
            return JSONResponse({})
        try:
            fault = Fault(**json_object(await request.body()))
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"id": self._context.faults.set(fault)})

    def _selected(self, selection: Json) -> list[Record]:
        """The records that ``{"on": glob, "name": glob, "stack": glob}`` selects; a missing glob selects all."""
        if wrong := [
            name for name in ("on", "name", "stack") if not isinstance(selection.get(name, ""), str)
        ]:
            raise InvalidBody(f"{', '.join(wrong)} must be text")
        return [
            record
            for record in self._context.store.all()
            if record.package in self._lifecycles
            and fnmatchcase(record.token, selection.get("on", "*"))
            and fnmatchcase(record.name, selection.get("name", "*"))
            and fnmatchcase(record.urn.split("::")[0], f"urn:pulumi:{selection.get('stack', '*')}")
        ]

    async def lose(self, request: Request) -> Response:
        """Delete resources without the program; which ones: see `_selected`."""
        if refused := _not_json(request):
            return refused
        lost = self._selected(json_object(await request.body()))
        for record in lost:
            lose = self._lifecycles[record.package].lose
            await anyio.to_thread.run_sync(lose, record)
        return JSONResponse({"lost": [f"{record.token} {record.id}" for record in lost]})

    async def change(self, request: Request) -> Response:
        """Change resources without the program, as if by hand in the console.

        Which ones: see `_selected`; ``"inputs"`` replace those of the same name.
        """
        if refused := _not_json(request):
            return refused
        wanted = json_object(await request.body())
        if not isinstance(wanted.get("inputs"), dict):
            raise InvalidBody("inputs must be an object, with the properties to change")
        changed = self._selected(wanted)
        for record in changed:
            change = self._lifecycles[record.package].change
            await anyio.to_thread.run_sync(change, record, wanted["inputs"])
        return JSONResponse({"changed": [f"{record.token} {record.id}" for record in changed]})

    async def renew(self, request: Request) -> Response:
        """Have the services renew what is theirs alone (etags, times of a change), as a day does; see `_selected`."""
        if refused := _not_json(request):
            return refused
        renewed = {}
        for record in self._selected(json_object(await request.body())):
            renew = self._lifecycles[record.package].renew
            if names := await anyio.to_thread.run_sync(renew, record):
                renewed[f"{record.token} {record.id}"] = names
        return JSONResponse({"renewed": renewed})

    async def log(self, request: Request) -> Response:
        """The end of the log of the program with ``?pid=``. It is the program's own and may contain anything."""
        pid = request.query_params.get("pid", "")
        log = self._context.processes.log(int(pid)) if pid.isdecimal() and len(pid) < 10 else None
        if log is None:
            return JSONResponse({"error": "this program does not run any more"}, 404)
        return JSONResponse({"log": last_lines(log, LOG_LINES)})

    async def page(self, request: Request) -> Response:
        """The page. It asks for everything that it shows, and has no token in it."""
        return HTMLResponse(HTML, headers=HEADERS)

    async def overview(self, request: Request) -> Response:
        """What the page shows, without inputs, outputs and logs; 304 while that is what the page has.

        As the page itself it wants no token, and so has nothing secret.
        """
        programs = [{"pid": pid, "key": k} for pid, _, k in self._context.store.processes()]
        faults = [asdict(fault) for fault in self._context.faults.all()]
        revision = self._context.store.revision
        state = [self._run, revision, self._newest_entry(), programs, faults]
        etag = f'"{hashlib.sha256(json.dumps(state).encode()).hexdigest()[:20]}"'
        headers = {**HEADERS, "etag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        content = {
            "profile": self._context.behaviour.profile,
            "resources": [self._row(record) for record in self._sorted()],
            "faults": faults,
            "programs": programs,
            "steps": [
                {"when": entry.when, **asdict(entry)}
                for entry in self._context.ledger.entries(STEPS)
            ],
        }
        return JSONResponse(content, headers=headers)

    def _sorted(self) -> list[Record]:
        return sorted(
            self._context.store.all(),
            key=lambda record: (stack_and_component(record), record.token, record.name),
        )

    def _row(self, record: Record) -> Json:
        stack, component = stack_and_component(record)
        host = record.outputs.get("defaultHostName")
        return {
            "key": f"{record.token} {record.id} {record.urn}",
            "stack": stack,
            "component": component,
            "cloud": self._titles.get(record.package, record.package),
            "token": record.token,
            "name": record.name,
            "id": record.id,
            "executes": self._rules(record).executes or None,
            "url": record.outputs.get("functionUrl")
            or record.outputs.get("uri")
            or (f"https://{host}/" if host else None),
        }


def stack_and_component(record: Record) -> tuple[str, str]:
    """The stack of a resource, and the kind of the innermost component around it.

    https://www.pulumi.com/docs/iac/concepts/resources/names/#urns: the types of the parents stand before its own.
    """
    stack, *parts = record.urn.removeprefix("urn:pulumi:").split("::")
    parents = parts[1].split("$")[:-1] if len(parts) > 2 else []
    components = [each for each in parents if each.split(":")[0] != record.package]
    return stack, components[-1].split(":")[-1] if components else "Without a component"


def _not_json(request: Request) -> Response | None:
    """Refuse requests that a page of another origin can send without a preflight request."""
    if request.headers.get("content-type", "").split(";")[0] == "application/json":
        return None
    return JSONResponse({"error": "the content type must be application/json"}, 415)
