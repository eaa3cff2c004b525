"""The image on Azure: a task run builds it inside the registry."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from pathlib import Path

import pulumi
from pulumi_azure_native import containerregistry as acr

from components import build_context, contracts
from components.azure.foundation import Foundation
from components.azure.identity import Identity
from components.azure.image_registry import IMAGE, ImageRegistry

# The context travels as one argument of a command, and Linux takes 128 KiB for one (MAX_ARG_STRLEN,
# https://man7.org/linux/man-pages/man2/execve.2.html); the rest of the command needs some of it.
CONTEXT_LIMIT = 120 * 1024


class ImageBuild(contracts.ImageBuild):
    """The image, built by an ACR task run whose definition carries the build context.

    A run can also fetch its context from a URL, which must be public or signed with the storage account's key;
    there is no such key here.
    """

    def __init__(
        self, name: str, args: contracts.ImageBuildArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:ImageBuild", name, None, opts)
        foundation, identity = Foundation.of(args.foundation), Identity.of(args.identity)
        registry = ImageRegistry.of(args.registry)

        run = acr.TaskRun(
            f"{name}-run",
            resource_group_name=foundation.group.name,
            registry_name=registry.registry.name,
            location=foundation.region,
            identity=acr.IdentityPropertiesArgs(
                type=acr.ResourceIdentityType.USER_ASSIGNED,
                user_assigned_identities=identity.principal.apply(
                    lambda id_: {id_: acr.UserIdentityPropertiesArgs()}
                ),
            ),
            # Another tag is another context, and so another run of the same resource.
            force_update_tag=args.tag,
            run_request=acr.EncodedTaskRunRequestArgs(
                type="EncodedTaskRunRequest",
                encoded_task_content=base64.b64encode(
                    task(pack(args.context), args.tag).encode()
                ).decode(),
                platform=acr.PlatformPropertiesArgs(
                    os=acr.OS.LINUX, architecture=acr.Architecture.AMD64
                ),
                # By default a run is logged in to its registry with permissions of its own, on all
                # of it. This one pushes as the build identity, whose grants then decide.
                # https://learn.microsoft.com/azure/container-registry/container-registry-tasks-cross-registry-authentication
                credentials=acr.CredentialsArgs(
                    source_registry=acr.SourceRegistryCredentialsArgs(
                        login_mode=acr.SourceRegistryLoginMode.NONE
                    ),
                    custom_registries=pulumi.Output.all(
                        registry.registry.login_server, identity.client_id
                    ).apply(
                        lambda known: {
                            known[0]: acr.CustomRegistryCredentialsArgs(identity=known[1])
                        }
                    ),
                ),
                timeout=1800,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=identity.attachments),
        )

        self.image = run.run_result.apply(
            lambda result: "{0.registry}/{0.repository}@{0.digest}".format(
                next(image for image in result.output_images if image.repository == IMAGE)
            )
        )
        self.register_outputs({"image": self.image})


def pack(context: Path) -> str:
    """The build context as a base64 text; the same files give the same text on every machine.

    Raises pulumi.RunError when it is larger than a task's command can carry.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for path in build_context.context_files(context):
            content = (context / path).read_bytes()
            entry = tarfile.TarInfo(path.as_posix())
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    text = base64.b64encode(buffer.getvalue()).decode()
    if len(text) > CONTEXT_LIMIT:
        raise pulumi.RunError(
            f"{context.name}/ packs to {len(text) // 1024} KiB, and a task run of Azure Container"
            f" Registry carries {CONTEXT_LIMIT // 1024} KiB. Leave files out with"
            f" {context.name}/.dockerignore."
        )
    return text


def task(context: str, tag: str) -> str:
    """The task: unpack the context, build it, push it. `bash` is an alias that ACR Tasks knows.

    https://learn.microsoft.com/azure/container-registry/container-registry-tasks-reference-yaml
    """
    return f"""\
version: v1.1.0
steps:
  - cmd: bash -c "echo {context} | base64 -d | tar -xz"
  - build: -t $Registry/{IMAGE}:{tag} -f Dockerfile .
  - push: ["$Registry/{IMAGE}:{tag}"]
"""
