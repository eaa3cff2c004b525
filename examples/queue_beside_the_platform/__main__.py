"""The whole platform on AWS, and beside it a queue that hears of each capture in the lake.

The settings are the platform's own, in this project's stack file. How it is run: docs/how-to/use-as-a-library.md
"""

import json

import pulumi
import pulumi_aws as aws

from components import clouds
from components.aws.data_lake import DataLake
from components.platform import Platform
from config.validation import config_of_running_stack

config = config_of_running_stack()
platform = Platform("triplane", config, clouds.load(config.cloud))
bucket = DataLake.of(platform.lake).bucket

captures = aws.sqs.Queue("captures", sqs_managed_sse_enabled=True)
may_send = aws.sqs.QueuePolicy(
    "captures-from-the-lake",
    queue_url=captures.url,
    policy=pulumi.Output.all(queue=captures.arn, bucket=bucket.arn).apply(
        lambda arns: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "s3.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": arns["queue"],
                        "Condition": {"ArnEquals": {"aws:SourceArn": arns["bucket"]}},
                    }
                ],
            }
        )
    ),
)
aws.s3.BucketNotification(
    "captures",
    bucket=bucket.bucket,
    queues=[
        {
            "queue_arn": captures.arn,
            "events": ["s3:ObjectCreated:*"],
            "filter_prefix": "captures/",
        }
    ],
    opts=pulumi.ResourceOptions(depends_on=[may_send]),
)

pulumi.export("gateway_url", platform.outputs["gateway_url"])
pulumi.export("captures_queue", captures.url)
