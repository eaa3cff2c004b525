"""The engineer's own environment never reaches the rehearsal, nor the rehearsal any other machine.

Every variable that a client reads is absurd, and so is every file that it finds in the home folder. `strace` records
whom any process asks: Go's do not go through a library that a test could replace.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.crash.checkout import Checkout
from rehearsal.core.client_environment import VARIABLES
from tests import client_variables

DEAD = "127.0.0.1:9"
"""The discard port: nothing listens there, and nobody has a reason to ask."""
CONNECTION = re.compile(
    r'(?m)^\d+<([^>]*)>.*?sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)'
)
OWN = re.compile(r"127\.|::1:")
MARKER = "asked"
"""The file that a program writes which only the engineer's own login would run."""
LOGINS = ("az", "azd", "gcloud", "pwsh", "aws")
ENDPOINTS = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"),
    *("STORAGE_EMULATOR_HOST", "GOOGLE_STORAGE_CUSTOM_ENDPOINT", "GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT"),
    *("ARM_METADATA_HOSTNAME", "AZURE_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IMDS_ENDPOINT", "MSI_ENDPOINT"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "PULUMI_API", "PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT", "PULUMI_BACKEND_URL"),
)  # fmt: skip
WORDS = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_SUBSCRIPTION_ID", "IDENTITY_HEADER"),
    *("ARM_CLIENT_ID", "ARM_TENANT_ID", "ARM_CLIENT_SECRET", "ARM_SUBSCRIPTION_ID", "ARM_USE_OIDC", "ARM_USE_MSI"),
    *("GOOGLE_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT", "GOOGLE_PROJECT"),
    *("CLOUDSDK_CORE_PROJECT", "CLOUDSDK_ACTIVE_CONFIG_NAME", "CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_REGION"),
    *("PULUMI_ACCESS_TOKEN", "PULUMI_STACK", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_OPTION_CWD", "TF_LOG"),
)  # fmt: skip


def absurd(home: Path) -> dict[str, str]:
    """Each variable that a client reads, with a value that does harm if it is read."""
    nonsense = home / "nonsense"
    proxies = {name for name in VARIABLES if name.endswith("_PROXY") and not name.startswith("NO_")}
    variables = {
        **dict.fromkeys(VARIABLES, str(nonsense)),
        **dict.fromkeys(sorted(client_variables.names()), "absurd"),
        **dict.fromkeys((*proxies, *map(str.lower, proxies), *ENDPOINTS), f"http://{DEAD}"),
        **dict.fromkeys(("NO_PROXY", "no_proxy", "NO_GRPC_PROXY", "no_grpc_proxy"), "example.com"),
        **dict.fromkeys(WORDS, "absurd"),
        "ARM_METADATA_HOSTNAME": DEAD,
        "GCE_METADATA_HOST": DEAD,
        "PULUMI_CONFIG": json.dumps({"triplane:cloud": "absurd"}),
        "PULUMI_HOME": str(home / ".pulumi"),
        "PULUMI_DEBUG_GRPC": str(home / MARKER),
        "SSLKEYLOGFILE": str(home / MARKER),
        "NETRC": str(home / ".netrc"),
        "PYTHONPATH": str(home / "python"),
        "PYTHONSTARTUP": str(home / "python/sitecustomize.py"),
        "GODEBUG": "http2debug=2",
    }
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"):
        variables[name] = str(home / ".aws/config")
    return variables


def write_files(home: Path) -> None:
    """What a home folder has of an engineer who is signed in everywhere, with commands that leave a mark."""
    program = home / "bin/login"
    files = {
        ".aws/config": f"[default]\ncredential_process = {program}\nendpoint_url = http://{DEAD}\n"
        f"ca_bundle = {home}/nonsense\n[profile absurd]\ncredential_process = {program}\n",
        ".aws/credentials": "[default]\naws_access_key_id = absurd\naws_secret_access_key = absurd\n",
        ".azure/azureProfile.json": "absurd",
        ".boto": "[Credentials]\naws_access_key_id = absurd\naws_secret_access_key = absurd\n",
        ".config/gcloud/active_config": "absurd",
        ".config/gcloud/application_default_credentials.json": "absurd",
        ".config/gcloud/configurations/config_absurd": f"[core]\nproject = absurd\n[proxy]\naddress = {DEAD}\n",
        ".netrc": "default login absurd password absurd\n",
        ".pulumi/credentials.json": json.dumps({"current": f"http://{DEAD}"}),
        "nonsense": "no certificate",
        "python/sitecustomize.py": f"open({str(home / MARKER)!r}, 'a').write('sitecustomize')",
        **{f"bin/{name}": f'#!/bin/sh\necho "$0" >> {home / MARKER}\nexit 1\n' for name in (*LOGINS, "login")},
    }  # fmt: skip
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
        (home / name).chmod(0o700)


class WatchedCheckout(Checkout):
    """A checkout whose engineer is signed in everywhere, and whose processes are recorded."""

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        path = os.pathsep.join((os.environ["PATH"], str(self.home / "bin")))
        own = {"HOME": str(self.home), "XDG_CACHE_HOME": cache, "PATH": path}
        return {**super().environment, **absurd(self.home), **own}

    def script(self, text: str) -> str:
        """What a shell with that environment prints; it must succeed. `strace` waits for every process it left."""
        record = [
            "strace",
            "-f",
            "-Y",
            "-qq",
            "--seccomp-bpf",
            "-e",
            "trace=connect",
            "-e",
            "signal=none",
        ]
        done = subprocess.run(
            [*record, "-o", str(self.folder / "connections"), "bash", "-euxc", text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def connections(self) -> set[tuple[str, str]]:
        """Each program that asked an address, and the address, as ``address:port``."""
        text = (self.folder / "connections").read_text(errors="replace")
        return {
            (program, f"{address.removeprefix('::ffff:')}:{port}")
            for program, port, address in CONNECTION.findall(text)
        }


@pytest.fixture
def checkout(
    request: pytest.FixtureRequest, tmp_path: Path, models: list[str]
) -> Iterator[Checkout]:
    if not shutil.which("strace"):
        pytest.skip("strace records the connections: apt-get install strace")
    created = WatchedCheckout(request.param, tmp_path)
    created.create()
    write_files(created.home)
    yield created
    Checkout(request.param, tmp_path).run("rehearsal", "stop")


@pytest.mark.parametrize("checkout", ["aws", "gcp", "azure"], indirect=True)
def test_no_address_but_the_rehearsals_is_asked_whatever_the_shell_and_the_home_folder_have(
    checkout: WatchedCheckout,
) -> None:
    printed = checkout.script(
        f"make up CLOUD={checkout.cloud}\n"
        f"make repair CLOUD={checkout.cloud}\n"
        'eval "$(make -s env)"\n'
        f"pulumi preview --expect-no-changes --stack {checkout.stack}"
        f" --config-file {checkout.stack_file}\n"
        "make down"
    )
    assert "absurd" not in re.sub(r"(?m)^\++ .*", "", printed)
    asked = checkout.connections()
    assert len(asked) > 5, "nothing was recorded"
    foreign = {(who, where) for who, where in asked if not OWN.match(where) or where == DEAD}
    assert foreign == set()
    assert not (checkout.home / MARKER).exists(), (checkout.home / MARKER).read_text()
