"""Outputs of earlier versions are gone on with: their rows keep their ids and their fingerprints, so nothing is bought again."""

import shutil
from typing import TYPE_CHECKING

import pytest

from batch_runner.chat import Defaults, build_request
from batch_runner.loader import Line, draft
from batch_runner.records import PromptRow
from tests.end_to_end.conftest import REPOSITORY, Place

if TYPE_CHECKING:
    from pathlib import Path

AS_WRITTEN = REPOSITORY / "tests" / "outputs_as_written"
RUN = Defaults("o1-mini", "Answer kindly.", {"seed": 11})
ROWS = (AS_WRITTEN / "rows.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize(
    ("line", "row_id", "fingerprint"),
    [
        (1, "plain", "v1:5a6c3a9432771900f9e846f5530e7ca6"),
        (2, "7", "v1:414261cfa2abd4ab81f98a9aa94036af"),
        (3, "row-28ff561732833ea8", "v1:37a6d910586c5c697ea9ff791e43c147"),
        (5, "row-e1a73c3ca24fb242", "v1:1c781b1fd819a7d0bf4e7e8ed37cbf64"),
        (6, "row-58731239643d15da", "v1:47c9721ce68cd4164afaa23f8fae3e84"),
        (7, "model", "v1:19e4f0ffe54d15a04dd3019ba6a9bfeb"),
        (8, "row-0b5e1f6c45814fb9", "v1:4cd78eebfd7b627ca467ba8fbec95044"),
        (9, "chat", "v1:b67b9f37157378e11d513d66da376406"),
        (10, "batch", "v1:a2d814340085318d669e1f8446e205fd"),
    ],
)
def test_ids_and_fingerprints_are_what_they_have_always_been(line: int, row_id: str, fingerprint: str) -> None:
    row = draft(Line(ROWS[line - 1], f"rows.jsonl:{line}")).row

    assert isinstance(row, PromptRow)
    assert (row.id, build_request(row, RUN).fingerprint) == (row_id, fingerprint)


def test_an_output_of_an_earlier_version_is_left_as_it_is(place: Place) -> None:
    output: Path = place.folder / "rows.results.jsonl"
    shutil.copy(AS_WRITTEN / "rows.jsonl", place.folder)
    shutil.copy(AS_WRITTEN / "written.jsonl", output)
    before = output.read_bytes()

    done = place.run("run", "rows.jsonl", "--endpoint", "fake", "--system", "Answer kindly.", "--param", "seed=11")

    assert "nothing to send: every row has its record" in done.err
    assert output.read_bytes() == before
