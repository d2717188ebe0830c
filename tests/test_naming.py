from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.identity import key_of_id
from batch_runner.keys import KeySet
from batch_runner.loader import Draft, Line, draft
from batch_runner.naming import Naming, keys_of


def drafts(*lines: str) -> list[Draft]:
    return [draft(Line(line.encode(), f"in.jsonl:{number}")) for number, line in enumerate(lines, start=1)]


class Names:
    """A naming, and the keys it has met."""

    def __init__(self) -> None:
        self.naming, self.met = Naming(), KeySet()


def named(names: Names, *lines: str) -> list[str]:
    read = drafts(*lines)
    ids, keys = names.naming.take([each.id for each in read], read.__getitem__, names.met.meet)
    assert keys == [key_of_id(row_id) for row_id in ids]
    return ids


@given(ids=st.lists(st.text(max_size=6), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_keys_of_many_are_those_of_each(ids: list[str]) -> None:
    assert keys_of(ids) == [key_of_id(each) for each in ids]


def test_rows_that_ask_the_same_are_numbered_within_a_block_and_beyond() -> None:
    names = Names()

    first = named(names, '{"prompt":"a"}', '{"prompt":"a"}', '{"prompt":"b"}')
    second = named(names, '{"prompt":"a"}', '{"prompt":"b"}')

    assert first == [first[0], f"{first[0]}-2", first[2]]
    assert second == [f"{first[0]}-3", f"{first[2]}-2"]
    assert names.naming.repeated == {first[0], first[2]}
    assert names.naming.doubled == {}


def test_an_id_of_a_rows_own_that_stands_again_is_told_with_its_place() -> None:
    names = Names()

    assert named(names, '{"id":"a","prompt":"a"}', '{"id":"a","prompt":"b"}') == ["a", "a"]
    assert names.naming.doubled == {"a": "in.jsonl:2"}


def _rows(numbers: Iterable[int]) -> list[str]:
    return [f'{{"prompt":"{number}"}}' for number in numbers]


@given(numbers=st.lists(st.integers(0, 3), max_size=12), cut=st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_where_blocks_end_says_nothing(numbers: list[int], cut: int) -> None:
    in_two = Names()

    assert named(Names(), *_rows(numbers)) == [
        *named(in_two, *_rows(numbers[:cut])),
        *named(in_two, *_rows(numbers[cut:])),
    ]
