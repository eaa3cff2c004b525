"""A container registry's login server over HTTP: the digest of an image, which Resource Manager does not know."""

from __future__ import annotations

from components.azure import arm

AUDIENCE = "https://containerregistry.azure.net"
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def digest(server: str, repository: str, reference: str) -> str | None:
    """The digest of the image with this tag or digest; None if there is no such image or repository.

    As who runs Pulumi, who needs ``registries/pull/read``: Owner and Contributor have it.
    https://learn.microsoft.com/azure/container-registry/container-registry-rbac-built-in-roles-directory-reference
    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#checking-if-content-exists-in-the-registry
    """
    with arm.session() as session:
        answer = session.head(
            f"https://{server}/v2/{repository}/manifests/{reference}",
            headers={
                "Accept": ", ".join(MANIFESTS),
                "Authorization": f"Bearer {_token(server, repository)}",
            },
            timeout=60,
        )
    if answer.status_code == 404:
        return None
    if not answer.ok:
        raise RuntimeError(
            f"{server} answers {answer.status_code} for {repository}:{reference}. Who runs Pulumi needs"
            " Microsoft.ContainerRegistry/registries/pull/read on the registry."
        )
    found: str = answer.headers["Docker-Content-Digest"]
    return found


def _token(server: str, repository: str) -> str:
    """A registry's own token to pull from a repository, for one of Entra ID.

    https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
    """
    from azure.identity import DefaultAzureCredential

    with DefaultAzureCredential() as credential:
        entra = credential.get_token(f"{AUDIENCE}/.default").token
    refresh = _posted(
        server, "exchange", "refresh_token", grant_type="access_token", access_token=entra
    )
    return _posted(
        server,
        "token",
        "access_token",
        grant_type="refresh_token",
        refresh_token=refresh,
        scope=f"repository:{repository}:pull",
    )


def _posted(server: str, path: str, wanted: str, **form: str) -> str:
    with arm.session() as session:
        answer = session.post(
            f"https://{server}/oauth2/{path}", data={"service": server, **form}, timeout=60
        )
    if not answer.ok:
        raise RuntimeError(
            f"{server} answers {answer.status_code} to the sign-in of who runs Pulumi:"
            f" {answer.text[:300]}"
        )
    token: str = answer.json()[wanted]
    return token
