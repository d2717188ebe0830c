import pytest

from batch_runner.reporters.wording import duration, rows, short


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (1.84, "1.8 s"),
        (9.4, "9.4 s"),
        (12, "12 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (12_000, "3 h 20 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_a_duration_is_told_as_people_tell_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (0.4, "0"),
        (950, "950"),
        (1000, "1.0k"),
        (12_345, "12.3k"),
        (4_500_000, "4.5M"),
        (1_000_000, "1.0M"),
        (999_960, "1.0M"),
    ],
)
def test_a_large_number_is_told_in_short(number: float, words: str) -> None:
    assert short(number) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 rows"), (1, "1 row"), (1234, "1,234 rows")])
def test_rows_are_counted(count: int, words: str) -> None:
    assert rows(count) == words
