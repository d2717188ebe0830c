"""Files as other programs write them (see inputs_as_found/README.md) are read as people mean them."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from batch_runner.failures import CannotStart
from batch_runner.forms import AS_IT_COMES, Shape
from batch_runner.loader import InputFile, InputFiles, draft, find_inputs
from batch_runner.records import PromptRow
from batch_runner.template import Template

FOUND = Path(__file__).parent / "inputs_as_found"
QUESTIONS = ['Say "hi", then stop.', "第一行\n第二行", "café; 50 % / 3,5"]
BY_UUID = Shape(id_field="uuid")


def rows_of(name: str, shape: Shape = AS_IT_COMES) -> list[PromptRow]:
    files, _ = find_inputs([str(FOUND / name)])
    rows = [draft(line, shape).row for line in InputFiles.of(files).lines()]
    assert all(isinstance(row, PromptRow) for row in rows), rows
    return [row for row in rows if isinstance(row, PromptRow)]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("pandas.jsonl", [1, 2, 3]),
        ("pandas.csv", [2, 3, 5]),
        ("pandas.tsv.gz", [2, 3, 5]),
        ("excel.csv", [2, 3, 5]),
        ("excel_semicolons.csv", [2, 3, 5]),
        ("powershell_utf16.jsonl", [1, 2, 3]),
        ("powershell_utf8.jsonl", [1, 2, 3]),
    ],
)
def test_the_same_rows_are_the_same_whoever_wrote_them(name: str, numbers: list[int]) -> None:
    rows = rows_of(name, BY_UUID)

    assert [row.id for row in rows] == ["a-1", "a-2", "a-3"]
    assert [row.asks["messages"] for row in rows] == [[{"role": "user", "content": question}] for question in QUESTIONS]
    assert [row.source for row in rows] == [f"{FOUND}/{name}:{number}" for number in numbers]
    assert [row.extra["lang"] for row in rows] == ["en", "zh", "fr"]


def test_an_index_that_pandas_wrote_is_a_column_like_others() -> None:
    assert [row.extra["column 1"] for row in rows_of("pandas.csv", BY_UUID)] == ["0", "1", "2"]


def test_objects_inside_rows_can_stand_in_a_template() -> None:
    rows = rows_of("datasets.jsonl", Shape(template=Template.of("{translation.en} → {translation.zh}")))

    assert rows[1].asks["messages"][0]["content"] == "Thanks! → 谢谢！"
    assert rows[1].extra == {"translation": {"en": "Thanks!", "zh": "谢谢！"}}


def test_a_chat_of_training_data_can_be_asked_without_its_answer() -> None:
    (row,) = rows_of("datasets_chat.jsonl", Shape(drop_answer=True))

    assert row.asks == {"messages": [{"role": "user", "content": "晚上好"}]}
    assert row.extra == {"messages": [{"role": "assistant", "content": "晚上好！"}]}


def test_a_batch_line_goes_out_with_its_tools_and_its_response_format() -> None:
    (row,) = rows_of("openai_batch.jsonl", BY_UUID)

    assert row.as_written
    assert row.id == "request-1"
    assert row.asks["tools"][0]["function"]["name"] == "Weather"
    assert row.asks["response_format"]["type"] == "json_schema"


def test_parquet_rows_are_those_of_the_other_files() -> None:
    pytest.importorskip("pyarrow")

    rows = rows_of("pandas.parquet", BY_UUID)

    assert [row.asks["messages"][0]["content"] for row in rows] == QUESTIONS
    assert [row.source for row in rows] == [f"{FOUND}/pandas.parquet:{number}" for number in (1, 2, 3)]
    assert rows[1].extra == {"uuid": "a-2", "lang": "zh", "score": None, "asked_at": "2026-01-02T03:04:05+00:00"}


def test_objects_inside_parquet_rows_are_objects() -> None:
    pytest.importorskip("pyarrow")

    rows = rows_of("datasets.parquet", Shape(template=Template.of("{translation.en}")))

    assert [row.asks["messages"][0]["content"] for row in rows] == ["Good evening.", "Thanks!"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        pytest.param(
            "cut.parquet", (FOUND / "pandas.parquet").read_bytes()[:900], "cut.parquet: can't be read beyond row 0", id="cut off"
        ),
        pytest.param("text.parquet", b'{"prompt":"hi"}', "text.parquet: can't be read beyond row 0", id="no Parquet"),
        pytest.param("packed.parquet.gz", b"", "packed inside already", id="packed"),
    ],
)
def test_parquet_that_can_not_be_read_is_told_in_one_line(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(data)

    with pytest.raises(CannotStart) as raised:
        list(InputFiles.of([InputFile(path, name)]).lines())

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_values_that_json_does_not_know_are_written_as_texts(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    values = {
        "prompt": ["hi"],
        "blob": [b"\xff\x00"],
        "text": [b"abc"],
        "price": [Decimal("1.50")],
        "day": [date(2026, 1, 2)],
        "nan": [float("nan")],
    }
    parquet.write_table(pyarrow.table(values), tmp_path / "odd.parquet")

    (line,) = InputFiles.of([InputFile(tmp_path / "odd.parquet", "odd.parquet")]).lines()

    assert orjson.loads(line.text) == {
        "prompt": "hi",
        "blob": "/wA=",
        "text": "abc",
        "price": "1.50",
        "day": "2026-01-02",
        "nan": None,
    }
