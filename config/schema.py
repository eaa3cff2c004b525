"""The settings of a stack: types, defaults, limits and descriptions.

The model's aliases are the keys of the stack file, so that an error can name its key. No rule needs a
cloud: all settings are validated offline, before anything is created. config/validation.py applies the
schema, config/messages.py writes the error report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    ValidationInfo,
    field_validator,
)

from config.catalogue import CATALOGUE, catalogue_entry
from config.clouds import Cloud
from config.endpoints import (
    EndpointConfig,
    ServedModel,
    allowed_name,
    endpoints_of,
    refuse_contradictions,
    written_models,
)
from config.github import TEMPLATE, github_subject
from config.messages import did_you_mean
from config.model_store import CHAMPION, MODEL, Artifact
from config.sections import SERVERLESS_CONCURRENCY, Endpoint, Machines, Section, between
from config.tags import tag_problems


class Gateway(Section):
    """Who may call the gateway, how much it serves at once, and how large a request may be."""

    access: Literal["key", "public"] = Field(
        "key", description="`key`: holders of the key in the cloud's secret store; `public`: anyone"
    )
    key_rotation: Annotated[StrictInt, between(1, 1_000_000)] = Field(
        1, description="Another number creates a new key"
    )
    max_concurrency: Annotated[StrictInt, between(0, 1000)] = Field(
        20,
        description="Requests served at once; more are rejected. `0`: as many as the account allows, and nothing"
        " is reserved for it",
    )
    # The endpoints' own limits for a request: SageMaker serverless 4 MB, Vertex AI 1.5 MB, Azure ML 1.5 MB.
    max_body_kib: Annotated[StrictInt, between(1, 1024)] = Field(
        256, description="Largest request body, in KiB; a model's images have room beside it"
    )
    app_service_plan: str = Field("B1", description="Azure: size of the gateway's App Service plan")
    captures: Literal["background", "sync"] = Field(
        "background",
        description="`background`: captures are written after the answer, and a killed gateway loses those of its last two"
        " writes, at most 1,000; `sync`: before it, so that no answered prediction is without its capture",
    )

    @field_validator("app_service_plan")
    @classmethod
    def plan_is_in_catalogue(cls, value: str) -> str:
        return catalogue_entry("azure", "app_service_plans", value)


class Lake(Section):
    """How long the lake keeps captures, and former versions of objects."""

    captures_days: Annotated[StrictInt, between(1, 3650)] = Field(
        90,
        description="Days after which captures of requests are deleted, in all versions"
        " (Google Cloud and Azure can restore them for up to 7 more: soft delete)",
    )
    noncurrent_days: Annotated[StrictInt, between(1, 3650)] = Field(
        30, description="Days for which overwritten or deleted versions of an object are kept"
    )


REPOSITORY = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9-]{0,38})(@[1-9]\d{0,19})?/([A-Za-z0-9_.-]{1,100})(@[1-9]\d{0,19})?",
    re.ASCII,
)


class Delivery(Section):
    """Which jobs of GitHub Actions may deploy this stack."""

    repository: str = Field(
        "",
        description="`owner/name` on GitHub, or `owner@id/name@id`: the form in the `sub` of its tokens;"
        " empty: no identity for deliveries is created",
    )
    branch: str = Field("main", description="Branch whose jobs may deploy")
    environment: str = Field(
        "", description="GitHub environment whose jobs may deploy; empty: any job on the branch"
    )
    branch_in_subject: bool = Field(
        False,
        description="The `sub` of the repository's tokens names the branch beside the environment: GitHub's"
        f" `include_claim_keys` are `{'`, `'.join(TEMPLATE)}`",
    )
    existing_provider: bool = Field(
        False, description="AWS: the account already has an identity provider for GitHub"
    )

    # No wildcards and no quotes in any of the three: they are copied unchanged into trust conditions.
    @field_validator("repository")
    @classmethod
    def repository_is_a_name(cls, value: str) -> str:
        if not value:
            return value
        match = REPOSITORY.fullmatch(value)
        if not match:
            candidate = re.sub(
                r"^(https?://|git@)?github\.com[/:]|^repo:|\.git$|:(ref|environment):.*$", "", value
            )
            hint = f" Did you mean {candidate}?" if REPOSITORY.fullmatch(candidate) else ""
            raise ValueError(
                "Allowed: owner/name, as in the repository's address on GitHub, or both with their"
                f" ids, owner@123456/name@456789.{hint}"
            )
        owner, owner_id, name, name_id = match.groups()
        if (owner_id is None) != (name_id is None):
            raise ValueError(
                "Only one of the two has its id. Allowed: owner/name or owner@123456/name@456789,"
                " the form in the sub of the repository's tokens: the clouds compare the whole text."
                f" To find it out: gh api repos/{owner}/{name}/actions/oidc/customization/sub"
                " --jq .sub_claim_prefix"
            )
        return value

    @field_validator("branch")
    @classmethod
    def branch_is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}", value):
            raise ValueError(
                "Allowed: one branch, 1 to 100 letters, digits and _ . / -; no wildcards."
            )
        return value

    @field_validator("environment")
    @classmethod
    def environment_is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,100}", value):
            raise ValueError("Allowed: one environment, at most 100 letters, digits, _ and -.")
        return value

    @property
    def subject(self) -> str:
        """The ``sub`` of the one kind of token that is trusted."""
        return github_subject(
            self.repository,
            self.branch,
            self.environment or None,
            branch_in_subject=self.branch_in_subject,
        )


REGION_FIELDS = {"aws": "aws_region", "gcp": "gcp_region", "azure": "azure_location"}


class StackConfig(Section):
    """All settings of a stack, validated."""

    model_config = ConfigDict(alias_generator=lambda name: f"triplane:{name}")

    cloud: Cloud = Field(description="Cloud that the platform runs on: `aws`, `gcp` or `azure`")
    environment: str = Field(
        "dev", description="Name of the environment: part of names, and a tag of every resource"
    )
    machines: Machines = Field(
        Machines(), alias="triplane:machine", description="What the model endpoints run on"
    )
    endpoint: Endpoint = Field(Endpoint(), description="How far each model endpoint scales")
    gateway: Gateway = Field(
        Gateway(),
        validate_default=True,
        description="The HTTP gateway in front of the model endpoints",
    )
    models: Annotated[
        dict[Annotated[str, AfterValidator(allowed_name)], ServedModel],
        BeforeValidator(written_models),
    ] = Field(
        {MODEL: CHAMPION},  # type: ignore[dict-item]  # the validator makes a section of it
        validate_default=True,
        description="Models to serve: a version each (`champion`, or a version's SHA-256 or its beginning), or a section",
    )
    lake: Lake = Field(Lake(), description="How long the lake keeps captures and former versions")
    delivery: Delivery = Field(
        Delivery(),
        description="Which jobs of GitHub Actions may deploy this stack, without a stored key",
    )
    tags: dict[str, str] = Field(
        {}, description="More tags (labels) for every resource whose type allows that many"
    )
    keep_data: bool = Field(
        True,
        description="`destroy` keeps the lake and its data; on AWS and Azure the images, too",
    )

    # The providers' own settings, under their standard keys. Only those of the chosen cloud are validated.
    aws_region: str | None = Field(None, alias="aws:region", validate_default=True)
    gcp_region: str | None = Field(None, alias="gcp:region", validate_default=True)
    azure_location: str | None = Field(None, alias="azure-native:location", validate_default=True)
    gcp_project: str | None = Field(None, alias="gcp:project", validate_default=True)

    @property
    def region(self) -> str:
        """Region or location of the chosen cloud."""
        return str(getattr(self, REGION_FIELDS[self.cloud]))

    @property
    def region_key(self) -> str:
        """The setting that names it."""
        return str(StackConfig.model_fields[REGION_FIELDS[self.cloud]].alias)

    @property
    def project(self) -> str | None:
        """The Google Cloud project; None on the other clouds."""
        return self.gcp_project if self.cloud == "gcp" else None

    @property
    def endpoints(self) -> Sequence[EndpointConfig]:
        """The model endpoints on the chosen cloud, sorted by name."""
        return endpoints_of(
            self.models, self.cloud, self.machines, self.endpoint, self.gateway.max_concurrency
        )

    @property
    def artifacts(self) -> list[Artifact]:
        """The models' artifacts, sorted by name."""
        return [self.models[name].version for name in sorted(self.models)]

    @field_validator("environment")
    @classmethod
    def environment_fits_into_names(cls, value: str) -> str:
        # One rule for all clouds: the setting must stay valid when only `cloud` changes.
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?", value):
            raise ValueError(
                "It becomes part of names on every cloud. Allowed: 1 to 16 lower-case letters, digits"
                " and hyphens, a letter first, no hyphen last."
                + did_you_mean(
                    value, [re.sub("[^a-z0-9]+", "-", value.lower()).strip("-0123456789")[:16]]
                )
            )
        return value

    @field_validator("gateway")
    @classmethod
    def gateway_admits_what_the_endpoint_serves(
        cls, value: Gateway, info: ValidationInfo
    ) -> Gateway:
        # Only a number above the default was asked for: of the default, `serverless_concurrency` takes what fits.
        endpoint = info.data.get("endpoint") or Endpoint()
        asked = endpoint.serverless_concurrency
        if asked > SERVERLESS_CONCURRENCY and 0 < value.max_concurrency < asked:
            raise ValueError(
                f"max_concurrency ({value.max_concurrency}) is below endpoint.serverless_concurrency ({asked}): the"
                " gateway would never let so many through, and they would count against the account's quota all"
                " the same. Raise the first, lower the second, or set the first to 0, which reserves nothing."
            )
        return value

    @field_validator("models")
    @classmethod
    def models_have_endpoints(
        cls, value: dict[str, ServedModel], info: ValidationInfo
    ) -> dict[str, ServedModel]:
        refuse_contradictions(value)
        defaults, gateway = info.data.get("endpoint"), info.data.get("gateway")
        if defaults and gateway:
            endpoints_of(value, "aws", Machines(), defaults, gateway.max_concurrency)
            for name, model in value.items():
                asked, admitted = model.serverless_concurrency or 0, gateway.max_concurrency
                if 0 < admitted < asked:
                    raise ValueError(
                        f"{name}: serverless_concurrency ({asked}) is above gateway.max_concurrency ({admitted}): the gateway"
                        " would never let so many through. Lower the first, raise the second, or set it to 0, which"
                        " reserves nothing."
                    )
        return value

    @field_validator("delivery")
    @classmethod
    def subject_fits_google_cloud(cls, value: Delivery, info: ValidationInfo) -> Delivery:
        # https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools.providers
        subject = value.subject
        if value.repository and info.data.get("cloud") == "gcp" and len(subject) > 127:
            raise ValueError(
                f"Google Cloud allows a subject of 127 characters at most, and {subject} has"
                f" {len(subject)}. Choose a shorter {'environment' if value.environment else 'branch'}."
            )
        return value

    @field_validator("tags")
    @classmethod
    def tags_are_allowed(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        cloud = info.data.get("cloud")
        problems = list(tag_problems(cloud, value)) if cloud else []
        if problems:
            raise ValueError(" ".join(problems))
        return value

    @field_validator("aws_region", "gcp_region", "azure_location")
    @classmethod
    def region_has_services(cls, value: str | None, info: ValidationInfo) -> str | None:
        cloud = str(info.field_name).split("_")[0]
        if info.data.get("cloud") != cloud:
            return value
        if value is None:
            raise ValueError(
                f"Missing: the cloud is {cloud}, which needs it."
                f" Allowed: {', '.join(CATALOGUE[cloud]['regions'])}."
            )
        return catalogue_entry(cloud, "regions", value)

    @field_validator("gcp_project")
    @classmethod
    def project_is_an_id(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("cloud") != "gcp":
            return value
        if value is None:
            raise ValueError(
                "Missing: the cloud is gcp, which needs it. Write the id of a project with billing,"
                " for example gcp:project: triplane-dev (gcloud projects list shows yours)."
            )
        # https://cloud.google.com/resource-manager/docs/creating-managing-projects#before_you_begin
        if not re.fullmatch(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", value):
            raise ValueError(
                "Not a project id. Allowed: 6 to 30 lower-case letters, digits and hyphens, a letter"
                " first, no hyphen last; the id, not the project's title or number."
            )
        return value


class Setting(NamedTuple):
    """What the documentation says of a setting."""

    key: str
    default: Any
    """None where there is no default. A section's is the section."""
    description: str


MODEL_KEY = "triplane:models.<name>"
"""How the documentation and the messages name the section of one model."""
INHERITED = {
    **{name: f"triplane:endpoint.{name}" for name in Endpoint.model_fields},
    **{name: f"triplane:machine.{name}" for name in Machines.model_fields},
}
"""The settings that are the defaults of a model's own."""


def all_settings() -> Iterator[Setting]:
    """Every setting; a section comes before the settings in it."""
    for field in StackConfig.model_fields.values():
        default = None if field.is_required() else field.default
        yield Setting(str(field.alias), default, field.description or "")
        if isinstance(default, Section):
            yield from _settings_of(str(field.alias), type(default))
        elif field.alias == "triplane:models":
            yield from _settings_of(MODEL_KEY, ServedModel)


def _settings_of(key: str, section: type[Section]) -> Iterator[Setting]:
    for name, inner in section.model_fields.items():
        if isinstance(inner.default, Section):
            yield from _settings_of(f"{key}.{name}", type(inner.default))
            continue
        default = CHAMPION if inner.is_required() else inner.default
        if default is None:
            default = INHERITED[name]
        yield Setting(f"{key}.{name}", default, inner.description or "")
