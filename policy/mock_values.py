"""Made-up values that the mocks return: accounts, ids, addresses. No value is of a real account."""

from __future__ import annotations

from typing import Any

from components.resource_type import DYNAMIC, RANDOM_KEY

ACCOUNT = "123456789012"
PROJECT_NUMBER = "210987654321"
SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "66666666-7777-4888-9999-000000000000"

# The answers to the program's invokes, by token.
INVOKES: dict[str, dict[str, Any]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/deployer",
        "userId": "AIDAEXAMPLE",
        "id": ACCOUNT,
    },
    "aws:index/getPartition:getPartition": {
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
        "id": "aws",
    },
    "aws:index/getRegion:getRegion": {
        "region": "eu-west-1",
        "name": "eu-west-1",
        "endpoint": "ec2.eu-west-1.amazonaws.com",
        "id": "eu-west-1",
    },
    "gcp:organizations/getProject:getProject": {
        "number": PROJECT_NUMBER,
        "projectId": "triplane-dev",
        "id": "projects/triplane-dev",
    },
    "gcp:organizations/getClientConfig:getClientConfig": {
        "project": "triplane-dev",
        "region": "europe-west1",
        "accessToken": "token",
        "id": "client",
    },
    "azure-native:authorization:getClientConfig": {
        "clientId": "0",
        "objectId": "22222222-3333-4444-8555-666666666666",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    },
}

DIGEST = "sha256:" + "0" * 64
# The outputs that a cloud computes and the program reads, by type. All other outputs equal the inputs.
COMPUTED: dict[str, dict[str, Any]] = {
    "aws:ecr/repository:Repository": {
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/images"
    },
    "aws:lambda/function:Function": {"version": "1"},
    "aws:lambda/functionUrl:FunctionUrl": {
        "functionUrl": "https://abcdef.lambda-url.eu-west-1.on.aws/"
    },
    "aws:secretsmanager/secret:Secret": {
        "arn": f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:key-AbCdEf"
    },
    "aws:secretsmanager/secretVersion:SecretVersion": {
        "versionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"
    },
    f"{DYNAMIC}AwsBuiltImage": {
        "image": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/images@{DIGEST}"
    },
    f"{DYNAMIC}AwsScalingDeregistration": {"generation": "0"},
    "gcp:serviceaccount/account:Account": {"uniqueId": "123456789012345678901"},
    "gcp:secretmanager/secretVersion:SecretVersion": {
        "name": "projects/123456789012/secrets/the-key/versions/1"
    },
    "gcp:cloudrunv2/service:Service": {"uri": "https://gateway-abcdef-ew.a.run.app"},
    f"{DYNAMIC}GcpBuiltImage": {
        "image": f"europe-west1-docker.pkg.dev/triplane-dev/images/platform@{DIGEST}"
    },
    "azure-native:containerregistry:Registry": {"loginServer": "images.azurecr.io"},
    "azure-native:keyvault:Secret": {
        "properties": {
            "secretUriWithVersion": "https://vault.vault.azure.net/secrets/gateway-api-key/1"
        }
    },
    "azure-native:machinelearningservices:OnlineEndpoint": {
        "identity": {},  # the input is a list of ids, the output a map by id
        "properties": {"scoringUri": "https://endpoint.westeurope.inference.ml.azure.com/score"},
    },
    "azure-native:machinelearningservices:Workspace": {"identity": {}},
    "azure-native:managedidentity:UserAssignedIdentity": {
        "clientId": "33333333-4444-4555-8666-777777777777",
        "principalId": "44444444-5555-4666-8777-888888888888",
    },
    "azure-native:storage:StorageAccount": {
        "primaryEndpoints": {"blob": "https://account.blob.core.windows.net/"}
    },
    "azure-native:web:WebApp": {"defaultHostName": "gateway.azurewebsites.net", "identity": {}},
    f"{DYNAMIC}AzureBuiltImage": {"image": f"images.azurecr.io/triplane@{DIGEST}"},
    RANDOM_KEY: {"value": "a-key-of-forty-three-characters-of-base64-url"},
}

# The beginnings of ARNs whose form matters: AWS accepts a role only by the ARN of a role.
ARN_PREFIXES = {"aws:iam/role:Role": f"arn:aws:iam::{ACCOUNT}:role/"}
ANY_ARN_PREFIX = "arn:aws:mock:::"
SERVICE_ACCOUNT_DOMAIN = "triplane-dev.iam.gserviceaccount.com"
