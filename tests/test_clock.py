from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.clock import seconds_of, timestamp


@given(seconds=st.floats(0, 4e9) | st.integers(0, 4_000_000_000).map(float))
def test_a_time_is_written_as_the_standard_library_writes_it(seconds: float) -> None:
    expected = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    assert timestamp(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (1_732_473_340.1239, "2024-11-24T18:35:40.123Z"),
        (1_732_473_340.9999999, "2024-11-24T18:35:41.000Z"),
        (0.0, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_milliseconds_are_cut_and_seconds_carried(seconds: float, written: str) -> None:
    assert timestamp(seconds) == written


@given(seconds=st.integers(0, 4_000_000_000_000).map(lambda milliseconds: milliseconds / 1000))
def test_what_is_written_is_read_back_to_the_millisecond(seconds: float) -> None:
    assert seconds_of(timestamp(seconds)) == pytest.approx(seconds, abs=0.0011)
