"""How checks are run, and how their findings read."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from operations.account_check import report
from operations.account_check.checks import (
    Check,
    Finding,
    findings_of,
    missing,
    not_known,
    too_little,
)
from operations.commands import check_account


def check(what: str, answer: Any) -> Check:
    def findings() -> Iterator[Finding]:
        if isinstance(answer, BaseException):
            raise answer
        time.sleep(answer if isinstance(answer, float) else 0)
        yield from answer if isinstance(answer, list) else ()

    return Check(what=what, look=f"look for {what} yourself", findings=findings)


def test_a_question_that_is_refused_is_not_known_and_never_fine() -> None:
    (finding,) = findings_of([check("quota", PermissionError("AccessDenied:\n you may not"))])
    assert (finding.severity, finding.what) == ("not known", "quota")
    assert finding.rule == "AccessDenied: you may not"
    assert finding.way_out == "look for quota yourself"


def test_a_question_without_an_answer_in_time_is_not_known() -> None:
    began = time.monotonic()
    (finding,) = findings_of([check("slow", 5.0), check("quick", [])], seconds=0.2)
    assert (finding.severity, finding.rule) == ("not known", "no answer within 0.2 seconds")
    assert time.monotonic() - began < 2


def test_questions_are_asked_side_by_side_and_reported_in_their_order() -> None:
    began = time.monotonic()
    findings = findings_of(
        [check("a", 0.3), check("b", [missing("b", "none", "buy one")]), check("c", 0.3)]
    )
    assert [each.what for each in findings] == ["b"]
    assert time.monotonic() - began < 0.6


def test_as_much_as_is_needed_is_enough() -> None:
    assert too_little("cores", 8, 8, "two machines", "ask") == []
    (finding,) = too_little("cores", 9, 8, "two machines", "ask")
    assert finding.rule == "two machines: 9 needed, 8 available"


FINDINGS = [
    not_known("billing", "the API is not enabled", "enable it"),
    missing("Lambda: executions to reserve", "20 needed, 0 available", "max_concurrency: 0"),
]
TEXT = """\
missing: Lambda: executions to reserve
    20 needed, 0 available.
    max_concurrency: 0

not known: billing
    the API is not enabled.
    enable it
"""


def test_what_is_missing_is_shown_first_with_its_rule_and_its_way_out() -> None:
    assert report.text_of(FINDINGS) == TEXT


def rigged(monkeypatch: pytest.MonkeyPatch, findings: list[Finding] | Exception) -> Any:
    """Settings of a cloud whose checks have these findings, or to which nobody is signed in."""

    def signed_in_as(_: object) -> str:
        if isinstance(findings, Exception):
            raise findings
        return "account 1 as ada"

    asked = [] if isinstance(findings, Exception) else [check("all", findings)]
    cloud = SimpleNamespace(signed_in_as=signed_in_as, checks=lambda _: asked)
    monkeypatch.setitem(report.MODULES, "aws", cloud)
    monkeypatch.setattr(report, "plan_of", lambda *_: None)
    return SimpleNamespace(cloud="aws")


def test_the_command_fails_if_anything_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^1 missing, 1 not known of 1 checks\. Nothing was"):
        report.print_account_check(rigged(monkeypatch, FINDINGS), ())
    assert capsys.readouterr().out == f"Signed in: account 1 as ada.\n{TEXT}\n"


def test_what_is_not_known_is_shown_and_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report.print_account_check(rigged(monkeypatch, FINDINGS[:1]), ())
    assert capsys.readouterr().out.endswith("1 not known; 1 checks.\n")
    report.print_account_check(rigged(monkeypatch, []), ())
    assert capsys.readouterr().out.endswith("Nothing is missing; 1 checks.\n")


def test_without_credentials_the_message_says_how_to_sign_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit, match=r"Not signed in to AWS: no token\. .*aws sso login"):
        report.print_account_check(rigged(monkeypatch, LookupError("no token")), ())


def test_a_sign_in_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = rigged(monkeypatch, [])
    monkeypatch.setattr(report, "SECONDS", 0.2)
    monkeypatch.setattr(report.MODULES["aws"], "signed_in_as", lambda _: time.sleep(3))
    with pytest.raises(SystemExit, match=r"Not signed in to AWS: no answer within 0\.2 seconds"):
        report.print_account_check(settings, ())


def test_the_first_deployment_does_not_begin_unless_a_person_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ALLOW", raising=False)
    [reason] = report.first_deployment_refusals(rigged(monkeypatch, FINDINGS))
    assert re.search(r"^1 missing.*Nothing was created.*ALLOW=account", reason)
    assert report.first_deployment_refusals(rigged(monkeypatch, FINDINGS[:1])) == []
    monkeypatch.setenv("ALLOW", "account")
    assert report.first_deployment_refusals(rigged(monkeypatch, FINDINGS)) == []


@pytest.mark.parametrize(
    ("limits", "empty", "asked"), [(True, True, 1), (True, False, 0), (False, True, 0)]
)
def test_only_the_first_deployment_into_an_account_with_limits_asks(
    limits: bool, empty: bool, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_account.report, "first_deployment_refusals", lambda _: ["lacking"])
    stack: Any = SimpleNamespace(account_has_limits=limits, is_empty=lambda: empty, environment={})
    settings: Any = SimpleNamespace()
    assert len(check_account.unprepared_account(stack, settings)) == asked
    if asked:
        with pytest.raises(SystemExit, match="Refused: lacking"):
            check_account.refuse_unprepared_account(stack, settings)
