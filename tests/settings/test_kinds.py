from contextlib import suppress
from datetime import time
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.exits import deserved
from batch_runner.settings.kinds import (
    Address,
    Command,
    Count,
    Duration,
    Factor,
    KeyValue,
    Rate,
    Share,
    States,
    Statuses,
    TimeOfDay,
    VariableName,
    ZoneName,
)

KINDS: list[click.ParamType[Any]] = [
    Count(),
    Duration(),
    Factor(),
    KeyValue(),
    Rate(),
    Share(),
    States(),
    TimeOfDay(),
    VariableName(),
    ZoneName(),
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1H30M5S", 5405),
        ("1.5m", 90),
        ("0.5", 0.5),
        (" 30s ", 30),
        (30, 30),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_written_as_people_write_it(text: object, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize(("text", "factor"), [("2", 2), (" 1.5 ", 1.5), (100, 100), (1.25, 1.25)])
def test_a_factor_is_a_number_above_one(text: object, factor: float) -> None:
    assert Factor().convert(text, None, None) == factor


@pytest.mark.parametrize("text", ["", "1", "0.5", "-2", "x2", "nan", "inf", "101", "1e2", True, float("nan")])
def test_what_is_no_factor_is_refused(text: object) -> None:
    with pytest.raises(click.BadParameter, match=r"isn't a factor: write a number above 1, such as 2 or 1\.5"):
        Factor().convert(text, None, None)


@pytest.mark.parametrize(
    "text", ["", "0", "-5", "soon", "5 parsecs", "1m1h", "m", "nan", "inf", "1e9", True, 0, -1, float("nan")]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(click.BadParameter, match="isn't a duration: write 90, 30s, 5m or 1h30m"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "read"),
    [("06:30", time(6, 30)), ("6:30", time(6, 30)), (" 00:00 ", time(0)), ("23:59", time(23, 59)), (time(6, 30, 5), time(6, 30))],
)
def test_a_time_of_the_day_is_written_with_its_minutes(text: object, read: time) -> None:
    assert TimeOfDay().convert(text, None, None) == read


@pytest.mark.parametrize("text", ["", "6", "24:00", "06:60", "6:3", "06:30:00", "6.30", "noon", 6, True, "٠٦:٣٠"])
def test_what_is_no_time_of_the_day_is_refused(text: object) -> None:
    with pytest.raises(click.BadParameter, match="isn't a time of the day: write 06:30"):
        TimeOfDay().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("Berlin", "did you mean 'Europe/Berlin'"),
        ("CEST", "there is no time zone 'CEST'"),
        ("../etc/passwd", "there is no time zone"),
        ("Europe", "there is no time zone"),
        ("", "there is no time zone"),
    ],
)
def test_what_is_no_zone_is_refused(text: str, said: str) -> None:
    with pytest.raises(click.BadParameter, match=said):
        ZoneName().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1000", 1000), ("1_000", 1000), ("1,000", 1000), ("1k", 1000), ("1.5k", 1500), ("2M", 2_000_000), (7, 7), (10**12, 10**12)],
)
def test_a_count_is_written_as_people_write_it(text: object, number: int) -> None:
    assert Count().convert(text, None, None) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "1e3", True, False, 0, 0.5, None, 10**12 + 1, "9" * 400])
def test_what_is_no_count_is_refused(text: object) -> None:
    with pytest.raises(click.BadParameter, match="isn't a whole number above zero"):
        Count().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "per_minute"),
    [
        ("500", 500),
        ("3k", 3000),
        ("3k/min", 3000),
        ("50/s", 3000),
        ("50 / sec", 3000),
        ("600/h", 10),
        ("0.5", 0.5),
        ("1_000/minute", 1000),
        ("3m/min", 3_000_000),
        (3000, 3000),
    ],
)
def test_a_rate_is_per_minute_unless_it_says_otherwise(text: object, per_minute: float) -> None:
    assert Rate().convert(text, None, None) == pytest.approx(per_minute)


@pytest.mark.parametrize("text", ["", "0", "-3", "fast", "3/day", "3k/", True, 0])
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(click.BadParameter, match="isn't a rate"):
        Rate().convert(text, None, None)


@pytest.mark.parametrize("text", ["0", "10", "1_000", "1%", "0.5%", "100%", "0%", 10])
def test_a_share_is_a_number_of_rows_or_per_cent(text: object) -> None:
    assert Share().convert(text, None, None) == str(text)


@pytest.mark.parametrize("text", ["", "%", "-1", "1.5", "101%", "1__0", "_5", "5_", "²", "1_0%", "few", True])
def test_what_is_no_share_is_refused(text: object) -> None:
    with pytest.raises(click.BadParameter, match="neither a number of rows nor a share"):
        Share().convert(text, None, None)


@given(text=st.text(alphabet="0123456789_.%²٣", min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_whatever_share_is_accepted_can_be_used_at_the_end_of_a_run(text: str) -> None:
    try:
        share = Share().convert(text, None, None)
    except click.BadParameter:
        return

    deserved(rows=10, ok=9, max_failed=share)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("seed=7", ("seed", 7)),
        ("store=true", ("store", True)),
        ("tier=flex", ("tier", "flex")),
        ("text=a=b", ("text", "a=b")),
        ('x={"a":[1]}', ("x", {"a": [1]})),
        ("x=", ("x", "")),
        ('x="7"', ("x", "7")),
        (" x =1", ("x", 1)),
        (("x", 1), ("x", 1)),
        (["x", None], ("x", None)),
    ],
)
def test_a_value_is_json_or_a_bare_word(text: object, pair: tuple[str, object]) -> None:
    assert KeyValue().convert(text, None, None) == pair


@pytest.mark.parametrize("text", ["seed", "=7", " =7", ""])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="isn't KEY=VALUE"):
        KeyValue().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("failed", ("failed",)),
        ("failed,timeout", ("failed", "timeout")),
        (" all , truncated ,", ("all", "truncated")),
        (["failed", "timeout"], ("failed", "timeout")),
        ("", ()),
    ],
)
def test_states_stand_between_commas(text: object, states: tuple[str, ...]) -> None:
    assert States().convert(text, None, None) == states


@pytest.mark.parametrize("word", ["trunkated", "ok", "invalid_line", "failed;timeout"])
def test_what_no_row_can_be_sent_again_from_is_refused(word: str) -> None:
    with pytest.raises(click.BadParameter, match="nor a failure kind"):
        States().convert(word, None, None)


@pytest.mark.parametrize("name", ["MY_KEY", "_x", "key2"])
def test_a_variable_has_a_name(name: str) -> None:
    assert VariableName().convert(name, None, None) == name


@pytest.mark.parametrize("key", ["sk-secret-123", "secret key", "2secret", ""])
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        VariableName().convert(key, None, None)

    assert "never the key" in raised.value.message
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@given(text=st.text(max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_text_is_either_taken_or_refused(kind: click.ParamType[Any], text: str) -> None:
    with suppress(click.BadParameter):
        assert kind.convert(text, None, None) is not None


@pytest.mark.parametrize(
    ("written", "any_scheme", "fits"),
    [
        ("https://hc-ping.com/uuid", False, True),
        ("HTTP://localhost:8000", False, True),
        (" https://a.b/c?d=e ", False, True),
        ("@ping.url", False, True),
        ("mailto://me:p@host", True, True),
        ("mailto://me:p@host", False, False),
        ("hc-ping.com/uuid", False, False),
        ("https://", False, False),
        ("https://a b", False, False),
        ("@", False, False),
        ("", True, False),
    ],
)
def test_an_address_is_a_url_or_a_file_and_a_refusal_does_not_repeat_it(written: str, *, any_scheme: bool, fits: bool) -> None:
    kind = Address(any_scheme=any_scheme)

    if fits:
        assert kind.convert(written, None, None) == written.strip()
        return
    with pytest.raises(click.BadParameter) as refused:
        kind.convert(written, None, None)
    assert written not in refused.value.message.replace("https://…", "").replace("@FILE", "") or not written


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("notify-send 'it is done' $HOME", ("notify-send", "it is done", "$HOME")),
        (["sh", "-c", "echo a b"], ("sh", "-c", "echo a b")),
        (("true",), ("true",)),
    ],
)
def test_a_command_is_its_words_and_no_more_of_a_shell(written: object, words: tuple[str, ...]) -> None:
    assert Command().convert(written, None, None) == words


@pytest.mark.parametrize("written", ["", "  ", "'open", [], [""], ["a\0b"]])
def test_what_is_no_command_is_refused(written: object) -> None:
    with pytest.raises(click.BadParameter):
        Command().convert(written, None, None)


@pytest.mark.parametrize(("written", "statuses"), [("5", (5,)), ("5,7", (5, 7)), ([5, 7], (5, 7)), ((10,), (10,))])
def test_exit_statuses_are_numbers_that_a_run_ends_with(written: object, statuses: tuple[int, ...]) -> None:
    assert Statuses().convert(written, None, None) == statuses


@pytest.mark.parametrize("written", ["", "five", "1", [99], [None]])
def test_what_is_no_exit_status_is_refused(written: object) -> None:
    with pytest.raises(click.BadParameter, match="they are some of 0, 2"):
        Statuses().convert(written, None, None)
