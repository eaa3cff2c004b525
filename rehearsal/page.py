"""The local page, and the same as JSON: existing resources, what happened, which faults are set."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from html import escape
from pathlib import Path
from string import Template

import anyio.to_thread
import psutil
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rehearsal.core.faults import Fault
from rehearsal.core.records import Json, Record
from rehearsal.core.request_bodies import InvalidBody, json_object
from rehearsal.core.settings import TOKEN_VARIABLE
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle
from rehearsal.provider.resource_type import ResourceType

Handler = Callable[[Request], Awaitable[Response]]
TEMPLATE = Template(Path(__file__).with_name("page.html").read_text())


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

    def routes(self) -> list[BaseRoute]:
        """What the rehearsal serves for people and for its own command line."""
        return [
            Route("/", self.page),
            Route("/last-entry", self.last_entry),
            self._api("status", self.status),
            self._api("resources", self.resources),
            self._api("ledger", self.ledger),
            self._api("faults", self.faults, "GET", "POST", "DELETE"),
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
                return await answer(request)
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

    async def last_entry(self, request: Request) -> Response:
        """The number of the newest entry: the page asks whether it is out of date."""
        return JSONResponse(self._newest_entry())

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
        """The faults that are set: list them, set one, clear all."""
        if request.method == "GET":
            return JSONResponse([asdict(fault) for fault in self._context.faults.all()])
        if refused := _not_json(request):
            return refused
        if request.method == "DELETE":
            self._context.faults.clear()
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

    async def page(self, request: Request) -> Response:
        """Everything, as a page."""
        records = self._context.store.all()
        entries = self._context.ledger.entries(200)
        sections = "".join(
            self._section(title, [record for record in records if record.package == package])
            for package, title in self._titles.items()
        )
        rows = "".join(
            f'<tr class="{escape(entry.verb)}"><td>{escape(entry.when)}</td>'
            f"<td><b>{escape(entry.verb)}</b></td><td>{_type(entry.token)}</td>"
            f"<td>{escape(entry.name)}</td><td>{escape(entry.text)}</td></tr>"
            for entry in entries
        )
        faults = "".join(
            f"<li><b>{escape(fault.what)}</b> on {escape(fault.path or fault.on)}"
            f" {escape(fault.method)} {escape(fault.name)},"
            f" {fault.times or 'any number of'} more times</li>"
            for fault in self._context.faults.all()
        )
        return HTMLResponse(
            TEMPLATE.substitute(
                profile=self._context.behaviour.profile,
                resources=sections,
                count=len(records),
                rows=rows or '<tr><td colspan="5">Nothing has happened yet.</td></tr>',
                faults=f"<h2>Faults that are set</h2><ul>{faults}</ul>" if faults else "",
                last=entries[0].entry if entries else 0,
            )
        )

    def _section(self, title: str, records: list[Record]) -> str:
        if not records:
            return ""
        rows = ""
        for record in sorted(records, key=lambda record: (record.token, record.name)):
            executes = self._rules(record).executes
            what = escape(executes) if executes else "recorded"
            mark = "executed" if executes else "recorded"
            rows += (
                f"<tr><td>{_type(record.token)}</td><td>{escape(record.name)}</td>"
                f'<td class="id">{escape(record.id)}</td><td class="{mark}">{what}</td></tr>'
            )
        return (
            f"<h3>{title} <small>{len(records)}</small></h3><table><thead><tr><th>Type</th>"
            f"<th>Name</th><th>Id</th><th>Executed or recorded</th></tr></thead>{rows}</table>"
        )


def _not_json(request: Request) -> Response | None:
    """Refuse requests that a page of another origin can send without a preflight request."""
    if request.headers.get("content-type", "").split(";")[0] == "application/json":
        return None
    return JSONResponse({"error": "the content type must be application/json"}, 415)


def _type(token: str) -> str:
    _, module, name = token.split(":")
    return f'<span title="{escape(token)}">{escape(module.split("/")[0])}.{escape(name)}</span>'
