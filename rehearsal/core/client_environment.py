"""What reaches clients of the clouds, Pulumi and HTTP clients from the environment and from files in the home folder.

Whatever uses the rehearsal runs without it (`isolated`), and with what the rehearsal sets in its place (`own_places`).
So no client asks a real cloud, a proxy or a metadata service, whatever the engineer's shell has.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

GROUPS: dict[str, str] = {
    # AWS: credentials, profiles, roles, endpoints of each service, metadata and container services.
    "AWS_": "https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html",
    "BOTO": "https://github.com/boto/botocore/blob/develop/botocore/credentials.py",
    # Google Cloud: the provider's, the client libraries', gcloud's; the metadata service; emulators.
    "GOOGLE_": "https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference",
    "GCLOUD_": "https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference",
    "CLOUDSDK_": "https://cloud.google.com/sdk/docs/properties#setting_properties_via_environment_variables",
    "GCE_": "https://github.com/googleapis/google-auth-library-python/blob/main/google/auth/environment_vars.py",
    "STORAGE_EMULATOR_": "https://pkg.go.dev/cloud.google.com/go/storage#hdr-Creating_a_Client",
    # Azure: the SDKs', azure-native's, the managed identity's of each service.
    "AZURE_": "https://learn.microsoft.com/python/api/overview/azure/identity-readme#environment-variables",
    "ARM_": "https://www.pulumi.com/registry/packages/azure-native/installation-configuration/",
    "IDENTITY_": "https://learn.microsoft.com/azure/app-service/overview-managed-identity",
    "IMDS_": "https://github.com/Azure/azure-sdk-for-python/blob/main/sdk/identity/azure-identity/azure/identity/_constants.py",
    "MSI_": "https://learn.microsoft.com/azure/app-service/overview-managed-identity",
    # The tokens with which a pipeline's job signs in.
    "ACTIONS_ID_TOKEN_REQUEST_": "https://docs.github.com/actions/reference/security/oidc",
    "AZURESUBSCRIPTION_": "https://learn.microsoft.com/python/api/azure-identity/azure.identity.azurepipelinescredential",
    "SYSTEM_ACCESSTOKEN": "https://learn.microsoft.com/azure/devops/pipelines/build/variables#systemaccesstoken",
    "SYSTEM_OIDCREQUESTURI": "https://learn.microsoft.com/azure/devops/pipelines/build/variables#system-variables",
    # Pulumi: backend, access token, stack, settings, every option of the command line, logs with secrets.
    "PULUMI_": "https://www.pulumi.com/docs/iac/cli/environment-variables/",
    "TF_": "https://developer.hashicorp.com/terraform/plugin/log/managing",
    # Telemetry's collectors, which may be anywhere.
    "OTEL_": "https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/",
    # gRPC's proxies, certificates and logs.
    "GRPC_": "https://github.com/grpc/grpc/blob/master/doc/environment_variables.md",
}
"""How the names of groups of variables begin, and the document about the group."""

_PROXIES = "https://everything.curl.dev/usingcurl/proxies/env.html"
_OPENSSL = "https://docs.openssl.org/3.0/man7/openssl-env/"
_PYTHON = "https://docs.python.org/3/using/cmdline.html#environment-variables"
VARIABLES: dict[str, str] = {
    "HTTP_PROXY": _PROXIES,
    "HTTPS_PROXY": _PROXIES,
    "FTP_PROXY": _PROXIES,
    "ALL_PROXY": _PROXIES,
    "NO_PROXY": _PROXIES,
    "GRPC_PROXY": "https://github.com/grpc/grpc/blob/master/doc/environment_variables.md",
    "NO_GRPC_PROXY": "https://github.com/grpc/grpc/blob/master/doc/environment_variables.md",
    # Without it Python takes a header `Proxy:` of a request for a proxy: https://httpoxy.org
    "REQUEST_METHOD": "https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies",
    "SSL_CERT_FILE": _OPENSSL,
    "SSL_CERT_DIR": _OPENSSL,
    "OPENSSL_CONF": _OPENSSL,
    "OPENSSL_MODULES": _OPENSSL,
    # The keys of every TLS connection, in a file.
    "SSLKEYLOGFILE": "https://docs.python.org/3/library/ssl.html#ssl.create_default_context",
    "REQUESTS_CA_BUNDLE": "https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification",
    "CURL_CA_BUNDLE": "https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification",
    "HTTPLIB2_CA_CERTS": "https://github.com/httplib2/httplib2/blob/master/python3/httplib2/certs.py",
    "NODE_EXTRA_CA_CERTS": "https://nodejs.org/api/cli.html#node_extra_ca_certsfile",
    "NODE_TLS_REJECT_UNAUTHORIZED": "https://nodejs.org/api/cli.html#node_tls_reject_unauthorizedvalue",
    "NODE_OPTIONS": "https://nodejs.org/api/cli.html#node_optionsoptions",
    # requests sends a password of this file in place of a client's own token.
    "NETRC": "https://requests.readthedocs.io/en/latest/user/authentication/#netrc-authentication",
    "NO_GCE_CHECK": "https://github.com/googleapis/google-auth-library-python/blob/main/google/auth/environment_vars.py",
    "APPENGINE_RUNTIME": "https://github.com/googleapis/google-auth-library-python/blob/main/google/auth/environment_vars.py",
    # Logs with every request's headers; other resolvers.
    "GODEBUG": "https://pkg.go.dev/net/http#pkg-overview",
    "LOCALDOMAIN": "https://man7.org/linux/man-pages/man5/resolv.conf.5.html",
    "RES_OPTIONS": "https://man7.org/linux/man-pages/man5/resolv.conf.5.html",
    "HOSTALIASES": "https://man7.org/linux/man-pages/man7/hostname.7.html",
    # Code that Python runs before the program, or in place of its own.
    "PYTHONPATH": _PYTHON,
    "PYTHONHOME": _PYTHON,
    "PYTHONSTARTUP": _PYTHON,
    "PYTHONINSPECT": _PYTHON,
    "PYTHONBREAKPOINT": _PYTHON,
    "PYTHONUSERBASE": _PYTHON,
    "PYTHONPLATLIBDIR": _PYTHON,
    "PYTHONSAFEPATH": _PYTHON,
    "PYTHONWARNINGS": _PYTHON,
}
"""Variables that are in no group, and a document about each. Clients read those of proxies in small letters, too."""


def is_read_by_clients(name: str) -> bool:
    """Whether a variable of this name changes whom a client of a cloud, Pulumi or HTTP asks, and as whom."""
    return name.upper() in VARIABLES or name.startswith(tuple(GROUPS))


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables that clients read."""
    return {name: value for name, value in environment.items() if not is_read_by_clients(name)}


def isolate(environment: MutableMapping[str, str]) -> None:
    """Take the variables that clients read out of this environment."""
    for name in [each for each in environment if is_read_by_clients(each)]:
        del environment[name]


def shell_lines(environment: Mapping[str, str], own: Mapping[str, str]) -> Iterator[str]:
    """The lines by which a shell with ``environment`` loses what clients read there, and has ``own`` instead."""
    known = {*VARIABLES, *(name.lower() for name in VARIABLES if "PROXY" in name)}
    found = {name for name in environment if is_read_by_clients(name)}
    yield f"unset {' '.join(sorted((known | found) - own.keys()))}"
    for name, value in own.items():
        yield f"export {name}={shlex.quote(value)}"


def own_places(state_dir: Path) -> dict[str, str]:
    """Where clients look in place of files in the home folder, and for no metadata service.

    With all of them set, a client finds the rehearsal's credentials alone, however its own order is.
    """
    return {
        # ~/.aws/config may name a command that is run for credentials, and an endpoint for each service.
        # https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BOTO_CONFIG": os.devnull,
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
        "AWS_EC2_METADATA_DISABLED": "true",
        # https://cloud.google.com/sdk/docs/configurations, and `gcloud auth application-default login`
        "CLOUDSDK_CONFIG": str(state_dir / "no-login" / "gcloud"),
        "NO_GCE_CHECK": "true",
        # https://learn.microsoft.com/cli/azure/azure-cli-configuration
        "AZURE_CONFIG_DIR": str(state_dir / "no-login" / "azure"),
        # Of its chain, azure-identity asks this one alone: not az, azd, PowerShell, a shared cache.
        # https://learn.microsoft.com/python/api/overview/azure/identity-readme#defaultazurecredential
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "NETRC": os.devnull,
    }
