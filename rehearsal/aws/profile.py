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

KINDS = (
    *s3.KINDS,
    *codebuild.KINDS,
    *ecr.KINDS,
    *lambda_urls.KINDS,
    *lambda_functions.KINDS,
    *iam.KINDS,
    *cloudwatch.KINDS,
    *sagemaker.KINDS,
    *secretsmanager.KINDS,
)
