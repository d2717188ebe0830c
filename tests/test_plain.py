import json
from itertools import chain
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_runner import planner
from batch_runner.chat import Defaults
from batch_runner.forms import AS_IT_COMES, Shape
from batch_runner.identity import Again
from batch_runner.loader import Block, InputFile, InputFiles, Line, draft
from batch_runner.output.history import History
from batch_runner.plain import read_plain
from batch_runner.planner import make_plan

NUMBERS = st.sampled_from([b"0", b"1", b"-1.5", b"9007199254740993", b"18446744073709551615", b"18446744073709551616"])
NUMBERS |= st.sampled_from([b"-9223372036854775809", b"1e300", b"9223372036854775808.0", b"1E-9"])
TEXTS = st.sampled_from(
    [b"", b" ", b"a", b'\\"', b"\\\\", b'\\\\\\"', b'a\\":1', b"x\\\\\\\\y", b"\xe5\xa5\xbd", b"\\u00e9", b"\\ud800", b"{}"]
).map(lambda text: b'"' + text + b'"')
OTHERS = [b"null", b"true", b"[]", b'{"a":1}', b'[{"role":"user","content":"a"}]', b'[{"a":"b"}]']
VALUES = NUMBERS | TEXTS | st.sampled_from(OTHERS)
STRAYS = [b"x", b'"text"', b"[1]", b"{}", b'{"prompt":"a"', b'"a":1}', b"\xff", b'{"a":1},{"b":2}']
SHAPES = [AS_IT_COMES, Shape(prompt_field="label"), Shape(id_field="label"), Shape(id_field="x")]
NAMES = ["id", "custom_id", "prompt", "text", "label", "body", "model", "messages", 'x\\"', "params", "input"]
COLONS = st.sampled_from([b":", b":", b":", b" :", b"  :", b"\t:", b": "])


@st.composite
def lines(draw: st.DrawFn) -> list[bytes]:
    """Lines with mostly the same fields, as a file has them, now and then with one too many, or none at all."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    pools = [draw(st.sampled_from([VALUES, TEXTS, NUMBERS, TEXTS])) for _ in names]
    found = []
    for _ in range(draw(st.integers(1, 4))):
        pairs = [(name.encode(), draw(pool)) for name, pool in zip(names, pools, strict=True)]
        if draw(st.integers(0, 9)) == 0:
            pairs.append(draw(st.sampled_from(pairs)))
        colon = draw(COLONS)
        found.append(b"{" + b",".join(b'"' + name + b'"' + colon + value for name, value in pairs) + b"}")
        if draw(st.integers(0, 19)) == 0:
            found.append(draw(st.sampled_from(STRAYS)))
    return found


@given(texts=lines(), shape=st.sampled_from(SHAPES))
@example(texts=[b'{"prompt":"a\\\\","prompt":"b\\\\","x":"c\\\\","y":"d\\\\"}'], shape=AS_IT_COMES)
@example(texts=[b'{"prompt":"a","n":18446744073709551616}'], shape=AS_IT_COMES)
@settings(max_examples=500, deadline=None)
def test_what_is_read_at_once_is_what_is_read_one_by_one(texts: list[bytes], shape: Shape) -> None:
    block = Block(texts, "in.jsonl", range(1, len(texts) + 1))

    rows = read_plain(block, shape)

    if rows is not None:
        assert [rows.draft(place) for place in range(len(texts))] == [draft(line, shape) for line in block.lines()]
        assert rows.ids == [draft(line, shape).id for line in block.lines()]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"prompt": "hello"}, id="a prompt"),
        pytest.param({"id": "a", "prompt": 'she said "no"', "score": 0.5, "n": 7, "ok": None}, id="quotes in a text"),
        pytest.param({"custom_id": 7, "question": "好", "label": "x", "more": "y"}, id="a number for an id"),
        pytest.param({"id": "a", "text": "\\frac{1}{2} is a half"}, id="a backslash"),
    ],
)
def test_usual_rows_are_read_at_once(fields: dict[str, object]) -> None:
    assert read_plain(Block([orjson.dumps(fields)] * 2, "in.jsonl", range(1, 3))) is not None


def test_rows_of_two_kinds_are_read_one_by_one() -> None:
    assert read_plain(Block([b'{"prompt":"a"}', b'{"text":"a"}'], "in.jsonl", range(1, 3))) is None


def test_lines_that_tell_more_than_their_text_are_read_one_by_one() -> None:
    assert read_plain(Block.of([Line(b'{"prompt":"a"}', "in.jsonl:1", "row-1-2")])) is None


@given(
    blocks=st.lists(lines(), max_size=3),
    model=st.sampled_from(["o1-mini", "o1"]),
)
@settings(max_examples=150, deadline=None)
def test_a_plan_is_the_same_whether_rows_are_taken_at_once_or_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[bytes]], model: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "in.jsonl"
    path.write_bytes(b"\n".join(chain.from_iterable(blocks)))
    run = Defaults(model, None, {"temperature": 0.5})

    at_once = told(path, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "read_plain", lambda _block, _shape: None)
        one_by_one = told(path, run)

    assert at_once == one_by_one


def told(path: Path, run: Defaults) -> object:
    """Everything a plan tells."""
    with History(path.with_name("none")) as history:
        plan = make_plan(InputFiles.of([InputFile(path, path.name)]), history, run=run, again=Again(), repeats_pass=True)
    weighing = plan.weighing
    found = weighing.findings
    findings = [(each.model, each.refusal.what, each.named.rows, each.named.places) for each in found.refused]
    sums = (weighing.largest, weighing.models, weighing.uncapped, weighing.findings.rows, findings)
    return (
        (bytes(plan.actions), plan.checks, plan.standing, plan.repeated, dict(plan.doubled), plan.doubled_rows),
        (plan.bad, plan.bad_lines, plan.new, plan.left_out),
        sums,
    )


def test_json_of_the_standard_library_is_read_at_once_too() -> None:
    text = json.dumps({"id": "a", "prompt": 'Zoë says "hi"'}).encode()

    assert read_plain(Block([text], "in.jsonl", [1])) is not None
