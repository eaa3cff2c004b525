"""What recovery queries from Google Cloud: the stack's resources by their labels, and versions of secrets.

The resources are listed service by service. One list of all of them (Cloud Asset Inventory) is an API of its own,
which the platform does not enable. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.gcp import rest
from components.gcp.resource_types import RESOURCE_TYPES
from components.resource_type import Facts, LabelledList
from config.tags import tags_as_text
from operations.recovery.discovered_resource import DiscoveredResource, has_tags
from operations.recovery.refusals import secret_unreadable

BUCKET = "gcp:storage/bucket:Bucket"
SERVICE_ACCOUNT = "gcp:serviceaccount/account:Account"


def labelled_resources(
    project: str, region: str, labels: Mapping[str, str]
) -> Iterator[DiscoveredResource]:
    """The buckets, secrets, services and service accounts of the project with these labels."""
    yield from _buckets(project, labels)
    yield from _listed_resources(project, region, labels)
    yield from _service_accounts(project, labels)


def _buckets(project: str, labels: Mapping[str, str]) -> Iterator[DiscoveredResource]:
    from google.cloud import storage

    for bucket in storage.Client(project=project).list_buckets():
        if has_tags(bucket.labels, labels):
            yield DiscoveredResource(BUCKET, bucket.name)


def _listed_resources(
    project: str, region: str, labels: Mapping[str, str]
) -> Iterator[DiscoveredResource]:
    """What the list method of its service returns with labels."""
    urls = {"run": rest.cloud_run_url(), "secretmanager": rest.secret_manager_url()}
    for token, type_ in RESOURCE_TYPES.items():
        search = type_.search
        if not isinstance(search, LabelledList):
            continue
        parent = (
            f"projects/{project}/locations/{region}" if search.regional else f"projects/{project}"
        )
        url = f"{urls[search.service]}{parent}/{search.collection}"
        for each in enabled(rest.listed(url, search.collection)):
            if has_tags(each.get("labels"), labels):
                yield DiscoveredResource(token, each["name"].rpartition("/")[2])


def _service_accounts(project: str, labels: Mapping[str, str]) -> Iterator[DiscoveredResource]:
    """Service accounts take no labels: the platform writes them into the description."""
    url = f"{rest.iam_url()}projects/{project}/serviceAccounts"
    for each in enabled(rest.listed(url, "accounts")):
        if each.get("description") == tags_as_text(labels):
            yield DiscoveredResource(SERVICE_ACCOUNT, each["email"].partition("@")[0])


def enabled(resources: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What a service lists; nothing if its API is not enabled, because then nothing exists in it.

    https://cloud.google.com/apis/docs/troubleshooting#service_disabled
    """
    try:
        yield from resources
    except rest.GoogleError as error:
        if error.status != 403 or "has not been used in project" not in str(error):
            raise


def secret_version_id(facts: Facts) -> str | None:
    """The id of the next version if the state has one, because versions are counted; else of the latest."""
    if facts["next"] > 1:
        return "{secret}/versions/{next}".format_map(facts)
    secret = facts["secret"]
    try:
        versions = list(rest.listed(f"{rest.secret_manager_url()}{secret}/versions", "versions"))
    except rest.GoogleError as error:
        if error.status == 404:
            return None
        permission = "secretmanager.versions.list"
        raise SystemExit(secret_unreadable(secret, str(error), permission)) from None
    numbers = [
        int(each["name"].rpartition("/")[2]) for each in versions if each["state"] == "ENABLED"
    ]
    return f"{secret}/versions/{max(numbers)}" if numbers else None
