"""The gateway on AWS: a Lambda function from a zip, behind a function URL."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import build_context, contracts
from components.aws.api_key import ApiKey
from components.aws.foundation import Foundation
from components.aws.logs import create_log_group

# A caller is answered within 28 s (lambda/gateway/service.py). The rest is for the capture that is written after the
# answer: three attempts of 12 s (lambda/gateway/lakes.py). Lambda ends a function that takes longer, extensions included.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
TIMEOUT_SECONDS = 75
# CPU comes in proportion: four times the smallest function's, for the import of boto3 at a cold start.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MEMORY_MB = 512
ENDPOINT_KIND = "sagemaker"


class Gateway(contracts.Gateway):
    """A published version behind the alias ``live``: the URL follows the alias, a rollback moves it."""

    def __init__(
        self, name: str, args: contracts.GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:Gateway", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)

        log, log_permission = create_log_group(name, foundation, args.identity, self)
        function = aws.lambda_.Function(
            f"{name}-function",
            description="Validates requests, asks the models' endpoints, keeps captures",
            role=args.identity.principal,
            # Pure Python: boto3 comes with the runtime, and arm64 costs a fifth less.
            runtime="python3.13",
            architectures=["arm64"],
            handler="gateway.lambda_handler.handler",
            code=build_context.package_archive(args.code),
            publish=True,
            timeout=TIMEOUT_SECONDS,
            memory_size=MEMORY_MB,
            # Left out for 0, because Lambda's own 0 is a function that never runs.
            # https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
            reserved_concurrent_executions=args.max_concurrency or None,
            environment={"variables": _environment(args)},
            logging_config={"log_format": "JSON", "log_group": log},
            tags=foundation.tags,
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(depends_on=[*args.identity.attachments, log_permission]),
            ),
        )
        alias = aws.lambda_.Alias(
            f"{name}-live",
            name="live",
            function_name=function.name,
            function_version=function.version,
            opts=child,
        )
        # Open to the internet on purpose: the gateway itself decides who may call (ACCESS), so that
        # callers need a key and no AWS credentials.
        url = aws.lambda_.FunctionUrl(
            f"{name}-url",
            function_name=function.name,
            qualifier=alias.name,
            authorization_type="NONE",
            invoke_mode="BUFFERED",
            opts=child,
        )
        _allow_calls_by_url(name, function, alias, url, child)

        self.url = url.function_url.apply(lambda found: found.rstrip("/"))
        self.register_outputs({"url": self.url})


def _environment(args: contracts.GatewayArgs) -> pulumi.Output[dict[str, str]]:
    """The function's environment. Of the key it has the place only, and reads it there."""
    if not args.key:
        return args.environment(ENDPOINT_KIND=ENDPOINT_KIND)
    key = ApiKey.of(args.key)
    return args.environment(
        ENDPOINT_KIND=ENDPOINT_KIND,
        API_KEY_SECRET_ARN=key.secret.arn,
        # The version, so that a rotation publishes another version of the function: what runs behind
        # the alias then knows the new key only, as soon as `up` has ended.
        API_KEY_SECRET_VERSION=key.version.version_id,
    )


def _allow_calls_by_url(
    name: str,
    function: aws.lambda_.Function,
    alias: aws.lambda_.Alias,
    url: aws.lambda_.FunctionUrl,
    child: pulumi.ResourceOptions,
) -> None:
    """Since October 2025 a URL needs both permissions, and answers 403 without either.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html

    They are created after the URL, because the provider writes to the function's policy, too, when it creates a
    URL of type NONE. AWS answers 409 to two writes at a time, and for the URL the provider does not try again.
    https://github.com/anomalyco/sst/issues/6923
    The provider's own statements cannot replace these: it names no alias, and it does not add them when a URL
    exists already whose creation failed half-way.
    https://github.com/hashicorp/terraform-provider-aws/pull/44858
    """
    after_url = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[url]))
    aws.lambda_.Permission(
        f"{name}-may-call-url",
        # A name of its own, so that a statement whose answer was lost is found again.
        statement_id=pulumi.Output.concat(function.name, "-may-call-url"),
        function=function.name,
        qualifier=alias.name,
        principal="*",
        action="lambda:InvokeFunctionUrl",
        function_url_auth_type="NONE",
        opts=after_url,
    )
    aws.lambda_.Permission(
        f"{name}-may-invoke-by-url",
        statement_id=pulumi.Output.concat(function.name, "-may-invoke-by-url"),
        function=function.name,
        qualifier=alias.name,
        principal="*",
        action="lambda:InvokeFunction",
        # Through the URL only: nobody may call the function's own API.
        invoked_via_function_url=True,
        opts=after_url,
    )
