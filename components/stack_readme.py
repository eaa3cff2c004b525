"""The stack's own README, rendered from its outputs: where everything is, and how to call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

TEMPLATE = """\
# Triplane on {cloud}, environment {environment}

| what | where |
|---|---|
| lake | `{lake_uri}` |
| image | `{image}` |
| gateway | {gateway_url} |

| model | version | endpoint | its API |
|---|---|---|---|
{rows}

Open {gateway_url}/ in a browser, or ask for a prediction of a model's own example:

```sh
curl -s {gateway_url}/models/{model} | jq '{{instances: [.example]}}' |
  curl -s {gateway_url}/models/{model}/predict {key}-H 'content-type: application/json' -d @-
```
"""
KEY = '-H "x-api-key: $(pulumi stack output gateway_key --show-secrets --stack {stack})" \\\n  '
"""Left out where anybody may call: such a stack has no key."""
KEY_NOTE = """
The key is read from the stack's state, in this project's folder: `pulumi` must be on the PATH, with the backend of this stack and
what decrypts its secrets in the environment. `make key`, with the stack's STACK= or CLOUD=, prints it in any shell.
"""
NO_ORGANIZATION = "organization"
"""What every backend but Pulumi Cloud calls it: https://www.pulumi.com/docs/iac/concepts/stacks/#stack-naming"""


def is_on_pulumi_cloud() -> bool:
    """Whether the backend is Pulumi Cloud, which shows a stack's README. In others it only clutters the list of outputs.

    https://www.pulumi.com/dev/examples/stack-readme-py/
    """
    return pulumi.get_organization() not in (None, "", NO_ORGANIZATION)


def render(outputs: Mapping[str, pulumi.Input[object]]) -> pulumi.Output[str]:
    """Markdown for the stack's ``readme`` output, with the key's place and never the key."""
    shown = {name: value for name, value in outputs.items() if name != "gateway_key"}
    models: pulumi.Output[Any] = pulumi.Output.from_input(outputs["models"])
    shown["rows"] = models.apply(_rows)
    shown["model"] = models.apply(lambda found: min(found))
    if "gateway_key" not in outputs:
        return pulumi.Output.format(TEMPLATE, key="", **shown)  # type: ignore[arg-type]
    key = KEY.format(stack=stack_reference())
    return pulumi.Output.format(TEMPLATE + KEY_NOTE, key=key, **shown)  # type: ignore[arg-type]


def _rows(models: Mapping[str, Mapping[str, str]]) -> str:
    """A row of the table for each model."""
    return "\n".join(
        f"| {name} | `{model['version']}` | `{model['endpoint_name']}` | {model['endpoint_url']} |"
        for name, model in sorted(models.items())
    )


def stack_reference() -> str:
    """How Pulumi's commands name the running stack, whichever one is selected and whoever is signed in."""
    if not is_on_pulumi_cloud():
        return pulumi.get_stack()
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
