"""The resident process: three providers for the engine, one HTTP server for everything else."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rehearsal.aws.profile import PROFILE as AWS
from rehearsal.azure.profile import PROFILE as AZURE
from rehearsal.core import control_token
from rehearsal.core.access_keys import AccessKeys
from rehearsal.core.account import Account
from rehearsal.core.browser_sandbox import BrowserSandbox
from rehearsal.core.client_environment import own_places
from rehearsal.core.credentials import Authority, storage_key
from rehearsal.core.faults import Faults
from rehearsal.core.files import write_private
from rehearsal.core.http_protocol import HttpProtocol
from rehearsal.core.ledger import Ledger
from rehearsal.core.ports import listen
from rehearsal.core.request_guard import RequestGuard
from rehearsal.core.schema import installed_sdks
from rehearsal.core.settings import PROFILE_VARIABLE, TOKEN_VARIABLE, behaviour
from rehearsal.core.store import Store
from rehearsal.gcp.profile import PROFILE as GCP
from rehearsal.page import Page
from rehearsal.provider import service
from rehearsal.provider.context import Context
from rehearsal.provider.grants import Grants
from rehearsal.runtime.containers import Containers
from rehearsal.runtime.endpoints import Endpoints
from rehearsal.runtime.functions.registry import Functions
from rehearsal.runtime.images import ImageStore
from rehearsal.runtime.object_stores import ObjectStores
from rehearsal.runtime.processes import Processes

log = logging.getLogger(__name__)


PROFILES = (AWS, GCP, AZURE)
DATA_PLANES = tuple(each.path for each in PROFILES)
TITLES = {each.package: each.title for each in PROFILES}


def assemble(state_dir: Path, http_port: int, loop: asyncio.AbstractEventLoop) -> Context:
    """The context that the state folder holds."""
    key = storage_key(state_dir)
    store = Store(state_dir / "rehearsal.sqlite", key)
    processes = Processes(store)
    processes.stop_all()  # those of a rehearsal that was killed
    account = Account()
    profile = behaviour()
    authority = Authority(state_dir)
    images = ImageStore(state_dir, store.kv)
    containers = Containers(state_dir, store.kv, images, processes, authority)
    return Context(
        state_dir=state_dir,
        base_url=f"http://127.0.0.1:{http_port}",
        account=account,
        access_keys=AccessKeys(key),
        behaviour=profile,
        store=store,
        grants=Grants(store, profile),
        ledger=Ledger(store),
        faults=Faults(store),
        processes=processes,
        authority=authority,
        object_stores=ObjectStores(state_dir, account, processes, authority),
        images=images,
        containers=containers,
        functions=Functions(state_dir, store.kv, processes),
        endpoints=Endpoints(state_dir, authority, containers, loop),
        loop=loop,
    )


class FaultyPaths:
    """Applies the faults that are set for a path of the data planes, before the path is served."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http" and scope["path"].startswith(DATA_PLANES):
            fault = self._context.faults.take_for_path(scope["path"])
        match fault.what if fault else None:
            case "throttle":
                await _answer(send, 429, b'{"message": "Rate exceeded"}')
            case "unavailable":
                await _answer(send, 503, b'{"message": "Service unavailable"}')
            case "expired":
                await _answer(send, 401, b'{"message": "The access token is expired"}')
            case "drop":
                # An answer that ends before its length: the server then closes the connection.
                await send(_start(200, length=2))
            case "hang":
                while (await receive())["type"] != "http.disconnect":
                    pass
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case _:
                if fault:
                    await asyncio.sleep(fault.seconds)
                await self._app(scope, receive, send)


def application(routes: Sequence[BaseRoute], context: Context) -> ASGIApp:
    """The routes as the rehearsal's port serves them."""
    sandbox = BrowserSandbox(Starlette(routes=routes), DATA_PLANES)
    return RequestGuard(FaultyPaths(sandbox, context))


def _start(status: int, length: int) -> Message:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _answer(send: Send, status: int, body: bytes) -> None:
    await send(_start(status, len(body)))
    await send({"type": "http.response.body", "body": body})


async def run(state_dir: Path, ports: dict[str, int]) -> None:
    """Serve until a signal. ``ports`` has ``http`` and one port for each package."""
    listener = listen(ports["http"])
    context = assemble(state_dir, ports["http"], asyncio.get_running_loop())
    lifecycles = {}
    servers = []
    mounts = []
    # A program brings the SDKs of its clouds. The other clouds are not played.
    clouds = [each for each in PROFILES if each.package in installed_sdks()]
    environment = common_environment(
        context, {each.package: ports[each.package] for each in clouds}
    )
    for cloud in clouds:
        package = cloud.package
        serving = service.Provider(context, cloud)
        lifecycles[package] = serving.lifecycle
        await asyncio.to_thread(serving.lifecycle.clean_up)
        # A server without a reference is collected, and ends.
        servers.append(service.serve(serving, ports[package]))
        mounts.append(Mount(cloud.path, routes=cloud.routes(context)))
        environment |= cloud.environment(context)
    token = control_token.created(state_dir)
    environment |= {TOKEN_VARIABLE: token}
    write_private(state_dir / "environment.json", json.dumps(environment))
    page = Page(context, TITLES, lifecycles, token)
    config = uvicorn.Config(
        application([*page.routes(), *mounts], context),
        http=HttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)

    def end() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn has handlers of its own while it serves, and raises the signal again afterwards:
        # without this handler the process would end before it has stopped those that it started.
        context.loop.add_signal_handler(number, end)
    resumed = asyncio.create_task(asyncio.to_thread(context.object_stores.resume))
    try:
        await server.serve(sockets=[listener])
    finally:
        for each in servers:
            each.stop(grace=1)
        await resumed
        await context.endpoints.close_all()
        await asyncio.to_thread(context.functions.close)
        await context.containers.close()
        context.object_stores.close()
        await asyncio.to_thread(context.processes.stop_all)
        context.store.close()


def common_environment(context: Context, providers: dict[str, int]) -> dict[str, str]:
    """What every client needs, whatever the cloud. It does not say where Pulumi keeps its state."""
    return {
        "TRIPLANE_REHEARSAL_URL": context.base_url,
        # So that a command from a shell with this environment does not restart it with another one.
        PROFILE_VARIABLE: context.behaviour.profile,
        "PULUMI_DEBUG_PROVIDERS": ",".join(f"{name}:{port}" for name, port in providers.items()),
        **own_places(context.state_dir),
        **context.authority.environment(),
    }
