"""What a state of this program may have as ``__provider``: references to its own dynamic providers, and nothing else.

Pulumi keeps the provider of a dynamic resource in the state as a pickle, and loads it for a preview, a refresh and a
destroy. Loading a pickle can run any code, so whoever can write the state would run it with the credentials of
whoever next reads it. The SDK knows no other form:
https://github.com/pulumi/pulumi/blob/master/sdk/python/lib/pulumi/dynamic/__main__.py (get_provider)
"""

from __future__ import annotations

import base64
import struct

from components.former_names import FORMER_NAMES

PROVIDERS = frozenset(
    {
        *FORMER_NAMES.values(),
        "components.aws.dynamic.scaling_deregistration:ScalingDeregistrationProvider",
        "components.azure.dynamic.app_settings:AppSettingsProvider",
        "components.azure.dynamic.built_image:BuiltImageProvider",
        "components.azure.dynamic.grants_in_force:GrantsInForceProvider",
        "components.random_key:RandomKeyProvider",
    }
)
"""``module:class`` of every dynamic provider. A test holds it against the classes themselves."""


def stored_form(reference: str) -> str:
    """What Pulumi stores for an instance, without attributes, of the class ``module:class``.

    It is a pickle of protocol 4: a frame with the two names, the class that they give, and an empty call of it.
    https://github.com/python/cpython/blob/main/Lib/pickletools.py
    """
    names = [name.encode() for name in reference.split(":")]
    frame = b"".join(b"\x8c" + bytes([len(name)]) + name + b"\x94" for name in names)
    frame += b"\x93\x94)\x81\x94."
    return base64.b64encode(b"\x80\x04\x95" + struct.pack("<Q", len(frame)) + frame).decode()


STORED_FORMS = frozenset(stored_form(each) for each in PROVIDERS | FORMER_NAMES.keys())
"""Every ``__provider`` that this program, or a former version of it, writes into a state."""
