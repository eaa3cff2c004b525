"""What the platform knows about one resource type, as data.

Each cloud's package has an entry for every type that it registers (`components/<cloud>/resource_types.py`), and
`components.resource_types` has all of them. The operations, the policies and the tests read them there.
Nothing here needs Pulumi or a cloud's SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

DYNAMIC = "pulumi-python:dynamic/triplane:"
"""How the tokens of the platform's own dynamic resources begin."""

Facts = Mapping[str, Any]
"""A resource's inputs, and the stack's ``account``, ``region`` and ``partition``."""

ImportId = str | Callable[[Facts], str]
"""A template of `Facts`, or a pure function of them."""


class DeployGroup(StrEnum):
    """How far a deployment by the pipeline may change a type.

    A merge changes compute. How data is kept, and who has which access, is changed by a person's ``pulumi up``, as in
    the first deployment. docs/reference/delivery-permissions.md says what an attacker who has the pipeline can do.
    """

    COMPUTE = "compute"
    """What serves requests: create, read, update and delete; on Google Cloud no creation and deletion of what the
    permissions are granted on."""
    DATA = "data"
    """What stores data, images or secrets, and how it keeps them: read only, except for a secret's value,
    which a rotation writes. A setting can delete, too: a lifecycle that expires everything."""
    ACCESS = "access"
    """What decides who may do what: read only, so that drift is detected and nothing is granted."""


@dataclass(frozen=True)
class Deploy:
    """The permissions that the pipeline has on a type."""

    group: DeployGroup
    permissions: tuple[str, ...]


def compute(*permissions: str) -> Deploy:
    """Permissions on a type of the compute group."""
    return Deploy(DeployGroup.COMPUTE, permissions)


def data(*permissions: str) -> Deploy:
    """Permissions on a type of the data group."""
    return Deploy(DeployGroup.DATA, permissions)


def access(*permissions: str) -> Deploy:
    """Permissions on a type of the access group."""
    return Deploy(DeployGroup.ACCESS, permissions)


@dataclass(frozen=True)
class TaggedArn:
    """AWS: the tagging API lists the type by its tags."""

    pattern: str
    """An ARN of the type without ``arn:aws:``; the group is the name."""


@dataclass(frozen=True)
class LabelledList:
    """Google Cloud: the service's own list method returns the labels."""

    service: Literal["run", "secretmanager"]
    collection: str
    regional: bool = False
    """Listed below a location of the project, not below the project itself."""


@dataclass(frozen=True)
class TaggedArmType:
    """Azure: the list of a resource group's resources returns the tags."""

    arm_type: str


@dataclass(frozen=True)
class ArmChildren:
    """Azure: the type has no tags and is listed below its parent only."""

    parent: str
    """Template of the parent's id."""
    collection: str
    api_version: str


Search = TaggedArn | LabelledList | TaggedArmType | ArmChildren
"""How the resources of a type are found by the stack's tags when no state names them."""

Precious = Literal["lake", "registry", "endpoint", "vault", "workspace", "resource group"]


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """The facts about one type."""

    deploy: Deploy
    creation: tuple[str, ...] = ()
    """What a person needs besides `deploy`: to create, change and delete a type that the pipeline may not, and to remove
    a tag of another."""
    import_id: ImportId | None = None
    """The id that the provider documents for ``pulumi import``, from the inputs. None: it does not follow from
    them; for some of these types `operations.recovery.physical_ids` queries the cloud."""
    keeps_import_id: bool = True
    """False: a resource that was imported under `import_id` has another id afterwards."""
    importable: bool = True
    """False: the provider has no import, and reads a resource again by its inputs."""
    precious: Precious | None = None
    """What is lost when it is replaced: data, or an address that callers know."""
    search: Search | None = None
    """None: its name is fixed, or `operations.recovery.queries` has a function of its own for it."""
    secret_paths: tuple[str, ...] = ()
    """The properties that may have a secret's value, which is nowhere else in a plan."""
    secret_output: str | None = None
    """The output in which the cloud returns the value."""


RANDOM_KEY = f"{DYNAMIC}RandomKey"

SHARED: dict[str, ResourceType] = {
    # It exists in the state only.
    RANDOM_KEY: ResourceType(importable=False, secret_paths=("value",), deploy=compute()),
}
"""The types that every cloud registers."""


@dataclass(frozen=True)
class DeployPermissions:
    """The pipeline's permissions on the platform's resource types, by group and type."""

    compute: Mapping[str, Sequence[str]]
    data: Mapping[str, Sequence[str]]
    access: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, types: Mapping[str, ResourceType]) -> DeployPermissions:
        """The permissions on these types."""
        return cls(
            *(
                {
                    token: type_.deploy.permissions
                    for token, type_ in types.items()
                    if type_.deploy.group is group
                }
                for group in DeployGroup
            )
        )

    @property
    def permissions(self) -> list[str]:
        """All of them, sorted, each once."""
        groups = (self.compute, self.data, self.access)
        return sorted({each for types in groups for names in types.values() for each in names})
