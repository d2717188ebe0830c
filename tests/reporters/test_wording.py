from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.admission.finder import Learned
from batch_runner.reporters.wording import duration, limit_in_words, many, money, one_line, rows, short, size


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


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (0, "$0"), (0.0000539, "$0.0000539"), (0.000539, "$0.000539"), (0.0123, "$0.0123"), (0.5, "$0.500"), (0.9999, "$1.00"),
        (1, "$1.00"), (12.3, "$12.30"), (1234.5, "$1,234.50"), (Decimal("0.1"), "$0.100"), (1e-12, "$0.00000000000100"),
    ],
)  # fmt: skip
def test_money_is_told_to_three_digits_that_count(usd: float | Decimal, words: str) -> None:
    assert money(usd) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 rows"), (1, "1 row"), (1234, "1,234 rows")])
def test_rows_are_counted(count: int, words: str) -> None:
    assert rows(count) == words


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("no such key", "no such key", id="as it is"),
        pytest.param("", "", id="nothing"),
        pytest.param("没有这个模型", "没有这个模型", id="Chinese"),
        pytest.param(" no\n\tsuch\r\nkey\u2028 ", "no such key", id="broken lines"),
        pytest.param("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07", id="commands to the terminal"),
        pytest.param("a\x9bb\x7f", "a\\x9bb\\x7f", id="other control characters"),
        pytest.param("a\u202eb", "a\\x202eb", id="text turned round"),
    ],
)
def test_somebody_elses_words_take_one_line_and_command_nothing(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("x" * 20, "x" * 20, id="just fits"),
        pytest.param("x" * 21, "x" * 19 + "…", id="one too many"),
        pytest.param("x" + " " * 1000 + "y", "x…", id="mostly blanks"),
        pytest.param("x" * 10**6, "x" * 19 + "…", id="far too many"),
        pytest.param("\x1b" * 20, r"\x1b" * 4 + r"\x1" + "…", id="escapes count"),
    ],
)
def test_a_long_line_is_cut_and_says_so(text: str, line: str) -> None:
    assert one_line(text, 20) == line


@given(text=st.text(alphabet=st.characters(exclude_categories=[])), most=st.integers(1, 200))
@settings(max_examples=200, deadline=None)
def test_any_words_fit_on_one_line_of_the_terminal(text: str, most: int) -> None:
    line = one_line(text, most)

    assert len(line) <= most
    assert line.isprintable()


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (4_500_000_000, "4.5 GB")],
)
def test_sizes(count: int, told: str) -> None:
    assert size(count) == told


def test_one_line_and_many_lines() -> None:
    assert (many(1, "line"), many(1234, "line")) == ("1 line", "1,234 lines")


@pytest.mark.parametrize(
    ("learned", "words"),
    [
        (Learned("rate", 10.0, 80, held=0.98), "600/min, holding 0.98"),
        (Learned("window", 10.0, 80, was=5.0), "600/min in a window of a minute (was 300/min), holding 1.00"),
        (Learned("rate", 10.0, 80, age=7200.0), "600/min, found 2 h 00 min ago"),
        (Learned("cap", None, 50), "50 requests at once"),
        (Learned("slows", None, 1200), "1,200 requests at once: with more it slows down"),
        (Learned("tokens", 5000.0, 80, age=7.0), "300,000 tokens/min"),
    ],
)
def test_what_is_known_of_a_limit_is_told_in_words(learned: Learned, words: str) -> None:
    assert limit_in_words(learned) == words
