"""The commands on a stack, by the name that `make` and ``python -m operations`` have for them."""

from __future__ import annotations

from collections.abc import Callable

from operations.commands.adopt import adopt
from operations.commands.backup import back_up, restore
from operations.commands.check_account import check_account
from operations.commands.deploy import destroy, key, outputs, predict, preview, up
from operations.commands.repair import repair
from operations.engine.stack import NamedStack

COMMANDS: dict[str, Callable[[NamedStack], None]] = {
    "up": up,
    "check-account": check_account,
    "preview": preview,
    "destroy": destroy,
    "outputs": outputs,
    "key": key,
    "predict": predict,
    "repair": repair,
    "adopt": adopt,
    "backup": back_up,
    "restore": restore,
}
