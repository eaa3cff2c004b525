"""How Pulumi marks special values in a state and in a preview: secrets, and values not known yet.

`policy.plain` reads the two signatures, which the SDK has as private names, for the policies and for this module.
https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/plugin/rpc.go
"""

from __future__ import annotations

from pulumi.runtime import rpc

from policy import plain

SIGNATURE = plain.SIGNATURE
"""The key of an object that is not to be read as it is: a secret, an asset, an archive."""
SECRET = plain.SECRET_SIGNATURE
"""The signature of a secret."""
UNKNOWN_STRINGS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        rpc.UNKNOWN,  # string, and nearly everything that the engine sends
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
"""Values that a preview does not know yet. The Python SDK has the one for strings only."""
DEFAULTS = "__defaults"
"""The input in which a provider that is made from Terraform's lists the inputs that it has filled in."""
CREATE_BEFORE_DELETE = "__createBeforeDelete"
"""The input in which azure-native notes that it has chosen a random name."""
