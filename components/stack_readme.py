"""The stack's own README, rendered from its outputs: where everything is, and how to call it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

TEMPLATE = """\
# Triplane on {cloud}, environment {environment}

| what | where |
|---|---|
| lake | `{lake_uri}` |
| image | `{image}` |
| model version | `{model_version}` |
| model endpoint | `{endpoint_name}` |
| endpoint API | {endpoint_url} |
| gateway | {gateway_url} |

Open {gateway_url}/ in a browser, or ask for a prediction:

```sh
curl -s {gateway_url}/predict {key}-H 'content-type: application/json' -d @docs/flight.json
```
"""
KEY = '-H "x-api-key: $(pulumi stack output gateway_key --show-secrets)" \\\n  '
"""Left out where anybody may call: such a stack has no key."""


def render(outputs: Mapping[str, pulumi.Input[object]]) -> pulumi.Output[str]:
    """Markdown for the stack's ``readme`` output, with the key's place and never the key."""
    shown = {name: value for name, value in outputs.items() if name != "gateway_key"}
    key = KEY if "gateway_key" in outputs else ""
    return pulumi.Output.format(TEMPLATE, key=key, **shown)  # type: ignore[arg-type]
