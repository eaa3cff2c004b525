"""The resident process: three providers for the engine, one HTTP server for everything else."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import shlex
import signal
import socket
from pathlib import Path
from types import ModuleType

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rehearsal import provider
from rehearsal.children import Children
from rehearsal.credentials import Authority, storage_key, write_private
from rehearsal.faults import Faults
from rehearsal.invokes import INVOKES
from rehearsal.ledger import Ledger
from rehearsal.page import Page
from rehearsal.store import Store
from rehearsal.world import Account, World

log = logging.getLogger(__name__)
PACKAGES = {"aws": "aws", "gcp": "gcp", "azure-native": "azure"}
"""The SDK's word for a cloud, and ours."""


def assemble(state_dir: Path, http_port: int) -> World:
    """The world as the state directory left it."""
    world = World()
    world.state_dir = state_dir
    world.base_url = f"http://127.0.0.1:{http_port}"
    world.account = Account()
    world.store = Store(state_dir / "rehearsal.sqlite", storage_key(state_dir))
    world.kv = world.store.kv
    world.ledger = Ledger(world.store)
    world.faults = Faults(world.store)
    world.children = Children(world.store)
    world.children.stop_all()  # those of a rehearsal that was killed
    world.authority = Authority(state_dir)
    for attribute, module, name in (
        ("objects", "objects", "ObjectStores"),
        ("images", "images", "ImageStore"),
        ("workloads", "workloads", "Workloads"),
        ("doors", "doors", "Doors"),
        ("functions", "lambda_runtime", "Functions"),
    ):
        try:
            setattr(
                world,
                attribute,
                getattr(importlib.import_module(f"rehearsal.{module}"), name)(world),
            )
        except (ImportError, TypeError) as missing:
            log.warning("%s: %s", module, missing)
    return world


class FaultyPaths:
    """Lets the faults set for a path of the data planes happen before anything answers there."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http" and scope["path"].startswith(("/aws", "/gcp", "/azure")):
            fault = self._world.faults.path(scope["path"])
        match fault.what if fault else None:
            case "throttle":
                await _answer(send, 429, b'{"message": "Rate exceeded"}')
            case "unavailable":
                await _answer(send, 503, b'{"message": "Service unavailable"}')
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


def _start(status: int, length: int) -> Message:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _answer(send: Send, status: int, body: bytes) -> None:
    await send(_start(status, len(body)))
    await send({"type": "http.response.body", "body": body})


def _cloud(name: str) -> tuple[ModuleType, ModuleType, ModuleType] | None:
    try:
        return (
            importlib.import_module(f"rehearsal.{name}"),
            importlib.import_module(f"rehearsal.{name}.kinds"),
            importlib.import_module(f"rehearsal.{name}.routes"),
        )
    except (ImportError, AttributeError) as missing:
        log.warning("%s: %s", name, missing)
        return None


async def run(state_dir: Path, ports: dict[str, int]) -> None:
    """Serve until asked to end. ``ports``: ``http`` and one a package."""
    listener = socket.create_server(("127.0.0.1", ports["http"]))
    world = assemble(state_dir, ports["http"])
    world.loop = asyncio.get_running_loop()
    servers: list[grpc.Server] = []
    lifecycles = {}
    mounts = []
    environment = common_environment(world, ports)
    for package, name in PACKAGES.items():
        cloud = _cloud(name)
        kinds = {kind.token: kind() for kind in cloud[1].KINDS} if cloud else {}
        invokes = INVOKES[package] | (getattr(cloud[1], "INVOKES", {}) if cloud else {})
        serving = provider.Provider(world, package, kinds, invokes)
        lifecycles[package] = serving.lifecycle
        await asyncio.to_thread(serving.lifecycle.clean_up)
        servers.append(provider.serve(serving, ports[package]))
        if cloud:
            mounts.append(Mount(f"/{name}", routes=cloud[2].routes(world)))
            environment |= getattr(cloud[0], "environment", lambda _: {})(world)
    write_private(state_dir / "environment.json", json.dumps(environment).encode())

    app = Starlette(routes=[*Page(world, lifecycles).routes(), *mounts])
    config = uvicorn.Config(
        FaultyPaths(app, world),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        for server in servers:
            server.stop(grace=1)
        await asyncio.to_thread(world.objects.close)
        await asyncio.to_thread(world.children.stop_all)
        world.store.close()


def common_environment(world: World, ports: dict[str, int]) -> dict[str, str]:
    """What every client needs, whatever the cloud."""
    clone = Path(__file__).resolve().parent.parent
    pulumi = clone / ".pulumi"
    providers = ",".join(f"{package}:{ports[package]}" for package in PACKAGES)
    bundle = str(world.authority.bundle)
    return {
        "PULUMI_BACKEND_URL": f"file://{pulumi / 'backend'}",
        "PULUMI_HOME": str(pulumi / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "rehearsal",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DEBUG_PROVIDERS": providers,
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "AWS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
    }


def exports(environment: dict[str, str]) -> str:
    """The lines that a shell evaluates."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
