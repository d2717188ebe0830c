from pathlib import Path

from batch_runner.output.aside import aside_path


def test_what_is_moved_aside_never_takes_a_name_that_is_taken(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    names = []
    for _ in range(3):
        path = aside_path(output, "20260101T000000Z", "pruned")
        path.touch()
        names.append(path.name)

    assert names == [f"out.jsonl.20260101T000000Z{number}.pruned" for number in ("", "-2", "-3")]
