from pathlib import Path

import pytest

from batch_runner.failures import CannotStart
from batch_runner.output.file import default_output, open_output, opens_as_ours


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("a/p.jsonl", "a/p.results.jsonl"),
        ("p.jsonl.gz", "p.results.jsonl"),
        ("p.csv.zst", "p.results.jsonl"),
        ("p", "p.results.jsonl"),
        ("p.v2", "p.v2.results.jsonl"),
    ],
)
def test_an_output_lies_beside_its_input_and_is_named_after_it(source: str, output: str) -> None:
    assert default_output(Path(source)) == Path(output)


def test_an_input_given_for_an_output_is_told_with_the_output_beside_it_if_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a"}\n', encoding="utf-8")

    def refused() -> str:
        with open_output(path) or path.open("rb") as file, pytest.raises(CannotStart) as raised:
            opens_as_ours(file, path)
        return str(raised.value)

    assert refused() == f"{path} wasn't made by batch-runner, so it stays as it is: name another output"
    (tmp_path / "p.results.jsonl").touch()
    assert refused().endswith(f": did you mean {tmp_path}/p.results.jsonl?")
