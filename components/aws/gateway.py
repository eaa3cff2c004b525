"""The front door on AWS: a Lambda function from a zip, behind a function URL."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import build_context, contracts
from components.aws.api_key import ApiKey
from components.aws.data_lake import DataLake
from components.aws.logs import open_log

TIMEOUT_SECONDS = 30
# CPU comes in proportion: four times the smallest function's, for the import of boto3 at a cold start.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MEMORY_MB = 512


class Gateway(contracts.Gateway):
    """A published version behind the alias ``live``: the URL follows the alias, a rollback moves it."""

    def __init__(
        self, name: str, args: contracts.GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:Gateway", name, None, opts)
        foundation = args.foundation.args
        child = pulumi.ResourceOptions(parent=self)

        log, may_log = open_log(name, foundation, args.identity, self)
        function = aws.lambda_.Function(
            f"{name}-function",
            description="Validates flights, asks the model endpoint, keeps a capture",
            role=args.identity.principal,
            # Pure Python: boto3 comes with the runtime, and arm64 costs a fifth less.
            runtime="python3.13",
            architectures=["arm64"],
            handler="gateway.lambda_handler.handler",
            code=pulumi.AssetArchive(
                {
                    f"gateway/{path.as_posix()}": pulumi.FileAsset(
                        str(args.code / "gateway" / path)
                    )
                    for path in build_context.context_files(args.code / "gateway")
                }
            ),
            publish=True,
            timeout=TIMEOUT_SECONDS,
            memory_size=MEMORY_MB,
            reserved_concurrent_executions=args.max_concurrency,
            environment={"variables": _settings(args)},
            logging_config={"log_format": "JSON", "log_group": log},
            tags=foundation.tags,
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(depends_on=[*args.identity.ready, may_log])
            ),
        )
        alias = aws.lambda_.Alias(
            f"{name}-live",
            name="live",
            function_name=function.name,
            function_version=function.version,
            opts=child,
        )
        # Open to the internet on purpose: who may call is decided by the gateway itself (ACCESS), so
        # that callers need a key and not AWS credentials.
        url = aws.lambda_.FunctionUrl(
            f"{name}-url",
            function_name=function.name,
            qualifier=alias.name,
            authorization_type="NONE",
            opts=child,
        )
        # Since October 2025 a URL needs both, and answers 403 without either.
        # https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
        aws.lambda_.Permission(
            f"{name}-may-call-url",
            # A name of one's own, so that a statement whose answer was lost is found again.
            statement_id=pulumi.Output.concat(function.name, "-may-call-url"),
            function=function.name,
            qualifier=alias.name,
            principal="*",
            action="lambda:InvokeFunctionUrl",
            function_url_auth_type="NONE",
            opts=child,
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
            opts=child,
        )

        self.url = url.function_url.apply(lambda found: found.rstrip("/"))
        self.register_outputs({"url": self.url})


def _settings(args: contracts.GatewayArgs) -> pulumi.Output[dict[str, str]]:
    """The function's environment; of the key only the place, for the function to read it there."""
    assert isinstance(args.lake, DataLake)
    settings: dict[str, pulumi.Input[str]] = {
        **args.settings,
        "ACCESS": "key" if args.key else "public",
        "CAPTURE_URI": pulumi.Output.format("{}/{}", args.lake.uri, str(contracts.Zone.CAPTURES)),
    }
    if args.key:
        assert isinstance(args.key, ApiKey)
        settings["API_KEY_SECRET_ARN"] = args.key.arn
        # The version, so that a rotation publishes another version of the function: what runs behind
        # the alias then knows the new key only, as soon as `up` has ended.
        settings["API_KEY_SECRET_VERSION"] = args.key.version
    return pulumi.Output.all(settings, args.endpoint.gateway_settings).apply(
        lambda both: both[0] | both[1]
    )
