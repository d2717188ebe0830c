"""Scripts: answers written down beforehand, one JSON line each, for the rows that have them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import orjson

from batch_runner.fake_server.scenario_error import ScenarioError


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the row with this prompt is answered; what it leaves out is made up as for any row.

    The first line of a prompt answers the row's first attempt, the second line its second, and the last one all after.
    """

    prompt: str
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


TYPES: dict[str, tuple[type, ...]] = {
    "prompt": (str,),
    "content": (str, type(None)),
    "refusal": (str, type(None)),
    "tool_calls": (list,),
    "finish_reason": (str,),
    "prompt_tokens": (int,),
    "cached_tokens": (int,),
    "completion_tokens": (int,),
    "reasoning_tokens": (int,),
}
NAMES = tuple(field.name for field in fields(Script))


class ScriptBook:
    """The scripts of a scenario, by prompt."""

    def __init__(self, scripts: Iterable[Script]) -> None:
        self._by_prompt: dict[str, list[Script]] = {}
        for script in scripts:
            self._by_prompt.setdefault(script.prompt, []).append(script)

    def find(self, prompt: str, attempt: int) -> Script | None:
        """The script of a prompt's n-th attempt, if it has any."""
        scripts = self._by_prompt.get(prompt)
        return scripts[min(attempt, len(scripts)) - 1] if scripts else None


def read_scripts(path: Path) -> tuple[Script, ...]:
    """The scripts in a JSONL file; every complaint about it at once."""
    complaints: list[str] = []
    scripts = [script for line in _lines(path) if (script := _script(*line, complaints))]
    if complaints:
        raise ScenarioError(str(path), complaints)
    return tuple(scripts)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ScenarioError(str(path), [f"can't be read: {error.strerror}"]) from error
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _script(number: int, line: bytes, complaints: list[str]) -> Script | None:
    try:
        read = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        complaints.append(f"line {number}: not JSON: {error}")
        return None
    if not isinstance(read, dict) or "prompt" not in read:
        complaints.append(f'line {number}: an object with a "prompt" is wanted')
        return None
    if wrong := list(_wrong(number, read)):
        complaints.extend(wrong)
        return None
    return Script(**{**read, "tool_calls": tuple(read.get("tool_calls", ()))})


def _wrong(number: int, read: Mapping[str, object]) -> Iterator[str]:
    for name, value in read.items():
        if name not in TYPES:
            yield f"line {number}: unknown key {name!r}; known are {', '.join(NAMES)}"
        elif not isinstance(value, TYPES[name]):
            yield f"line {number}: {name} can't be {value!r}"
