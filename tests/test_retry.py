import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.failures import MAYBE_BILLED, TRANSIENT, Failure, FailureKind, Scope
from batch_runner.retry import MOST_SECONDS, delay

K = FailureKind


def the_delay(
    kind: FailureKind,
    *,
    scope: Scope = Scope.ROW,
    made: int = 1,
    tried: int = 1,
    owed: float = 0,
    max_attempts: int = 5,
    wait: float | None = None,
    random: float = 1.0,
) -> float | None:
    failure = Failure(kind, scope, "", wait=wait)
    return delay(failure, made=made, tried=tried, owed=owed, max_attempts=max_attempts, random=lambda: random)


@pytest.mark.parametrize("kind", sorted(TRANSIENT))
def test_what_may_pass_is_tried_again(kind: FailureKind) -> None:
    assert the_delay(kind) is not None


@pytest.mark.parametrize(
    "kind",
    [K.BAD_REQUEST, K.UNSUPPORTED_PARAMETER, K.CONTEXT_TOO_LONG, K.TOO_LARGE, K.POLICY, K.MODEL_NOT_FOUND, K.INTERRUPTED],
)
def test_what_is_about_the_row_is_not_tried_again(kind: FailureKind) -> None:
    assert the_delay(kind) is None


@pytest.mark.parametrize("kind", [K.SERVER_ERROR, K.OVERLOADED, K.CHANNEL_DOWN])
def test_a_row_gets_so_many_attempts_and_no_more(kind: FailureKind) -> None:
    assert [the_delay(kind, made=tried, tried=tried) is not None for tried in (1, 4, 5, 6)] == [True, True, False, False]


def test_a_single_attempt_is_not_followed_by_another() -> None:
    assert the_delay(K.SERVER_ERROR, max_attempts=1) is None


@pytest.mark.parametrize("kind", sorted(MAYBE_BILLED & TRANSIENT))
def test_what_may_have_been_billed_is_tried_again_once(kind: FailureKind) -> None:
    assert the_delay(kind, owed=1) is not None
    assert the_delay(kind, made=2, tried=2, owed=2) is None


def test_an_answer_lost_in_an_outage_counts_half() -> None:
    owed = [0.5, 1.0, 1.5, 2.0, 2.5]

    assert [the_delay(K.CONNECTION_LOST, owed=each) is not None for each in owed] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("again", "kind", "scope", "tries"),
    [
        (False, K.SERVER_ERROR, Scope.ROW, False),
        (False, K.RATE_LIMITED, Scope.EVERYONE, False),
        (False, K.INVALID_KEY, Scope.RUN, True),
        (True, K.BAD_REQUEST, Scope.ROW, True),
        (True, K.POLICY, Scope.ROW, True),
    ],
)
def test_what_the_service_says_of_trying_again_is_obeyed(kind: FailureKind, scope: Scope, *, again: bool, tries: bool) -> None:
    failure = Failure(kind, scope, "", again=again)

    found = delay(failure, made=1, tried=1, owed=0, max_attempts=5, random=lambda: 1.0)

    assert (found is not None) is tries


def test_an_earlier_loss_does_not_end_a_row_that_fails_otherwise() -> None:
    assert the_delay(K.SERVER_ERROR, made=3, tried=3, owed=2) is not None


@pytest.mark.parametrize("kind", [K.RATE_LIMITED, K.CONCURRENCY_LIMITED])
def test_being_told_to_slow_down_never_ends_a_row(kind: FailureKind) -> None:
    assert the_delay(kind, scope=Scope.EVERYONE, made=999, tried=5, wait=30.0) == 0


def test_reaching_nobody_never_ends_a_row() -> None:
    assert the_delay(K.UNREACHABLE, made=999, tried=0) == MOST_SECONDS


def test_what_is_about_the_run_is_tried_again_where_the_run_goes_on() -> None:
    assert the_delay(K.INVALID_KEY, scope=Scope.RUN) is not None
    assert the_delay(K.INVALID_KEY, scope=Scope.RUN, made=5, tried=5) is None


def test_the_pause_doubles_up_to_a_minute() -> None:
    pauses = [the_delay(K.SERVER_ERROR, made=tried, tried=tried, max_attempts=99) for tried in range(1, 10)]

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_rows_that_failed_together_do_not_come_back_together() -> None:
    assert [the_delay(K.SERVER_ERROR, made=3, tried=3, random=share) for share in (0.0, 0.25, 0.5)] == [0, 1, 2]


@given(wait=st.floats(0, 3600), tried=st.integers(1, 4), share=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_wait_that_was_asked_for_is_kept(wait: float, tried: int, share: float) -> None:
    pause = the_delay(K.OVERLOADED, made=tried, tried=tried, wait=wait, random=share)

    assert pause is not None
    assert pause >= wait


@given(
    kind=st.sampled_from(FailureKind),
    scope=st.sampled_from(Scope),
    made=st.integers(1, 10**6),
    tried=st.integers(0, 10**6),
    owed=st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_a_pause_is_never_negative_nor_endless(kind: FailureKind, scope: Scope, made: int, tried: int, owed: int) -> None:
    pause = the_delay(kind, scope=scope, made=max(made, tried), tried=tried, owed=owed, max_attempts=10**7)

    assert pause is None or 0 <= pause <= MOST_SECONDS
