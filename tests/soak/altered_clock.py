"""Another time and another host name in this process."""

from __future__ import annotations

import datetime
import platform
import socket
import time

AHEAD = datetime.timedelta(days=401, hours=7, minutes=13)


class LaterDatetime(datetime.datetime):
    """A clock that is ahead."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> LaterDatetime:
        return super().now(tz) + AHEAD

    @classmethod
    def utcnow(cls) -> LaterDatetime:
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> LaterDatetime:
        return cls.now()


class LaterDate(datetime.date):
    """The date of that clock."""

    @classmethod
    def today(cls) -> LaterDate:
        return cls.fromordinal(LaterDatetime.now().toordinal())


def alter_clock_and_host() -> None:
    """Set the clock ahead and change the host name. Time zone, user and home are variables that the caller sets."""
    seconds, nanoseconds = time.time, time.time_ns
    gmtime, localtime, strftime = time.gmtime, time.localtime, time.strftime
    for name, replacement in {
        "time": lambda: seconds() + AHEAD.total_seconds(),
        "time_ns": lambda: nanoseconds() + int(AHEAD.total_seconds()) * 10**9,
        "gmtime": lambda at=None: gmtime(time.time() if at is None else at),
        "localtime": lambda at=None: localtime(time.time() if at is None else at),
        "strftime": lambda form, at=None: strftime(form, at or time.localtime()),
    }.items():
        setattr(time, name, replacement)
    setattr(datetime, "datetime", LaterDatetime)  # noqa: B010  # mypy takes no assignment to a type
    setattr(datetime, "date", LaterDate)  # noqa: B010
    socket.gethostname = platform.node = lambda: "another-host"
