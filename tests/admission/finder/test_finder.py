from itertools import pairwise

import pytest

from batch_runner.admission.finder import Ceilings, Finder, Learned, Refusal, Sent
from batch_runner.admission.finder.finder import FIRST_IN_FLIGHT


class Play:
    """A finder and a clock."""

    def __init__(self, ceilings: Ceilings = Ceilings(), learned: Learned | None = None) -> None:  # noqa: B008 - frozen
        self.now = 1000.0
        self.told = list[str]()
        self.finder = Finder(ceilings, self.now, self.told.append, learned)

    def send(self) -> Sent:
        """Wait for leave to send, and send."""
        while (wait := self.finder.wait(self.now)) > 0:
            self.now += wait
        return self.finder.sent(self.now)

    def refused(self, sent: Sent, **said: object) -> None:
        self.now += 0.05
        self.finder.refused(sent, self.now, Refusal(**said))  # type: ignore[arg-type]  # as a service says it
        self.finder.left(self.now)

    def answered(self, sent: Sent, seconds: float = 1.0) -> None:
        self.now = max(self.now, sent.at + seconds)
        self.finder.answered(sent, self.now, 100)
        self.finder.left(self.now)

    def sent_in(self, seconds: float) -> int:
        """How many are sent in so long, each answered at once."""
        until, count = self.now + seconds, 0
        while self.now < until:
            self.answered(self.send(), 0.0)
            count += 1
        return count

    def climbs_above(self, rate: float, seconds: float = 120.0) -> bool:
        """Whether the pace gets there in so long, while everything is let in."""
        until = self.now + seconds
        while self.finder.rate <= rate and self.now < until:
            self.sent_in(1.0)
        return self.finder.rate > rate


def test_a_run_that_is_told_nothing_begins_with_eight_in_flight() -> None:
    play = Play()

    sent = [play.send() for _ in range(FIRST_IN_FLIGHT)]

    assert sent[-1].at - 1000.0 < 1.0
    assert play.finder.wait(play.now) > 0


def test_a_told_number_in_flight_is_open_from_the_start_and_never_passed() -> None:
    play = Play(Ceilings(in_flight=50, told=True))

    for _ in range(50):
        play.send()

    assert play.finder.in_flight == 50
    assert play.finder.wait(play.now + 60) > 0


@pytest.mark.parametrize("rate", [0.5, 10.0, 200.0])
def test_a_told_pace_is_held_from_the_start_whatever_is_in_flight(rate: float) -> None:
    play = Play(Ceilings(rate=rate))

    for _ in range(100):
        last = play.send()

    assert last.at - 1000.0 == pytest.approx(99 / (0.995 * rate), abs=0.01)


def test_nothing_is_sent_before_the_service_wants_it() -> None:
    play = Play()

    play.refused(play.send(), wait=37.0)

    assert play.send().at >= 1000.05 + 37


def test_after_the_first_refusal_one_request_looks_alone() -> None:
    play = Play()
    play.refused(play.send())

    play.send()

    assert play.finder.wait(play.now) > 0
    assert play.finder.wait(play.now + 0.2) > 0
    play.now += 1.0
    assert play.finder.wait(play.now) == 0


def test_a_limit_that_the_service_names_is_the_answer() -> None:
    play = Play()
    play.refused(play.send(), rate=5.0)
    play.send()
    play.now += 2.0

    count = play.sent_in(60.0)

    assert count == pytest.approx(0.995 * 300, abs=5)


def test_a_named_limit_is_looked_beyond_after_a_while() -> None:
    play = Play()
    play.refused(play.send(), rate=5.0)
    early = play.sent_in(110.0)

    assert early <= 5 * 110
    assert play.climbs_above(10.0)


def test_a_named_limit_that_is_still_there_is_believed_for_longer_each_time() -> None:
    play = Play()
    refused = list[float]()
    while play.now < 1000.0 + 3600:
        sent = play.send()
        if play.finder.rate > 5.0:
            refused.append(play.now)
            play.refused(sent, rate=5.0)
        else:
            play.answered(sent, 0.0)

    apart = [after - before for before, after in pairwise(refused) if after - before > 60]
    assert len(apart) >= 4
    assert all(later > 1.5 * sooner for sooner, later in pairwise(apart))


def test_a_named_limit_below_what_was_let_in_all_the_time_is_somebody_elses() -> None:
    play = Play(Ceilings(rate=20.0))
    assert play.sent_in(60.0) > 1000

    play.refused(play.send(), rate=0.5)

    assert play.finder.rate > 15.0
    assert any("that isn't about us" in line for line in play.told)


def test_while_headers_tell_that_plenty_is_left_a_run_of_few_rows_is_not_paced() -> None:
    play = Play()
    for left in (0.9, 0.6, 0.3):
        play.finder.hint(1.0, left)
        assert play.sent_in(2.0) > 15

    play.finder.hint(1.0, 0.2)
    play.sent_in(1.0)

    assert play.sent_in(5.0) <= 6


def test_passing_what_headers_tell_of_is_told() -> None:
    play = Play()
    play.finder.hint(5.0)

    assert play.climbs_above(10)

    assert [line for line in play.told if "trying more" in line] == ["nothing was refused at 300/min: trying more"]


def test_what_an_earlier_run_found_is_where_this_one_begins() -> None:
    play = Play(learned=Learned("rate", 50.0, 200, age=3600))

    sent = play.sent_in(5.0)

    assert sent == pytest.approx(0.98 * 250, abs=5)
    learned = play.finder.learned(play.now)
    assert learned is not None
    assert learned.age == pytest.approx(3605, abs=1)


def test_what_was_remembered_is_no_ceiling() -> None:
    play = Play(learned=Learned("rate", 5.0, 20))

    assert play.climbs_above(20)


def test_headers_are_a_start_and_no_ceiling() -> None:
    play = Play()
    play.finder.hint(5.0)
    play.sent_in(3.0)
    early = play.finder.rate

    assert early == pytest.approx(0.98 * 5.0, rel=0.05)
    assert play.climbs_above(20)


@pytest.mark.parametrize("lost", [True, False])
def test_nothing_grows_in_a_storm_of_losses(*, lost: bool) -> None:
    play = Play()
    play.sent_in(1.0)
    before = play.finder.most_in_flight

    for _ in range(200):
        sent = play.send()
        if lost:
            play.now += 0.1
            play.finder.lost()
            play.finder.left(play.now)
        else:
            play.answered(sent, 0.1)

    assert (play.finder.rate <= 20 or play.finder.most_in_flight == before) or not lost


def test_a_service_that_names_a_cap_on_requests_in_flight_is_believed() -> None:
    play = Play(Ceilings(in_flight=50, told=True))
    sent = [play.send() for _ in range(20)]

    play.refused(sent[-1], limit="concurrency")

    assert play.finder.most_in_flight == 19
    assert "19 others in flight" in play.told[-1]


def test_every_decision_is_told_in_a_line() -> None:
    play = Play()

    play.refused(play.send())

    assert play.told == ["refused for the first time, at 600/min; now 300/min"]


def test_an_hour_without_a_word_is_caught_up_in_a_moment() -> None:
    play = Play()
    play.now += 1e9

    assert play.finder.wait(play.now) == 0
