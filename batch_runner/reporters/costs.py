"""What tokens and money came to, and where they went, for a person and for a program. Pure."""

from __future__ import annotations

import math
from decimal import Decimal
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from batch_runner.models import family_of
from batch_runner.records import ANSWERED, Status, Usage
from batch_runner.reporters.wording import money, one_line, percent, rows
from batch_runner.totals import UNATTEMPTED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from batch_runner.pricing import Cost, Prices
    from batch_runner.totals import Totals

NAMED_MODELS = 5

FEWEST_LENGTHS = 10
"""So many whole answers tell how long answers are."""

MOST_ANSWERS = 0.99
"""The share of answers that a suggested cap is to let end."""

MARGIN = 1.25
"""How far a suggested cap is above the longest answer."""

NORMAL = NormalDist()


def token_lines(totals: Totals) -> Iterator[str]:
    """Tokens spent, and what may have been billed beside them."""
    spent, owed = totals.spent, totals.maybe_billed
    yield (
        f"tokens   {spent.prompt_tokens:,} prompt ({spent.cached_tokens:,} cached), "
        f"{spent.completion_tokens:,} completion ({spent.reasoning_tokens:,} reasoning)"
    )
    cut = sum(totals.truncated.values(), Usage())
    if (cut.completion_tokens or 0) > 0:
        share = (cut.reasoning_tokens or 0) / (cut.completion_tokens or 1)
        yield f"{'':<8} {cut.completion_tokens:,} completion for truncated rows, {percent(share, 0)} of it reasoning"
    if owed:
        yield f"{'':<8} at most {owed.prompt_tokens:,} prompt, {owed.completion_tokens:,} completion may have been billed besides"
    if totals.usage_missing:
        yield f"{'':<8} {rows(totals.usage_missing)} came without a usage"


def cost_lines(totals: Totals, prices: Prices, asked: Collection[str] = ()) -> Iterator[str]:
    """The same in money, as far as prices are known, and what of it brought no answer. `asked`: models that may have been asked
    beside those that `totals` tell of.
    """
    first, *open_ends = whole_cost_lines(totals, prices, asked)
    yield first
    yield from _in_vain(totals, prices)
    yield from open_ends


def whole_cost_lines(totals: Totals, prices: Prices, asked: Collection[str] = ()) -> Iterator[str]:
    """What it is, and what it may be besides."""
    spent, owed = prices.cost(totals.spent_by_model), prices.cost(totals.owed_by_model)
    unknown = sorted(spent.unpriced | owed.unpriced)
    if unknown and not (spent.listed or spent.own):
        yield f"cost     unknown: no price of {models_in_words(unknown)}, --prices FILE gives one"
        return
    about = "at least " if spent.at_least or totals.usage_missing else ""
    each = usd_for_each_answer(totals, spent)
    for_each = "" if each is None else f", {money(each)} for each answered row"
    yield f"cost     {about}{money(spent.usd)}{for_each} ({prices.basis(spent)})"
    if unknown:
        yield f"{'':<8} besides {models_in_words(unknown)}, whose price isn't known: --prices FILE gives one"
    if owed.usd:
        yield f"{'':<8} up to {money(owed.usd)} more for answers that never came, or came without a usage"
    if totals.unclosed:
        yield f"{'':<8} {_unclosed(totals, prices, asked)}"


def length_lines(totals: Totals) -> Iterator[str]:
    """How long whole answers were, how many were cut off, and which cap would do."""
    cut, whole = totals.rows[Status.TRUNCATED], totals.lengths.total()
    cap = suggested_cap(totals)
    if cap is None:
        return
    lengths = f"half of {rows(whole)} took up to {totals.length_quantile(0.5):,} completion tokens, 99 % up to {totals.length_quantile(0.99):,}"  # fmt: skip # noqa: E501
    would = "let about 99 of 100 end" if cut else "have let all of them end"
    yield f"answers  {lengths}; --max-completion-tokens {cap:,} would {would}"


def suggested_cap(totals: Totals) -> int | None:
    """A cap for rows like those of `totals`: somewhat above the longest answer, or, where some were cut off, what 99 of 100 would
    need if lengths go on as they begin (lognormally); no more than the models write. `None` while too few answers tell.
    """
    whole, cut = totals.lengths.total(), totals.rows[Status.TRUNCATED]
    median, nearly, longest = (totals.length_quantile(share) for share in (0.5, 0.95, 1.0))
    if whole < FEWEST_LENGTHS or median is None or nearly is None or longest is None:
        return None
    needed = MARGIN * longest
    if cut:
        near, far = (NORMAL.inv_cdf(share * whole / (whole + cut)) for share in (0.5, 0.95))
        slope = math.log(nearly / median) / (far - near)
        needed = max(needed, median * math.exp(slope * (NORMAL.inv_cdf(MOST_ANSWERS) - near)))
    most = max((family_of(model).most_completion for model in totals.bills), default=math.inf)
    return int(min(_rounded_up(needed), most))


def models_in_words(models: Sequence[str]) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(models) - NAMED_MODELS} more" if len(models) > NAMED_MODELS else ""
    return ", ".join(one_line(model, 40) for model in models[:NAMED_MODELS]) + more


def usd_for_each_answer(totals: Totals, spent: Cost) -> Decimal | None:
    """What a row came to that has an answer, all that was spent on others included; `None` where that can't be told."""
    answered = sum(totals.rows[status] for status in ANSWERED)
    return spent.usd / answered if answered and not spent.unpriced else None


def rest_line(job: Totals, run: Totals, prices: Prices) -> Iterator[str]:
    """What the rows without a last word may cost, at what the others have."""
    left = job.rows[UNATTEMPTED] + job.rows[Status.UNFINISHED]
    each = usd_for_each_answer(run, prices.cost(run.spent_by_model))
    if left and each:
        yield f"{'':<8} about {money(each * left)} for the other {rows(left)}, if they cost as much"


def cost_document(totals: Totals, prices: Prices) -> dict[str, Any]:
    """The same for a program; null where a price isn't known."""
    spent, owed = prices.cost(totals.spent_by_model), prices.cost(totals.owed_by_model)
    each, unclosed = usd_for_each_answer(totals, spent), prices.at_dearest(totals.bills, totals.unclosed)
    return {
        "usd": spent.known,
        "maybe_billed_usd": owed.known,
        "unclosed_usd": unclosed.known,
        "in_vain_usd": prices.cost(totals.in_vain).known,
        "truncated_usd": prices.cost(totals.truncated).known,
        "usd_per_answered_row": None if each is None else float(each),
        "at_least": spent.at_least or totals.usage_missing > 0,
        "unpriced": sorted(spent.unpriced | owed.unpriced),
        "prices": prices.basis(spent + owed),
    }


def _in_vain(totals: Totals, prices: Prices) -> Iterator[str]:
    """What of the money brought no answer, or half a one."""
    vain, cut = prices.cost(totals.in_vain), prices.cost(totals.truncated)
    if vain.usd > 0:
        yield f"{'':<8} {money(vain.usd)} of it for attempts whose answer doesn't stand: failed, or replaced by a better one"
    if cut.usd > 0:
        yield f"{'':<8} {money(cut.usd)} of it for truncated rows"


def _unclosed(totals: Totals, prices: Prices, asked: Collection[str]) -> str:
    most = prices.at_dearest({*totals.bills, *asked}, totals.unclosed)
    if most.unpriced or not most.usd:
        return "what killed runs may have cost isn't in it: nobody knows the price"
    return f"up to {money(most.usd)} more that killed runs left open, at the price of the dearest model asked"


def _rounded_up(number: float) -> int:
    """To two digits that count."""
    unit = int(math.pow(10, max(0, math.floor(math.log10(max(1.0, number))) - 1)))
    return math.ceil(number / unit) * unit
