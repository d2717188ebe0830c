import pytest

from batch_runner.failures import TRANSIENT, Failure, FailureKind, Scope
from batch_runner.health import HEARSAY_PATIENCE, WAITED_OUT, Health, Stop

K = FailureKind


class Bench:
    """A run's pulse and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.health = Health(lambda: self.now, max_wait=3600.0)

    def fail(
        self,
        kind: FailureKind,
        count: int = 1,
        *,
        over: float = 0.0,
        scope: Scope = Scope.ROW,
        hearsay: bool = False,
        wait: float | None = None,
        words: str = "no",
    ) -> Stop | None:
        """Fail `count` times, the last `over` seconds after the first."""
        stop, began = None, self.now
        for number in range(count):
            self.now = began + (over * number / (count - 1) if number else 0.0)
            stop = self.health.failed(Failure(kind, scope, words, hearsay=hearsay, wait=wait))
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
        pytest.param(K.UNREACHABLE, 500, 3600.0, True, False, id="an outage"),
        pytest.param(K.UNREACHABLE, 500, 3601.0, True, True, id="an outage for too long"),
        pytest.param(K.CHANNEL_DOWN, 5, 30.0, False, True, id="no channel for the model from the start"),
        pytest.param(K.CHANNEL_DOWN, 500, 29.0, False, False, id="no channel for the model, too short"),
        pytest.param(K.CHANNEL_DOWN, 500, 3600.0, True, False, id="no channel after answers"),
        pytest.param(K.SERVER_ERROR, 5000, 3600.0, True, False, id="server errors"),
        pytest.param(K.SERVER_ERROR, 5000, 3601.0, True, True, id="server errors for too long"),
        pytest.param(K.OVERLOADED, 5000, 3601.0, False, True, id="overloaded from the start, for too long"),
        pytest.param(K.TIMEOUT, 50, 3601.0, False, True, id="nothing but timeouts"),
        pytest.param(K.RATE_LIMITED, 20, 3601.0, True, True, id="refused for an hour"),
        pytest.param(K.RATE_LIMITED, 5000, 3600.0, True, False, id="refused for less"),
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


def test_an_answer_ends_the_wait(bench: Bench) -> None:
    bench.fail(K.SERVER_ERROR, 49, over=3000.0)
    bench.health.answered()

    assert bench.fail(K.SERVER_ERROR, 49, over=3000.0) is None


def test_refusals_and_outages_are_one_wait(bench: Bench) -> None:
    bench.fail(K.SERVER_ERROR, 25, over=2000.0)
    bench.now += 1.0

    assert bench.fail(K.RATE_LIMITED, 25, over=2000.0, scope=Scope.EVERYONE) is not None


def test_a_word_about_a_row_shows_that_the_service_is_there(bench: Bench) -> None:
    bench.fail(K.OVERLOADED, 50, over=3000.0)
    bench.fail(K.POLICY)

    assert bench.fail(K.OVERLOADED, 50, over=3000.0) is None


def test_the_same_systematic_error_counts_as_long_as_it_says_the_same(bench: Bench) -> None:
    for number in range(100):
        assert bench.fail(K.BAD_REQUEST, words=f"no such column: {'ab'[number % 2]}") is None


def test_numbers_and_request_ids_make_no_other_words(bench: Bench) -> None:
    stops = [bench.fail(K.BAD_REQUEST, words=f"row {number} can't (request id: {chr(97 + number)})") for number in range(20)]

    assert stops[18] is None
    assert stops[19] is not None


def test_kinds_of_a_request_that_can_not_work_count_together(bench: Bench) -> None:
    bench.fail(K.MODEL_NOT_FOUND, 10)

    assert bench.fail(K.BAD_REQUEST, 9) is None
    assert bench.fail(K.UNSUPPORTED_PARAMETER) is not None


def test_a_wait_that_is_too_long_ends_the_run_at_once(bench: Bench) -> None:
    assert bench.fail(K.RATE_LIMITED, scope=Scope.EVERYONE, wait=3600.0) is None
    assert bench.fail(K.RATE_LIMITED, scope=Scope.EVERYONE, wait=3600.1) is not None


def test_refusals_of_requests_sent_together_ask_for_one_wait(bench: Bench) -> None:
    assert bench.fail(K.RATE_LIMITED, 16, over=10.0, scope=Scope.EVERYONE, wait=3600.0) is None


def test_waits_asked_for_one_after_the_other_add_up(bench: Bench) -> None:
    bench.fail(K.RATE_LIMITED, scope=Scope.EVERYONE, wait=2000.0)
    bench.now = 2000.0

    assert bench.fail(K.RATE_LIMITED, scope=Scope.EVERYONE, wait=2000.0) is not None


def test_a_long_wait_that_one_row_is_asked_for_is_its_own(bench: Bench) -> None:
    assert bench.fail(K.SERVER_ERROR, wait=9999.0) is None


def test_trouble_is_shown_until_an_answer_comes(bench: Bench) -> None:
    bench.fail(K.UNREACHABLE, 2)
    before = bench.health.trouble
    bench.fail(K.UNREACHABLE)
    during = bench.health.trouble
    bench.health.answered()

    assert (before, during, bench.health.trouble) == ("", "unreachable", "")


def test_no_row_can_be_tried_for_ever_without_an_end_to_the_run() -> None:
    assert TRANSIENT | {K.RATE_LIMITED, K.CONCURRENCY_LIMITED} <= WAITED_OUT
