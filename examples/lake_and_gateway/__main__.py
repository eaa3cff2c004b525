"""Only a lake and a gateway on AWS, in front of an endpoint of SageMaker that exists already.

The gateway reads the model's `contract.json` and `version.txt` below `models/<model>/<version>/` of the lake, and keeps
captures there. The endpoint must keep the contract for containers: docs/reference/container.md
"""

from pathlib import Path

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws import package
from components.aws.foundation import Foundation
from components.contracts import Access, Grant, Workload, Zone
from config.tags import platform_tags

GATEWAY = Path(contracts.__file__).parents[1] / "lambda" / "gateway"

settings = pulumi.Config()
model, endpoint = settings.require("model"), settings.require("endpoint")

foundation = package.Foundation(
    "front",
    contracts.FoundationArgs(
        region=settings.require("region"),
        environment="dev",
        tags=platform_tags("dev", pulumi.get_stack(), {}),
        keep_data=False,
    ),
)
lake = package.DataLake(
    "front-lake",
    contracts.DataLakeArgs(foundation=foundation, captures_days=30, noncurrent_days=7),
)
identity = package.Identity(
    "front-gateway",
    contracts.IdentityArgs(
        foundation=foundation,
        workload=Workload.GATEWAY,
        grants=[
            Grant(lake, Access.WRITE, Zone.CAPTURES),
            Grant(
                lake,
                Access.READ,
                Zone.MODELS,
                prefixes=(model,),
                files=("contract.json", "version.txt"),
            ),
        ],
    ),
)
# The endpoint is no component, so its permission is a resource of this program's own.
may_invoke = aws.iam.RolePolicy(
    "front-gateway-may-invoke",
    role=identity.principal.apply(lambda arn: arn.rpartition("/")[2]),
    policy=pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sagemaker:InvokeEndpoint",
                    "Resource": Foundation.of(foundation).arn(
                        "sagemaker", f"endpoint/{endpoint.lower()}"
                    ),
                }
            ],
        }
    ),
)
gateway = package.Gateway(
    "front-gateway",
    contracts.GatewayArgs(
        foundation=foundation,
        lake=lake,
        identity=identity,
        routes={model: contracts.Route(settings.require("version"), endpoint)},
        built_image=None,
        code=GATEWAY,
        key=None,
        max_concurrency=10,
        app_service_plan="",
        settings={"CODE_VERSION": "front", "MAX_BODY_BYTES": str(256 * 1024)},
    ),
    pulumi.ResourceOptions(depends_on=[may_invoke]),
)

pulumi.export("lake_uri", lake.uri)
pulumi.export("gateway_url", gateway.url)
