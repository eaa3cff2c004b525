"""Every type of AWS that has rules of its own here; the others work by what the SDK says of them."""

from rehearsal.aws import (
    cloudwatch,
    codebuild,
    ecr,
    iam,
    lambda_functions,
    lambda_urls,
    s3,
    sagemaker,
    secretsmanager,
)

RESOURCE_TYPES = (
    *s3.RESOURCE_TYPES,
    *codebuild.RESOURCE_TYPES,
    *ecr.RESOURCE_TYPES,
    *lambda_urls.RESOURCE_TYPES,
    *lambda_functions.RESOURCE_TYPES,
    *iam.RESOURCE_TYPES,
    *cloudwatch.RESOURCE_TYPES,
    *sagemaker.RESOURCE_TYPES,
    *secretsmanager.RESOURCE_TYPES,
)
