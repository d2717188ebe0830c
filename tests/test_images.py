import base64
import os
from pathlib import Path
from typing import Any

import pytest

from batch_runner.complaints import WrongLineError
from batch_runner.images import MOST_IMAGE_BYTES, embedded, size_of
from batch_runner.loader import Line, draft

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def asking(address: str) -> list[dict[str, Any]]:
    return [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": address}}],
        }
    ]


def address_in(messages: list[dict[str, Any]]) -> str:
    return str(messages[0]["content"][1]["image_url"]["url"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images, and a file beside it that must never be sent."""
    (tmp_path / "secret.png").write_bytes(PNG)
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "cat 1.png").write_bytes(PNG)
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "in.png").symlink_to(folder / "deep" / "cat 1.png")
    (folder / "up").symlink_to(tmp_path)
    return folder


@pytest.mark.parametrize(
    "address",
    ["deep/cat 1.png", "./deep/../deep/cat 1.png", "in.png", "{folder}/deep/cat 1.png", "file://{folder}/deep/cat%201.png"],
)
def test_an_image_below_the_folder_is_sent_as_a_data_url(folder: Path, address: str) -> None:
    messages = asking(address.format(folder=folder))

    sent = embedded(messages, folder)

    assert address_in(sent) == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert address_in(messages).endswith(".png")
    assert sent[0]["content"][0] == messages[0]["content"][0]


@pytest.mark.parametrize(
    ("opening", "kind"),
    [(PNG, "png"), (b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"RIFF\x10\0\0\0WEBPVP8 ", "webp")],
)
def test_the_type_is_read_off_the_bytes_and_not_the_name(folder: Path, opening: bytes, kind: str) -> None:
    (folder / "picture").write_bytes(opening)

    assert address_in(embedded(asking("picture"), folder)).startswith(f"data:image/{kind};base64,")


@pytest.mark.parametrize(
    "address",
    [
        "../secret.png",
        "deep/../../secret.png",
        "out.png",
        "up/secret.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://{folder}/..%2fsecret.png",
    ],
)
def test_no_path_leads_out_of_the_folder(folder: Path, address: str) -> None:
    with pytest.raises(WrongLineError, match="leads out of --images-from"):
        embedded(asking(address.format(folder=folder)), folder)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        pytest.param("gone.png", "isn't in", id="missing"),
        pytest.param("deep", "no regular file", id="a folder"),
        pytest.param("pipe", "no regular file", id="a pipe"),
        pytest.param("text.png", "no PNG, JPEG, GIF or WebP", id="a text"),
        pytest.param("large.png", "20 MiB is the most", id="too large"),
        pytest.param("nul\0.png", "can't be read", id="a NUL"),
        pytest.param("x" * 5000, "can't be read", id="base64 without its head"),
    ],
)
def test_what_is_no_image_is_told(folder: Path, address: str, said: str) -> None:
    (folder / "text.png").write_text("root:x:0:0", encoding="utf-8")
    os.mkfifo(folder / "pipe")
    with (folder / "large.png").open("wb") as large:
        large.write(PNG)
        large.truncate(MOST_IMAGE_BYTES + 1)

    with pytest.raises(WrongLineError) as raised:
        embedded(asking(address), folder)

    assert said in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "address", ["https://example.com/a.png", "http://x/y", "data:image/png;base64,AAAA", "gs://bucket/a.png"]
)
def test_addresses_pass_untouched_with_and_without_a_folder(folder: Path, address: str) -> None:
    assert embedded(asking(address), None) == asking(address)
    assert embedded(asking(address), folder) == asking(address)


def test_a_path_without_a_folder_says_which_flag_is_missing() -> None:
    with pytest.raises(WrongLineError, match="--images-from FOLDER"):
        embedded(asking("cat.png"), None)


def test_the_shorter_way_to_write_an_image_is_understood(folder: Path) -> None:
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": "in.png"}]}]

    assert embedded(messages, folder)[0]["content"][0]["image_url"].startswith("data:image/png")


def test_a_row_weighs_what_its_images_do() -> None:
    row = draft(
        Line(b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,xyz"}}]}]}', "a:1")
    ).row

    assert size_of(row) == len(row.line) + len("data:,xyz")
    assert size_of(draft(Line(b"{", "a:1")).row) == 1
