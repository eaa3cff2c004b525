"""The part of a page in docs/ that `make format` writes."""

from __future__ import annotations


def renewed(page: str, subject: str, text: str, missing: str) -> str:
    """The page with ``text`` between the marks of its subject.

    Raises ValueError, with what is ``missing``, for a page without the marks.
    """
    begin, end = f"<!-- {subject}: made by `make format` -->\n", f"<!-- end of {subject} -->\n"
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"{missing}: {begin}")
    return f"{before}{begin}{text}{end}{after}"
