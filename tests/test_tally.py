import json
from decimal import Decimal
from typing import Any

import pytest

from batch_runner.chat import Defaults, build_request
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.identity import line_fingerprint
from batch_runner.loader import Line, draft
from batch_runner.output.lines import row_line
from batch_runner.pricing import Price, Prices, Rates
from batch_runner.records import (
    NO_PAST,
    UNTOLD_USAGE,
    Attempt,
    Bill,
    Completion,
    NoAnswer,
    Past,
    PromptRow,
    Rejected,
    Reply,
    Status,
    Unreached,
    Usage,
)
from batch_runner.tally import MOST_INPUT_BYTES, Tally, kept_input, rejected_result

AT, LATER, END = "2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z", "2026-01-01T00:02:00.000Z"
LINE = '{"id":"a","prompt":"你好","label":"x","max_completion_tokens":50}'.encode()
K = FailureKind
TEN = Usage(10, 2, 5, 3, 15)


def the_row() -> PromptRow:
    row = draft(Line(LINE, "in.jsonl:7")).row
    assert isinstance(row, PromptRow)
    return row


PRICES = Prices({"o1": Price(Rates(Decimal(15), Decimal("7.5"), Decimal(60)))})
REQUEST = build_request(the_row(), Defaults("o1", None, {}))
WORST = Usage(REQUEST.worst.prompt, 0, 50, 0, REQUEST.worst.prompt + 50)


def a_tally(past: Past = NO_PAST) -> Tally:
    return Tally(the_row(), REQUEST, past, "run-2", PRICES)


def an_answer(usage: Usage | None = TEN, status: Status = Status.OK, **facts: Any) -> Completion:
    return Completion(status, "hello", "stop", "o1-2024", usage, "req_1", 200, **facts)


def a_failure(kind: FailureKind, **facts: Any) -> Failure:
    return Failure(kind, Scope.ROW, "no", **facts)


def a_reply(body: bytes = b'{"id":"chatcmpl-1"}', status: int = 200, seconds: float = 1.5) -> Reply:
    return Reply(status, {}, body, seconds)


def test_an_answer_is_told_in_full() -> None:
    tally = a_tally()
    tally.count(a_reply(), an_answer(), AT)

    result = tally.answer(an_answer(), a_reply(), END)

    assert (result.id, result.status, result.source, result.run_id) == ("a", Status.OK, "in.jsonl:7", "run-2")
    assert (result.model, result.max_completion_tokens, result.fingerprint) == ("o1", 50, REQUEST.fingerprint)
    assert (result.answer, result.finish_reason, result.model_answered) == ("hello", "stop", "o1-2024")
    assert (result.usage, result.bill, result.other_bills) == (TEN, Bill(TEN), {})
    assert (result.latency_s, result.http_status, result.request_id) == (1.5, 200, "req_1")
    assert (result.extra, result.input, result.body) == ({"label": "x"}, "", '{"id":"chatcmpl-1"}')
    assert result.attempts == (Attempt(AT, 1.5, "ok"),)
    assert (result.failure, result.finished_at) == (None, END)


def test_a_failure_keeps_the_input_line_and_what_the_service_said() -> None:
    tally, failure = a_tally(), a_failure(K.BAD_REQUEST, http_status=400, request_id="req_1", body="masked")
    tally.count(a_reply(b"raw", 400), failure, AT)

    result = tally.failure(failure, Status.FAILED, END)

    assert (result.status, result.failure, result.message, result.http_status) == (Status.FAILED, K.BAD_REQUEST, "no", 400)
    assert (result.input, result.body, result.request_id) == (LINE.decode(), "masked", "req_1")
    assert (result.answer, result.usage, result.latency_s) == ("", UNTOLD_USAGE, None)
    assert not result.bill


@pytest.mark.parametrize("status", [Status.TRUNCATED, Status.REFUSED])
def test_an_answer_that_is_not_ok_keeps_its_input_line_too(status: Status) -> None:
    tally, answer = a_tally(), an_answer(status=status, message="I can't.")
    tally.count(a_reply(), answer, AT)

    result = tally.answer(answer, a_reply(), END)

    assert (result.status, result.input, result.message) == (status, LINE.decode(), "I can't.")
    assert result.attempts[0].outcome == status


@pytest.mark.parametrize("kind", [K.TIMEOUT, K.CONNECTION_LOST, K.UNREADABLE_REPLY, K.INTERRUPTED])
def test_an_attempt_whose_answer_never_came_is_charged_at_its_worst(kind: FailureKind) -> None:
    tally = a_tally()

    bill = tally.count(NoAnswer("gone", 2.0), a_failure(kind), AT)

    assert bill == Bill(maybe_billed=WORST)
    assert tally.failure(a_failure(kind), Status.UNFINISHED, END).bill == bill
    assert tally.owed == 1


@pytest.mark.parametrize("kind", [K.UNREACHABLE, K.RATE_LIMITED, K.SERVER_ERROR, K.BAD_REQUEST, K.INVALID_KEY])
def test_an_attempt_that_was_turned_down_costs_nothing(kind: FailureKind) -> None:
    tally = a_tally()

    assert not tally.count(Unreached("refused", 0.1), a_failure(kind), AT)
    assert tally.owed == 0


@pytest.mark.parametrize(
    ("kind", "tried"),
    [(K.RATE_LIMITED, 0), (K.CONCURRENCY_LIMITED, 0), (K.UNREACHABLE, 0), (K.SERVER_ERROR, 1), (K.TIMEOUT, 1)],
)
def test_only_what_is_the_rows_own_costs_it_an_attempt(kind: FailureKind, tried: int) -> None:
    tally = a_tally()

    tally.count(Unreached("x", 0.1), a_failure(kind), AT)

    assert (tally.made, tally.tried) == (1, tried)


def test_a_stretch_of_like_outcomes_is_one_entry() -> None:
    tally = a_tally()
    for kind in (K.RATE_LIMITED, K.RATE_LIMITED, K.TIMEOUT, K.RATE_LIMITED):
        tally.count(Unreached("x", 0.5), a_failure(kind), AT)
    tally.count(a_reply(), an_answer(), LATER)

    assert [(each.outcome, each.count, each.seconds) for each in tally.answer(an_answer(), a_reply(), END).attempts] == [
        ("rate_limited", 2, 1.0),
        ("timeout", 1, 0.5),
        ("rate_limited", 1, 0.5),
        ("ok", 1, 1.5),
    ]


def test_what_earlier_runs_did_is_carried_on() -> None:
    past = Past(
        Status.UNFINISHED,
        {"o1": Bill(TEN), "o3": Bill(maybe_billed=TEN)},
        (Attempt(AT, 3.0, "timeout", 2), Attempt(AT, 1.0, "ok")),
    )
    tally = a_tally(past)
    tally.count(a_reply(), an_answer(), LATER)

    result = tally.answer(an_answer(), a_reply(), END)

    assert result.bill == Bill(TEN + TEN)
    assert result.other_bills == {"o3": Bill(maybe_billed=TEN)}
    assert [(each.at, each.outcome, each.count) for each in result.attempts] == [(AT, "timeout", 2), (AT, "ok", 2)]
    assert (tally.made, tally.tried, tally.owed) == (1, 1, 0)


def test_a_past_is_not_changed_by_what_follows() -> None:
    past = Past(Status.UNFINISHED, {"o1": Bill(TEN)})

    a_tally(past).count(a_reply(), an_answer(), AT)

    assert past.bills == {"o1": Bill(TEN)}


@pytest.mark.parametrize("kind", [K.SERVER_ERROR, K.UNREADABLE_REPLY, K.POLICY])
def test_a_failure_that_tells_what_it_cost_has_cost_that(kind: FailureKind) -> None:
    tally = a_tally()

    bill = tally.count(a_reply(), a_failure(kind, usage=TEN), AT)

    assert bill == Bill(spent=TEN)
    assert tally.failure(a_failure(kind, usage=TEN), Status.FAILED, END).bill == Bill(spent=TEN)


def test_an_answer_without_a_usage_may_have_cost_its_worst() -> None:
    tally = a_tally()

    bill = tally.count(a_reply(), an_answer(usage=None), AT)

    assert bill == Bill(maybe_billed=Usage.at_worst(REQUEST.worst))
    assert tally.answer(an_answer(usage=None), a_reply(), END).usage == UNTOLD_USAGE


def test_a_body_is_kept_as_it_was_received() -> None:
    body = b' \n{"n":123456789012345678901234567890,"s":"\\ud83d","bad":"\xe9"}\n'
    tally = a_tally()
    tally.count(a_reply(body), an_answer(), AT)

    kept = json.loads(row_line(tally.answer(an_answer(), a_reply(body), END)))["body"]

    assert kept == '{"n":123456789012345678901234567890,"s":"\\ud83d","bad":"\ufffd"}'


def test_a_row_that_was_answered_after_all_keeps_no_failure() -> None:
    tally = a_tally()
    tally.count(NoAnswer("gone", 2.0), a_failure(K.TIMEOUT, body="old"), AT)
    tally.count(a_reply(), an_answer(), LATER)

    result = tally.answer(an_answer(), a_reply(), END)

    assert (result.failure, result.message, result.body) == (None, "", '{"id":"chatcmpl-1"}')
    assert result.bill == Bill(TEN, WORST)


def test_a_line_that_can_not_be_sent_is_recorded_with_its_reason() -> None:
    row = Rejected("a", "in.jsonl:7", b"{", "not JSON")

    result = rejected_result(row, NO_PAST, run_id="r", finished_at=END)

    assert (result.status, result.failure, result.message) == (Status.INVALID, K.INVALID_LINE, "not JSON")
    assert (result.input, result.fingerprint, result.attempts) == ("{", line_fingerprint(b"{", "not JSON"), ())


def test_a_line_that_broke_keeps_what_its_row_has_cost() -> None:
    past = Past(Status.FAILED, {"o1": Bill(maybe_billed=TEN)}, (Attempt(AT, 3.0, "timeout"),))

    result = rejected_result(Rejected("a", "in.jsonl:7", b"{", "not JSON"), past, run_id="r", finished_at=END)

    assert result.other_bills == {"o1": Bill(maybe_billed=TEN)}
    assert result.attempts == past.attempts


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        pytest.param("{你}".encode(), "{你}", id="text"),
        pytest.param(b"caf\xe9", "", id="not UTF-8"),
        pytest.param(b"x" * MOST_INPUT_BYTES, "x" * MOST_INPUT_BYTES, id="just short enough"),
        pytest.param(b"x" * (MOST_INPUT_BYTES + 1), "", id="too long"),
    ],
)
def test_an_input_line_is_kept_when_it_can_be(line: bytes, kept: str) -> None:
    assert kept_input(line) == kept


@pytest.mark.parametrize(
    ("kind", "outage", "tried", "owed"),
    [
        pytest.param(K.OVERLOADED, False, 3, 0, id="a 503"),
        pytest.param(K.OVERLOADED, True, 0, 0, id="a 503 in an outage"),
        pytest.param(K.CONNECTION_LOST, False, 3, 3, id="a lost answer"),
        pytest.param(K.CONNECTION_LOST, True, 0, 1.5, id="a lost answer in an outage"),
        pytest.param(K.RATE_LIMITED, False, 0, 0, id="a refusal"),
        pytest.param(K.UNREACHABLE, False, 0, 0, id="nobody there"),
        pytest.param(K.INVALID_KEY, True, 3, 0, id="a word about the key in an outage"),
    ],
)
def test_an_attempt_counts_as_far_as_it_was_the_rows_own(kind: FailureKind, tried: int, owed: float, *, outage: bool) -> None:
    tally = a_tally()

    for _ in range(3):
        tally.count(a_reply(status=500), a_failure(kind), AT, outage=outage)

    assert (tally.made, tally.tried, tally.owed) == (3, tried, owed)


def test_what_is_lost_in_an_outage_is_billed_like_any_other() -> None:
    tally = a_tally()

    assert tally.count(NoAnswer("gone", 2.0), a_failure(K.CONNECTION_LOST), AT, outage=True) == Bill(maybe_billed=WORST)


# money


def test_a_line_tells_what_was_spent_at_the_prices_known() -> None:
    tally = a_tally()
    tally.count(a_reply(), an_answer(), AT)
    tally.count(a_reply(), an_answer(), LATER)

    assert tally.answer(an_answer(), a_reply(), END).cost_usd == 2 * (8 * 15 + 2 * 7.5 + 5 * 60) / 1_000_000


def test_a_row_that_nobody_answered_has_spent_nothing() -> None:
    tally = a_tally()
    tally.count(NoAnswer("gone", 1.0), a_failure(K.TIMEOUT), AT)

    assert tally.failure(a_failure(K.TIMEOUT), Status.FAILED, END).cost_usd == 0


def test_what_an_answer_without_a_usage_cost_is_not_known() -> None:
    tally = a_tally()
    tally.count(a_reply(), an_answer(usage=None), AT)

    assert tally.answer(an_answer(usage=None), a_reply(), END).cost_usd is None


def test_without_a_price_nothing_is_said_of_the_cost() -> None:
    tally = Tally(the_row(), build_request(the_row(), Defaults("nobody's", None, {})), NO_PAST, "run-2", PRICES)
    tally.count(a_reply(), an_answer(), AT)

    assert tally.answer(an_answer(), a_reply(), END).cost_usd is None
