"""The waivers of `make checkov` and `make judge`: each has a reason, and covers no more than it says."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from pathlib import Path

import pytest

from policy import checkov, judge, waivers

FILES = [(checkov.WAIVERS, "CKV"), (judge.WAIVERS, r"[EW]\d{4}$|discovery$")]
FAILED = waivers.Failed("CKV_1", "aws", "aws_s3_bucket.logs-1", "no logs")
WAIVER = waivers.Waiver("CKV_1", ("aws_s3_bucket.*",), "because", datetime.date(2026, 1, 1))


@pytest.mark.parametrize(("file", "checks"), FILES)
def test_every_waiver_has_a_reason_and_a_date(file: Path, checks: str) -> None:
    for waiver in waivers.read(file):
        assert re.match(checks, waiver.check)
        assert waiver.resources, waiver.check
        assert not any(each in ("*", "") for each in waiver.resources), "name at least the type"
        assert len(waiver.reason.split()) >= 2, waiver.check
        assert waiver.date <= datetime.datetime.now(datetime.UTC).date()


@pytest.mark.parametrize(("file", "checks"), FILES)
def test_no_check_is_waived_twice_for_the_same_resource(file: Path, checks: str) -> None:
    waived = [(w.check, resource) for w in waivers.read(file) for resource in w.resources]
    assert len(waived) == len(set(waived))


def test_a_waiver_covers_its_check_on_its_resources_only() -> None:
    waiver = waivers.Waiver("CKV_1", ("aws_s3_bucket.logs*",), "…", datetime.date(2026, 1, 1))
    failed = waivers.Failed("CKV_1", "aws", "aws_s3_bucket.logs-1", "")
    assert waiver.covers(failed)
    assert not waiver.covers(replace(failed, check="CKV_2"))
    assert not waiver.covers(replace(failed, resource="aws_s3_bucket.lake"))


def test_what_is_waived_what_is_not_and_what_nothing_needs_are_reported() -> None:
    other, stale = replace(FAILED, check="CKV_2"), replace(WAIVER, check="CKV_3")
    lines = list(waivers.report([FAILED, other], [WAIVER, stale], Path("waivers.toml")))
    assert [line.split()[:2] for line in lines] == [
        ["waived", "CKV_1"],
        ["FAILED", "CKV_2"],
        ["UNUSED", "CKV_3:"],
    ]
