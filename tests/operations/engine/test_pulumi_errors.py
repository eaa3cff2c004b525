"""Errors of Pulumi, with the way out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from operations.engine.pulumi_errors import explained


def test_a_lock_in_a_bucket_is_named_with_its_age_and_the_way_out() -> None:
    since = (datetime.now(UTC) - timedelta(minutes=47)).strftime("%Y-%m-%dT%H:%M:%SZ")
    where = "s3://states/.pulumi/locks/organization/triplane/staging/0b1c.json?region=eu-west-1"
    error = (
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or"
        " delete the lock file with `pulumi cancel`.\n"
        f"  {where}: created by runner@fv-az1 (pid 2177) at {since}\n"
    )
    text = explained(error, Path("Pulumi.staging.yaml"))
    assert text.startswith(error)
    assert f"{where}, created 47 minutes ago by process 2177 of runner on fv-az1" in text
    assert "pulumi cancel --stack staging" in text


def test_a_lock_of_pulumi_cloud_has_the_same_way_out() -> None:
    error = "error: [409] Conflict: Another update is currently in progress."
    text = explained(error, Path(".pulumi/stacks/Pulumi.production-gcp.yaml"))
    assert "pulumi cancel --stack production-gcp" in text
    assert "does not report by whom or since when" in text


def test_a_wrong_passphrase_is_reported_with_the_way_out() -> None:
    error = "error: getting stack configuration: get stack secrets manager: incorrect passphrase"
    text = explained(error, Path("Pulumi.dev.yaml"))
    assert text.startswith(error)
    assert "PULUMI_CONFIG_PASSPHRASE" in text
    assert "Pulumi.dev.yaml" in text
    assert explained("error: something else", Path("f")) == "error: something else"


def test_a_backend_in_azures_storage_without_an_account_is_reported_with_the_address_that_has_one() -> (
    None
):
    error = (
        "error: unable to open bucket azblob://states: azureblob: Options.AccountName is required"
    )
    text = explained(error, Path("Pulumi.prod.yaml"))
    assert text.startswith(error)
    assert "azblob://CONTAINER?storage_account=ACCOUNT" in text
