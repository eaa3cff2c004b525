"""The table in docs/reference/settings.md, made from the schema so that it cannot be wrong."""

from __future__ import annotations

import json
from typing import Any

from config import schema
from operations.engine.installation import HOME

PAGE = HOME / "docs" / "reference" / "settings.md"
BEGIN, END = "<!-- settings: made by `make format` -->\n", "<!-- end of settings -->\n"


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


def renewed(page: str) -> str:
    """The page with the table that the schema makes."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main() -> None:
    PAGE.write_text(renewed(PAGE.read_text()))


if __name__ == "__main__":
    main()
