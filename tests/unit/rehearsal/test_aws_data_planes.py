"""What really runs on the rehearsed AWS: builds, endpoints, functions, secrets, and the permissions they need."""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
import urllib.error
import urllib.request
from typing import Any

import jwt
import pytest
from starlette.requests import Request

from components.aws.delivery import SESSION_SECONDS
from rehearsal.aws import ecr, lambda_urls, permissions, s3
from rehearsal.core.access_keys import AccessKey
from rehearsal.core.assets import ASSET, SIGNATURE
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context
from tests.fuzz.odd_tokens import encoded, odd_tokens
from tests.unit.rehearsal.archives import archive
from tests.unit.rehearsal.aws_account import Account, Signed, allow

BUILDSPEC = """\
version: 0.2
phases:
  build:
    commands:
      - aws ecr get-login-password | docker login
      - docker build --provenance=false --tag "$IMAGE" .
      - docker push "$IMAGE"
"""
DOCKERFILE = """\
FROM python:3.11-slim
WORKDIR /app
COPY server.py ./
ENTRYPOINT ["python", "server.py"]
"""
# Answers with the content of its model; a model named broken does not start.
SERVER = """\
import os, pathlib
from http.server import BaseHTTPRequestHandler, HTTPServer
model = (pathlib.Path(os.environ["SM_MODEL_DIR"]) / "model.txt").read_text()
assert model != "broken", "the model is broken"

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.answer(400 if body == b"bad" else 200, model.encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer((os.environ["HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
PUSH = [
    {
        "Effect": "Allow",
        "Action": [
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
        ],
        "Resource": "*",
    },
    allow("ecr:GetAuthorizationToken", "*"),
]
GROUP = "/aws/codebuild/project"
LOG = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}


@pytest.fixture
def account(live_context: Context) -> Account:
    return Account(live_context)


def lake(account: Account) -> Record:
    return account.create("aws:s3/bucket:Bucket", "lake", forceDestroy=True)


def repository(account: Account) -> Record:
    token = "aws:ecr/repository:Repository"
    return account.create(token, "images", imageTagMutability="IMMUTABLE", forceDelete=True)


def build(account: Account, bucket: Record, images: Record, *statements: Json) -> Json:
    """Build the context with a role of these permissions; the build as BatchGetBuilds reports it."""
    account.create(
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "context",
        bucket=bucket.id,
        key="builds/1.zip",
        source=archive({"Dockerfile": DOCKERFILE, "server.py": SERVER}),
    )
    role = account.role("build", "codebuild", *statements)
    image = f"{images.outputs['repositoryUrl']}:1"
    project = account.create(
        "aws:codebuild/project:Project",
        "project",
        serviceRole=role.outputs["arn"],
        artifacts={"type": "NO_ARTIFACTS"},
        source={"type": "S3", "location": f"{bucket.id}/builds/1.zip", "buildspec": BUILDSPEC},
        environment={"environmentVariables": [{"name": "IMAGE", "value": image}]},
        logsConfig={"cloudwatchLogs": {"status": "ENABLED", "groupName": GROUP}},
    )
    _, started = account.call(
        "CodeBuild_20161006.StartBuild", {"projectName": project.inputs["name"]}
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ids = {"ids": [started["build"]["id"]]}
        _, answer = account.call("CodeBuild_20161006.BatchGetBuilds", ids)
        if answer["builds"][0]["buildComplete"]:
            return dict(answer["builds"][0])
        time.sleep(0.05)
    raise AssertionError("the build does not end")


def test_a_build_makes_the_image_that_ecr_then_describes(account: Account) -> None:
    bucket, images = lake(account), repository(account)
    ended = build(
        account, bucket, images, LOG, allow("s3:GetObject", f"arn:aws:s3:::{bucket.id}/*"), *PUSH
    )
    assert ended["buildStatus"] == "SUCCEEDED", ended
    status, answer = account.call(
        "AmazonEC2ContainerRegistry_V20150921.DescribeImages",
        {"repositoryName": images.id, "imageIds": [{"imageTag": "1"}]},
    )
    assert status == 200
    assert answer["imageDetails"][0]["imageDigest"].startswith("sha256:")
    log = account.http.get(ended["logs"]["deepLink"].removeprefix(account.context.base_url))
    assert "docker push" in log.text


@pytest.mark.parametrize(("tag_status", "left"), [("any", {"1"}), ("untagged", {"0", "1"})])
def test_a_lifecycle_policy_that_counts_deletes_the_oldest_images(
    account: Account, tag_status: str, left: set[str]
) -> None:
    bucket, images = lake(account), repository(account)
    folder = account.context.state_dir / "older"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "server.py").write_text("older")
    url = images.outputs["repositoryUrl"]
    account.context.images.build(folder, "Dockerfile", url, "0")
    selection = {"tagStatus": tag_status, "countType": "imageCountMoreThan", "countNumber": 1}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    policy = json.dumps({"rules": [rule]})
    account.create(ecr.LifecyclePolicy.token, "expiry", repository=images.id, policy=policy)
    build(account, bucket, images, LOG, allow("s3:GetObject", "*"), *PUSH)
    assert account.context.images.list(url).keys() == left


@pytest.mark.parametrize(
    ("statements", "phase", "code", "message", "action"),
    [
        ([], "QUEUED", "ACCESS_DENIED", "log streams", "logs:CreateLogStream"),
        ([LOG, *PUSH], "DOWNLOAD_SOURCE", "CLIENT_ERROR", "Access Denied", "s3:GetObject"),
        (
            [LOG, allow("s3:GetObject", "*"), PUSH[1]],
            "BUILD",
            "COMMAND_EXECUTION_ERROR",
            "docker push",
            "ecr:InitiateLayerUpload",
        ),
        (
            [LOG, allow("s3:GetObject", "*"), PUSH[0]],
            "BUILD",
            "COMMAND_EXECUTION_ERROR",
            "get-login-password",
            "ecr:GetAuthorizationToken",
        ),
    ],
)
def test_a_build_without_a_permission_fails_in_the_phase_and_the_words_of_codebuild(
    account: Account, statements: list[Json], phase: str, code: str, message: str, action: str
) -> None:
    ended = build(account, lake(account), repository(account), *statements)
    assert ended["buildStatus"] == "FAILED"
    last = ended["phases"][-1]
    assert last["phaseType"] == phase
    assert last["contexts"][0]["statusCode"] == code
    assert message in last["contexts"][0]["message"]
    # Of a failed command CodeBuild reports the command alone: the reason is in the log.
    log = account.http.get(ended["logs"]["deepLink"].removeprefix(account.context.base_url))
    assert f"not authorized to perform: {action}" in log.text
    assert (action in last["contexts"][0]["message"]) == (phase == "QUEUED")


class Serving:
    """An endpoint that serves models made of one word."""

    def __init__(
        self, account: Account, *, grants: list[Json] | None = None, user: str = "root"
    ) -> None:
        self.account = account
        self.bucket, images = lake(account), repository(account)
        context = account.context.state_dir / f"context-{user}"
        context.mkdir()
        (context / "Dockerfile").write_text(f"{DOCKERFILE}\nUSER {user}\n")
        (context / "server.py").write_text(SERVER)
        url = images.outputs["repositoryUrl"]
        self.image = account.context.images.build(context, "Dockerfile", url, "1").reference
        granted = (
            grants
            if grants is not None
            else [
                {**allow("s3:GetObject", f"arn:aws:s3:::{self.bucket.id}/models/*")},
                {**PUSH[1]},
                {
                    "Effect": "Allow",
                    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    "Resource": "*",
                },
            ]
        )
        self.role = account.role("serving", "sagemaker", *granted)

    def configuration(self, word: str) -> str:
        """A model and its configuration; the configuration's name."""
        self.upload(word)
        model = self.model(word)
        found = self.account.create(
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
            f"configuration-{word}",
            productionVariants=[
                {
                    "variantName": "live",
                    "modelName": model.id,
                    "serverlessConfig": {"memorySizeInMb": 2048, "maxConcurrency": 5},
                }
            ],
        )
        return found.id

    def upload(self, word: str) -> None:
        packed = self.account.context.state_dir / f"{word}.tar.gz"
        with tarfile.open(packed, "w:gz") as tar:
            info = tarfile.TarInfo("model.txt")
            info.size = len(word)
            tar.addfile(info, io.BytesIO(word.encode()))
        self.account.create(
            "aws:s3/bucketObjectv2:BucketObjectv2",
            f"model-{word}",
            bucket=self.bucket.id,
            key=f"models/{word}.tar.gz",
            source={SIGNATURE: ASSET, "path": str(packed)},
        )

    def model(self, word: str) -> Record:
        return self.account.create(
            "aws:sagemaker/model:Model",
            f"model-{word}",
            executionRoleArn=self.role.outputs["arn"],
            primaryContainer={
                "image": self.image,
                "modelDataUrl": f"s3://{self.bucket.id}/models/{word}.tar.gz",
            },
        )

    def endpoint(self, word: str) -> Record:
        return self.account.create(
            "aws:sagemaker/endpoint:Endpoint",
            "endpoint",
            endpointConfigName=self.configuration(word),
        )

    def invoke(self, endpoint: Record, body: bytes = b"{}", caller: Record | None = None) -> Any:
        auth = self.account.signed("sagemaker", caller)
        return self.account.http.post(
            f"/aws/endpoints/{endpoint.id}/invocations", content=body, auth=auth
        )


GITHUB = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:acme/triplane:environment:staging"


def delivery_role(account: Account, **inputs: Any) -> Record:
    """A role that trusts one environment of one repository, as the platform makes it."""
    provider = account.create(
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "github",
        url=GITHUB,
        clientIdLists=["sts.amazonaws.com"],
    )
    host = GITHUB.removeprefix("https://")
    claims = {"aud": "sts.amazonaws.com", "sub": SUBJECT, "ref": "refs/heads/main"}
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider.outputs["arn"]},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{host}:{name}": value for name, value in claims.items()}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return account.create(permissions.ROLE, "delivery", assumeRolePolicy=policy, **inputs)


def assumed(account: Account, role: Record, seconds: int, **claims: Any) -> Any:
    """The answer to a job of the repository that wants a session of the role."""
    known = {"iss": GITHUB, "aud": "sts.amazonaws.com", "sub": SUBJECT, "ref": "refs/heads/main"}
    token = jwt.encode(
        {"exp": time.time() + 300, **known, **claims},
        "a key that only GitHub has, and nobody else",
        "HS256",
    )
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "RoleArn": role.outputs["arn"],
        "WebIdentityToken": token,
        "DurationSeconds": str(seconds),
    }
    return account.http.post("/aws/", data=form)


def test_a_session_of_the_delivery_is_as_long_as_its_role_allows_and_then_ends(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = delivery_role(account, maxSessionDuration=SESSION_SECONDS)
    answer = assumed(account, role, SESSION_SECONDS)
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    key = AccessKey(*(re.findall(f"<{name}>(.*)</{name}>", answer.text)[0] for name in names))

    def identity() -> Any:
        form = {"Action": "GetCallerIdentity"}
        return account.http.post("/aws/", data=form, auth=Signed(key, "sts"))

    assert f"assumed-role/{role.id}/" in identity().text
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + SESSION_SECONDS + 1)
    assert (identity().status_code, "ExpiredToken" in identity().text) == (403, True)


def test_a_token_with_odd_claims_and_an_odd_form_are_refused_and_no_fault(
    account: Account,
) -> None:
    role = delivery_role(account)
    good = {"iss": GITHUB, "aud": "sts.amazonaws.com", "sub": SUBJECT, "ref": "refs/heads/main"}
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "RoleArn": role.outputs["arn"],
        "WebIdentityToken": encoded(json.dumps({**good, "exp": time.time() + 300})),
    }
    assert account.http.post("/aws/", data=form).status_code == 200
    changes: list[dict[str, str | None]] = [
        *({"WebIdentityToken": token} for token in (*odd_tokens(good), None)),
        *({"DurationSeconds": each} for each in ("abc", "-1", "1e3", "9" * 5000, "٣٦٠٠", "\0")),
        *({"RoleArn": each} for each in (None, "", "x", "arn:aws:iam::1:role/", "\0")),
    ]
    for change in changes:
        odd = {name: value for name, value in (form | change).items() if value is not None}
        answer = account.http.post("/aws/", data=odd)
        assert answer.status_code in (400, 403), str(change)[:200]
        assert "<Code>" in answer.text


def test_a_list_that_begins_nowhere_is_refused(account: Account) -> None:
    for odd in ({"Marker": "x"}, {"Marker": "-1"}, {"MaxItems": "many"}):
        form = {"Action": "ListRoles", **odd}
        key = account.context.access_keys.deployer
        answer = account.http.post("/aws/", data=form, auth=Signed(key, "iam"))
        assert (answer.status_code, "ValidationError" in answer.text) == (400, True), odd
    answer = account.http.post("/aws/", data={"Action": "GetRole"}, auth=Signed(key, "iam"))
    assert (answer.status_code, "ValidationError" in answer.text) == (400, True)


def test_a_session_longer_than_the_role_allows_is_refused(account: Account) -> None:
    """As it was with a role that allowed an hour: the longest update takes 85 minutes."""
    role = delivery_role(account, maxSessionDuration=3600)
    answer = assumed(account, role, SESSION_SECONDS)
    assert answer.status_code == 400
    assert "exceeds the MaxSessionDuration" in answer.text


@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        ({"sub": "repo:acme/triplane:ref:refs/heads/mine"}, "AccessDenied"),
        ({"ref": "refs/heads/mine"}, "AccessDenied"),
        ({"aud": "api://AzureADTokenExchange"}, "Incorrect token audience"),
        ({"iss": "https://gitlab.com"}, "No OpenIDConnect provider"),
        ({"exp": 1}, "Token expired"),
    ],
)
def test_a_token_that_the_role_does_not_trust_gives_no_session(
    claims: dict[str, Any], refusal: str, account: Account
) -> None:
    answer = assumed(account, delivery_role(account), 3600, **claims)
    assert answer.status_code in (400, 403)
    assert refusal in answer.text


LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"


def test_an_endpoint_creates_its_missing_log_group_and_nobody_can_afterwards(
    account: Account,
) -> None:
    serving = Serving(account)
    logs = allow("logs:CreateLogGroup", "arn:aws:logs:*:*:log-group:/aws/sagemaker/Endpoints/*")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [logs]})
    account.create(permissions.ROLE_POLICY, "may-log", role=serving.role.id, policy=policy)
    endpoint = serving.endpoint("first")
    with pytest.raises(Refusal, match="already exists") as refused:
        account.create(LOG_GROUP, "logs", name=f"/aws/sagemaker/Endpoints/{endpoint.id}")
    assert refused.value.code == "ResourceAlreadyExistsException"


def test_an_endpoint_leaves_the_log_group_that_exists_and_makes_none_without_the_permission(
    account: Account,
) -> None:
    endpoint = Serving(account).endpoint("first")
    group = account.create(LOG_GROUP, "logs", name=f"/aws/sagemaker/Endpoints/{endpoint.id}")
    assert group.id.endswith(endpoint.id)


def test_an_endpoint_serves_and_switches_to_another_model(account: Account) -> None:
    serving = Serving(account)
    endpoint = serving.endpoint("first")
    assert serving.invoke(endpoint).text == "first"
    account.update(endpoint, endpointConfigName=serving.configuration("second"))
    assert serving.invoke(endpoint).text == "second"


def test_a_model_that_does_not_start_is_rolled_back_and_the_update_succeeds(
    account: Account,
) -> None:
    serving = Serving(account)
    endpoint = serving.endpoint("first")
    account.update(endpoint, endpointConfigName=serving.configuration("broken"))
    assert serving.invoke(endpoint).text == "first"
    _, described = account.call("SageMaker.DescribeEndpoint", {"EndpointName": endpoint.id})
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == endpoint.inputs["endpointConfigName"]
    assert "the model is broken" in described["FailureReason"]


def test_a_first_model_that_does_not_start_fails_the_endpoint(account: Account) -> None:
    serving = Serving(account)
    with pytest.raises(
        Refusal, match=r"did not pass the ping health check(.|\n)*the model is broken"
    ):
        serving.endpoint("broken")
    (endpoint,) = account.context.all("aws:sagemaker/endpoint:Endpoint")
    _, described = account.call("SageMaker.DescribeEndpoint", {"EndpointName": endpoint.id})
    assert described["EndpointStatus"] == "Failed"
    with pytest.raises(Refusal, match="exists already"):
        serving.endpoint("first")
    with pytest.raises(Refusal, match="DeleteEndpoint is the only operation"):
        account.update(endpoint, endpointConfigName=serving.configuration("second"))
    account.update(endpoint, tags={"team": "flights"})
    assert account.call("SageMaker.DeleteEndpoint", {"EndpointName": endpoint.id})[0] == 200
    status, answer = account.call("SageMaker.DescribeEndpoint", {"EndpointName": endpoint.id})
    assert (status, "Could not find endpoint" in answer["message"]) == (400, True)
    assert serving.invoke(serving.endpoint("third")).text == "third"


def test_a_container_that_does_not_run_as_root_fails_the_endpoint(account: Account) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
    serving = Serving(account, user="65534:65534")
    with pytest.raises(Refusal, match=r"expects containers that run as root(.|\n)* as 65534:65534"):
        serving.endpoint("first")


def test_an_error_of_the_container_becomes_a_model_error(
    account: Account,
) -> None:
    serving = Serving(account)
    answer = serving.invoke(serving.endpoint("first"), b"bad")
    assert answer.status_code == 424
    assert answer.headers["x-amzn-errortype"] == "ModelError"
    assert answer.json()["OriginalStatusCode"] == 400


def test_invoking_an_endpoint_needs_the_permission(account: Account) -> None:
    serving = Serving(account)
    endpoint = serving.endpoint("first")
    allowed = account.role(
        "allowed", "lambda", allow("sagemaker:InvokeEndpoint", endpoint.outputs["arn"])
    )
    not_allowed = account.role("not-allowed", "lambda")
    assert serving.invoke(endpoint, caller=allowed).status_code == 200
    refused = serving.invoke(endpoint, caller=not_allowed)
    assert refused.status_code == 403
    assert refused.headers["x-amzn-errortype"] == "AccessDeniedException"


def test_a_model_needs_its_archive_its_image_and_a_role_that_can_read_both(
    account: Account,
) -> None:
    serving = Serving(account)
    with pytest.raises(Refusal, match=r"Could not access model data at s3://.*missing"):
        serving.model("missing")
    serving.upload("first")
    image, serving.image = serving.image, serving.image[:-6] + "000000"
    with pytest.raises(Refusal, match=r"Requested image .* not found"):
        serving.model("first")
    serving.image, serving.role = (
        image,
        account.role("pull", "sagemaker", allow("s3:GetObject", "*")),
    )
    with pytest.raises(Refusal, match="no permission to pull"):
        serving.model("first")


def opened(account: Account, code: str, *, permissions: int = 2) -> tuple[Record, Record, str]:
    """A function, its alias and its URL, with so many of the two permissions."""
    role = account.role("gateway", "lambda")
    function = account.function("gateway", role, code)
    alias = account.create(
        "aws:lambda/alias:Alias",
        "live",
        name="live",
        functionName=function.id,
        functionVersion=function.outputs["version"],
    )
    url = account.create(
        "aws:lambda/functionUrl:FunctionUrl",
        "url",
        functionName=function.id,
        qualifier="live",
        authorizationType="NONE",
    )
    both = [
        {"action": "lambda:InvokeFunctionUrl", "functionUrlAuthType": "NONE"},
        {"action": "lambda:InvokeFunction", "invokedViaFunctionUrl": True},
    ]
    for number, permission in enumerate(both[:permissions]):
        account.create(
            "aws:lambda/permission:Permission",
            f"permission-{number}",
            function=function.id,
            qualifier="live",
            principal="*",
            **permission,
        )
    return function, alias, url.outputs["functionUrl"]


def fetch(url: str) -> tuple[int, Json]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


ECHO = "def handler(event, context): return {'path': event['rawPath'], 'version': %d}"


@pytest.mark.parametrize("permissions", [0, 1])
def test_a_url_without_both_permissions_is_forbidden(account: Account, permissions: int) -> None:
    *_, url = opened(account, ECHO % 1, permissions=permissions)
    status, answer = fetch(url)
    assert status == 403
    assert answer["Message"].startswith("Forbidden.")


def test_a_url_beside_a_write_to_the_policy_is_refused_as_by_aws(account: Account) -> None:
    function = account.function("gateway", account.role("gateway", "lambda"), ECHO % 1)
    account.create(
        "aws:lambda/permission:Permission",
        "may-call",
        function=function.id,
        principal="*",
        action="lambda:InvokeFunctionUrl",
        functionUrlAuthType="NONE",
    )
    with pytest.raises(Refusal, match="due to a concurrent update operation"):
        account.create(
            "aws:lambda/functionUrl:FunctionUrl",
            "url",
            functionName=function.id,
            authorizationType="NONE",
        )


def test_a_url_answers_with_the_version_that_its_alias_names(account: Account) -> None:
    function, alias, url = opened(account, ECHO % 1)
    assert fetch(f"{url}some/path") == (200, {"path": "/some/path", "version": 1})
    function = account.update(function, code=archive({"main.py": ECHO % 2}))
    assert function.outputs["version"] == "2"
    assert fetch(url)[1]["version"] == 1
    account.update(alias, functionVersion="2")
    assert fetch(url)[1]["version"] == 2


def test_an_update_of_the_tags_alone_publishes_no_version(
    account: Account,
) -> None:
    function, *_ = opened(account, ECHO % 1)
    assert account.update(function, tags={"team": "flights"}).outputs["version"] == "1"


def test_a_workload_reaches_s3_with_its_own_permissions_only(account: Account) -> None:
    bucket = lake(account)
    role = account.role(
        "writer", "lambda", allow("s3:PutObject", f"arn:aws:s3:::{bucket.id}/captures/*")
    )
    auth = account.signed("s3", role)

    def put(key: str) -> Any:
        return account.http.put(f"/aws/{bucket.id}/{key}", content=b"x", auth=auth)

    assert put("captures/a.json").status_code == 200
    assert s3.read_object(account.context, f"s3://{bucket.id}/captures/a.json") == b"x"
    refused = put("models/a.json")
    assert refused.status_code == 403
    assert "<Code>AccessDenied</Code>" in refused.text
    assert account.http.get(f"/aws/{bucket.id}/captures/a.json", auth=auth).status_code == 403


def test_a_secret_is_read_with_the_permission_in_the_newest_or_requested_version(
    account: Account,
) -> None:
    secret = account.create("aws:secretsmanager/secret:Secret", "key")
    arn = secret.outputs["arn"]
    reader = account.role("reader", "lambda", allow("secretsmanager:GetSecretValue", arn))
    other = account.role("other", "lambda")
    token = "aws:secretsmanager/secretVersion:SecretVersion"
    first, _ = (
        account.create(token, value, secretId=secret.id, secretString=value)
        for value in ("first", "second")
    )
    target, body = "secretsmanager.GetSecretValue", {"SecretId": arn}
    assert account.call(target, body, reader)[1]["SecretString"] == "second"
    former = {**body, "VersionId": first.outputs["versionId"]}
    assert account.call(target, former, reader)[1]["SecretString"] == "first"
    unknown = {**body, "VersionId": "f" * 32}
    assert account.call(target, unknown, reader)[1]["__type"] == "ResourceNotFoundException"
    status, refused = account.call(target, body, other)
    assert status == 403
    assert refused["__type"] == "AccessDeniedException"


def test_an_event_has_text_as_it_is_and_other_content_in_base64() -> None:
    def request(content_type: str) -> Request:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "query_string": b"a=1&a=2",
            "headers": [(b"content-type", content_type.encode())],
        }
        return Request(scope)

    text = lambda_urls.event(request("application/json"), b"{}")
    assert (text["body"], text["isBase64Encoded"]) == ("{}", False)
    assert text["queryStringParameters"] == {"a": "1,2"}
    binary = lambda_urls.event(request("image/png"), b"\x89PNG")
    assert (binary["body"], binary["isBase64Encoded"]) == ("iVBORw==", True)


def test_a_function_url_is_open_again_after_a_restart(contexts: Any) -> None:
    *_, url = opened(Account(contexts()), ECHO % 1)
    Account(contexts())
    assert fetch(url)[0] == 200


def test_an_operation_that_is_not_rehearsed_is_refused_by_its_name(account: Account) -> None:
    status, answer = account.call("SageMaker.CreateTrainingJob", {})
    assert status == 501
    assert "does not answer SageMaker.CreateTrainingJob" in answer["message"]
