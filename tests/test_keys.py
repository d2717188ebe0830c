from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner import keys
from batch_runner.keys import KeySet

some_keys = st.integers(-20, 20) | st.sampled_from([2**63 - 1, -(2**63)])


@pytest.mark.parametrize("few", [0, 10, 50_000])
@given(blocks=st.lists(st.lists(some_keys, max_size=12), max_size=12))
@settings(max_examples=100, deadline=None)
def test_a_key_set_tells_whom_it_has_met_be_they_few_or_many(few: int, blocks: list[list[int]]) -> None:
    met, model = KeySet(), set[int]()

    with patch.object(keys, "FEW", few):
        for block in blocks:
            again = []
            for place, key in enumerate(block):
                if key in model:
                    again.append(place)
                model.add(key)
            assert met.meet(block) == again
