"""Every prompt file people have, from the file to the wire, into the output and out of it again."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from batch_runner import CannotStart, UsageMistake, run_file_sync
from batch_runner.fake_server import Canned, Fault, Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Ended, Place, ServedHere, Servers

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
Seen = tuple[str, list[dict[str, Any]]]
"""The address of a server, and the bodies it was sent."""

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}


@pytest.fixture
def seen(servers: Servers) -> Seen:
    """A server that answers everything, and the bodies it was sent."""
    bodies: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.json())
        return web.json_response(ANSWER)

    return servers.by_hand(answer), bodies


def one_line(end: Ended) -> bool:
    return end.err.startswith("Error: ") and end.err.count("\n") == 1 and end.out == ""


def prompts(bodies: list[dict[str, Any]]) -> list[str]:
    return sorted(body["messages"][0]["content"] for body in bodies)


# files


def test_files_of_every_form_go_together(place: Place, seen: Seen) -> None:
    url, bodies = seen
    (place.folder / "in" / "deep").mkdir(parents=True)
    place.write(["text,lang", '"a, b",en'], "in/a.csv")
    place.write(["text\tlang", "c\tde"], "in/deep/b.tsv")
    place.write(["first prompt", "", "第二"], "in/c.txt")
    place.write([{"prompt": "d"}, '"e"', {"conversations": [{"from": "human", "value": "f"}]}], "in/d.jsonl")
    (place.folder / "in" / "e.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfquestion;id\r\ng;1\r\n"))

    end = place.run("run", "in/**/*.*", "-", "--endpoint", url, "-o", place.out, text='"h"\n')

    assert end.status == 0, end.err
    assert prompts(bodies) == sorted(["a, b", "c", "first prompt", "第二", "d", "e", "f", "g", "h"])
    places = ["a.csv:2", "deep/b.tsv:2", "c.txt:1", "c.txt:3", "d.jsonl:1", "d.jsonl:2", "d.jsonl:3", "e.csv.gz:2"]
    assert {row["source"] for row in place.rows()} == {*(f"in/{each}" for each in places), "stdin:1"}
    assert next(json.loads(row["extra"]) for row in place.rows() if row["source"] == "in/a.csv:2") == {"lang": "en"}


def test_the_same_command_again_sends_nothing_of_a_table(place: Place, gateway: ServedHere) -> None:
    table = place.write(["text,lang", "a,en", "b,de"], "t.csv")
    flags = ("run", table, "--endpoint", gateway.url, "--template", "Say {text} in {lang}")

    assert place.run(*flags).status == 0
    before = (place.folder / "t.results.jsonl").read_bytes()
    assert "nothing to send" in place.run(*flags).err

    assert (place.folder / "t.results.jsonl").read_bytes() == before
    assert dict(gateway.at_rest().attempts) == {"Say a in en": 1, "Say b in de": 1}


def test_a_failed_row_of_a_table_is_sent_again_though_the_table_is_gone(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("context_length_exceeded"), prompt="Say b"),)))
    table = place.write(["word,id", "a,1", "b,2"], "t.csv")
    out = place.folder / "t.results.jsonl"
    place.run("run", table, "--endpoint", gateway.url, "--template", "Say {word}")
    table.unlink()
    gateway.plays(Scenario())

    end = place.run("retry", out)

    assert end.status == 0, end.err
    assert {row["id"]: row["status"] for row in place.rows(out)} == {"1": "ok", "2": "ok"}
    assert json.loads(place.by_id(out)["2"]["extra"]) == {"word": "b"}
    assert dict(gateway.at_rest().attempts) == {"Say a": 1, "Say b": 2}


def test_a_changed_template_makes_changed_rows_and_not_new_ones(place: Place, gateway: ServedHere) -> None:
    table = place.write(["word", "a", "b"], "t.csv")
    run_file_sync(table, endpoint=gateway.url, template="Say {word}")

    with pytest.raises(CannotStart, match="2 answered rows"):
        run_file_sync(table, endpoint=gateway.url, template="Sing {word}")
    run_file_sync(table, endpoint=gateway.url, template="Sing {word}", rerun_changed=True)

    assert len(place.rows(place.folder / "t.results.jsonl")) == 2


def test_a_template_can_stand_in_a_file(place: Place, gateway: ServedHere) -> None:
    place.write(["Classify:", "{text}"], "template.txt")
    place.write([{"text": "hi"}])

    run_file_sync(place.prompts, endpoint=gateway.url, template=f"@{place.folder}/template.txt")

    assert list(gateway.at_rest().attempts) == ["Classify:\nhi\n"]


# copies


def test_rows_are_repeated_and_only_the_copies_that_are_missing_are_sent(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("context_length_exceeded"), prompt="question 1"),)))
    place.write_questions(2)
    flags = ("run", place.prompts, "--endpoint", gateway.url)
    place.run(*flags, "--repeat", "2")
    gateway.plays(Scenario())

    again = place.run(*flags, "--repeat", "3")
    retried = place.run("retry", place.out)

    assert "2 new" in again.err
    assert retried.status == 0, retried.err
    assert {row["id"] for row in place.rows()} == {f"r{row}#{copy}" for row in (0, 1) for copy in (1, 2, 3)}
    assert dict(gateway.at_rest().attempts) == {"question 0": 3, "question 1": 5}
    assert json.loads(place.lines()[0]["run"]["settings"])["repeat"] in {2, 3}


# which rows


def test_rows_left_out_are_told_and_neither_failed_nor_unattempted(place: Place, gateway: ServedHere) -> None:
    place.write({"id": str(number), "prompt": f"p{number}", "lang": "zh" if number % 2 else "en"} for number in range(10))

    end = place.run("run", place.prompts, "--endpoint", gateway.url, "--where", 'lang == "zh"', "--sample", "2", "--seed", "7")

    assert end.status == 0
    assert "8 rows of the input left out by --where and --sample" in end.err
    assert place.totals()["job"]["unattempted"] == 0
    assert all(int(row["id"]) % 2 for row in place.rows())
    assert gateway.at_rest().requests == 2


def test_a_sample_goes_on_where_it_was_left(place: Place, gateway: ServedHere) -> None:
    place.write_questions(40)

    run_file_sync(place.prompts, endpoint=gateway.url, sample=6, limit=2)
    run_file_sync(place.prompts, endpoint=gateway.url, sample=6)
    run_file_sync(place.prompts, endpoint=gateway.url, sample=6)

    assert gateway.at_rest().requests == len(place.rows()) == 6


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        pytest.param('lnag == "zh"', "no row has a field 'lnag'", id="a field that isn't there"),
        pytest.param('prompt == "x"', "none of 3 rows is left by --where", id="nothing left"),
        pytest.param("prompt > 3", "prompts.jsonl:1: --where 'prompt > 3' can't be asked of this row", id="odd values"),
        pytest.param("prompt ==", "can't be read", id="no condition"),
    ],
)
def test_a_condition_that_can_not_be_meant_sends_nothing(place: Place, condition: str, said: str) -> None:
    place.write_questions(3)

    with pytest.raises((CannotStart, UsageMistake)) as raised:
        run_file_sync(place.prompts, endpoint="fake", where=condition)

    assert said in str(raised.value)
    assert not place.out.exists()


def test_a_strict_run_sends_nothing_while_a_line_is_bad(place: Place, gateway: ServedHere) -> None:
    place.write([{"prompt": "a"}, *["{"] * 7])

    end = place.run("run", place.prompts, "--endpoint", gateway.url, "--strict")

    assert end.status == 3
    assert one_line(end)
    assert "7 lines can't be sent" in end.err
    assert "prompts.jsonl:2: not JSON" in end.err
    assert "and 2 more" in end.err
    assert gateway.at_rest().requests == 0
    assert not place.out.exists()


# what is asked


def test_what_stands_nearer_to_the_row_counts(place: Place, seen: Seen) -> None:
    url, bodies = seen
    place.write(
        [
            {"prompt": "0"},
            {"prompt": "1", "params": {"reasoning_effort": "medium", "seed": 2}},
            {"prompt": "2", "reasoning_effort": "high", "params": {"reasoning_effort": "medium"}, "model": "o3"},
            {"custom_id": "b", "body": {"messages": [{"role": "user", "content": "3"}], "top_p": 0.5}},
        ]
    )

    run_file_sync(place.prompts, endpoint=url, model="o1", reasoning_effort="low", param={"seed": 1, "top_p": 1})

    asked = sorted(bodies, key=lambda body: str(body["messages"][0]["content"]))
    assert [(body.get("model"), body.get("reasoning_effort"), body.get("seed"), body.get("top_p")) for body in asked] == [
        ("o1", "low", 1, 1),
        ("o1", "medium", 2, 1),
        ("o3", "high", 1, 1),
        ("o1", None, None, 0.5),
    ]


def test_a_system_text_reaches_models_that_take_none_inside_the_users_turn(place: Place, seen: Seen) -> None:
    url, bodies = seen
    place.write([{"prompt": "a"}, {"prompt": "b", "model": "o3"}])

    end = place.run("run", place.prompts, "--endpoint", url, "--system", "Be brief.")

    assert end.err.count("o1-mini takes no system messages: --system stands at the head") == 1
    by_model = {body["model"]: body["messages"] for body in bodies}
    assert by_model["o1-mini"] == [{"role": "user", "content": "Be brief.\n\na"}]
    assert by_model["o3"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "b"}]


def test_answers_at_the_end_of_chats_are_told_before_they_are_sent(place: Place, gateway: ServedHere) -> None:
    place.write([{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}])

    kept = place.run("run", place.prompts, "--endpoint", gateway.url, "-o", "kept.jsonl")
    dropped = place.run("run", place.prompts, "--endpoint", gateway.url, "-o", "dropped.jsonl", "--drop-answer")

    assert "1 row with an answer of the assistant's at the end" in kept.err
    assert "--drop-answer" not in dropped.err.split("next")[0]
    assert "1 row without the answer that the conversation ends with" in dropped.err


# images


def asking_for(address: str) -> dict[str, Any]:
    return {"id": address, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": address}}]}]}


def test_images_are_sent_from_below_one_folder_and_from_nowhere_else(place: Place, seen: Seen) -> None:
    url, bodies = seen
    (place.folder / "images").mkdir()
    (place.folder / "images" / "cat.png").write_bytes(PNG)
    (place.folder / "secret.png").write_bytes(PNG)
    (place.folder / "images" / "link.png").symlink_to(place.folder / "secret.png")
    place.write(
        asking_for(address) for address in ("cat.png", "../secret.png", "link.png", "/etc/passwd", "https://example.com/a.png")
    )

    run_file_sync(place.prompts, endpoint=url, model="gpt-4o", images_from=str(place.folder / "images"))

    by_status = {row["id"]: row["status"] for row in place.rows()}
    assert {row_id for row_id, status in by_status.items() if status == "ok"} == {"cat.png", "https://example.com/a.png"}
    assert {row_id for row_id, status in by_status.items() if status == "invalid"} == {"../secret.png", "link.png", "/etc/passwd"}
    sent = sorted(body["messages"][0]["content"][0]["image_url"]["url"] for body in bodies)
    assert [address.split(";")[0] for address in sent] == ["data:image/png", "https://example.com/a.png"]


def test_another_image_under_the_same_path_is_another_request(place: Place, gateway: ServedHere) -> None:
    (place.folder / "cat.png").write_bytes(PNG)
    place.write([asking_for("cat.png")])
    asked = {"endpoint": gateway.url, "model": "gpt-4o", "images_from": str(place.folder)}
    run_file_sync(place.prompts, **asked)

    assert run_file_sync(place.prompts, **asked).reason.startswith("nothing to send")
    (place.folder / "cat.png").write_bytes(PNG + b"!")
    with pytest.raises(CannotStart, match=r"1 answered row in prompts\.results\.jsonl would ask something else"):
        run_file_sync(place.prompts, **asked)


# what can't be an input


def _folder(path: Path) -> None:
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("gone.jsonl", None, "there is no such file", id="missing"),
        pytest.param("folder", _folder, "is a folder", id="a folder"),
        pytest.param("mem.jsonl", _unreadable, "can't be read", id="unreadable"),
        pytest.param("empty.jsonl", b"", "there is no row", id="empty"),
        pytest.param("cut.jsonl.gz", gzip.compress(os.urandom(9000))[:5000], "can't be read to its end", id="a truncated gzip"),
        pytest.param("book.xlsx", b"PK\x03\x04...", "Excel workbook", id="a workbook"),
        pytest.param("data.bin", b"ab\0\1\2\n", "binary file", id="binary"),
        pytest.param("list.json", b'[\n  {"prompt": "a"}\n]\n', "jq -c '.[]' ", id="a JSON list over lines"),
        pytest.param("bare16.jsonl", '{"prompt":"a"}\n'.encode("utf-16-le"), "UTF-16 without a mark", id="UTF-16 without a mark"),
        pytest.param("twice.csv", b"a,a\n1,2\n", "names 'a' twice", id="a column twice"),
    ],
)
def test_a_file_that_can_not_be_an_input_is_told_in_one_line(tmp_path: Path, name: str, content: Any, said: str) -> None:
    path = tmp_path / name
    if callable(content):
        content(path)
    elif content is not None:
        path.write_bytes(content)

    with pytest.raises(CannotStart) as raised:
        run_file_sync(path, tmp_path / "out.jsonl", endpoint="fake")

    assert str(raised.value).startswith(str(path)) or f"there is no row in {path}" == str(raised.value)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_an_input_that_is_the_output_under_another_name_is_refused(place: Place) -> None:
    place.write_questions(1)
    (place.folder / "other.jsonl").hardlink_to(place.prompts)

    with pytest.raises(CannotStart, match="is the input and the output"):
        run_file_sync(place.prompts, place.folder / "other.jsonl", endpoint="fake")


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is here")
def test_parquet_without_its_extra_says_what_to_install(place: Place) -> None:
    (place.folder / "t.parquet").write_bytes(b"PAR1")

    with pytest.raises(CannotStart, match=r"pip install 'batch-runner\[parquet\]'"):
        run_file_sync(place.folder / "t.parquet", endpoint="fake")


def test_a_program_gives_the_same_settings_by_keyword(place: Place, gateway: ServedHere) -> None:
    place.write([{"uuid": "u1", "word": "a"}, {"uuid": "u2", "word": "b"}])

    report = run_file_sync(
        place.prompts,
        endpoint=gateway.url,
        template="Say {word}",
        id_field="uuid",
        repeat=2,
        where='word == "a"',
        sample=5,
        seed=1,
    )

    assert report.exit_status == 0
    assert {row["id"] for row in place.rows()} == {"u1#1", "u1#2"}
