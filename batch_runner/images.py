"""Images that a row names by their path -> data URLs, from below one folder only: an input file mustn't be able to make us send
any other file of this machine.
"""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from batch_runner.complaints import SHOWN, WrongLineError
from batch_runner.messages import image_address
from batch_runner.records import PromptRow, Rejected

SCHEME = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:")
"""How an address opens that isn't a path: http, https, data and whatever else the service knows. They pass untouched."""

MOST_IMAGE_BYTES = 20 * 1024 * 1024
"""More than a chat service takes in one image; a request holds them all in base64, a third longer."""

TYPES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
"""How the image types open that chat models read, whatever the file is called."""


def embedded(messages: list[dict[str, Any]], folder: Path | None) -> list[dict[str, Any]]:
    """The messages with images named by a path as data URLs; refuses a row whose path isn't an image below `folder`."""
    return [
        {**message, "content": [_part(part, folder) for part in message["content"]]}
        if isinstance(message.get("content"), list)
        else message
        for message in messages
    ]


def size_of(row: PromptRow | Rejected) -> int:
    """About how many bytes a row holds while it is open: its line, and the images its request carries."""
    if isinstance(row, Rejected) or row.text is not None:
        return len(row.line)
    contents = [message.get("content") for message in row.asks["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return len(row.line) + sum(len(image_address(part) or "") for part in parts if part["type"] == "image_url")


def _part(part: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    address = image_address(part) if part["type"] == "image_url" else None
    if address is None or SCHEME.match(address):
        return part
    url = _data_url(address, folder)
    image = part["image_url"]
    return {**part, "image_url": {**image, "url": url} if isinstance(image, dict) else url}


def _data_url(address: str, folder: Path | None) -> str:
    shown = repr(address[:SHOWN])
    if folder is None:
        raise WrongLineError(f"the image {shown} is a path: --images-from FOLDER sends images that lie below FOLDER")
    try:
        path = _below(address, folder)
        data = _bytes_of(path, shown, folder)
    except (OSError, ValueError) as error:
        raise WrongLineError(f"the image {shown} can't be read: {getattr(error, 'strerror', None) or error}") from None
    kind = next((kind for opening, kind in TYPES if opening.match(data)), None)
    if kind is None:
        raise WrongLineError(f"the image {shown} is no PNG, JPEG, GIF or WebP")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _below(address: str, folder: Path) -> Path:
    """The file meant, links followed, as long as it lies in `folder`."""
    named = unquote(address.removeprefix("file://")) if address.startswith("file://") else address
    root = Path(os.path.realpath(folder))
    path = Path(os.path.realpath(root / named))
    if not path.is_relative_to(root):
        raise WrongLineError(f"the image {address[:SHOWN]!r} leads out of --images-from {folder}")
    return path


def _bytes_of(path: Path, shown: str, folder: Path) -> bytes:
    if not path.exists():
        raise WrongLineError(f"the image {shown} isn't in {folder}")
    if not path.is_file():
        raise WrongLineError(f"the image {shown} is no regular file")
    size = path.stat().st_size
    if size > MOST_IMAGE_BYTES:
        raise WrongLineError(f"the image {shown} has {size:,} bytes, {MOST_IMAGE_BYTES // 1024**2} MiB is the most")
    return path.read_bytes()
