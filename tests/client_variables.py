"""The variables that the installed clients read, as their own source names them."""

from __future__ import annotations

import re
from pathlib import Path

import botocore
from azure.identity._constants import EnvironmentVariables
from google.auth import environment_vars

NAME = re.compile(r"""["']((?:AWS|BOTO)_[A-Z0-9_]+)["']""")


def names() -> set[str]:
    """The names in the source of botocore, azure-identity and google-auth."""
    aws = {
        name
        for file in Path(botocore.__file__).parent.glob("*.py")
        for name in NAME.findall(file.read_text())
    }
    azure = {value for name, value in vars(EnvironmentVariables).items() if name.isupper() and isinstance(value, str)}  # fmt: skip
    google = {value for name, value in vars(environment_vars).items() if name.isupper()}
    assert min(len(aws) / 4, len(azure), len(google)) > 10, "the source has another form now"
    return aws | azure | google
