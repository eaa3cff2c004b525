"""A page in a real browser, on another port and under another name, gets nothing from the rehearsal."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.harness import Stack
from tests.e2e.browser import CHROMIUM, NEEDS_CHROMIUM, NO_CHROMIUM
from tests.e2e.test_listeners import listeners

pytestmark = NEEDS_CHROMIUM

PAGE = """<!doctype html><body><script>
const targets = %s, got = []
async function attempt(url, options) {
  try {
    const answer = await fetch(url, {...options, signal: AbortSignal.timeout(3000)})
    // An opaque answer shows nothing, not even its status.
    if (answer.type !== "opaque") got.push([url, answer.status, (await answer.text()).slice(0, 200)])
  } catch {}
}
(async () => {
  for (const url of targets) {
    await attempt(url + "/", {})
    await attempt(url + "/_api/change", {method: "POST", body: "{}", headers: {"content-type": "application/json"}})
    await attempt(url + "/_ministack/reset", {method: "POST", mode: "no-cors"})
    await attempt(url + "/storage/v1/b?project=p", {method: "POST", body: '{"name": "from-a-page"}'})
  }
  document.body.dataset.got = JSON.stringify(got)
})()
</script></body>"""


@pytest.fixture
def serve() -> Iterator[Callable[[str], int]]:
    """Serves a page on a loopback port of its own; the port."""
    servers = []

    def start(page: str) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def dom(url: str, profile: Path) -> str:
    """What the browser makes of a page, after its scripts have run."""
    assert CHROMIUM, NO_CHROMIUM
    command = [
        *(
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        "--host-resolver-rules=MAP *.example 127.0.0.1",
        *("--virtual-time-budget=60000", f"--user-data-dir={profile}", "--dump-dom", url),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_a_page_reads_and_changes_nothing(
    stack: Stack, serve: Callable[[str], int], tmp_path: Path
) -> None:
    before = stack.rehearsal.get("/_api/ledger?limit=1")
    ports = sorted(
        {port for address, port, _ in listeners(stack.rehearsal) if address == "127.0.0.1"}
    )
    targets = [f"{scheme}://127.0.0.1:{port}" for port in ports for scheme in ("http", "https")]
    port = serve(PAGE % json.dumps(targets))
    for host in ("attacker.example", "127.0.0.1", "localhost"):
        found = re.search(r'data-got="([^"]*)"', dom(f"http://{host}:{port}/", tmp_path / host))
        assert found, "the page has not run to its end"
        assert json.loads(unescape(found[1])) == []
    assert stack.rehearsal.get("/_api/ledger?limit=1") == before


def test_a_rebound_name_shows_no_page_of_the_rehearsal(stack: Stack, tmp_path: Path) -> None:
    base = stack.rehearsal.environment["TRIPLANE_REHEARSAL_URL"]
    port = base.rpartition(":")[2]
    assert "Triplane rehearsal" in dom(base, tmp_path / "own")
    rebound = dom(f"http://rebound.example:{port}/", tmp_path / "rebound")
    assert "This server answers at" in rebound
    assert "Triplane rehearsal" not in rebound
