"""How one setting is declared: a dataclass field that carries its help text, its kind, and where it may come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click


def setting(
    default: Any,
    help: str,  # noqa: A002 - the word click and every reader use
    *,
    kind: click.ParamType[Any] | type = str,
    short: str = "",
    aliases: tuple[str, ...] = (),
    metavar: str = "",
    environment: bool = True,
    sticks: bool = True,
    many: bool = False,
    secret: bool = False,
) -> Any:
    """Declare a field of a group.

    `environment=False` keeps it out of the environment, `sticks=False` out of what `retry` takes over from the run that
    made the output: both for things meant once. `secret=True` keeps its value out of all that is printed.
    """
    facts = Facts(help, kind, short, aliases, metavar, environment, sticks, many, secret)
    return field(default=default, metadata={"facts": facts})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the table says of a setting beside its name, type and default."""

    help: str
    kind: click.ParamType[Any] | type
    short: str
    aliases: tuple[str, ...]
    metavar: str
    environment: bool
    sticks: bool
    many: bool
    secret: bool
