"""What the model says and what it costs: the same for the same prompt and seed, cut where the request says."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.fake_server import AnswerStyle, Fixed, LogNormal, ScenarioError, Uniform
from batch_runner.fake_server.answers.answer import Answer, Model
from batch_runner.fake_server.answers.examples import example_of
from batch_runner.fake_server.answers.scripts import Script, ScriptBook, read_scripts
from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.protocol.chat_request import ChatRequest, read_chat_request

LOOK_UP = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}, "times": {"type": "integer"}}},
    },
}


def asking(text: str = "hello", **fields: Any) -> ChatRequest:
    body = {"model": "o1", "messages": [{"role": "user", "content": text}], **fields}
    asked = read_chat_request(orjson.dumps(body))
    assert isinstance(asked, ChatRequest)
    return asked


def answer(style: AnswerStyle | None = None, *, seed: int = 0, echo: bool = False, **fields: Any) -> Answer:
    return Model(style or AnswerStyle(), Dice(seed), echo).answer(asking(**fields))


def test_the_same_prompt_and_seed_get_the_same_answer() -> None:
    assert answer(text="a") == answer(text="a")


def test_another_prompt_or_seed_gets_another_answer() -> None:
    answers = [answer(text=text, seed=seed) for text in "ab" for seed in (1, 2)]

    assert all(answers.count(each) == 1 for each in answers)


def test_an_echo_is_the_prompt_itself() -> None:
    assert answer(text="晚上好", echo=True).choices[0].content == "晚上好"


def test_reasoning_is_part_of_completion_and_cached_of_prompt() -> None:
    style = AnswerStyle(reasoning=Fixed(128), cached_share=Fixed(0.5))

    usage = answer(style, text="x" * 360).usage

    assert usage.prompt_tokens == 106
    assert usage.cached_tokens == 53
    assert usage.reasoning_tokens == 128
    assert usage.completion_tokens > 128
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_reasoning_that_eats_the_cap_leaves_an_empty_answer_at_full_price() -> None:
    cut = answer(AnswerStyle(reasoning=Fixed(2000)), max_completion_tokens=1688)

    assert (cut.choices[0].content, cut.finish_reason) == ("", "length")
    assert cut.usage.completion_tokens == cut.usage.reasoning_tokens == 1688


def test_a_cap_in_the_middle_of_the_words_cuts_them() -> None:
    style = AnswerStyle(reasoning=Fixed(100), visible=Fixed(200))
    whole, cut = answer(style), answer(style, max_completion_tokens=150)

    assert cut.finish_reason == "length"
    assert cut.usage.completion_tokens == 150
    assert cut.usage.reasoning_tokens == 100
    assert 0 < len(cut.choices[0].content or "") < len(whole.choices[0].content or "")


def test_a_refusal_has_words_but_no_content() -> None:
    refused = answer(AnswerStyle(refusals=1.0)).choices[0]

    assert refused.content is None
    assert refused.refusal
    assert refused.finish_reason == "stop"


def test_a_filtered_answer_is_empty() -> None:
    filtered = answer(AnswerStyle(filtered=1.0)).choices[0]

    assert (filtered.content, filtered.finish_reason) == ("", "content_filter")


def test_the_share_of_refusals_is_kept_over_many_rows() -> None:
    style = AnswerStyle(refusals=0.1, filtered=0.2)
    answers = [answer(style, text=str(row)) for row in range(2000)]

    assert sum(reply.choices[0].refusal is not None for reply in answers) == pytest.approx(200, abs=50)
    assert sum(reply.finish_reason == "content_filter" for reply in answers) == pytest.approx(400, abs=70)


def test_tools_are_called_with_arguments_that_fit() -> None:
    choice = answer(tools=[LOOK_UP]).choices[0]

    assert (choice.content, choice.finish_reason) == (None, "tool_calls")
    (call,) = choice.tool_calls
    assert call["function"]["name"] == "look_up"
    assert set(json.loads(call["function"]["arguments"])) == {"word", "times"}


@pytest.mark.parametrize("fields", [{"tool_choice": "none"}, {"tool_choice": {"function": {"name": "another"}}}])
def test_no_tool_is_called_against_the_choice(fields: dict[str, Any]) -> None:
    assert answer(tools=[LOOK_UP], **fields).choices[0].tool_calls == ()


def test_a_tools_result_is_answered_in_words() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "tool", "content": "b", "tool_call_id": "c"}]

    assert answer(tools=[LOOK_UP], messages=messages).choices[0].content


def test_an_object_is_answered_as_json() -> None:
    content = answer(response_format={"type": "json_object"}).choices[0].content

    assert isinstance(json.loads(content or ""), dict)


def test_a_schema_is_followed() -> None:
    schema = {
        "type": "object",
        "properties": {
            "label": {"enum": ["good", "bad"]},
            "score": {"type": "number", "minimum": 3},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "note": {"anyOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]},
        },
        "$defs": {"tag": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
    }
    content = answer(response_format={"type": "json_schema", "json_schema": {"schema": schema}}).choices[0].content

    read = json.loads(content or "")
    assert read["label"] == "good"
    assert read["score"] == 3
    assert read["tags"] == [{"on": True}, {"on": True}]
    assert len(read["note"]) == 4


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}

    assert isinstance(example_of(schema, "text"), dict)


def test_several_answers_are_several_choices_and_cost_as_much() -> None:
    one, three = answer(), answer(n=3)

    assert len(three.choices) == 3
    assert three.usage.completion_tokens == 3 * one.usage.completion_tokens


@given(st.text(min_size=1), st.integers(1, 4000))
def test_no_answer_is_longer_than_its_cap(text: str, cap: int) -> None:
    style = AnswerStyle(visible=Uniform(0, 500), reasoning=LogNormal(500, sigma=1.5))

    usage = answer(style, text=text.encode(errors="ignore").decode(), max_completion_tokens=cap).usage

    assert 0 <= usage.reasoning_tokens <= usage.completion_tokens <= cap


def test_a_script_says_what_a_prompt_is_answered() -> None:
    script = Script(prompt="hello", content="scripted", reasoning_tokens=7, completion_tokens=9)

    scripted = Model(AnswerStyle(), Dice()).answer(asking("hello"), script)

    assert scripted.choices[0].content == "scripted"
    assert (scripted.usage.reasoning_tokens, scripted.usage.completion_tokens) == (7, 9)


def test_the_scripts_of_a_prompt_are_for_its_attempts_in_order() -> None:
    first, second = Script(prompt="a", content="1"), Script(prompt="a", content="2")
    book = ScriptBook([first, second])

    assert [book.find("a", attempt) for attempt in (1, 2, 3)] == [first, second, second]
    assert book.find("b", 1) is None


def test_scripts_are_read_from_lines(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt": "晚上好", "content": "好"}\n\n{"prompt": "b", "refusal": "no", "content": null}\n')

    assert [script.prompt for script in read_scripts(path)] == ["晚上好", "b"]


def test_all_that_is_wrong_with_a_file_of_scripts_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt": 1}\nnot json\n{"content": "a"}\n{"prompt": "a", "words": "b"}\n')

    with pytest.raises(ScenarioError) as caught:
        read_scripts(path)

    assert [complaint.split(":")[0] for complaint in caught.value.complaints] == ["line 1", "line 2", "line 3", "line 4"]


def test_a_missing_file_of_scripts_is_said(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="can't be read"):
        read_scripts(tmp_path / "absent.jsonl")
