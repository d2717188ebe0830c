from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.output.columns import ManyLines
from batch_runner.output.stretch import DEAD, FewLines, Gathered

BASE = 1000
KEYS = range(-3, 4)
MARKS = [0, 1, 2, 0x20, 0x41]

lines = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(0, 2**64 - 1), st.integers(1, 9), st.sampled_from(MARKS)), min_size=1
)


def gathered(rows: list[tuple[int, int, int, int]]) -> Gathered:
    """Lines with key, fingerprint, length and flags."""
    told = Gathered(array("q"), bytearray(), array("I"), bytearray())
    place = 0
    for key, fingerprint, length, flags in rows:
        told.ids.append(key)
        told.fingerprints.extend(fingerprint.to_bytes(8, "big"))
        told.places.append(place)
        told.flags.append(flags)
        place += length
    return told


def found(stretch: FewLines | ManyLines) -> dict[int, tuple[tuple[int, int], int] | None]:
    """What is known of each key."""
    numbers = stretch.find(KEYS)
    return {
        key: (stretch.record(number), stretch.flags[number]) if number >= 0 else None
        for key, number in zip(KEYS, numbers, strict=True)
    }


@given(
    older=lines, newer=lines, start=st.integers(0, 60), end=st.integers(0, 60), mask=st.sampled_from([0, DEAD, DEAD | 0x20, 0x41])
)
@settings(max_examples=200, deadline=None)
def test_few_lines_and_many_say_the_same(
    older: list[tuple[int, int, int, int]], newer: list[tuple[int, int, int, int]], start: int, end: int, mask: int
) -> None:
    few, many = FewLines(BASE, gathered(older)), ManyLines(BASE, gathered(older))

    for replaced in (False, True):
        if replaced:  # each meets lines that are kept in the other way
            few.give_way(ManyLines(BASE, gathered(newer)))
            many.give_way(FewLines(BASE, gathered(newer)))
        assert found(few) == found(many)
        assert few.tally() == many.tally()
        assert list(few.places(mask, 0)) == list(many.places(mask, 0))
        assert sorted(few.ids_in(BASE + start, BASE + end, mask)) == many.ids_in(BASE + start, BASE + end, mask).tolist()


def test_a_million_lines_take_21_bytes_each() -> None:
    many = ManyLines(BASE, gathered([(key, key, 1, 0) for key in range(1000)]))

    assert many.ids.nbytes + many._fingerprints.nbytes + many._places.nbytes + len(many.flags) == 21_000
