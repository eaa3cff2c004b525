"""The contracts of the served models, read from the lake's models zone and verified, and kept for the process."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from gateway.contract import Contract, UnusableContract, verified
from gateway.lakes import Read
from gateway.logs import log

VERSION = re.compile("[0-9a-f]{64}")
KEPT = 4
"""Versions of one model: the one of the settings, and those that the endpoint answered with while it was rolled."""
READERS = 8
WAIT_SECONDS = 5.0
"""So long a caller waits for a contract; the clients of the lakes may take a minute, and the read goes on."""
RETRY_SECONDS = 5.0
"""The pause after a failed read, however many callers want the contract."""


class ContractUnavailable(Exception):
    """The contract cannot be read at the moment. The message is for the log."""


class Contracts:
    """Contracts by model and version. A version never changes, so one that was read stays valid."""

    def __init__(
        self,
        models: Mapping[str, str],
        read: Read,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``models`` is the version of each model that the settings name."""
        self._models, self._read, self._clock = models, read, clock
        self._found: dict[str, dict[str, Contract]] = {name: {} for name in models}
        self._reading: dict[tuple[str, str], Future[Contract]] = {}
        self._failed: dict[tuple[str, str], tuple[float, str]] = {}
        """When a read failed, and why."""
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(READERS, "contracts")
        self._closed = threading.Event()

    def known(self, model: str, version: str = "") -> Contract | None:
        """A contract that was read already; the settings' version if no other is named."""
        return self._found[model].get(version or self._models[model])

    async def get(self, model: str, version: str = "") -> Contract:
        """A contract; read if it was not yet. Raises `ContractUnavailable`."""
        version = version or self._models[model]
        found = self._found[model].get(version)
        if found is None:
            reading = asyncio.wrap_future(self._future(model, version))
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    # Shielded: a caller that is given up does not end what others wait for.
                    found = await asyncio.shield(reading)
            except TimeoutError:
                raise ContractUnavailable(f"contract of {model}: is still being read") from None
        return found

    def start(self) -> None:
        """Read the contracts of all models in the background, again and again until all are there."""
        threading.Thread(target=self._read_all, name="contracts", daemon=True).start()

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _read_all(self) -> None:
        while missing := [name for name in self._models if not self.known(name)]:
            # A failure is in the log, and there is another round.
            wait([self._future(name, self._models[name]) for name in missing])
            if not all(map(self.known, missing)) and self._closed.wait(RETRY_SECONDS):
                return

    def _future(self, model: str, version: str) -> Future[Contract]:
        """The one read of a contract that is running, or a new one."""
        key = model, version
        with self._lock:
            running = self._reading.get(key)
            if running is None:
                running = self._reading[key] = self._readers.submit(self._contract, model, version)
                running.add_done_callback(lambda _: self._reading.pop(key, None))
            return running

    def _contract(self, model: str, version: str) -> Contract:
        key = model, version
        if found := self._found[model].get(version):
            return found
        failed, cause = self._failed.get(key, (float("-inf"), ""))
        if self._clock() < failed + RETRY_SECONDS:
            raise ContractUnavailable(f"{cause} (failed a moment ago)")
        try:
            found = self._read_contract(model, version)
        except Exception as error:
            # Each cloud's client has errors of its own.
            cause = f"contract of {model}: {type(error).__name__}"
            if isinstance(error, UnusableContract):
                cause += f": {error}"
            log("ERROR", "a contract cannot be read", model=model, version=version, cause=cause)
            with self._lock:
                latest = list(self._failed.items())[-99:]
                self._failed = {**dict(latest), key: (self._clock(), cause)}
            raise ContractUnavailable(cause) from error
        self._keep(model, version, found)
        return found

    def _keep(self, model: str, version: str, found: Contract) -> None:
        kept = self._found[model]
        with self._lock:
            kept[version] = found
            spare = [each for each in kept if each not in (self._models[model], version)]
            for former in spare[: max(0, len(kept) - KEPT)]:
                del kept[former]

    def _read_contract(self, model: str, version: str) -> Contract:
        if not VERSION.fullmatch(version):
            # It becomes a part of the object's name.
            raise UnusableContract("the version is not a SHA-256")
        folder = f"{model}/{version}"
        text, document = (
            self._read(f"{folder}/{name}") for name in ("version.txt", "contract.json")
        )
        return verified(version, text, document, model)
