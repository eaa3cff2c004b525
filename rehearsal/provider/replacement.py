"""In which order a resource is replaced: what the real providers answer to the engine, as data with its source.

The engine creates the new resource first, unless the provider answers ``deleteBeforeReplace``. The program's
option ``delete_before_replace`` overrides the answer, in both directions:
https://www.pulumi.com/docs/iac/concepts/options/deletebeforereplace/
"""

from __future__ import annotations

from google.protobuf import struct_pb2

from rehearsal.core.wire import CREATE_BEFORE_DELETE, DEFAULTS

AUTONAMED = {"aws:s3/bucket:Bucket": "bucket"}
"""Bridged providers: the input for which the provider makes a name, where it is not ``name``, as of every other type
that has one (``SetAutonaming``). ``secretId``, ``repositoryId`` and the like of Google Cloud are not autonamed.
https://github.com/pulumi/pulumi-terraform-bridge/blob/master/pkg/tfbridge/info/autonaming.go
https://github.com/pulumi/pulumi-aws/blob/master/provider/resources.go
https://github.com/pulumi/pulumi-gcp/blob/master/provider/resources.go"""


def deletes_first(token: str, old_inputs: struct_pb2.Struct, news: struct_pb2.Struct) -> bool:
    """Whether the provider of this type has a replacement deleted before the new resource is created."""
    if token.startswith("azure-native:"):
        return _azure_native_deletes_first(old_inputs)
    return _bridge_deletes_first(AUTONAMED.get(token, "name"), news)


def _azure_native_deletes_first(old_inputs: struct_pb2.Struct) -> bool:
    """Always, unless the provider has chosen a random name, and noted that in the old inputs.

    Whether the name changes does not matter; neither does a name that looks like a random one.
    https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/provider/provider.go (Diff)
    """
    noted = old_inputs.fields.get(CREATE_BEFORE_DELETE)
    return noted is None or not noted.bool_value


def _bridge_deletes_first(name: str, news: struct_pb2.Struct) -> bool:
    """If the program gives the name of a type that has autonaming, even if it gives another one.

    Without a list of defaults the bridge takes the name for its own.
    https://github.com/pulumi/pulumi-terraform-bridge/blob/master/pkg/tfbridge/schema.go (nameRequiresDeleteBeforeReplace)
    """
    defaults = news.fields.get(DEFAULTS)
    if defaults is None or name not in news.fields:
        return False
    return all(each.string_value != name for each in defaults.list_value.values)
