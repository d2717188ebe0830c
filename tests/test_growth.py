import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.growth import DOUBLED, NO_USE, Growth
from batch_runner.models import family_of
from batch_runner.records import UNTOLD_USAGE, Usage
from batch_runner.settings import read_settings

MOST = 65_536
"""The most that o1-mini writes."""


def used(completion: int, prompt: int = 10) -> Usage:
    return Usage(prompt, 0, completion, 0, prompt + completion)


@pytest.mark.parametrize(
    ("cap", "usage", "larger"),
    [
        pytest.param(500, used(500), 1000, id="twice the cap"),
        pytest.param(500, UNTOLD_USAGE, 1000, id="without a usage, too"),
        pytest.param(500, used(480), 1000, id="twice the cap, wherever it stopped"),
        pytest.param(40_000, used(40_000), MOST, id="up to the model's most"),
        pytest.param(MOST, used(MOST), NO_USE, id="and no further"),
        pytest.param(90_000, used(MOST), NO_USE, id="nor beyond it"),
        pytest.param(40_000, used(40_000, prompt=80_000), 48_000, id="up to the room that the prompt leaves"),
        pytest.param(40_000, used(40_000, prompt=88_000), NO_USE, id="where it leaves none"),
        pytest.param(None, used(4096), 8192, id="cut off by somebody without a cap"),
        pytest.param(None, used(MOST), NO_USE, id="at the most without a cap"),
        pytest.param(None, UNTOLD_USAGE, NO_USE, id="nobody knows where"),
    ],
)
def test_a_cap_grows_after_an_answer_was_cut_off(cap: int | None, usage: Usage, larger: int) -> None:
    assert DOUBLED.larger("o1-mini", cap, usage) == larger


@given(cap=st.integers(1, 300_000), prompt=st.integers(0, 300_000), factor=st.floats(1.001, 100))
def test_a_cap_grows_to_an_end_and_never_past_the_model(cap: int, prompt: int, factor: float) -> None:
    growth, family = Growth(factor), family_of("o1-mini")
    caps = [cap]

    while (larger := growth.larger("o1-mini", caps[-1], used(caps[-1], prompt))) != NO_USE:
        assert caps[-1] < larger <= min(family.most_completion, (family.window or 0) - prompt)
        caps.append(larger)

    assert len(caps) < 70_000


@pytest.mark.parametrize(
    ("asked", "cap", "usage", "again"),
    [
        pytest.param(4096, 500, used(500), 4096, id="a larger cap is asked for: that one"),
        pytest.param(500, 500, used(500), 1000, id="the same one: larger"),
        pytest.param(100, 500, used(500), 1000, id="a smaller one: larger than what cut it off"),
        pytest.param(None, 500, used(500), None, id="no cap any more"),
        pytest.param(None, MOST, used(MOST), NO_USE, id="no cap, after the most there is"),
        pytest.param(None, None, used(MOST), NO_USE, id="no cap twice, and the most there is"),
        pytest.param(None, None, used(4096), 8192, id="no cap twice, cut off before the most"),
        pytest.param(8192, None, used(4096), 8192, id="a cap above where it was cut off"),
        pytest.param(MOST, MOST, used(MOST), NO_USE, id="the most there is, again"),
        pytest.param(100_000, MOST, used(MOST), 100_000, id="the user may know better"),
        pytest.param(None, None, UNTOLD_USAGE, None, id="nobody knows where it was cut off"),
    ],
)
def test_a_truncated_row_is_never_asked_again_as_it_was(
    asked: int | None, cap: int | None, usage: Usage, again: int | None
) -> None:
    assert DOUBLED.again("o1-mini", asked, cap, usage) == again


def test_a_model_that_nobody_knows_grows_up_to_the_largest_known() -> None:
    assert DOUBLED.larger("mystery", 200_000, used(200_000)) == 272_000


def test_settings_say_how_caps_grow() -> None:
    assert Growth.of(read_settings({})) == Growth(2.0)
    assert Growth.of(read_settings({"on_truncated": "grow", "grow_factor": 1.5})) == Growth(1.5, at_once=True)
