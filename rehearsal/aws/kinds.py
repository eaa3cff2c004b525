"""Every type of AWS that has rules of its own here; the others work by what the SDK says of them."""

from rehearsal.aws import (
    buckets,
    codebuild,
    ecr,
    function_url,
    functions,
    iam,
    monitoring,
    sagemaker,
    secretsmanager,
)

KINDS = (
    *buckets.KINDS,
    *codebuild.KINDS,
    *ecr.KINDS,
    *function_url.KINDS,
    *functions.KINDS,
    *iam.KINDS,
    *monitoring.KINDS,
    *sagemaker.KINDS,
    *secretsmanager.KINDS,
)
