"""The query protocol, which IAM and STS speak: a form goes in, XML comes out.

https://docs.aws.amazon.com/IAM/latest/UserGuide/programming.html
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from xml.sax.saxutils import escape

from rehearsal.aws.calls import Call
from rehearsal.core.records import Refusal

NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
RESPONSE = """\
<{action}Response xmlns="{namespace}"><{action}Result>{result}</{action}Result>\
<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{action}Response>"""
ERROR = """\
<ErrorResponse xmlns="{namespace}"><Error><Type>Sender</Type>\
<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"""

PAGE = 100
"""IAM's own default for MaxItems."""

Query = Callable[[Call], str]
"""An operation of the query protocol: the form is the call's body; returns the XML of the result."""


def elements(fields: Mapping[str, str]) -> str:
    """XML elements with text in them."""
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())


def response(service: str, action: str, result: str) -> str:
    """The XML of a response."""
    return RESPONSE.format(
        action=action, namespace=NAMESPACES[service], result=result, request=uuid.uuid4()
    )


def error(service: str, code: str, message: str) -> str:
    """The XML of an error."""
    return ERROR.format(namespace=NAMESPACES[service], code=code, message=escape(message))


def number(call: Call, name: str, default: int) -> int:
    """A number of the form. Raises `Refusal` for another text: https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html"""
    text = str(call.body.get(name) or default)
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Refusal("ValidationError", f"The value at '{name}' is no number: {text[:20]}")
    return int(text)


def page(call: Call, name: str, items: Iterable[str]) -> str:
    """A page of a list, each item the XML inside its ``member``."""
    members = [f"<member>{each}</member>" for each in items]
    start, limit = number(call, "Marker", 0), number(call, "MaxItems", PAGE)
    more = start + limit < len(members)
    return (
        f"<{name}>{''.join(members[start : start + limit])}</{name}>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        + (f"<Marker>{start + limit}</Marker>" if more else "")
    )
