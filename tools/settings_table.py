"""The table in docs/reference/settings.md, generated from the schema."""

from __future__ import annotations

import json
from typing import Any

from config.schema import all_settings
from config.sections import Section
from operations.engine.installation import HOME
from tools import generated_part

PAGE = HOME / "docs" / "reference" / "settings.md"


def settings_table() -> str:
    """A Markdown table: a row for each setting, with its default and its meaning."""
    rows = ["| setting | default | what it means |", "|---|---|---|"]
    for setting in all_settings():
        # A section has no row: the rows of its settings say the same in detail.
        if setting.description and not isinstance(setting.default, Section):
            default = _default_as_code(setting.default)
            rows.append(f"| `{setting.key}` | {default} | {setting.description} |")
    return "\n".join(rows) + "\n"


def _default_as_code(default: Any) -> str:
    if default is None:
        return "none: must be set"
    return f"`{default if default and isinstance(default, str) else json.dumps(default)}`"


def page_with_current_table(page: str) -> str:
    """The page's text with the table of today's schema. Raises ValueError for a page without its place."""
    missing = "docs/reference/settings.md has no place for the table"
    return generated_part.renewed(page, "settings", settings_table(), missing)


def main() -> None:
    PAGE.write_text(page_with_current_table(PAGE.read_text()))


if __name__ == "__main__":
    main()
