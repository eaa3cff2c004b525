"""Inputs that the clouds refuse, on types that the platform has and on types that it has not.

Each row changes one input of a resource that is good without the change.
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

ROLE = "arn:aws:iam::123456789012:role/r"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "lambda.amazonaws.com"},
            }
        ],
    }
)
GROUP = {"resourceGroupName": "rg"}
ACCOUNT = {
    **GROUP,
    "accountName": "account1",
    "kind": "StorageV2",
    "sku": {"name": "Standard_LRS"},
    "location": "westeurope",
}

GOOD: dict[str, Json] = {
    "aws:lambda/function:Function": {
        "role": ROLE,
        "runtime": "python3.12",
        "handler": "a.b",
        "s3Bucket": "a-bucket",
        "s3Key": "k",
    },
    "aws:lambda/functionUrl:FunctionUrl": {"functionName": "f", "authorizationType": "NONE"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "comparisonOperator": "GreaterThanThreshold",
        "evaluationPeriods": 1,
        "metricName": "m",
        "namespace": "n",
        "period": 60,
        "statistic": "Sum",
        "threshold": 1,
    },
    "aws:cloudwatch/logGroup:LogGroup": {"retentionInDays": 30},
    "aws:ecr/repository:Repository": {
        "imageTagMutability": "IMMUTABLE",
        "encryptionConfigurations": [{"encryptionType": "AES256"}],
    },
    "aws:kms/key:Key": {"deletionWindowInDays": 7, "keyUsage": "ENCRYPT_DECRYPT"},
    "aws:secretsmanager/secret:Secret": {"recoveryWindowInDays": 7},
    "aws:s3/bucketVersioning:BucketVersioning": {
        "bucket": "a-bucket",
        "versioningConfiguration": {"status": "Enabled"},
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        "bucket": "a-bucket",
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}],
    },
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {
        "bucket": "a-bucket",
        "rule": {"objectOwnership": "BucketOwnerEnforced"},
    },
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
        "bucket": "a-bucket",
        "rules": [
            {
                "id": "r",
                "status": "Enabled",
                "filter": {"prefix": "x/"},
                "transitions": [{"days": 30, "storageClass": "STANDARD_IA"}],
            }
        ],
    },
    "aws:s3/bucketObjectv2:BucketObjectv2": {
        "bucket": "a-bucket",
        "key": "k",
        "content": "x",
        "storageClass": "STANDARD",
    },
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": {
        "productionVariants": [
            {
                "variantName": "all",
                "modelName": "m",
                "initialInstanceCount": 1,
                "instanceType": "ml.m5.large",
            }
        ]
    },
    "aws:iam/role:Role": {"assumeRolePolicy": TRUST, "maxSessionDuration": 3600},
    "aws:codebuild/project:Project": {
        "serviceRole": ROLE,
        "artifacts": {"type": "NO_ARTIFACTS"},
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"},
        "environment": {
            "computeType": "BUILD_GENERAL1_SMALL",
            "image": "aws/codebuild/standard:7.0",
            "type": "LINUX_CONTAINER",
        },
    },
    "aws:appautoscaling/policy:Policy": {
        "policyType": "TargetTrackingScaling",
        "resourceId": "endpoint/e/variant/v",
        "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "serviceNamespace": "sagemaker",
    },
    "aws:dynamodb/table:Table": {
        "hashKey": "id",
        "attributes": [{"name": "id", "type": "S"}],
        "billingMode": "PAY_PER_REQUEST",
    },
    "aws:ec2/instance:Instance": {"ami": "ami-12345678", "instanceType": "t3.micro"},
    "aws:kinesis/stream:Stream": {"shardCount": 1, "encryptionType": "KMS"},
    "aws:sfn/stateMachine:StateMachine": {"roleArn": ROLE, "definition": "{}", "type": "EXPRESS"},
    "gcp:storage/bucket:Bucket": {
        "location": "europe-west1",
        "storageClass": "STANDARD",
        "publicAccessPrevention": "enforced",
        "lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"age": 3}}],
    },
    "gcp:cloudrunv2/service:Service": {
        "location": "europe-west1",
        "ingress": "INGRESS_TRAFFIC_ALL",
        "template": {"timeout": "60s", "containers": [{"image": "i"}]},
    },
    "gcp:artifactregistry/repository:Repository": {
        "location": "europe-west1",
        "repositoryId": "r",
        "format": "DOCKER",
        "mode": "STANDARD_REPOSITORY",
    },
    "gcp:projects/iAMCustomRole:IAMCustomRole": {
        "roleId": "role",
        "title": "t",
        "permissions": ["storage.objects.get"],
        "stage": "GA",
    },
    "gcp:serviceaccount/account:Account": {"accountId": "an-account"},
    "gcp:compute/instance:Instance": {
        "machineType": "e2-medium",
        "zone": "europe-west1-b",
        "bootDisk": {"initializeParams": {"image": "debian-cloud/debian-11"}},
        "networkInterfaces": [{"network": "default", "nicType": "GVNIC"}],
    },
    "gcp:compute/firewall:Firewall": {
        "network": "default",
        "direction": "INGRESS",
        "allows": [{"protocol": "tcp", "ports": ["80"]}],
    },
    "gcp:pubsub/topic:Topic": {"schemaSettings": {"schema": "s", "encoding": "JSON"}},
    "gcp:kms/cryptoKey:CryptoKey": {
        "keyRing": "projects/p/locations/l/keyRings/k",
        "purpose": "ENCRYPT_DECRYPT",
    },
    "gcp:sql/databaseInstance:DatabaseInstance": {
        "databaseVersion": "POSTGRES_15",
        "region": "europe-west1",
        "settings": {"tier": "db-f1-micro", "availabilityType": "ZONAL"},
    },
    "gcp:redis/instance:Instance": {"memorySizeGb": 1, "tier": "BASIC"},
    "azure-native:storage:StorageAccount": {
        **ACCOUNT,
        "accessTier": "Hot",
        "minimumTlsVersion": "TLS1_2",
        "publicNetworkAccess": "Enabled",
    },
    "azure-native:containerregistry:Registry": {
        **GROUP,
        "registryName": "registry1",
        "location": "westeurope",
        "sku": {"name": "Basic"},
        "publicNetworkAccess": "Enabled",
    },
    "azure-native:resources:ResourceGroup": {"location": "westeurope"},
    "azure-native:keyvault:Vault": {
        **GROUP,
        "location": "westeurope",
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": "00000000-0000-0000-0000-000000000000",
            "softDeleteRetentionInDays": 7,
        },
    },
    "azure-native:machinelearningservices:OnlineEndpoint": {
        **GROUP,
        "workspaceName": "ws-1",
        "location": "westeurope",
        "properties": {"authMode": "AADToken"},
    },
    "azure-native:web:AppServicePlan": {
        **GROUP,
        "location": "westeurope",
        "sku": {"name": "B1", "tier": "Basic"},
    },
    "azure-native:web:WebApp": {
        **GROUP,
        "location": "westeurope",
        "serverFarmId": "p",
        "siteConfig": {"minTlsVersion": "1.2", "ftpsState": "Disabled"},
    },
    "azure-native:authorization:RoleAssignment": {
        "principalId": "00000000-0000-0000-0000-000000000001",
        "principalType": "ServicePrincipal",
        "roleDefinitionId": "/x",
        "scope": "/subscriptions/s",
    },
    "azure-native:operationalinsights:Workspace": {
        **GROUP,
        "location": "westeurope",
        "sku": {"name": "PerGB2018"},
    },
    "azure-native:applicationinsights:Component": {
        **GROUP,
        "location": "westeurope",
        "kind": "web",
        "applicationType": "web",
        "ingestionMode": "LogAnalytics",
    },
    "azure-native:cosmosdb:DatabaseAccount": {
        **GROUP,
        "location": "westeurope",
        "databaseAccountOfferType": "Standard",
        "locations": [{"locationName": "westeurope"}],
        "consistencyPolicy": {"defaultConsistencyLevel": "Session"},
    },
    "azure-native:monitor:AutoscaleSetting": {
        **GROUP,
        "location": "westeurope",
        "profiles": [
            {
                "name": "p",
                "capacity": {"default": "1", "maximum": "2", "minimum": "1"},
                "rules": [
                    {
                        "metricTrigger": {
                            "metricName": "m",
                            "metricResourceUri": "/u",
                            "operator": "GreaterThan",
                            "statistic": "Average",
                            "threshold": 1,
                            "timeAggregation": "Average",
                            "timeGrain": "PT1M",
                            "timeWindow": "PT5M",
                        },
                        "scaleAction": {
                            "cooldown": "PT5M",
                            "direction": "Increase",
                            "type": "ChangeCount",
                            "value": "1",
                        },
                    }
                ],
            }
        ],
    },
}
"""Inputs that are accepted, by type."""

LAMBDA = "aws:lambda/function:Function"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ECR = "aws:ecr/repository:Repository"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
CODEBUILD = "aws:codebuild/project:Project"
VARIANTS = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
RUN = "gcp:cloudrunv2/service:Service"
STORAGE = "azure-native:storage:StorageAccount"
REGISTRY = "azure-native:containerregistry:Registry"
VAULT = "azure-native:keyvault:Vault"
SCALING = "azure-native:monitor:AutoscaleSetting"

AWS_BAD: list[tuple[str, str, Any]] = [
    (LAMBDA, "runtime", "python9.9"),
    (LAMBDA, "packageType", "Tar"),
    (LAMBDA, "architectures", ["arm65"]),
    (LAMBDA, "memorySize", 64),
    (LAMBDA, "role", "a-role"),
    (LAMBDA, "tracingConfig", {"mode": "Aktive"}),
    ("aws:lambda/functionUrl:FunctionUrl", "authorizationType", "OPEN"),
    ("aws:lambda/functionUrl:FunctionUrl", "invokeMode", "STREAM"),
    (ALARM, "comparisonOperator", "Bigger"),
    (ALARM, "statistic", "Middle"),
    (ALARM, "evaluationPeriods", -1),
    (ALARM, "unit", "Bananas"),
    ("aws:cloudwatch/logGroup:LogGroup", "logGroupClass", "CHEAP"),
    (ECR, "imageTagMutability", "SOMETIMES"),
    (ECR, "encryptionConfigurations.0.encryptionType", "ROT13"),
    ("aws:kms/key:Key", "deletionWindowInDays", 3),
    ("aws:kms/key:Key", "keyUsage", "DECRYPT"),
    ("aws:kms/key:Key", "customerMasterKeySpec", "RSA_1024"),
    ("aws:secretsmanager/secret:Secret", "recoveryWindowInDays", 3),
    ("aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status", "On"),
    (ENCRYPTION, "rules.0.applyServerSideEncryptionByDefault.sseAlgorithm", "AES128"),
    (OWNERSHIP, "rule.objectOwnership", "Me"),
    (LIFECYCLE, "rules.0.status", "Active"),
    (LIFECYCLE, "rules.0.transitions.0.storageClass", "COLD"),
    ("aws:s3/bucketObjectv2:BucketObjectv2", "storageClass", "FROZEN"),
    (VARIANTS, "productionVariants.0.instanceType", "ml.huge"),
    (VARIANTS, "productionVariants.0.variantName", "-all-"),
    ("aws:iam/role:Role", "maxSessionDuration", 60),
    (CODEBUILD, "environment.type", "BSD"),
    (CODEBUILD, "environment.computeType", "TINY"),
    (CODEBUILD, "artifacts.type", "NONE"),
    ("aws:appautoscaling/policy:Policy", "policyType", "Guess"),
    ("aws:dynamodb/table:Table", "billingMode", "FREE"),
    ("aws:dynamodb/table:Table", "attributes.0.type", "String"),
    ("aws:kinesis/stream:Stream", "encryptionType", "ROT13"),
    ("aws:sfn/stateMachine:StateMachine", "type", "FAST"),
    ("aws:ec2/instance:Instance", "instanceType", "t9.gigantic"),
]
GCP_BAD: list[tuple[str, str, Any]] = [
    ("gcp:storage/bucket:Bucket", "storageClass", "FROZEN"),
    ("gcp:storage/bucket:Bucket", "publicAccessPrevention", "on"),
    ("gcp:storage/bucket:Bucket", "lifecycleRules.0.action.type", "Burn"),
    ("gcp:storage/bucket:Bucket", "location", "europe-nowhere1"),
    (RUN, "ingress", "ALL"),
    (RUN, "template.timeout", "soon"),
    (RUN, "template.executionEnvironment", "GEN3"),
    (RUN, "launchStage", "GAMMA"),
    ("gcp:artifactregistry/repository:Repository", "format", "PYTHN"),
    ("gcp:artifactregistry/repository:Repository", "mode", "MIRROR"),
    ("gcp:projects/iAMCustomRole:IAMCustomRole", "stage", "DONE"),
    ("gcp:projects/iAMCustomRole:IAMCustomRole", "roleId", "a-role"),
    ("gcp:serviceaccount/account:Account", "accountId", "x"),
    ("gcp:compute/instance:Instance", "networkInterfaces.0.nicType", "FAST"),
    ("gcp:compute/firewall:Firewall", "direction", "IN"),
    ("gcp:pubsub/topic:Topic", "schemaSettings.encoding", "XML"),
    ("gcp:kms/cryptoKey:CryptoKey", "purpose", "HIDE"),
    ("gcp:sql/databaseInstance:DatabaseInstance", "settings.availabilityType", "GLOBAL"),
    ("gcp:redis/instance:Instance", "tier", "GOLD"),
]
AZURE_BAD: list[tuple[str, str, Any]] = [
    (STORAGE, "sku.name", "Standard_XRS"),
    (STORAGE, "kind", "StorageV9"),
    (STORAGE, "minimumTlsVersion", "TLS9"),
    (STORAGE, "accessTier", "Lukewarm"),
    (STORAGE, "publicNetworkAccess", "Maybe"),
    (STORAGE, "location", "westeuropa"),
    (REGISTRY, "sku.name", "Gold"),
    (REGISTRY, "publicNetworkAccess", "No"),
    ("azure-native:resources:ResourceGroup", "location", "nowhere"),
    ("azure-native:resources:ResourceGroup", "resourceGroupName", "g" * 91),
    (VAULT, "properties.sku.name", "gold"),
    ("azure-native:machinelearningservices:OnlineEndpoint", "properties.authMode", "Password"),
    ("azure-native:machinelearningservices:OnlineEndpoint", "endpointName", "no!"),
    ("azure-native:web:WebApp", "siteConfig.minTlsVersion", "1.9"),
    ("azure-native:web:WebApp", "siteConfig.ftpsState", "Sometimes"),
    ("azure-native:authorization:RoleAssignment", "principalType", "Servant"),
    ("azure-native:operationalinsights:Workspace", "sku.name", "PerTB"),
    ("azure-native:applicationinsights:Component", "ingestionMode", "LogAnalitics"),
    (
        "azure-native:cosmosdb:DatabaseAccount",
        "consistencyPolicy.defaultConsistencyLevel",
        "Sloppy",
    ),
    (SCALING, "profiles.0.rules.0.metricTrigger.operator", "BiggerThan"),
    (SCALING, "profiles.0.rules.0.scaleAction.cooldown", "P5"),
    (SCALING, "profiles.0.rules.0.metricTrigger.timeAggregation", "Mode"),
]
BAD = AWS_BAD + GCP_BAD + AZURE_BAD
NOT_REFUSED = {
    # The provider names the member otherwise than the service.
    ("aws:dynamodb/table:Table", "attributes.0.type"),
    # The enumeration grows weekly, and the provider does not check it.
    ("aws:ec2/instance:Instance", "instanceType"),
    # The provider's documentation has the values in free words.
    ("gcp:compute/instance:Instance", "networkInterfaces.0.nicType"),
    ("gcp:kms/cryptoKey:CryptoKey", "purpose"),
    ("gcp:sql/databaseInstance:DatabaseInstance", "settings.availabilityType"),
    ("gcp:storage/bucket:Bucket", "lifecycleRules.0.action.type"),
    # No model lists the regions; new ones appear.
    ("gcp:storage/bucket:Bucket", "location"),
    ("azure-native:storage:StorageAccount", "location"),
    ("azure-native:resources:ResourceGroup", "location"),
    # The SDK has no patterns: durations are plain texts in it.
    ("azure-native:monitor:AutoscaleSetting", "profiles.0.rules.0.scaleAction.cooldown"),
}
"""What the clouds refuse and the rehearsal does not, with the reason."""


def with_value(token: str, path: str, value: Any) -> Json:
    """The good inputs of a type with another value at ``a.0.b``."""
    inputs: Json = json.loads(json.dumps(GOOD[token]))
    *parents, last = path.split(".")
    inner: Any = inputs
    for step in parents:
        inner = inner[int(step) if step.isdigit() else step]
    inner[last] = value
    return inputs
