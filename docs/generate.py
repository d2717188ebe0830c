"""Rewrites the parts of the documentation that are read off the code: `make docs`. A test fails while they differ.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path

from batch_runner import failures
from batch_runner.advice import ADVICE
from batch_runner.error_replies import BY_BODY, BY_STATUS, Rule
from batch_runner.exits import MEANINGS
from batch_runner.failures import FailureKind
from batch_runner.health import STREAKS
from batch_runner.nightly.job_keys import job_table
from batch_runner.notices.commands import VARIABLES
from batch_runner.notices.log import EVENTS
from batch_runner.notices.metrics import METRICS
from batch_runner.reporters.heartbeat import KEYS
from batch_runner.results.states import MEANINGS as STATES
from batch_runner.results.states import STALE, STALE_MEANING
from batch_runner.settings import Setting, table

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/errors.md", "docs/monitoring.md", "docs/nightly.md", "docs/running.md")
PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def exit_codes() -> str:
    """One row for each status a command can end with."""
    rows = [f"| {int(status)} | {meaning} |" for status, meaning in MEANINGS.items()]
    return _table("| status | meaning |", rows)


def failure_kinds() -> str:
    """One row for each failure kind: what is done about it, what it may cost, what to do."""
    rows = [f"| `{kind}` | {_handling(kind)} | {ADVICE[kind]} |" for kind in FailureKind]
    return _table("| kind | what is done | what to do |", rows)


def answers() -> str:
    """One row for each answer that is recognised, in the order they are looked for."""
    rows = []
    for rule in (*BY_BODY, *BY_STATUS):
        statuses = ", ".join(map(str, sorted(rule.statuses))) or "any"
        about = "this run, or the row that named the model" if rule.about_model else rule.scope.value
        handling = f"{_handling(rule.kind)} | {ADVICE[rule.kind]}"
        rows.append(f"| {statuses} | {_markers(rule)} | `{rule.kind}` | {about} | {handling} |")
    return _table("| status | code or words | kind | about | what is done | what to do |", rows)


def streaks() -> str:
    """What ends a run although no single failure would."""
    rows = []
    for streak in STREAKS:
        kinds = ", ".join(f"`{kind}`" for kind in FailureKind if kind in streak.kinds)
        over = f" over {streak.seconds:g} s or more" if streak.seconds else ""
        when = " that say the same" if streak.same_words else ""
        rows.append(f"| {kinds} | {streak.count} in a row{over}{when} |")
    return _table("| kinds | the run stops after |", rows)


def settings() -> str:
    """One row for each setting."""
    rows = []
    for entry in table():
        names = [*([entry.facts.short] if entry.facts.short else []), entry.flag, *entry.facts.aliases]
        flags = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| {flags} | `[{entry.group}] {entry.name}` | {_default(entry)} | {entry.facts.help.replace('|', '/')} |")
    return _table("| flag | job file | default | meaning |", rows)


def job_keys() -> str:
    """One row for each key that only a job has."""
    rows = [f"| `{entry.name}` | {_default(entry)} | {entry.facts.help.replace('|', '/')} |" for entry in job_table()]
    return _table("| key of `[job]` | default | meaning |", rows)


def _default(entry: Setting) -> str:
    default = entry.default
    if default in (None, (), False):
        return ""
    if isinstance(default, time):
        return f"`{default:%H:%M}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def states() -> str:
    """One row for each state of an output."""
    rows = [
        f"| {status} | {state} | {meaning} |" for state, (status, meaning) in sorted(STATES.items(), key=lambda item: item[1])
    ]
    return _table("| status | state | meaning |", [*rows, f"| {STALE} | | {STALE_MEANING} |"])


def heartbeat() -> str:
    """One row for each key of the heartbeat."""
    return _table("| key | meaning |", [f"| `{key}` | {meaning} |" for key, meaning in KEYS.items()])


def metrics() -> str:
    """One row for each metric."""
    rows = [f"| `{metric.name}` | {f'`{metric.label}`' if metric.label else ''} | {metric.help} |" for metric in METRICS]
    return _table("| metric | label beside `name` | meaning |", rows)


def variables() -> str:
    """One row for each variable that a command finds."""
    return _table("| variable | value |", [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()])


def events() -> str:
    """One row for each event of the log."""
    rows = [f"| `{event}` | {level} | {meaning} |" for event, (level, meaning) in EVENTS.items()]
    return _table("| event | level | what it tells |", rows)


MAKERS = {
    "exit-codes": exit_codes,
    "failure-kinds": failure_kinds,
    "answers": answers,
    "streaks": streaks,
    "settings": settings,
    "job-keys": job_keys,
    "states": states,
    "heartbeat": heartbeat,
    "metrics": metrics,
    "variables": variables,
    "events": events,
}


def regenerated(text: str) -> str:
    """`text` with its generated parts made anew."""
    return PART.sub(lambda part: f"{part[1]}{MAKERS[part['name']]()}{part[3]}", text)


def main() -> None:
    """Rewrite every page."""
    for page in PAGES:
        path = ROOT / page
        path.write_text(regenerated(path.read_text(encoding="utf-8")), encoding="utf-8")


def _markers(rule: Rule) -> str:
    """The codes and words of a rule, as a reader may search for them."""
    pattern = "" if rule.words is None else rule.words.pattern
    words = re.split(r"\|(?![^(]*\))", pattern) if pattern else []  # alternatives, but not those inside brackets
    plain = (word.replace(r"\b", "").replace(r"\(", "(").replace(".*", "…").replace("|", "/").lstrip("^") for word in words)
    return ", ".join([*(f"`{code}`" for code in sorted(rule.codes)), *(f"“{word}”" for word in plain)])


def _handling(kind: FailureKind) -> str:
    if kind in failures.SLOW_DOWN:
        return "everyone pauses; tried again, costs the row no attempt"
    if kind is FailureKind.UNREACHABLE:
        return "tried again, costs the row no attempt"
    if kind is FailureKind.INTERRUPTED:
        return "`unfinished`; its worst case counts as maybe billed"
    if kind in failures.MAYBE_BILLED:
        return f"tried at most {failures.MOST_MAYBE_BILLED} times; its worst case counts as maybe billed"
    if kind in failures.TRANSIENT:
        return "tried again, up to `--max-attempts`"
    if any(rule.kind is kind and rule.scope is failures.Scope.RUN for rule in (*BY_BODY, *BY_STATUS)):
        return "the run stops, exit 4; rows that weren't sent stay unattempted"
    if kind is FailureKind.POLICY:
        return "`refused`, not tried again"
    return "`invalid`, never sent" if kind is FailureKind.INVALID_LINE else "`failed`, not tried again"


def _table(head: str, rows: list[str]) -> str:
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows, ""])


if __name__ == "__main__":
    main()
