"""The nouns that every cloud package builds, and what they promise each other.

A cloud package (``components/aws``, ``components/gcp``, ``components/azure``) has one module a noun,
and each module has one class of the noun's own name. The wiring between nouns is written once, in
``components/platform.py``; a cloud package only builds parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

import pulumi

from config.github import github_subject
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


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """Where the platform stands. ``project`` is set on Google Cloud only."""

    region: str
    environment: str
    tags: Mapping[str, str]
    keep_data: bool
    project: str | None = None


class Foundation(pulumi.ComponentResource):
    """What everything else on this cloud stands on: account facts, enabled APIs, a resource group."""

    args: FoundationArgs


@dataclass(frozen=True, kw_only=True)
class DataLakeArgs:
    foundation: Foundation
    captures_days: int
    """Captures are deleted after so many days."""
    noncurrent_days: int
    """Overwritten or deleted versions of an object are kept for so many days."""


class DataLake(pulumi.ComponentResource):
    """A private, encrypted, versioned object store with the zones of `Zone`."""

    uri: pulumi.Output[str]
    """Where the lake is, in the words of the cloud's own tools: ``s3://…``, ``gs://…``, ``https://…``."""


@dataclass(frozen=True, kw_only=True)
class ImageRegistryArgs:
    foundation: Foundation


class ImageRegistry(pulumi.ComponentResource):
    """A private registry for the platform's one image."""

    repository: pulumi.Output[str]
    """The image name without tag or digest."""


@dataclass(frozen=True)
class Grant:
    """One permission, as data: who gets it is the identity that carries it."""

    target: DataLake | ImageRegistry | ModelEndpoint | ApiKey
    access: Access
    zone: Zone | None = None
    """Required with a lake, and only there."""

    def __post_init__(self) -> None:
        if isinstance(self.target, DataLake) != (self.zone is not None):
            raise TypeError("a grant names a zone if, and only if, its target is a lake")


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    foundation: Foundation
    workload: Workload
    grants: Sequence[Grant]


class Identity(pulumi.ComponentResource):
    """The identity of one workload, holding exactly its grants."""

    principal: pulumi.Output[str]
    """Role ARN, service account e-mail or managed identity resource id."""
    ready: list[pulumi.Resource]
    """What must exist before the workload starts: the attachments, not only the identity."""


@dataclass(frozen=True, kw_only=True)
class ImageBuildArgs:
    foundation: Foundation
    lake: DataLake
    registry: ImageRegistry
    identity: Identity
    context: Path
    """The folder with the Dockerfile."""
    tag: str
    """The context's content hash; a changed context is a new tag, and so a new build."""


class ImageBuild(pulumi.ComponentResource):
    """The image, built by the cloud's own build service from a folder of this repository."""

    image: pulumi.Output[str]
    """The image pinned by digest: ``repository@sha256:…``."""


@dataclass(frozen=True, kw_only=True)
class ModelArtifactArgs:
    foundation: Foundation
    lake: DataLake
    artifact: Artifact


class ModelArtifact(pulumi.ComponentResource):
    """The artifact's files in the lake's models zone. They stay there when another version serves."""

    uri: pulumi.Output[str]
    """What the cloud's model service takes: the archive's URI on AWS, the folder's elsewhere."""
    version: str


@dataclass(frozen=True, kw_only=True)
class ModelEndpointArgs:
    foundation: Foundation
    lake: DataLake
    identity: Identity
    image: pulumi.Input[str]
    model: ModelArtifact
    machine: str
    """``serverless`` (AWS only) or the cloud's own instance type."""
    min_instances: int
    max_instances: int


class ModelEndpoint(pulumi.ComponentResource):
    """The managed ML service serving one model version; another version rolls without downtime."""

    endpoint_name: pulumi.Output[str]
    endpoint_url: pulumi.Output[str]
    """Where the cloud's own API answers predictions for this endpoint."""
    model_version: pulumi.Output[str]
    """The version that takes the traffic, known once it does."""
    gateway_settings: pulumi.Output[dict[str, str]]
    """Environment variables that tell the gateway how to reach this endpoint; nothing secret."""


@dataclass(frozen=True, kw_only=True)
class ApiKeyArgs:
    foundation: Foundation
    rotation: int
    """Any other number makes a new key."""


class ApiKey(pulumi.ComponentResource):
    """The key that callers of the gateway hold, kept in the cloud's own secret store."""

    value: pulumi.Output[str]
    """The key itself, always secret."""


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    foundation: Foundation
    lake: DataLake
    identity: Identity
    endpoint: ModelEndpoint
    image: pulumi.Input[str]
    code: Path
    """The folder ``lambda``, for the cloud that runs the gateway from a zip."""
    key: ApiKey | None
    """None: the public may call."""
    max_concurrency: int
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that mean the same on every cloud; nothing secret."""


class Gateway(pulumi.ComponentResource):
    """The public front door: validates, asks the model endpoint, keeps a capture in the lake."""

    url: pulumi.Output[str]
    """Without a trailing slash."""


@dataclass(frozen=True, kw_only=True)
class DeliveryArgs:
    foundation: Foundation
    lake: DataLake
    identities: Sequence[Identity]
    """The workloads' identities: the ones that the pipeline may hand to the services it sets up."""
    registry: ImageRegistry
    repository: str
    """``owner/name`` on GitHub, or ``owner@id/name@id``: as it stands in the subject of its tokens."""
    branch: str
    environment: str | None
    """GitHub's word for a gate in front of a job; not the stack's environment."""
    existing_provider: bool
    """AWS only: the account has the identity provider for GitHub already, and takes no second."""
    prefix: str
    """How the physical names of everything that the platform makes begin."""

    zones = (Zone.BUILDS, Zone.MODELS, Zone.STATE)
    """The zones that a deployment writes to: nobody's captures, no training data."""

    @property
    def subject(self) -> str:
        """The ``sub`` of the one kind of token that is trusted."""
        return github_subject(self.repository, self.branch, self.environment)

    @property
    def ref(self) -> str:
        """The branch, as git and GitHub's tokens name it in full."""
        return f"refs/heads/{self.branch}"


class Delivery(pulumi.ComponentResource):
    """The identity that a pipeline on GitHub deploys as, without a key that could be stolen."""

    identity: pulumi.Output[str]
    """Role ARN, service account e-mail or client id: what the pipeline signs in as."""
    provider: pulumi.Output[str]
    """What checks the pipeline's tokens: identity provider's ARN, pool provider's name, credential's id."""


Args = TypeVar("Args", contravariant=True)
Noun = TypeVar("Noun", covariant=True)


class Builds(Protocol[Args, Noun]):
    """A noun's class, seen as what makes one."""

    def __call__(
        self, name: str, args: Args, opts: pulumi.ResourceOptions | None = None
    ) -> Noun: ...


class CloudPackage(Protocol):
    """What a cloud package exports."""

    Foundation: Builds[FoundationArgs, Foundation]
    DataLake: Builds[DataLakeArgs, DataLake]
    ImageRegistry: Builds[ImageRegistryArgs, ImageRegistry]
    Identity: Builds[IdentityArgs, Identity]
    ImageBuild: Builds[ImageBuildArgs, ImageBuild]
    ModelArtifact: Builds[ModelArtifactArgs, ModelArtifact]
    ModelEndpoint: Builds[ModelEndpointArgs, ModelEndpoint]
    ApiKey: Builds[ApiKeyArgs, ApiKey]
    Gateway: Builds[GatewayArgs, Gateway]
    Delivery: Builds[DeliveryArgs, Delivery]
