"""The ids that recovery works out from inputs are those under which everything stands."""

from __future__ import annotations

from bench.harness import Stack
from operations.recovery import physical_ids

IMPORTED_AS_ELSE = {
    "aws:lambda/alias:Alias",  # by its path, and stands as its ARN
    "aws:lambda/permission:Permission",  # by function and statement, and stands as its statement
    "gcp:secretmanager/secretVersion:SecretVersion",  # as the next one, where the state has one
    # Bindings: what they are on, the role and the member, with spaces between, and stand with slashes.
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember",
    f"{physical_ids.OURS}AwsBuiltImage",  # by its tag, and stands by its digest
}
"""Types whose documented import id is not the id that they have afterwards."""


def test_the_id_that_recovery_works_out_is_the_one_that_it_has(stack: Stack) -> None:
    resources = stack.resources()
    checked = {}
    for each in resources:
        worked_out = physical_ids.physical_id(each, resources)
        if worked_out and each["type"] not in IMPORTED_AS_ELSE:
            checked[each["urn"]] = (worked_out, each["id"])
    assert len(checked) > 8
    assert {urn: pair for urn, pair in checked.items() if pair[0] != pair[1]} == {}
