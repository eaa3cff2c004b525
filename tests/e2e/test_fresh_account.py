"""A new account on each cloud: the default settings are refused beforehand, small ones come up.

The rehearsal plays the limits (`rehearsal/core/quotas.py`), and the checks ask it as they ask a cloud.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.harness import FLIGHT, ROOT, Rehearsal, Stack, http_answer, run
from components.azure import arm
from components.gcp import rest
from config.clouds import Cloud
from config.stack_file import StackFile
from operations.crash.checkout import Checkout

ACCOUNT = "00000000-aaaa-4bbb-8ccc-000000000001"
APIS = (
    *("aiplatform", "artifactregistry", "cloudbuild", "cloudresourcemanager", "iam", "logging"),
    *("run", "secretmanager", "storage"),
)
PROVIDERS = (
    *("Cdn", "Compute", "ContainerRegistry", "Insights", "KeyVault", "MachineLearningServices"),
    *("ManagedIdentity", "Network", "OperationalInsights", "PolicyInsights", "Storage", "Web"),
)
SMALL: dict[str, dict[str, Any]] = {
    "aws": {"triplane:gateway": {"max_concurrency": 0}},
    "gcp": {"triplane:endpoint": {"max_instances": 1}},
    "azure": {
        "triplane:machine": {"azure": "Standard_DS2_v2"},
        "triplane:endpoint": {"max_instances": 1},
        "triplane:gateway": {"app_service_plan": "S1"},
    },
}
UNPREPARED = {
    "aws": {"Lambda: executions to reserve"},
    "gcp": {"APIs"},
    "azure": {
        "resource providers",
        "Azure ML: cores of Standard_DS3_v2",
        "App Service: Basic machines",
    },
}
"""What is missing in a new account with the default settings."""
PREPARED = {
    "aws": {"Lambda: executions to reserve"},
    "gcp": {"Vertex AI: CPUs"},
    "azure": {"Azure ML: cores of Standard_DS3_v2", "App Service: Basic machines"},
}
"""What is still missing once the services are switched on."""
REFUSED = {
    "aws": r"below its minimum value of \[10\]",
    "gcp": r"cloudresourcemanager\.googleapis\.com has not been used in project",
    "azure": "MissingSubscriptionRegistration: The subscription is not registered to use namespace",
}
"""What the cloud says in the middle of a deployment that nobody checked."""
SECONDS = 15


@pytest.fixture(scope="module", params=["aws", "gcp", "azure"])
def fresh(
    request: pytest.FixtureRequest, models: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cloud, Stack]]:
    """A stack with the default settings in an account of its own, and that account's clients."""
    cloud: Cloud = request.param
    rehearsal = Rehearsal(
        tmp_path_factory.mktemp(f"fresh-{cloud}") / "state", profile="fresh-account"
    )
    rehearsal.start()
    defaults = StackFile.read(ROOT / "Pulumi.dev.yaml").without(
        *("triplane:machine", "triplane:endpoint", "triplane:gateway")
    )
    settings = {**defaults.settings, "triplane:cloud": cloud}
    stack = Stack(rehearsal, f"fresh-{cloud}", tmp_path_factory.mktemp(cloud), settings)
    stack.init()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in rehearsal.environment.items():
            environment.setenv(name, value)
        rest._credentials.cache_clear()
        yield cloud, stack
    rest._credentials.cache_clear()
    rehearsal.command("stop")


def checked(stack: Stack) -> tuple[int, set[str], str]:
    """The exit code of the check, what is missing, and all that it printed."""
    program = (
        "import sys; from config.stack_file import StackFile; from config.validation import config_of_file;"
        " from operations.account_check.report import print_account_check; from pathlib import Path;"
        " print_account_check(config_of_file(StackFile.read(Path(sys.argv[1]))), ())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(stack.file)],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    output = done.stdout + done.stderr
    return done.returncode, set(re.findall("^missing: (.*)$", output, re.MULTILINE)), output


def switch_services_on(cloud: Cloud) -> None:
    """What the way out of the finding says, by the requests that `gcloud` and `az` send."""
    if cloud == "gcp":
        for api in APIS:
            service = f"projects/triplane-dev/services/{api}.googleapis.com"
            rest.call("POST", f"{rest.service_usage_url()}{service}:enable", {})
    if cloud == "azure":
        for each in PROVIDERS:
            arm.post(f"/subscriptions/{ACCOUNT}/providers/Microsoft.{each}/register", "2021-04-01")


def test_a_new_account_is_told_what_it_lacks_and_small_settings_come_up(
    fresh: tuple[Cloud, Stack],
) -> None:
    cloud, stack = fresh
    code, lacking, output = checked(stack)
    assert (code, lacking) == (1, UNPREPARED[cloud]), output

    # Without the check, a deployment ends in the middle.
    assert re.search(REFUSED[cloud], stack.up(code=1)), "as the cloud refuses"

    switch_services_on(cloud)
    code, lacking, output = checked(stack)
    assert (code, lacking) == (1, PREPARED[cloud]), output
    assert "not known" not in output

    stack.configure(**SMALL[cloud])
    code, lacking, output = checked(stack)
    assert (code, lacking) == (0, set()), output
    stack.up()
    outputs = stack.outputs()
    answer = http_answer(
        f"{outputs['gateway_url']}/predict",
        {"instances": [FLIGHT]},
        **{"x-api-key": outputs["gateway_key"]},
    )
    assert answer.status == 200, answer
    stack.pulumi("preview", "--expect-no-changes")


def test_make_up_refuses_before_it_creates_anything(models: list[str], tmp_path: Path) -> None:
    clone = Checkout("aws", tmp_path / "clone")
    clone.create()
    environment = {**clone.environment, "TRIPLANE_REHEARSAL_PROFILE": "fresh-account"}

    def left_by(*words: str) -> str:
        return run(
            [str(clone.folder / ".venv/bin/python"), "-m", *words],
            environment,
            timeout=240,
            code=0 if words[0] == "rehearsal" else 1,
            folder=clone.folder,
        )

    try:
        refused = left_by("operations", "up", "aws")
        assert "missing: Lambda: executions to reserve" in refused
        assert "Refused: 1 missing. Nothing was created." in refused
        asked = left_by("operations", "check-account", "aws")
        assert "1 missing of 5 checks. Nothing was changed." in asked
    finally:
        left_by("rehearsal", "stop")
