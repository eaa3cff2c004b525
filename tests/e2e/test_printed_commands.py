"""The commands in the program's messages, run as they are printed, in the state and the shell in which they are printed.

One clone on AWS goes from one state to the next. Its shell is that of a new machine: no Pulumi on the PATH, nothing of the rehearsal.
tests/docs/test_hints.py holds that each command exists; here each one is run, or `NOT_RUN` says what does it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from operations.crash.checkout import Checkout
from tests.docs.hints import hints
from tests.docs.test_hints import SENTENCES

STATE = ".pulumi/backend/.pulumi/stacks/triplane/dev.json"
SETTINGS = "Pulumi.dev.yaml"
ASKS_NOTHING = 'pulumi() { PULUMI_SKIP_CONFIRMATIONS=true command pulumi --non-interactive "$@"; }'
"""A person answers Pulumi's question."""


def rehearsed(command: str) -> str:
    return f'(eval "$(make -s env)"; {command})'


def setting(name: str, value: str) -> str:
    """A change of a line in the stack file."""
    return f"sed -i 's/^  {name}: .*/  {name}: {value}/' {SETTINGS}"


@dataclass(frozen=True)
class State:
    """What a person types in a state, and the commands that this prints, which are run one after the other."""

    name: str
    typed: str
    printed: dict[str, str] = field(default_factory=dict)
    """The commands. What each one, or the one before, has printed may have the next. With a text, it is refused with that text:
    it is for another case, which the message names."""
    before: str = "true"
    after: str = "true"
    fails: bool = True
    """Whether what is typed is refused."""


STATES = (
    State("clean", "make -s env", {"make rehearsal": ""}),
    State("no command", ".venv/bin/python -m operations", {"make help": ""}),
    State(
        "before the first up",
        "make predict",
        {
            "make adopt": "nothing is left of it",
            "make restore": "nothing to restore from",
            "make up": "",
            "make key": "",
        },
    ),
    State("up", "make adopt", {"make preview": ""}),
    State(
        "a model that is not there",
        "make up",
        {"make train MODEL=flight-delay": ""},
        before=setting("  flight-delay", "abcdef01"),
        after=setting("  flight-delay", "champion"),
    ),
    State(
        "data that is kept",
        "make destroy DATA=destroy",
        before=setting("triplane:keep_data", "true"),
        printed={"make up": ""},
        after=setting("triplane:keep_data", "false"),
    ),
    State("its state is lost", "make up", {"make adopt": "", "make up": ""}, f"rm {STATE}*"),
    State("its state is broken", "make key", {"make adopt": "", "make up": ""}, f"echo { '{' } > {STATE}"),
    State(
        "another region",
        "make up",
        {
            rehearsed(
                f"grep -v ^encrypt {SETTINGS} > Pulumi.dev-eu-west-2.yaml && pulumi stack init dev-eu-west-2"
                " && make up STACK=dev-eu-west-2"
            ): "",
            rehearsed("make key STACK=dev-eu-west-2"): "",
        },
        before=setting("aws:region", "eu-west-2"),
    ),
    State(
        "another region, in the rehearsal's shell",
        'eval "$(make -s env)"; pulumi preview --stack dev',
        {"pulumi destroy --stack dev": ""},
    ),
    State(
        "without its gateway, another stack",
        rehearsed("make destroy STACK=dev-eu-west-2"),
        {
            rehearsed("make destroy STACK=dev-eu-west-2 DATA=destroy"): "",
            rehearsed("pulumi stack rm --preserve-config --stack dev-eu-west-2"): "",
        },
        fails=False,
        after=f"test -e Pulumi.dev-eu-west-2.yaml; {setting('aws:region', 'eu-west-1')}",
    ),
    State("empty", "make outputs", {"make up": ""}),
    State("destroyed", "make destroy", {"make destroy DATA=destroy": ""}, fails=False),
    State(
        "removed",
        "make destroy DATA=destroy",
        {rehearsed("pulumi stack rm --preserve-config --stack dev"): ""},
        fails=False,
        after=f"test -e {SETTINGS}",
    ),
    State(
        "state of an older version",
        "make rehearsal",
        {"make wipe": ""},
        before="make down; echo '{\"format\": 0}' > .rehearsal/rehearsal.json",
    ),
    State("an address in use", "make -s env", {"make rehearsal": ""}, before="make down"),
)  # fmt: skip
LONG = "minutes; tests/e2e has a test of its own that plays it: "
NOT_RUN = {
    "make move FROM TO": f"{LONG}test_move.py",
    "make deliver": f"{LONG}test_pipelines.py",
    "make destroy": f"{LONG}test_move.py",
    "make train": f"{LONG}test_docs.py; here the store has its models, and is shared",
    "make restore BACKUP KEY": f"{LONG}test_move.py, test_shell_stack.py",
    "make restore BACKUP": f"{LONG}test_shell_stack.py",
    "make repair": f"{LONG}test_drift.py",
    "make repair ALLOW": f"{LONG}test_platform.py, and make drill",
    "make adopt ALLOW": f"{LONG}test_recovery_ids.py, and make drill",
    "make drift": f"{LONG}test_drift.py",
    "make backup": f"{LONG}test_docs.py, whose guide makes one",
    "make check-account": f"{LONG}test_docs.py and test_fresh_account.py",
    "make guard": f"{LONG}test_shell_stack.py",
    "make check-image MODEL URL": "asks a server of a person's own; tests/unit/tools/test_check_image.py",
    "make check-image": "asks a server of a person's own; tests/unit/tools/test_check_image.py",
    "make model NAME": "writes into models/; tests/unit/training/test_new_folder.py",
    "make install": "test_fresh_machine.py installs",
    "make down": "each test here ends with it",
    "make env": "every line in a shell of the rehearsal begins with it",
    "make format": "changes this clone's files: a person reads the difference",
    "make api-coverage": "changes this clone's files: a person reads the difference",
    "make lock": "asks the package registry",
    "make mutate": "an hour",
    "make mutate KEEP SAMPLE": "an hour",
    "make judge AZURERM": "16 minutes of Go",
    "pulumi login": "signs in to a backend of a person's own",
    "pulumi import": "the name of a command, of which the sentence is",
    "pulumi config": "a line for the stack file of a real stack",
    "pulumi version": "what the sentence is about is another machine's Pulumi",
    "pulumi refresh": "tests/e2e/test_drift.py",
    "pulumi up": "test_guards.py",
    "pulumi stack": "asks a real backend; tests/operations/engine/test_shell_stack.py holds its words",
}
"""Why a command is not run here, by its target and variables, without CLOUD and STACK, which say where."""


def kind(command: str) -> str:
    """The command without values, CLOUD and STACK: ``make restore BACKUP KEY``."""
    inside = command.removeprefix('(eval "$(make -s env)"; ').removesuffix(")")
    words = [each.rstrip(":") for each in inside.split() if not each.startswith("-")]
    names = sorted(re.findall(r"\b(?!CLOUD|STACK)([A-Z][A-Z0-9_]+)=", inside))
    return " ".join([*words[:2], *names])


def test_every_command_in_a_message_is_run_or_has_a_reason() -> None:
    ran = {kind(each) for state in STATES for each in state.printed}
    ran |= {"pulumi destroy", "pulumi preview", "make help"}
    missing = {}
    for hint in hints():
        found = kind(hint.text)
        word = found.split()[1]
        if found.startswith("python ") or word in SENTENCES or found in ran or found in NOT_RUN:
            continue
        missing[found] = hint.place
    assert missing == {}


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory, models: list[str]) -> Iterator[Checkout]:
    created = Checkout("aws", tmp_path_factory.mktemp("new"))
    created.create()
    yield created
    created.run("rehearsal", "stop")


def run(checkout: Checkout, script: str) -> tuple[int, str]:
    """The exit code of a script in the shell of a new machine, and everything that it prints."""
    tools = [
        each
        for each in os.environ["PATH"].split(os.pathsep)
        if not os.path.exists(os.path.join(each, "pulumi")) and ".venv" not in each
    ]
    environment = {
        name: value
        for name, value in checkout.environment.items()
        if name not in ("DATA", "PYTHONPATH")
    }
    done = subprocess.run(
        ["bash", "-c", f"{ASKS_NOTHING}\n{script}"],
        cwd=checkout.folder,
        env={**environment, "PATH": os.pathsep.join(tools)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def test_each_printed_command_works_as_it_is_printed_in_its_state(checkout: Checkout) -> None:
    for state in STATES:
        code, printed = run(checkout, f"{state.before}\n{state.typed}")
        assert bool(code) == state.fails, f"{state.name}: {state.typed}\n{printed}"
        same_shell = state.typed.partition("; ")[0] if state.typed.startswith("eval ") else "true"
        for command, refusal in state.printed.items():
            as_printed = re.escape(command) + r"(?=[`.,;:)]|\s|$)(?! [A-Z]+=)"
            assert re.search(as_printed, printed), f"{state.name}: {command} is not in\n{printed}"
            code, more = run(checkout, f"{same_shell}\n{command}")
            assert bool(code) == bool(refusal), f"{state.name}: {command}\n{more}"
            assert refusal in more, f"{state.name}: {command}\n{more}"
            printed += more
        code, printed = run(checkout, f"set -e\n{state.after}")
        assert code == 0, f"{state.name}: {state.after}\n{printed}"
