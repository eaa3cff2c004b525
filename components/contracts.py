"""The interfaces of the components: what each takes, and what it offers to the others, on every cloud.

A cloud package (``components/aws``, ``components/gcp``, ``components/azure``) has one module a component,
and each module has one class of the component's own name. How the components are connected is written once, in
``components/platform.py``; a cloud package only builds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self, TypeVar

import pulumi

from config.model_store import Artifact


class Zone(StrEnum):
    """A part of the data lake: a key prefix on AWS and Google Cloud, a blob container on Azure."""

    RAW = "raw"
    CURATED = "curated"
    MODELS = "models"
    CAPTURES = "captures"
    BUILDS = "builds"
    STATE = "state"
    """A copy of the stack's own state, for `make adopt`. No workload is granted it."""


class Access(StrEnum):
    """What a grant allows. Each cloud translates it into its own narrowest permissions."""

    READ = "read"
    """Read objects of a lake's zone, or the value of a secret."""
    WRITE = "write"
    """Create objects in a lake's zone; neither read nor delete them."""
    PULL = "pull"
    """Pull images from a registry."""
    PUSH = "push"
    """Pull images from, and push them to, a registry."""
    INVOKE = "invoke"
    """Ask a model endpoint for predictions."""


class Workload(StrEnum):
    """Who an identity is for; decides which of the cloud's services may assume it."""

    BUILD = "build"
    SERVING = "serving"
    GATEWAY = "gateway"


class Image(StrEnum):
    """An image of the platform, by its folder in ``lambda/``. Each is known by the content of its own folder, so that
    a change of one is no change of the other."""

    MODEL_SERVER = "model_server"
    GATEWAY = "gateway"


class Component(pulumi.ComponentResource):
    """A part of the platform. Each cloud has a class of its own for it."""

    @classmethod
    def of(cls, component: Component) -> Self:
        """``component`` as an instance of this class: with the attributes that only this cloud's class has.

        Raises TypeError if it is another cloud's.
        """
        if not isinstance(component, cls):
            raise TypeError(
                f"{cls.__module__}.{cls.__name__} is needed, and"
                f" {type(component).__module__}.{type(component).__name__} was given:"
                " all components of a platform are of the same cloud"
            )
        return component


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """Where the platform is built. ``project`` is set on Google Cloud only."""

    region: str
    environment: str
    tags: Mapping[str, str]
    keep_data: bool
    project: str | None = None


class Foundation(Component):
    """What everything else on this cloud needs: facts about the account, enabled APIs, a resource group."""

    args: FoundationArgs
    region: str


@dataclass(frozen=True, kw_only=True)
class DataLakeArgs:
    foundation: Foundation
    captures_days: int
    """Captures are deleted after so many days."""
    noncurrent_days: int
    """Overwritten or deleted versions of an object are kept for so many days."""


class DataLake(Component):
    """A private, encrypted, versioned object store with the zones of `Zone`."""

    uri: pulumi.Output[str]
    """The lake's place, in the form of the cloud's own tools: ``s3://…``, ``gs://…``, ``https://…``."""


@dataclass(frozen=True, kw_only=True)
class ImageRegistryArgs:
    foundation: Foundation


class ImageRegistry(Component):
    """A private registry for the platform's images."""

    repository: pulumi.Output[str]
    """The name of the images without tag or digest: all have one name, and tags that begin with their own."""


@dataclass(frozen=True)
class Grant:
    """One permission, as data. The identity that has the grant gets the permission."""

    target: DataLake | ImageRegistry | ModelEndpoint | ApiKey
    access: Access
    zone: Zone | None = None
    """Required with a lake, and only there."""
    prefixes: tuple[str, ...] = ()
    """The folders of the zone that it is for, such as a model's; none: the whole zone."""
    files: tuple[str, ...] = ()
    """The names of the only files in them, or below them, that it is for; none: all."""

    def __post_init__(self) -> None:
        if isinstance(self.target, DataLake) != (self.zone is not None):
            raise TypeError("a grant names a zone if, and only if, its target is a lake")
        if (self.prefixes and not self.zone) or (self.files and not self.prefixes):
            raise TypeError("a grant names prefixes of a zone, and files of prefixes")


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    foundation: Foundation
    workload: Workload
    grants: Sequence[Grant]
    label: str = ""
    """What tells identities of one workload apart, such as ``serving-flight-delay``; empty: there is one."""


class Identity(Component):
    """The identity of one workload, with exactly its grants."""

    workload: Workload
    label: str
    """The one of the arguments, or the workload."""
    principal: pulumi.Output[str]
    """Role ARN, service account e-mail or managed identity resource id."""
    attachments: list[pulumi.Resource]
    """What gives the identity its grants. A workload depends on them, not on the identity alone."""


@dataclass(frozen=True, kw_only=True)
class ImageBuildArgs:
    foundation: Foundation
    lake: DataLake
    registry: ImageRegistry
    build_identity: Identity | None
    """None: the registry builds as itself (`CloudPackage.WORKLOADS`)."""
    context: Path
    """The folder with the Dockerfile."""
    arguments: Mapping[str, str]
    """The values of the Dockerfile's build arguments (`CloudPackage.BUILD_ARGUMENTS`)."""
    tag: str
    """With the hash of context and arguments: another of either is a new tag, and so a new build."""

    @property
    def identity(self) -> Identity:
        """What the build runs as. Raises TypeError on a cloud whose registry builds as itself."""
        if self.build_identity is None:
            raise TypeError("the cloud's registry builds as itself")
        return self.build_identity


class ImageBuild(Component):
    """The image, built by the cloud's own build service from a folder of this repository."""

    image: pulumi.Output[str]
    """The image pinned by digest: ``repository@sha256:…``."""


@dataclass(frozen=True, kw_only=True)
class ModelArtifactArgs:
    foundation: Foundation
    lake: DataLake
    artifact: Artifact


class ModelArtifact(Component):
    """An artifact's files in the lake's models zone: a model's, or the bundle of several models that share an endpoint.
    They stay there when another version serves."""

    uri: pulumi.Output[str]
    """The URI that the cloud's model service takes: the archive's on AWS, the folder's elsewhere."""
    version: str


@dataclass(frozen=True, kw_only=True)
class WorkspaceArgs:
    foundation: Foundation
    lake: DataLake


class Workspace(Component):
    """What the model endpoints of a platform share: a workspace on Azure, and nothing elsewhere."""


@dataclass(frozen=True, kw_only=True)
class ModelEndpointArgs:
    foundation: Foundation
    lake: DataLake
    workspace: Workspace
    label: str
    """Its name in the settings."""
    serving_identity: Identity | None
    """None: the cloud serves models as an account of its own (`CloudPackage.WORKLOADS`)."""
    image: pulumi.Input[str]
    model: ModelArtifact
    """What it serves: one model, or the bundle of several."""
    machine: str
    """``serverless`` (AWS only) or the cloud's own instance type."""
    min_instances: int
    max_instances: int
    serverless_concurrency: int
    """AWS only: predictions at a time of a ``serverless`` endpoint."""

    @property
    def identity(self) -> Identity:
        """What the model server runs as. Raises TypeError on a cloud that has its own account for it."""
        if self.serving_identity is None:
            raise TypeError("the cloud serves models as an account of its own")
        return self.serving_identity


class ModelEndpoint(Component):
    """The managed ML service serving one artifact; another version of it rolls without downtime."""

    label: str
    """Its name in the settings."""
    endpoint_name: pulumi.Output[str]
    """The cloud's own name."""
    endpoint_url: pulumi.Output[str]
    """Where the cloud's own API answers predictions for this endpoint."""
    model_version: pulumi.Output[str]
    """The artifact's version that takes the traffic, known once it does."""
    target: pulumi.Output[str]
    """What the gateway calls: the endpoint's name or URL."""


@dataclass(frozen=True, kw_only=True)
class ApiKeyArgs:
    foundation: Foundation
    rotation: int
    """Another number makes a new key."""


class ApiKey(Component):
    """The key that callers of the gateway send, stored in the cloud's own secret store."""

    value: pulumi.Output[str]
    """The key itself, always secret."""


@dataclass(frozen=True)
class Route:
    """Where the gateway finds the predictions of one model."""

    version: pulumi.Input[str]
    """The model's version, known once its endpoint serves it."""
    target: pulumi.Input[str]
    """`ModelEndpoint.target`, or the same of an endpoint that exists elsewhere."""


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    foundation: Foundation
    lake: DataLake
    identity: Identity
    routes: Mapping[str, Route]
    """By the model's name."""
    built_image: pulumi.Input[str] | None
    """None: the cloud runs the gateway from a zip (`CloudPackage.IMAGES`)."""
    code: Path
    """The folder of the Python package ``gateway``, for that cloud."""
    key: ApiKey | None
    """None: the public may call."""
    max_concurrency: int
    """Requests served at once; 0: as many as the account allows."""
    app_service_plan: str
    """Azure only: what the gateway runs on."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that mean the same on every cloud; nothing secret."""

    @property
    def image(self) -> pulumi.Input[str]:
        """What the gateway runs. Raises TypeError on a cloud that runs it from a zip."""
        if self.built_image is None:
            raise TypeError("the cloud runs the gateway from a zip")
        return self.built_image

    def environment(self, **cloud: pulumi.Input[str]) -> pulumi.Output[dict[str, str]]:
        """The gateway's environment variables, ``cloud`` being this cloud's own; nothing secret.

        Sorted by name, so that their order is never a change.
        """
        known = {
            **self.settings,
            "ACCESS": "key" if self.key else "public",
            "CAPTURE_URI": pulumi.Output.concat(self.lake.uri, "/", Zone.CAPTURES.value),
            # Compact: Lambda allows 4 KB for all variables together.
            "MODELS": pulumi.Output.json_dumps(
                {name: [route.version, route.target] for name, route in self.routes.items()},
                sort_keys=True,
                separators=(",", ":"),
            ),
            "MODELS_URI": pulumi.Output.concat(self.lake.uri, "/", Zone.MODELS.value),
            **cloud,
        }
        return pulumi.Output.all(**known).apply(lambda values: dict(sorted(values.items())))


class Gateway(Component):
    """The public entry: validates a request, calls the model's endpoint, keeps a capture in the lake."""

    url: pulumi.Output[str]
    """Without a trailing slash."""


@dataclass(frozen=True, kw_only=True)
class DeliveryArgs:
    foundation: Foundation
    lake: DataLake
    identities: Sequence[Identity]
    """The workloads' identities: those that the pipeline may assign to the services that it sets up."""
    registry: ImageRegistry
    endpoints: Sequence[ModelEndpoint]
    gateway: Gateway
    key: ApiKey | None
    """The gateway's key, which a deployment rotates; None: the gateway is public."""
    subject: str
    """The ``sub`` of the one kind of token that is trusted: `config.schema.Delivery`."""
    branch: str
    existing_provider: bool
    """AWS only: the account has the identity provider for GitHub already, and allows no second one."""
    prefix: str
    """How the physical names of all of the platform's resources begin."""

    zones = (Zone.BUILDS, Zone.MODELS, Zone.STATE)
    """The zones that a deployment writes to: no captures, no training data."""

    @property
    def ref(self) -> str:
        """The branch, as git and GitHub's tokens name it in full."""
        return f"refs/heads/{self.branch}"


class Delivery(Component):
    """The identity that a pipeline on GitHub deploys as, without a key that could be stolen."""

    identity: pulumi.Output[str]
    """The identity that the pipeline signs in as: role ARN, service account e-mail or client id."""
    provider: pulumi.Output[str]
    """The checker of the pipeline's tokens: identity provider's ARN, pool provider's name, credential's id."""


Args = TypeVar("Args", contravariant=True)
Built = TypeVar("Built", covariant=True)


class ComponentClass(Protocol[Args, Built]):
    """A component's class, as far as it is called to build one."""

    def __call__(
        self, name: str, args: Args, opts: pulumi.ResourceOptions | None = None
    ) -> Built: ...


class CloudPackage(Protocol):
    """What a cloud package exports."""

    WORKLOADS: tuple[Workload, ...]
    """The workloads that run as an identity of the platform's, and not as an account of the cloud's own."""
    IMAGES: tuple[Image, ...]
    """The images that are built: without the gateway's where the gateway is a function."""
    BUILD_ARGUMENTS: Mapping[str, str]
    """Values for ``ARG`` in the Dockerfiles, where this cloud needs other ones than their defaults."""
    Foundation: ComponentClass[FoundationArgs, Foundation]
    DataLake: ComponentClass[DataLakeArgs, DataLake]
    ImageRegistry: ComponentClass[ImageRegistryArgs, ImageRegistry]
    Identity: ComponentClass[IdentityArgs, Identity]
    ImageBuild: ComponentClass[ImageBuildArgs, ImageBuild]
    ModelArtifact: ComponentClass[ModelArtifactArgs, ModelArtifact]
    Workspace: ComponentClass[WorkspaceArgs, Workspace]
    ModelEndpoint: ComponentClass[ModelEndpointArgs, ModelEndpoint]
    ApiKey: ComponentClass[ApiKeyArgs, ApiKey]
    Gateway: ComponentClass[GatewayArgs, Gateway]
    Delivery: ComponentClass[DeliveryArgs, Delivery]
