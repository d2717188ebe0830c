from batch_runner.admission.reopening import Reopening


def test_without_an_outage_nobody_is_held() -> None:
    reopening = Reopening()

    for _ in range(10_000):
        assert reopening.room
        reopening.take()


def test_after_an_outage_requests_double_with_each_round_of_answers() -> None:
    reopening, rounds = Reopening(), list[int]()
    reopening.begin()

    for _ in range(5):
        places = list[int]()
        while reopening.room:
            places.append(reopening.take())
        rounds.append(len(places))
        for place in places:
            reopening.give_back(place)
            reopening.grow()

    assert rounds == [1, 2, 4, 8, 16]


def test_requests_that_hang_since_an_outage_keep_nobody_waiting() -> None:
    reopening = Reopening()
    hanging = [reopening.take() for _ in range(3)]
    reopening.begin()

    first = reopening.take()
    for place in hanging:
        reopening.give_back(place)

    assert not reopening.room
    reopening.give_back(first)
    assert reopening.room
