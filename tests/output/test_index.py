import tracemalloc
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.failures import CannotStart
from batch_runner.identity import key_of_fingerprint, key_of_id
from batch_runner.keys import FEW
from batch_runner.output import index as index_module
from batch_runner.output.index import Index, index_of, read_index
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import Result, Status
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"
FINGERPRINT = "v1:" + "ab" * 16


@pytest.fixture(autouse=True, scope="module", params=[0, FEW], ids=["many", "few"])
def few(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lines are kept in one way where they are few and in another where they are many: nobody may notice."""
    with patch.object(index_module, "FEW", request.param):
        yield


def a_row(row_id: str, status: Status = Status.OK, fingerprint: str = FINGERPRINT) -> bytes:
    return row_line(Result(row_id, status, fingerprint, "in.jsonl:1", AT, "r"))


def a_run(run_id: str = "r", endpoint: str = "api.example.com", attempts: int = 0) -> bytes:
    return run_line(Run(run_id, AT, endpoint), Totals(attempts=attempts))


def the_end(run_id: str = "r", attempts: int = 0) -> bytes:
    return totals_line(run_id, AT, Totals(attempts=attempts), Totals())


def written(folder: Path, *lines: bytes) -> Path:
    path = folder / "out.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def test_no_file_is_an_empty_index(tmp_path: Path) -> None:
    index = read_index(tmp_path / "gone.jsonl")

    assert (index.lines, index.last_run, index.closed) == (0, None, True)
    assert index.lookup("a") is None
    assert index.living() == Counter()
    assert list(index.living_places()) == []


def test_an_empty_file_is_an_empty_index(tmp_path: Path) -> None:
    assert read_index(written(tmp_path)).lines == 0


def test_a_record_is_found_by_its_id(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), a_row("a"), a_row("b", Status.FAILED))

    entry = read_index(path).lookup("b")

    assert entry is not None
    assert (entry.status, entry.made_up) == (Status.FAILED, False)
    assert entry.fingerprint_key == key_of_fingerprint(FINGERPRINT)
    assert entry.offset == len(a_run() + a_row("a"))
    assert read_index(path).lookup("c") is None


@pytest.mark.parametrize("row_id", ["a\nb", 'a"b', "a\\", "行 1 😀", "\x00", "\x7f", " ", "</script>"])
def test_odd_ids_are_found_too(tmp_path: Path, row_id: str) -> None:
    index = read_index(written(tmp_path, a_run(), a_row(row_id), a_row("other")))

    assert index.lookup(row_id) is not None


def test_answers_of_the_embedded_endpoint_are_marked(tmp_path: Path) -> None:
    index = read_index(written(tmp_path, a_run(endpoint="fake"), a_row("a"), the_end(), a_run("r2"), a_row("b")))

    found = [index.lookup(row_id) for row_id in ("a", "b")]

    assert [entry.made_up for entry in found if entry is not None] == [True, False]


def test_the_last_run_line_tells_how_the_last_run_began(tmp_path: Path) -> None:
    path = written(tmp_path, a_run("r1"), the_end("r1", attempts=5), a_run("r2", "fake", attempts=5))

    index = read_index(path)
    run = index.last_run

    assert run is not None
    assert (run.id, run.endpoint) == ("r2", "fake")
    assert (index.closed, index.job.attempts) == (False, 5)


def test_a_totals_line_closes_its_run(tmp_path: Path) -> None:
    index = read_index(written(tmp_path, a_run(), a_row("a"), the_end(attempts=9)))

    assert (index.closed, index.job.attempts) == (True, 9)


def test_a_file_of_nothing_but_nuls_holds_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, b"\x00" * 64)

    index = read_index(path)

    assert (index.lines, index.size, index.last_run) == (0, 0, None)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param((b'"answer":"', b'"answer":"\x00\x00'), id="NULs"),
        pytest.param((b'"answer":"', b'"answer":"\xe5\xa5'), id="half a character"),
    ],
)
def test_a_line_that_a_disk_has_damaged_tells_of_no_row(tmp_path: Path, damage: tuple[bytes, bytes]) -> None:
    lines = [a_run(), a_row("a").replace(*damage), a_row("b")]

    index = read_index(written(tmp_path, *lines))

    assert (index.lookup("a"), index.unreadable_lines) == (None, 1)
    assert index.lookup("b") is not None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"prompt":"hi"}\n', id="an input"),
        pytest.param(b"hello\n", id="a text"),
        pytest.param(b"\n", id="a blank line"),
        pytest.param(a_row("a"), id="a row first"),
        pytest.param(b"\xef\xbb\xbf" + a_run(), id="a BOM first"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_stays(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)

    with pytest.raises(CannotStart, match="wasn't made by batch-runner"):
        read_index(path)

    assert path.read_bytes() == data


def test_an_output_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, run_line(Run("r", AT, "fake", "batch-runner 9.0", version=2), Totals()))

    before = path.read_bytes()

    with pytest.raises(CannotStart, match=rf"{path}: .*newer.* batch-runner 9\.0 \(format 2; .*update"):
        read_index(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", [0, 2], ids=["first", "later"])
def test_a_run_line_of_a_newer_version_is_known_although_it_looks_otherwise(tmp_path: Path, place: int) -> None:
    newer = b'{"id":"","status":"run","shape":"odd","run":{"version":7,"wholly":"new"}}\n'
    lines = [a_run(), a_row("a"), a_row("b")]
    lines.insert(place, newer)

    with pytest.raises(CannotStart, match=r"made by a newer program, batch-runner .format 7"):
        read_index(written(tmp_path, *lines))


def test_an_output_of_an_older_version_is_read(tmp_path: Path) -> None:
    older = run_line(Run("r", AT, "api.example.com", "batch-runner 0.0", version=0), Totals(attempts=2))

    index = read_index(written(tmp_path, older, a_row("a")))

    assert index.last_run is not None
    assert (index.last_run.version, index.living(), index.job.attempts) == (0, {"ok": 1}, 2)


@pytest.mark.parametrize("row_id", ["plain", "行 1", 'a"b', "a\\"])
@pytest.mark.parametrize("lacking", [False, True], ids=["whole", "its last line without its end"])
def test_what_was_appended_since_is_read_on_to_the_same_index(tmp_path: Path, row_id: str, *, lacking: bool) -> None:
    early = [a_run(), a_row(row_id), a_row("b", Status.FAILED)]
    late = [a_run("r2"), a_row("b"), a_row("c"), the_end("r2")]
    index = read_index(written(tmp_path, b"".join(early)[: -1 if lacking else None]))
    path = written(tmp_path, *early, *late)

    with path.open("rb") as file:
        index.read_on(file)

    anew = read_index(path)
    assert [index.lookup(name) for name in (row_id, "b", "c")] == [anew.lookup(name) for name in (row_id, "b", "c")]
    assert list(index.living_places()) == list(anew.living_places())
    told = ("lines", "dead_lines", "unreadable_lines", "size", "closed", "last_run", "run_lines", "job")
    assert {name: getattr(index, name) for name in told} == {name: getattr(anew, name) for name in told}


def test_places_far_into_a_file_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(number) for number in range(50)]
    path = written(tmp_path, a_run(), *map(a_row, names), a_row("7", Status.FAILED), the_end())
    whole = read_index(path)
    monkeypatch.setattr("batch_runner.output.index.BYTES_IN_A_STRETCH", 3000)
    monkeypatch.setattr("batch_runner.output.index.READ_BYTES", 1500)

    index = read_index(path)

    assert len(index._stretches) > 5
    assert [index.lookup(name) for name in names] == [whole.lookup(name) for name in names]
    assert list(index.living_places()) == list(whole.living_places())


@pytest.mark.parametrize("at_once", [1, 400, 2000, 100_000])
def test_it_does_not_matter_how_much_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    path = written(tmp_path, a_run(), a_row("a"), b"garbage\n", a_row("行"), a_row("b"), a_row("c")[:40])
    monkeypatch.setattr("batch_runner.output.index.READ_BYTES", at_once)

    index = read_index(path)
    with path.open("rb") as file:
        index.read_on(file)

    assert (index.living(), index.unreadable_lines, index.lines) == ({"ok": 3}, 1, 5)
    assert index.size == path.stat().st_size - 40


def test_a_line_among_usual_ones_that_is_odd_costs_none_of_them(tmp_path: Path) -> None:
    odd = [
        a_row('q"'),
        a_row("\x7f"),
        a_row("行"),
        b"garbage\n",
        a_row("x").replace(b"abab", b"zzzz"),
        a_row("y").rstrip() + b" \n",
    ]
    names = [str(number) for number in range(40)]

    index = read_index(written(tmp_path, a_run(), *(a_row(name) for name in names[:20]), *odd, *map(a_row, names[20:])))

    assert all(index.lookup(name) is not None for name in [*names, 'q"', "\x7f", "行", "y"])
    assert (index.unreadable_lines, index.lookup("x")) == (2, None)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"garbage\n", id="garbage"),
        pytest.param(b"\n", id="blank"),
        pytest.param(b"\x00\x00\n", id="zeros"),
        pytest.param(a_row("lost")[:-20] + b"\n", id="a row without its end"),
        pytest.param(a_row("lost").replace(b'"ok"', b'"odd"'), id="an unknown status"),
        pytest.param(a_row("lost").replace(FINGERPRINT.encode(), b"v1:nonsense"), id="a fingerprint that is none"),
        pytest.param(a_row("lost").replace(b'"lost"', b'"lo\xffst"'), id="an id that is no UTF-8"),
        pytest.param(a_run("lost").replace(b'"version":1', b'"version":,'), id="a run line with a hole"),
        pytest.param(the_end("lost").replace(b'"job":{', b'"job":['), id="a totals line with a hole"),
    ],
)
def test_a_line_that_can_not_be_read_is_counted_and_costs_no_other(tmp_path: Path, line: bytes) -> None:
    index = read_index(written(tmp_path, a_run(), a_row("a"), line, a_row("b")))

    assert index.unreadable_lines == 1
    assert index.living() == Counter(ok=2)
    assert index.lookup("lost") is None


def test_a_torn_last_line_counts_as_absent(tmp_path: Path) -> None:
    whole = a_run() + a_row("a")
    for cut in range(1, len(a_row("b")) - 1):
        index = read_index(written(tmp_path, whole, a_row("b")[:cut]))

        assert index.lookup("b") is None
        assert (index.size, index.living()) == (len(whole), Counter(ok=1))


def test_a_last_line_that_lacks_only_its_end_counts(tmp_path: Path) -> None:
    index = read_index(written(tmp_path, a_run(), a_row("a").rstrip(b"\n")))

    assert index.lookup("a") is not None


def test_rows_of_the_input_are_marked_once(tmp_path: Path) -> None:
    index = read_index(written(tmp_path, a_run(), *(a_row(name) for name in "abc")))
    handles = index.find([key_of_id(name) for name in "ac"])

    assert index.mark([*handles, handles[0]]) == [True, True, False]
    assert index.mark(handles[:1]) == [False]
    assert index.not_seen() == Counter(ok=1)


def test_lines_that_later_ones_replaced_are_dead(tmp_path: Path) -> None:
    index = read_index(written(tmp_path, a_run(), a_row("a", Status.UNFINISHED), a_row("b"), a_row("a"), the_end()))

    assert index.lines - index.dead_lines == 3  # the run line and the two rows; the next totals line replaces this one


statuses = st.sampled_from(Status)
names = st.sampled_from(["a", "b", "c", "d", "行", '"', "\\", "a\n"])


@given(records=st.lists(st.tuples(names, statuses), max_size=25), blocks=st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_the_last_line_of_an_id_wins(records: list[tuple[str, Status]], blocks: int) -> None:
    index, model, places, offset = Index(), dict[str, Status](), dict[str, int](), 0
    for number, (name, status) in enumerate(records):
        line = a_row(name, status)
        index.take([line])
        model[name], places[name] = status, offset
        offset += len(line)
        if number % blocks == 0:
            index.settle()
    index.settle()

    found = {name: index.lookup(name) for name in model}

    assert {name: entry.status for name, entry in found.items() if entry is not None} == model
    assert {name: entry.offset for name, entry in found.items() if entry is not None} == places
    assert index.living() == Counter(model.values())
    assert list(index.living_places()) == sorted(places.values())
    assert index.dead_lines == len(records) - len(model)


def test_going_through_the_places_takes_no_memory_for_all_of_them() -> None:
    index, count = Index(), 100_000
    line = a_row("0000000")
    index.take([line.replace(b"0000000", b"%07d" % number, 1) for number in range(count)])
    index.settle()

    tracemalloc.start()
    try:
        assert sum(1 for _ in index.living_places()) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 25 * count, "no more than the index itself"


def test_a_run_line_that_raises_the_ceiling_replaces_the_one_before(tmp_path: Path) -> None:
    index = read_index(written(tmp_path, a_run("r"), a_row("a"), a_run("r")))

    assert list(index.run_lines) == ["r"]
    assert orjson.loads(index.run_lines["r"])["run_id"] == "r"
    assert index.dead_lines == 1


def test_a_file_cut_at_any_byte_holds_its_whole_lines_and_nothing_else(tmp_path: Path) -> None:
    lines = [a_run(), a_row("a"), a_row("好")]  # totals and run lines: test_journal
    data, ends = b"".join(lines), [sum(map(len, lines[:count])) for count in range(len(lines) + 1)]
    path = tmp_path / "out.jsonl"

    for cut in range(len(lines[0]) - 1, len(data) + 1):
        index = index_of(BytesIO(data[:cut]), path)

        whole = sum(end <= cut for end in ends) - 1
        lacks_only_its_end = cut + 1 in ends[2:]
        assert index.lines == whole + lacks_only_its_end, cut
        assert index.size == (cut if lacks_only_its_end else ends[whole]), cut
        assert index.unreadable_lines == 0, cut
