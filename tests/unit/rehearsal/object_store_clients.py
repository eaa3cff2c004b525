"""The clouds' own clients of the object stores, for tests that run the stores without the rest of the rehearsal."""

from __future__ import annotations

import time
from typing import Any

import boto3
import jwt
import requests
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient
from botocore.config import Config
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from rehearsal.provider.context import Context


class Token:
    """A bearer credential as azure-identity has them; Azurite looks into the token only."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        until = int(time.time()) + 3600
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/00000000-aaaa-4bbb-8ccc-000000000002/",
            "nbf": until - 7200,
            "iat": until - 7200,
            "exp": until,
        }
        return AccessToken(jwt.encode(claims, "k" * 32, algorithm="HS256"), until)


def s3(context: Context) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=context.object_stores.s3(),
        aws_access_key_id=context.access_keys.deployer.id,
        aws_secret_access_key=context.access_keys.deployer.secret,
        region_name="eu-west-1",
        config=Config(retries={"total_max_attempts": 8}),
    )


def gcs(context: Context) -> storage.Client:
    session = requests.Session()
    session.trust_env = False  # its variables would win over `verify`
    session.verify = str(context.authority.bundle)
    return storage.Client(
        "p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": context.object_stores.gcs()},
        _http=session,
    )


def blobs(context: Context, account: str) -> BlobServiceClient:
    return BlobServiceClient(
        context.object_stores.blob(account),
        credential=Token(),
        connection_verify=str(context.authority.bundle),
    )
