"""The table of settings in README.md, made from the schema so that it cannot be wrong."""

from __future__ import annotations

import json
from typing import Any

from config import schema
from operations.engine.installation import HOME

BEGIN, END = "<!-- settings: made by `make fmt` -->\n", "<!-- end of settings -->\n"


def table() -> str:
    """Markdown: a row a setting, with its default and what it means."""
    rows = ["| setting | default | what it means |", "|---|---|---|"]
    for key, default, description in schema.schema():
        # A section's row would repeat what its settings' rows say.
        if description and not isinstance(default, schema.Section):
            rows.append(f"| `{key}` | {_shown(default)} | {description} |")
    return "\n".join(rows) + "\n"


def _shown(default: Any) -> str:
    if default is None:
        return "none: must be set"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def renewed(readme: str) -> str:
    """The README with the table that the schema makes."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main() -> None:
    readme = HOME / "README.md"
    readme.write_text(renewed(readme.read_text()))


if __name__ == "__main__":
    main()
