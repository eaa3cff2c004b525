"""What the settings are made of: sections without unknown keys, ranges, and the defaults of all model endpoints."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from config.catalogue import catalogue_entry


def between(low: float, high: float) -> AfterValidator:
    """A range; the error names both its ends."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"Allowed: {low} to {high}.")
        return value

    return AfterValidator(check)


class Section(BaseModel):
    """Settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Machines(Section):
    """What the model endpoints run on: one entry for each cloud, so that another cloud is one changed word."""

    aws: str = Field("serverless", description="`serverless`, or a SageMaker instance type")
    gcp: str = Field("n1-standard-2", description="Vertex AI machine type")
    azure: str = Field("Standard_DS3_v2", description="Azure ML instance type")

    @field_validator("aws", "gcp", "azure")
    @classmethod
    def machine_is_in_catalogue(cls, value: str, info: ValidationInfo) -> str:
        return catalogue_entry(str(info.field_name), "machines", value)


SERVERLESS_CONCURRENCY = 5
"""A new account's quota is 10 for all its serverless endpoints together, so a second stack fits (docs/reference/aws.md)."""
Instances = Annotated[StrictInt, between(1, 20)]
# 200 is SageMaker's own limit for one endpoint.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html
Concurrency = Annotated[StrictInt, between(1, 200)]


class Endpoint(Section):
    """How far each model endpoint scales: on instances by their number, serverless by requests at a time."""

    min_instances: Instances = Field(1, description="Instances that always run")
    max_instances: Instances = Field(2, description="Instances under load")
    serverless_concurrency: Concurrency = Field(
        SERVERLESS_CONCURRENCY,
        description="AWS serverless: predictions at a time, at most `gateway.max_concurrency`",
    )

    @model_validator(mode="after")
    def minimum_is_not_above_maximum(self) -> Endpoint:
        require_order(self.min_instances, self.max_instances)
        return self


def require_order(least: int, most: int) -> None:
    """Raise ValueError if the minimum of instances is above the maximum."""
    if least > most:
        raise ValueError(
            f"min_instances ({least}) is above max_instances ({most})."
            " Lower the first or raise the second."
        )
