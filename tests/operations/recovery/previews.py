"""Resources as a preview shows them, and a state to import them into, for the tests of the importer."""

from __future__ import annotations

from typing import Any

from operations.engine.wire import SECRET, SIGNATURE
from operations.recovery.discovered_resource import DiscoveredResource

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What a preview shows for a value that it does not know yet."""
URN = "urn:pulumi:dev::triplane::"
PROVIDER = f"{URN}pulumi:providers:aws::default_7"
BUCKET, POLICY = "aws:s3/bucket:Bucket", "aws:s3/bucketPolicy:BucketPolicy"
TAGS = {"project": "triplane", "environment": "dev", "managed-by": "pulumi", "stack": "dev"}
ENCRYPTED = {SIGNATURE: SECRET, "ciphertext": "v1:abc"}


def missing(type_: str, name: str, **more: Any) -> dict[str, Any]:
    """A resource that the program would create."""
    custom = {"custom": True, "provider": f"{PROVIDER}::{UNKNOWN}", "parent": f"{URN}c::c"}
    return {"urn": f"{URN}{type_}::{name}", "type": type_, "inputs": {}, **custom, **more}


def deployment(*resources: dict[str, Any]) -> dict[str, Any]:
    """A deployment with a provider, the foundation, and these resources."""
    provider = {
        "urn": PROVIDER,
        "type": "pulumi:providers:aws",
        "id": "1",
        "inputs": {"region": "r"},
    }
    foundation = {"urn": "f", "type": "triplane:aws:Foundation", "inputs": {"account": "1"}}
    return {"resources": [provider, foundation, *resources]}


LAKE = missing(BUCKET, "lake", inputs={"bucket": "lake-0000001", "tags": TAGS, "x": UNKNOWN})
"""An autonamed bucket: the digits are this preview's own."""
EXISTING_LAKE = DiscoveredResource(BUCKET, "lake-1234567")
