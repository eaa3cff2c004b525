"""Types of the three SDKs for which the rehearsal has no rules of its own."""

import pulumi
import pulumi_aws as aws
import pulumi_azure_native as azure
import pulumi_gcp as gcp

config = pulumi.Config()
delay = config.get_int("delay") or 5
place = config.get("place") or "us-east-2"

queue = aws.sqs.Queue("jobs", delay_seconds=delay, tags={"team": "a"})
elsewhere = aws.Provider("elsewhere", region="ap-south-1")
far = aws.sqs.Queue("far", opts=pulumi.ResourceOptions(provider=elsewhere))
fixed = aws.sns.Topic("fixed", name="fixed-name", region=place)
secret = aws.ssm.Parameter(
    "secret", type="SecureString", value=pulumi.Output.secret("hunter2-hunter2")
)
topic = gcp.pubsub.Topic("events", labels={"after": queue.name.apply(lambda name: name[:4])})
group = azure.resources.ResourceGroup("group")
account = azure.cosmosdb.DatabaseAccount(
    "db",
    resource_group_name=group.name,
    locations=[azure.cosmosdb.LocationArgs(location_name="westeurope")],
    database_account_offer_type=azure.cosmosdb.DatabaseAccountOfferType.STANDARD,
)

pulumi.export("queue", queue.id)
pulumi.export("far", far.arn)
pulumi.export("fixed", fixed.arn)
pulumi.export("secret", secret.value)
pulumi.export("topic", topic.id)
pulumi.export("account", account.id)
pulumi.export("caller", aws.get_caller_identity().account_id)
