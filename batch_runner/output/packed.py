"""Outputs of old nights, packed with zstd: `OUT.zst` in place of `OUT`. They can be read as they are, and not written."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from batch_runner.failures import CannotStart
from batch_runner.output.file import READ_BYTES, sync_folder, sync_to_disk

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENDING = ".zst"
LEVEL = 10
"""Of made-up answers a gigabyte takes about 15 s of CPU and becomes a twentieth; real ones repeat themselves less."""


def packed_path(output: Path) -> Path:
    """Where an output stands once it is packed."""
    return output.with_name(output.name + ENDING)


def unpacked_path(path: Path) -> Path:
    """The output that a packed file was made of; any other path as it is."""
    return path.with_name(path.name.removesuffix(ENDING))


def pack(output: Path) -> int:
    """Replace an output by its packed form; returns the bytes that this frees. The caller holds its lock.

    The packed file is written beside it, synced and read back before the output is removed: a kill leaves one or both. Raises
    `OSError`, and leaves the output, where that can't be done.
    """
    target = packed_path(output)
    temporary = target.with_name(target.name + ".packing")
    try:
        with output.open("rb") as source, temporary.open("wb") as raw:
            with zstd.open(raw, "wb", level=LEVEL) as packed:
                shutil.copyfileobj(source, packed, READ_BYTES)
            raw.flush()
            sync_to_disk(raw.fileno())
        shutil.copystat(output, temporary)
        if not _same(output, temporary):
            raise OSError(None, "what was packed can't be read back")
        size, packed_size = output.stat().st_size, temporary.stat().st_size
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(output.parent)
    output.unlink()
    return size - packed_size


def unpacked(path: Path) -> IO[bytes]:
    """What a packed output holds, as a file of its own that is gone once it is closed. Raises `CannotStart`."""
    whole = tempfile.TemporaryFile(prefix="batch-runner-")  # noqa: SIM115 - the reader closes it
    try:
        with zstd.open(path, "rb") as packed:
            shutil.copyfileobj(packed, whole, READ_BYTES)
    except (OSError, EOFError, zstd.ZstdError) as error:
        whole.close()
        raise CannotStart(f"{path}: can't be unpacked: {getattr(error, 'strerror', None) or error}") from None
    whole.seek(0)
    return cast("IO[bytes]", whole)


def check_not_packed(output: Path) -> None:
    """Raises `CannotStart` for an output that is packed: nothing can be added to it, and a new one would buy all rows again."""
    packed = output if output.name.endswith(ENDING) else packed_path(output)
    if packed == output and not packed.exists():
        raise CannotStart(f"{output}: an output is written unpacked: name it without {ENDING}")
    if packed == output or (packed.exists() and not output.exists()):
        raise CannotStart(
            f"{unpacked_path(output)} is packed in {packed.name}: it can be read so; to add to it, unpack it first "
            f"(zstd -d --rm {packed}), or name another output with -o"
        )


def packed_size(output: Path) -> int | None:
    """Bytes of the packed form of an output; `None` where there is none."""
    with suppress(FileNotFoundError):
        return packed_path(output).stat().st_size
    return None


def _same(output: Path, packed: Path) -> bool:
    with output.open("rb") as one, io.BufferedReader(zstd.open(packed, "rb")) as other:
        while True:
            expected = one.read(READ_BYTES)
            if other.read(len(expected) or 1) != expected:
                return False
            if not expected:
                return True
