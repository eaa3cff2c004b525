"""A credential in any file of the repository is found; what is none has an entry with a reason."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import pytest

from operations.engine.source_files import files_not_ignored
from tools import secret_scan
from tools.secret_scan import ALLOWED, findings, problems

# In two parts, so that this file has none of them.
PEM = "-----BEGIN " + "PRIVATE KEY-----"
AZURE_KEY = "Zm9vYmFy" * 10 + "Zm9vYg=="
PLANTED = {
    "id of an AWS key": ("config/a.py", 'ID = "AK' + 'IAQ4XPLANTED000042"'),
    "secret AWS key": ("guide/a.md", "aws_secret_access_key" + ' = "' + "aB3/" * 10 + '"'),
    "GCP key file": ("key.json", json.dumps({"type": "service_account", "private_key": PEM})),
    "Azure connection string": (
        "guide/b.md",
        "DefaultEndpointsProtocol=https;AccountName=a;Account" + f"Key={AZURE_KEY};",
    ),
    "Azure SAS": ("guide/c.md", "https://a.blob.core.windows.net/c?si" + f"g={'Ab1%2F' * 11}%3D"),
    "Entra ID client secret": ("tests/a.py", '"abc8' + f'Q~{"o0-_" * 9}"'),
    "Pulumi token": ("tests/b.py", '"pu' + f'l-{"0a1b" * 10}"'),
    "passphrase in a shell": ("tests/run.sh", "export PULUMI_CONFIG_PASS" + "PHRASE='two words'"),
    "passphrase in a workflow": ("ci.yml", "  PULUMI_CONFIG_PASS" + "PHRASE: correct-horse"),
    "password in settings": ("Pulumi.prod.yaml", "  db:pass" + "word: correct-horse"),
    "GitHub token": ("README.md", "gh" + "p_" + "aB3" * 12),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_credential_is_found_and_not_shown(planted: str, tmp_path: Path) -> None:
    name, text = PLANTED[planted]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(f"a line before\n{text}\n")
    allowed = tmp_path / "none.toml"
    allowed.write_text("allowed = []")
    found = list(problems(findings(tmp_path, [name]), allowed))
    assert found, "not found"
    for line in found:
        assert line.startswith(f"{name}:2: ")
        assert not any(word in line for word in text.split('"') if len(word) > 20)


@pytest.mark.parametrize(
    "text",
    [
        "PULUMI_CONFIG_PASSPHRASE: ${{ secrets.PASSPHRASE }}",
        'export PULUMI_CONFIG_PASSPHRASE="$(cat file)"',
        "PULUMI_CONFIG_PASSPHRASE=…",
        "numpy==2.5.0 --hash=sha256:" + "0a1b" * 16,
        "image@sha256:" + "ab12" * 16,
    ],
)
def test_a_reference_a_placeholder_and_a_digest_are_no_secrets(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(text)
    assert list(findings(tmp_path, ["a.yml"])) == []


def entry(value: str, reason: str = "an example") -> str:
    sha1 = hashlib.sha1(value.encode()).hexdigest()
    return f'[[allowed]]\nfile = "a.md"\nsha1 = ["{sha1}"]\nreason = "{reason}"\n'


def test_an_entry_allows_one_value_in_one_file_and_no_other(tmp_path: Path) -> None:
    known, other = "AK" + "IAQ4XPLANTED000042", "AK" + "IAQ4XPLANTED000043"
    (tmp_path / "a.md").write_text(known)
    allowed = tmp_path / "allowed.toml"
    allowed.write_text(entry(known))
    assert list(problems(findings(tmp_path, ["a.md"]), allowed)) == []
    (tmp_path / "a.md").write_text(f"{known}\n{other}")
    (found,) = problems(findings(tmp_path, ["a.md"]), allowed)
    assert found.startswith("a.md:2: ")
    (tmp_path / "b.md").write_text(known)
    assert list(problems(findings(tmp_path, ["a.md", "b.md"]), allowed))[1].startswith("b.md:1: ")


def test_an_entry_that_nothing_needs_or_without_a_reason_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("nothing")
    allowed = tmp_path / "allowed.toml"
    allowed.write_text(entry("AK" + "IAQ4XPLANTED000042", reason=" "))
    unused, unreasoned = problems(findings(tmp_path, ["a.md"]), allowed)
    assert "remove it" in unused
    assert "a.md has no reason" in unreasoned


def test_each_file_that_git_does_not_ignore_is_scanned_without_a_checkout_too(
    tmp_path: Path,
) -> None:
    (tmp_path / ".gitignore").write_text("ignored\n")
    for name in ("new", "ignored"):
        (tmp_path / name).write_text("text")
    assert files_not_ignored(tmp_path) == [".gitignore", "new"]


def test_the_command_fails_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text(PEM)
    monkeypatch.setattr(secret_scan, "files_not_ignored", lambda _: ["a.md"])
    monkeypatch.setattr(secret_scan, "findings", lambda _, files: findings(tmp_path, files))
    with pytest.raises(SystemExit, match="1"):
        secret_scan.main()
    output = capsys.readouterr().out
    assert "a.md:1: Private Key" in output
    assert "Replace it wherever it is valid" in output


def test_each_allowed_value_has_a_reason_of_its_file() -> None:
    for each in tomllib.loads(ALLOWED.read_text())["allowed"]:
        assert set(each) == {"file", "sha1", "reason"}
        assert len(each["reason"]) > 20, each["file"]
