import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.redaction import MASK, redact

keys = st.text(alphabet=string.ascii_letters + string.digits + "-_./+=", min_size=8, max_size=60)


@given(key=keys, before=st.text(max_size=20), after=st.text(max_size=20), count=st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_the_runs_own_key_is_never_left_in(key: str, before: str, after: str, count: int) -> None:
    assert key not in redact(f"{before}{key}{after}" * count, key)


@given(text=st.text(alphabet=st.characters(exclude_categories=[])))
@settings(max_examples=100, deadline=None)
def test_masking_twice_masks_no_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("Authorization: Bearer abc123", f"Authorization: Bearer {MASK}", id="bearer"),
        pytest.param('{"authorization":"bearer abc.def"}', f'{{"authorization":"bearer {MASK}"}}', id="bearer in JSON"),
        pytest.param("key sk-proj-abc_123 is wrong", f"key sk-{MASK} is wrong", id="OpenAI's key"),
        pytest.param("key sk-abc***xyz is wrong", f"key sk-{MASK} is wrong", id="a key in part"),
        pytest.param("https://h/v1?key=abc&x=1", f"https://h/v1?key={MASK}&x=1", id="key in a query"),
        pytest.param("https://h/v1?x=1&api_key=abc", f"https://h/v1?x=1&api_key={MASK}", id="api_key in a query"),
        pytest.param("https://user:pw@h/v1", f"https://{MASK}@h/v1", id="password in a URL"),
    ],
)
def test_whatever_looks_like_a_key_is_masked(text: str, masked: str) -> None:
    assert redact(text) == masked


@pytest.mark.parametrize("text", ["", "task-force and risk-free", "write to me@example.com", "the token=s of it", "https://h/v1"])
def test_other_words_stay(text: str) -> None:
    assert redact(text) == text


def test_no_key_masks_nothing() -> None:
    assert redact("a b", "") == "a b"
