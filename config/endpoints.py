"""The models that a stack serves, as the settings name them, and the endpoints that serve them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from config.catalogue import catalogue_entry
from config.clouds import Cloud
from config.made_artifacts import artifact_of_image
from config.model_contract import (
    BadContract,
    canonical_json,
    model_definition,
    name_problem,
)
from config.model_store import (
    ALLOWED_VERSION,
    CHAMPION,
    MODELS,
    STORE,
    VERSION,
    Artifact,
    bundle,
    stored_artifact,
)
from config.sections import Concurrency, Endpoint, Instances, Machines, Section, require_order

MOST_MODELS = 20
"""The gateway has a line for each model in its environment, of which Lambda allows 4 KB."""
IMAGE = re.compile(r"[a-z0-9][\w./:-]*@sha256:[0-9a-f]{64}", re.ASCII)


def allowed_name(name: str, thing: str = "model") -> str:
    """``name``, if a model or an endpoint may have it. Raises ValueError with the rule."""
    if problem := name_problem(name, thing):
        raise ValueError(problem)
    return name


class VersionText(str):
    """A version as it is written, and what it is the version of."""

    model: str
    image: object


def _artifact(version: object, info: ValidationInfo) -> Artifact:
    """The artifact that a version names, in the model store of the validation's context. Raises ValueError.

    Without a store, its form alone is checked, and the artifact has what is written.
    """
    if not isinstance(version, VersionText):
        raise ValueError(ALLOWED_VERSION)
    store: Path | None = (info.context or {})["store"]
    written = Artifact(
        name=version.model, version=version, directory=STORE / version.model / version
    )
    if name_problem(version.model):
        return written  # the name has an error of its own
    if not version.image:
        if store:
            return stored_artifact(store, version.model, version)
        if version != CHAMPION and not VERSION.fullmatch(version):
            raise ValueError(ALLOWED_VERSION)
        return written
    try:
        document = model_definition(MODELS / version.model).document
    except BadContract as error:
        raise ValueError(str(error)) from None
    made = artifact_of_image(
        store or STORE, version.model, str(version.image), canonical_json(document)
    )
    if version != CHAMPION and not made.version.startswith(version):
        raise ValueError(
            "With an image of its own, the version follows from contract and image:"
            f" {made.version[:12]}. Leave version out, or write this one."
        )
    return made


class OwnMachines(Section):
    """What one model's endpoint runs on, where it is not what `triplane:machine` names."""

    aws: str | None = Field(None, description="AWS: what it runs on")
    gcp: str | None = Field(None, description="Google Cloud: what it runs on")
    azure: str | None = Field(None, description="Azure: what it runs on")

    @field_validator("aws", "gcp", "azure")
    @classmethod
    def machine_is_in_catalogue(cls, value: str, info: ValidationInfo) -> str:
        return catalogue_entry(str(info.field_name), "machines", value)


class ServedModel(Section):
    """One model of the stack: which version, on which endpoint, with which capacity."""

    version: Annotated[Artifact, BeforeValidator(_artifact)] = Field(
        description="`champion`, or a version's SHA-256 or its beginning"
    )
    endpoint: Annotated[
        str, AfterValidator(lambda name: name and allowed_name(name, "endpoint"))
    ] = Field(
        "",
        description="Its endpoint's name; models that name the same one share it; empty: one of its own, of the"
        " model's name",
    )
    machine: OwnMachines = OwnMachines()
    min_instances: Instances | None = Field(None, description="Instances that always run")
    max_instances: Instances | None = Field(None, description="Instances under load")
    serverless_concurrency: Concurrency | None = Field(
        None, description="AWS serverless: predictions at a time"
    )
    image: str = Field(
        "",
        description="The model's own image, `repository@sha256:…`, which keeps the container contract; empty: the"
        " platform's model server",
    )

    @field_validator("image")
    @classmethod
    def image_has_a_digest(cls, value: str) -> str:
        if value and not IMAGE.fullmatch(value):
            raise ValueError(
                "Allowed: an image by its digest, repository@sha256:… with 64 hexadecimal digits. A tag can be moved, so"
                " nobody could say which image serves."
            )
        return value

    @property
    def capacity(self) -> Iterator[tuple[str, Any]]:
        """What is written about the endpoint's capacity, by setting."""
        for cloud, machine in self.machine:
            yield f"machine.{cloud}", machine
        for name in ("min_instances", "max_instances", "serverless_concurrency", "image"):
            yield name, getattr(self, name) or None


Models = Mapping[str, ServedModel]


def written_models(models: object) -> object:
    """``models`` with a section for each model, whose version has the names of its model and its image.

    Raises ValueError unless there are 1 to 20, before each is checked.
    """
    if not isinstance(models, dict):
        return models
    if not 1 <= len(models) <= MOST_MODELS:
        raise ValueError(f"Allowed: 1 to {MOST_MODELS} models, and there are {len(models)}.")
    sections: dict[str, dict[str, Any]] = {}
    for name, written in models.items():
        short = {} if written is None else {"version": written}
        section = dict(written) if isinstance(written, dict) else short
        version = section.get("version", CHAMPION)
        if isinstance(version, str):
            version = VersionText(version)
            version.model, version.image = str(name), section.get("image")
        sections[name] = {**section, "version": version}
    return sections


def refuse_contradictions(models: Models) -> None:
    """Raise ValueError unless the members of each endpoint agree."""
    for endpoint, members in _members(models).items():
        shared = " and ".join(members)
        if endpoint in models and [*members] != [endpoint]:
            raise ValueError(
                f"{shared} name the endpoint {endpoint}, which is a model's name, too: both have a folder in the lake."
                " Choose another name for the endpoint."
            )
        if len(members) == 1:
            continue
        if images := [name for name, model in members.items() if model.image]:
            raise ValueError(
                f"{images[0]} has an image of its own, which serves one model, and shares the endpoint {endpoint} with"
                f" {' and '.join(name for name in members if name != images[0])}. Give it an endpoint of its own."
            )
        for setting, written in _written(members).items():
            if len(set(written.values())) > 1:
                values = ", ".join(f"{value} of {name}" for name, value in written.items())
                raise ValueError(
                    f"{shared} share the endpoint {endpoint} and contradict each other: {setting} is {values}. Write it"
                    " once."
                )


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """One model endpoint, on the chosen cloud."""

    name: str
    models: Sequence[Artifact]
    served: Artifact
    """The model's own artifact, or the bundle of several models."""
    machine: str
    min_instances: int
    max_instances: int
    serverless_concurrency: int
    image: str
    """The model's own image; empty: the platform's model server."""


def endpoints_of(
    models: Models,
    cloud: Cloud,
    machines: Machines,
    defaults: Endpoint,
    admitted: int,
) -> list[EndpointConfig]:
    """The endpoints of these models, sorted by name. ``admitted`` is how many requests the gateway lets through; 0: all.

    Raises ValueError if a minimum is above its maximum.
    """
    endpoints = []
    for name, members in sorted(_members(models).items()):
        own = {key: next(iter(values.values())) for key, values in _written(members).items()}
        least = own.get("min_instances", defaults.min_instances)
        most = own.get("max_instances", defaults.max_instances)
        try:
            require_order(least, most)
        except ValueError as error:
            raise ValueError(f"Endpoint {name}: {error}") from None
        asked = own.get("serverless_concurrency", defaults.serverless_concurrency)
        artifacts = sorted((each.version for each in members.values()), key=lambda a: a.name)
        endpoints.append(
            EndpointConfig(
                name=name,
                models=tuple(artifacts),
                served=artifacts[0] if len(artifacts) == 1 else bundle(name, artifacts),
                machine=own.get(f"machine.{cloud}", getattr(machines, cloud)),
                min_instances=least,
                max_instances=most,
                serverless_concurrency=min(asked, admitted) if admitted else asked,
                image=own.get("image", ""),
            )
        )
    return endpoints


def _members(models: Models) -> dict[str, dict[str, ServedModel]]:
    """The models by endpoint."""
    found: dict[str, dict[str, ServedModel]] = {}
    for name, model in models.items():
        found.setdefault(model.endpoint or name, {})[name] = model
    return found


def _written(members: Models) -> dict[str, dict[str, Any]]:
    """For each setting of an endpoint that its members write: what each writes."""
    found: dict[str, dict[str, Any]] = {}
    for name, model in members.items():
        for setting, value in model.capacity:
            if value is not None:
                found.setdefault(setting, {})[name] = value
    return found
