import pytest

from batch_runner.failures import TRANSIENT, Failure, FailureKind, Scope
from batch_runner.health import HEARSAY_PATIENCE, MOST_WAIT, STREAKS, Health, Stop

K = FailureKind


class Bench:
    """A run's pulse and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.health = Health(lambda: self.now)

    def fail(
        self,
        kind: FailureKind,
        count: int = 1,
        *,
        over: float = 0.0,
        scope: Scope = Scope.ROW,
        hearsay: bool = False,
        wait: float | None = None,
    ) -> Stop | None:
        """Fail `count` times, the last `over` seconds after the first."""
        stop, began = None, self.now
        for number in range(count):
            self.now = began + (over * number / (count - 1) if number else 0.0)
            stop = self.health.failed(Failure(kind, scope, "no", hearsay=hearsay, wait=wait))
        return stop


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_bad_row_says_nothing(bench: Bench) -> None:
    assert bench.fail(K.POLICY) is None
    assert bench.health.stop is None


@pytest.mark.parametrize("kind", [K.INVALID_KEY, K.QUOTA_EXHAUSTED, K.NO_ACCESS, K.MODEL_NOT_FOUND, K.WRONG_ENDPOINT])
def test_what_is_about_the_run_ends_it_at_once(bench: Bench, kind: FailureKind) -> None:
    assert bench.fail(kind, scope=Scope.RUN) == Stop(kind, "no")


def test_the_first_reason_counts(bench: Bench) -> None:
    bench.fail(K.QUOTA_EXHAUSTED, scope=Scope.RUN)

    assert bench.fail(K.INVALID_KEY, scope=Scope.RUN) == Stop(K.QUOTA_EXHAUSTED, "no")


def test_a_gateways_own_word_ends_a_run_that_has_had_answers(bench: Bench) -> None:
    bench.health.answered()

    assert bench.fail(K.INVALID_KEY, scope=Scope.RUN) is not None


def test_hearsay_ends_a_run_that_has_had_no_answer(bench: Bench) -> None:
    assert bench.fail(K.INVALID_KEY, scope=Scope.RUN, hearsay=True) is not None


def test_hearsay_ends_a_run_that_has_had_answers_only_when_it_repeats(bench: Bench) -> None:
    bench.health.answered()

    assert bench.fail(K.INVALID_KEY, HEARSAY_PATIENCE - 1, scope=Scope.RUN, hearsay=True) is None
    assert bench.fail(K.INVALID_KEY, scope=Scope.RUN, hearsay=True) is not None


def test_an_answer_in_between_takes_hearsay_back(bench: Bench) -> None:
    bench.health.answered()
    bench.fail(K.INVALID_KEY, HEARSAY_PATIENCE - 1, scope=Scope.RUN, hearsay=True)
    bench.health.answered()

    assert bench.fail(K.INVALID_KEY, HEARSAY_PATIENCE - 1, scope=Scope.RUN, hearsay=True) is None


@pytest.mark.parametrize(
    ("kind", "count", "over", "answered", "stops"),
    [
        pytest.param(K.UNREACHABLE, 5, 10.0, False, True, id="nobody there from the start"),
        pytest.param(K.UNREACHABLE, 4, 60.0, False, False, id="nobody there, too few"),
        pytest.param(K.UNREACHABLE, 500, 9.0, False, False, id="nobody there, too short"),
        pytest.param(K.UNREACHABLE, 500, 60.0, True, False, id="a short outage"),
        pytest.param(K.UNREACHABLE, 500, 120.0, True, True, id="an outage of two minutes"),
        pytest.param(K.SERVER_ERROR, 50, 300.0, True, True, id="nothing but server errors"),
        pytest.param(K.SERVER_ERROR, 49, 3000.0, True, False, id="server errors, too few"),
        pytest.param(K.SERVER_ERROR, 5000, 299.0, True, False, id="server errors, too short"),
        pytest.param(K.TIMEOUT, 50, 300.0, False, True, id="nothing but timeouts"),
        pytest.param(K.RATE_LIMITED, 20, 3600.0, True, True, id="refused for an hour"),
        pytest.param(K.RATE_LIMITED, 5000, 3599.0, True, False, id="refused for less"),
        pytest.param(K.BAD_REQUEST, 20, 0.0, False, True, id="a request that can't work"),
        pytest.param(K.MODEL_NOT_FOUND, 20, 0.0, False, True, id="a model that no row can ask"),
        pytest.param(K.MODEL_NOT_FOUND, 19, 0.0, False, False, id="a model that some rows can't ask"),
        pytest.param(K.MODEL_NOT_FOUND, 5000, 9999.0, True, False, id="a model that a row named, after answers"),
        pytest.param(K.UNSUPPORTED_PARAMETER, 19, 0.0, False, False, id="a request that may yet work"),
        pytest.param(K.BAD_REQUEST, 5000, 9999.0, True, False, id="bad rows after answers"),
        pytest.param(K.POLICY, 5000, 9999.0, False, False, id="refused prompts"),
        pytest.param(K.CONTEXT_TOO_LONG, 5000, 9999.0, False, False, id="long prompts"),
    ],
)
def test_the_same_failure_again_and_again_ends_the_run(
    bench: Bench, kind: FailureKind, count: int, over: float, *, answered: bool, stops: bool
) -> None:
    if answered:
        bench.health.answered()

    stop = bench.fail(kind, count, over=over)

    assert (stop is not None) is stops


def test_an_answer_ends_a_streak(bench: Bench) -> None:
    bench.fail(K.SERVER_ERROR, 49, over=290.0)
    bench.health.answered()

    assert bench.fail(K.SERVER_ERROR, 49, over=290.0) is None


def test_kinds_of_one_outage_count_together(bench: Bench) -> None:
    bench.fail(K.SERVER_ERROR, 25, over=200.0)

    assert bench.fail(K.TIMEOUT, 25, over=200.0) is not None


def test_another_kind_of_failure_ends_a_streak(bench: Bench) -> None:
    bench.fail(K.UNREACHABLE, 4, over=100.0)
    bench.fail(K.POLICY)

    assert bench.fail(K.UNREACHABLE, 4, over=100.0) is None


def test_a_streak_that_was_broken_begins_anew_with_its_next_failure(bench: Bench) -> None:
    bench.fail(K.SERVER_ERROR, 49, over=290.0)
    bench.fail(K.UNREACHABLE)

    assert bench.fail(K.SERVER_ERROR, 60, over=299.0) is None
    bench.now += 1.0
    assert bench.fail(K.SERVER_ERROR) is not None


def test_the_streak_after_the_first_answer_begins_there(bench: Bench) -> None:
    assert bench.fail(K.UNREACHABLE, 4, over=60.0) is None
    bench.health.answered()

    assert bench.fail(K.UNREACHABLE, 5, over=119.0) is None
    bench.now += 1.0
    assert bench.fail(K.UNREACHABLE) is not None


def test_failures_outside_a_streak_do_not_lengthen_it(bench: Bench) -> None:
    bench.fail(K.POLICY, 100, over=10_000.0)

    assert bench.fail(K.SERVER_ERROR, 60, over=299.0) is None
    bench.now += 1.0
    assert bench.fail(K.TIMEOUT) is not None


def test_kinds_of_a_request_that_can_not_work_count_together(bench: Bench) -> None:
    bench.fail(K.MODEL_NOT_FOUND, 10)

    assert bench.fail(K.BAD_REQUEST, 9) is None
    assert bench.fail(K.UNSUPPORTED_PARAMETER) is not None


def test_kinds_of_different_streaks_do_not_count_together(bench: Bench) -> None:
    for _ in range(1000):
        assert bench.fail(K.SERVER_ERROR) is None
        assert bench.fail(K.RATE_LIMITED) is None
        bench.now += 60.0


def test_a_wait_of_hours_ends_the_run(bench: Bench) -> None:
    assert bench.fail(K.RATE_LIMITED, scope=Scope.EVERYONE, wait=MOST_WAIT) is None
    assert bench.fail(K.RATE_LIMITED, scope=Scope.EVERYONE, wait=MOST_WAIT + 1) is not None


def test_trouble_is_shown_until_an_answer_comes(bench: Bench) -> None:
    bench.fail(K.UNREACHABLE, 2)
    before = bench.health.trouble
    bench.fail(K.UNREACHABLE)
    during = bench.health.trouble
    bench.health.answered()

    assert (before, during, bench.health.trouble) == ("", "unreachable", "")


def test_no_row_can_be_tried_for_ever_without_a_streak_that_ends_it() -> None:
    ended = frozenset[FailureKind]().union(*(streak.kinds for streak in STREAKS if not streak.before_first_answer))

    assert TRANSIENT | {K.RATE_LIMITED, K.CONCURRENCY_LIMITED} <= ended
