"""Whom the settings name to be told, in words, without what may be secret: for who looks at a job before it runs."""

from __future__ import annotations

from shutil import which
from typing import TYPE_CHECKING

from batch_runner.notices import metrics, services
from batch_runner.notices.courier import Undelivered, address_of, shown
from batch_runner.settings.notices import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.settings import Settings


def whom(settings: Settings) -> Iterator[tuple[str, bool]]:
    """`ping https://hc-ping.com/***` and whether it can be done, one for each; a file that should hold an address and doesn't is
    told.
    """
    told = settings.notify
    addresses = (("ping", told.ping), ("webhook", told.webhook), *(("notify", address) for address in told.notify))
    for name, address in addresses:
        if address is not None:
            place, there = _place(address)
            yield f"{name} {place}{_missing(name)}", there and not _missing(name)
    for name, file in (("metrics", told.metrics), ("summary", told.summary), ("log", settings.log.log)):
        if file is not None:
            yield f"{name} {file}{_missing(name)}", not _missing(name)
    for name in COMMANDS:
        if words := getattr(told, name):
            there = which(words[0]) is not None
            yield f"{name} {words[0]}{'' if there else ', which is not there, or not to be run'}", there


def _missing(name: str) -> str:
    """What isn't installed and is needed for it."""
    needs = {"notify": services, "metrics": metrics}.get(name)
    return f"; {needs.MISSING}" if needs is not None and not needs.is_installed() else ""


def _place(address: str) -> tuple[str, bool]:
    try:
        return shown(address_of(address)), True
    except Undelivered as why:
        return str(why), False
    except ValueError:  # `http://[::1`
        return "an address that can't be used", False
