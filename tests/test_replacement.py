from pathlib import Path

import pytest

from batch_runner.replacement import replace_file


def test_a_file_is_replaced_whatever_a_killed_process_left(tmp_path: Path) -> None:
    path = tmp_path / "told.md"
    path.with_name("told.md.new").write_bytes(b"half of something longer")

    replace_file(path, b"one")
    replace_file(path, b"two")

    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()

    with pytest.raises(IsADirectoryError):
        replace_file(path, b"one")

    assert list(tmp_path.iterdir()) == [path]
