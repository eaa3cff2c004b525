"""The settings of a web app, as App Service has them: azure-native writes them, and never reads them.

Its refresh reads the app and its ``config/web``, and both answer null for the settings. So a setting that was changed
in the portal (``ACCESS=public``) would not be found, and no update would take it back.
https://github.com/pulumi/pulumi-azure-native/issues/4263
https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/resources/customresources/custom_webapp.go

`WebApp` goes on writing the settings: the container must not start once without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.azure import arm
from components.dynamic import Props, Provider, not_found

API_VERSION = "2025-05-01"
"""Of Microsoft.Web: the version that azure-native 3.29 uses."""


class AppSettingsProvider(Provider):
    """Compares the settings with those of the program. Writes them only if they differ: each write is a restart."""

    replace_on = frozenset({"app"})

    def create(self, props: Props) -> CreateResult:
        _write(props)
        return CreateResult(_id(props["app"]), props)

    def read(self, id_: str, props: Props) -> ReadResult:
        settings = _settings(props["app"])
        if settings is None:
            return not_found()
        return ReadResult(id_, {**props, "settings": _shown(settings, props.get("settings") or {})})

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        _write(news)
        return UpdateResult(news)

    # No delete: the settings are deleted with the app.


class AppSettings(Resource, module="triplane", name="AzureAppSettings"):
    """All settings of a web app. One that the program does not name is a difference, too."""

    def __init__(
        self,
        name: str,
        *,
        app: pulumi.Input[str],
        settings: pulumi.Input[Mapping[str, str]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(AppSettingsProvider(), name, {"app": app, "settings": settings}, opts)


def _id(app: str) -> str:
    return f"{app}/config/appsettings"


def _settings(app: str) -> dict[str, str] | None:
    """https://learn.microsoft.com/rest/api/appservice/web-apps/list-application-settings"""
    answer = arm.post(f"{_id(app)}/list", API_VERSION)
    return None if answer is None else dict(answer.get("properties") or {})


def _write(props: Props) -> None:
    """https://learn.microsoft.com/rest/api/appservice/web-apps/update-application-settings"""
    if _settings(props["app"]) != props["settings"]:
        arm.put(_id(props["app"]), {"properties": props["settings"]}, API_VERSION)


def _shown(found: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, str]:
    """The found settings for the state. A changed one is shown by its hash: who set it may have put a secret there."""
    return {
        name: value
        if known.get(name) == value
        else f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
        for name, value in found.items()
    }
