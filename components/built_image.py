"""An image that a cloud's build service has made: what is the same on all clouds.

A cloud's own module (`components/<cloud>/dynamic/built_image.py`) says how its registry finds a tag's digest, and how
its build service is started.
"""

from __future__ import annotations

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from components.dynamic import Props, Provider, not_found, once_granted


class BuildFailed(Exception):
    """The build service did not make the image. The message has its reasons, and where the log is."""

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied
        """Whether the build's identity was refused something: its grants may not be in force yet."""


class ImageProvider(Provider):
    """The image is the resource, and its id is ``repository:tag``. The tag is the hash of the context: an image that
    already exists under the tag is the right one, and is not built again.
    """

    def digest(self, props: Props) -> str | None:
        """The digest of the image in the registry; None if there is no such image or repository."""
        raise NotImplementedError

    def build(self, props: Props) -> str:
        """Build and push; the digest. Raises `BuildFailed`."""
        raise NotImplementedError

    def create(self, props: Props) -> CreateResult:
        # A build cannot wait for its own permissions: one that was denied something is started again.
        digest = once_granted(
            lambda: self.digest(props) or self.build(props),
            denied=lambda error: isinstance(error, BuildFailed) and error.denied,
        )
        return CreateResult(f"{props['repository']}:{props['tag']}", _with_image(props, digest))

    def read(self, id_: str, props: Props) -> ReadResult:
        digest = self.digest(props)
        return not_found() if digest is None else ReadResult(id_, _with_image(props, digest))

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        # Another build project, account or place of the context would build the same image.
        return UpdateResult({**news, "image": olds["image"]})

    # No delete: the former image stays, for a rollback.


def _with_image(props: Props, digest: str) -> Props:
    return {**props, "image": f"{props['repository']}@{digest}"}
