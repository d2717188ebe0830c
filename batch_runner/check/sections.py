"""An inspection for a person: sections of lines that fit a terminal. Pure."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.check.forecast import ASSUMED_IN_FLIGHT
from batch_runner.check.remarks import remark_in_words
from batch_runner.models import family_of
from batch_runner.reporters.costs import models_in_words
from batch_runner.reporters.wording import choosers, counted, duration, many, money, one_line, rows, short
from batch_runner.spending import cap_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.check.distribution import Distribution
    from batch_runner.check.inspection import Inspection
    from batch_runner.findings import Named
    from batch_runner.pricing import Cost

BLOCKS = " ▏▎▍▌▋▊▉█"
BAR_WIDTH = 40
LONGEST_REASON = 400
LABEL = re.compile(r"(?=.{0,16}\S) *\S+(?: \S+){0,4} {2,}(?=\S)")
"""What stands in a column of its own before the rest of a line."""


class Section(NamedTuple):
    """A heading, and the lines under it."""

    heading: str
    lines: list[str]


def sections(seen: Inspection, width: int) -> Iterator[Section]:
    """Everything worth telling, in lines of up to `width` columns; nothing is told twice, and nothing of what isn't there."""
    yield Section("Rows", _fitted(_rows(seen), width))
    for heading, lines in (
        ("Repeated ids: a run won't begin", _repeated_ids(seen)),
        ("Can't be sent" + (": with --strict a run won't begin" if seen.settings.rows.strict else ""), _invalid(seen)),
        ("Would be refused", _refused(seen)),
        ("Mended by --fix", _mended(seen)),
        ("Worth a look", _remarks(seen)),
    ):
        if told := _fitted(lines, width):
            yield Section(heading, told)
    if seen.survey.tokens.count:
        yield Section(f"Prompt tokens of the rows to send ({_counted(seen)})", list(_spread(seen.survey.tokens)))
        yield cost_section(seen, width)
        yield time_section(seen, width)


def cost_section(seen: Inspection, width: int) -> Section:
    """What the rows to be sent may cost."""
    return Section("Cost", _fitted(_cost(seen), width))


def time_section(seen: Inspection, width: int) -> Section:
    """How long they may take."""
    return Section("Time", _fitted(_time(seen), width))


def last_line(seen: Inspection) -> str:
    """What it comes to."""
    plan = seen.plan
    wrong = [
        (plan.doubled_rows, "with the id of another"),
        (plan.bad, "can't be sent"),
        (seen.refused_rows, "would be refused"),
    ]
    told = counted(wrong)
    return f"of {rows(plan.rows)}: {told}" if told else f"{rows(plan.rows)}: nothing stands in the way"


def _rows(seen: Inspection) -> Iterator[str]:
    plan, survey = seen.plan, seen.survey
    parts = [(plan.new, "new"), (plan.again + plan.changed, "again"), (plan.bad, "can't be sent")]
    parts.append((plan.rows - plan.to_send - plan.bad, "done"))
    told = counted(parts)
    yield f"{rows(plan.rows)}: {told} → {seen.endpoint.host}"
    if survey.models:
        yield "models: " + ", ".join(f"{one_line(model, 40)} {count:,}" for model, count in survey.models.most_common(5))
    for why, count in survey.again.most_common():
        yield f"{rows(count)} bought again: {one_line(why, 90)}"
    if plan.changed and not seen.settings.rows.rerun_changed:
        yield f"{rows(plan.changed)} answered already: a run asks before it buys them again, or takes --rerun-changed"
    if survey.same_requests.rows:
        yield f"{rows(survey.same_requests.rows)} asking the same as one before, bought all the same{_at(survey.same_requests)}"
    if plan.left_out:
        yield f"{rows(plan.left_out)} of the input left out by {choosers(seen.settings)}"
    for name in seen.left_out:
        yield f"passed over {name}: it is an output of batch-runner"
    if seen.unreadable_lines:
        yield f"the output has lines that can't be read ({seen.unreadable_lines:,}): their rows count as new"
    for model, day in seen.ending.items():
        days = (day - seen.today).days
        ends = f"ends {model} on {day}, in {many(days, 'day')}" if days >= 0 else f"ended {model} on {day}"
        yield f"OpenAI {ends}: from then on, rows that ask it fail"


def _repeated_ids(seen: Inspection) -> Iterator[str]:
    doubled = seen.plan.doubled
    for row_id, first in seen.first_places.items():
        yield f"{one_line(row_id, 60)!r} at {first} and {doubled[row_id]}"
    yield from _more(len(doubled), len(seen.first_places))


def _invalid(seen: Inspection) -> Iterator[str]:
    plan = seen.plan
    for place in plan.bad_lines:
        yield f"{place.at}: {one_line(place.what, LONGEST_REASON)}"
    yield from _more(plan.bad, len(plan.bad_lines))


def _refused(seen: Inspection) -> Iterator[str]:
    for finding in seen.refused:
        yield f"{rows(finding.named.rows)} by {one_line(finding.model, 40)} for {finding.refusal.what}"
        yield f"  says  {one_line(finding.refusal.message, LONGEST_REASON)}"
        yield f"  do    {finding.refusal.fix}"
        yield f"  at    {_places(finding.named)}"


def _mended(seen: Inspection) -> Iterator[str]:
    for mend, count in seen.plan.weighing.findings.mended.items():
        yield f"{rows(count)}: {mend}"


def _remarks(seen: Inspection) -> Iterator[str]:
    for (model, remark), named in seen.survey.remarks.items():
        yield f"{rows(named.rows)} {remark_in_words(remark, one_line(model, 40), family_of(model))}{_at(named)}"


def _counted(seen: Inspection) -> str:
    if seen.counter.exact:
        return f"counted with {seen.counter.name}"
    return "an estimate; pip install 'batch-runner[tokens]' counts"


def _spread(tokens: Distribution) -> Iterator[str]:
    median, p90, p99 = (tokens.quantile(share) or 0 for share in (0.5, 0.9, 0.99))
    yield f"  {tokens.total:,} in all"
    yield f"  min {tokens.least:,} · median {median:,} · p90 {p90:,} · p99 {p99:,} · max {tokens.most:,}"
    bars = tokens.bars()
    if len(bars) < 2:  # noqa: PLR2004 - a single bar tells nothing
        return
    largest = max(bar.count for bar in bars)
    labels = [f"{bar.low:,} – {bar.high:,}" for bar in bars]
    for label, bar in zip(labels, bars, strict=True):
        yield f"  {label:>{max(map(len, labels))}}  {_bar(bar.count / largest)} {bar.count:,}".rstrip()


def _bar(share: float) -> str:
    """Up to `BAR_WIDTH` blocks, in eighths; something for everything that isn't nothing."""
    eighths = max(round(share * BAR_WIDTH * 8), 1 if share else 0)
    return "█" * (eighths // 8) + BLOCKS[eighths % 8].strip()


def _cost(seen: Inspection) -> Iterator[str]:
    prompts, at_caps = seen.forecast.prompts, seen.forecast.at_caps
    if at_caps.listed or at_caps.own:
        basis = seen.prices.basis(at_caps)
        yield f"{_usd(prompts):>12}  for the prompts alone ({basis})"
        besides = "larger caps (--on-truncated grow) and retries" if seen.settings.retry.on_truncated == "grow" else "retries"
        yield f"{_usd(at_caps):>12}  if every answer used its whole cap, reasoning included; {besides} come on top"
    if at_caps.unpriced:
        named = models_in_words(sorted(at_caps.unpriced))
        yield f"{'unknown':>12}  for {named}: no price is known, --prices FILE gives one"
    for cap in seen.caps:
        holds = "whole caps would stop the run before its end" if seen.may_reach(cap) else "whole caps stay within it"
        yield f"{cap_in_words(cap)}: {holds}"
    if seen.endpoint.host == "fake":
        yield f"{'$0':>12}  at the embedded endpoint, which makes its answers up"


def _usd(cost: Cost) -> str:
    return money(cost.usd)


def _time(seen: Inspection) -> Iterator[str]:
    told, settings = seen.forecast, seen.settings.limits
    if told.at_rpm_s is not None:
        yield f"{duration(told.at_rpm_s):>12}  at {short(settings.rpm or 0)} requests per minute (--rpm)"
    if told.at_tpm_s is not None:
        least, most = told.at_tpm_s
        yield (
            f"{duration(least):>12}  at {short(settings.tpm or 0)} tokens per minute (--tpm) for the prompts alone, "
            f"{duration(most)} if every answer counts with its whole cap"
        )
    whose = "as half of the answers so far did" if told.measured else "an assumption"
    each = f"each answered in {duration(told.latency_s)} ({whose})"
    at_once = f"{ASSUMED_IN_FLIGHT} requests in flight (an assumption: a run finds out how many it can be)"
    if settings.concurrency is not None:
        at_once = f"{settings.concurrency:,} requests in flight (--concurrency)"
    yield f"{duration(told.in_flight_s):>12}  with {at_once}, {each}"
    limited = told.at_rpm_s is not None or told.at_tpm_s is not None
    yield f"{'the longest one counts; ' if limited else ''}the service's own limits may make it longer"
    if seen.deadline is not None and seen.deadline_s is not None:
        late = "; the rest would be left for later" if told.seconds > seen.deadline_s else ""
        yield f"{duration(max(0.0, seen.deadline_s)):>12}  are there before nothing new is sent ({seen.deadline.told}){late}"


def _at(named: Named) -> str:
    return f" ({_places(named)})"


def _places(named: Named) -> str:
    more = f" and {named.rows - len(named.places):,} more" if named.rows > len(named.places) else ""
    return ", ".join(place.at for place in named.places) + more


def _more(count: int, named: int) -> Iterator[str]:
    if count > named:
        yield f"and {count - named:,} more (--show {min(count, 10 * named)} names them)"


def _fitted(lines: Iterator[str], width: int) -> list[str]:
    """Lines under a heading, broken between words where they are too long; what goes on stands under where it began."""
    fitted = []
    for line in lines:
        label = LABEL.match(line)
        hang = label.end() if label else len(line) - len(line.lstrip()) + 2
        breaker = textwrap.TextWrapper(width - 2, break_long_words=False, break_on_hyphens=False)
        breaker.initial_indent, breaker.subsequent_indent = "  ", " " * (hang + 2)
        fitted += breaker.wrap(line)
    return fitted
