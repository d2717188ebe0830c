import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.failures import UsageMistake
from batch_runner.forms import AS_IT_COMES, OVERRIDES, PROMPT_NAMES, Asked, Shape, Unusable, read_line, shape
from batch_runner.identity import id_from_content
from batch_runner.settings import read_settings
from batch_runner.template import Template

ASKS_HI = {"messages": [{"role": "user", "content": "hi"}]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=5,
)
known_names = st.sampled_from(
    ["id", "custom_id", "method", "url", "body", "messages", "params", "role", "content", *PROMPT_NAMES, *OVERRIDES]
)


def asked(line: str, read_as: Shape = AS_IT_COMES) -> Asked:
    read = read_line(line.encode(), read_as)
    assert isinstance(read, Asked), read
    return read


def refused(line: str | bytes, read_as: Shape = AS_IT_COMES) -> Unusable:
    read = read_line(line.encode() if isinstance(line, str) else line, read_as)
    assert isinstance(read, Unusable), read
    return read


@pytest.mark.parametrize("name", PROMPT_NAMES)
def test_every_name_of_a_prompt_becomes_one_user_message(name: str) -> None:
    read = asked(f'{{"{name}": "hi"}}')

    assert read.asks == ASKS_HI
    assert read.extra == {}


def test_the_first_name_of_the_prompt_counts_and_the_others_are_the_rows_own() -> None:
    read = asked('{"text": "later", "question": "hi", "answer": "42"}')

    assert read.asks == ASKS_HI
    assert read.extra == {"text": "later", "answer": "42"}


def test_messages_win_over_the_other_names_of_a_prompt() -> None:
    read = asked('{"messages": [{"role": "user", "content": "hi"}], "text": "kept"}')

    assert read.asks == ASKS_HI
    assert read.extra == {"text": "kept"}


def test_a_prompt_can_be_a_list_of_messages() -> None:
    read = asked('{"prompt": [{"role": "user", "content": "hi"}]}')

    assert read.asks == ASKS_HI


def test_an_assistant_message_may_come_without_content() -> None:
    call = '{"role": "assistant", "content": null, "tool_calls": []}'

    read = asked(f'{{"messages": [{{"role": "user", "content": "hi"}}, {call}]}}')

    assert read.asks["messages"][1]["content"] is None


def test_columns_named_like_api_parameters_stay_out_of_the_request() -> None:
    read = asked('{"prompt": "hi", "user": "Anna", "seed": 7, "metadata": {"a": 1}, "temperature": 0.2}')

    assert read.asks == ASKS_HI
    assert read.extra == {"user": "Anna", "seed": 7, "metadata": {"a": 1}, "temperature": 0.2}


def test_params_reach_the_request_and_the_closed_list_stands_above_them() -> None:
    read = asked('{"prompt": "hi", "model": "o3", "params": {"seed": 7, "model": "o1"}}')

    assert read.asks == {**ASKS_HI, "seed": 7, "model": "o3"}
    assert read.extra == {}


def test_a_null_override_is_as_good_as_none() -> None:
    assert isinstance(read_line(b'{"prompt": "hi", "model": null, "tools": null}'), Asked)


def test_a_batch_line_is_taken_as_it_was_written() -> None:
    body = '{"model": "o1", "messages": [{"role": "user", "content": "hi"}], "seed": 7}'

    read = asked(
        f'{{"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", "body": {body}, "label": "x"}}',
    )

    assert read.id == "r1"
    assert read.as_written
    assert read.asks == orjson.loads(body)
    assert read.extra == {"label": "x"}


def test_a_column_named_body_makes_no_batch_line() -> None:
    read = asked('{"prompt": "hi", "body": "of a letter"}')

    assert not read.as_written
    assert read.extra == {"body": "of a letter"}


@pytest.mark.parametrize(
    ("text", "row_id"),
    [
        pytest.param('"id": "a"', "a", id="text"),
        pytest.param('"id": 7', "7", id="integer"),
        pytest.param('"id": -7', "-7", id="negative integer"),
        pytest.param('"id": 0', "0", id="zero"),
        pytest.param('"custom_id": "a"', "a", id="custom_id"),
        pytest.param('"id": "a", "custom_id": "a"', "a", id="both and alike"),
        pytest.param('"id": "行 1"', "行 1", id="chinese"),
        pytest.param('"id": " "', " ", id="a space"),
    ],
)
def test_an_id_is_a_text_or_a_whole_number(text: str, row_id: str) -> None:
    assert asked(f'{{{text}, "prompt": "hi"}}').id == row_id


def test_a_row_without_an_id_has_none_yet() -> None:
    assert asked('{"prompt": "hi"}').id is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("null", "null", id="null"),
        pytest.param("true", "true", id="true"),
        pytest.param("1.5", "the number 1.5", id="fraction"),
        pytest.param("[]", "a list", id="list"),
        pytest.param("{}", "an object", id="object"),
        pytest.param('""', "an empty text", id="empty"),
    ],
)
def test_an_id_of_a_wrong_type_is_refused_by_name(value: str, said: str) -> None:
    reason = refused(f'{{"id": {value}, "prompt": "hi"}}').reason

    assert reason == f"id must be a text or a whole number, this is {said}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("", "not JSON", id="nothing"),
        pytest.param("hi", "not JSON", id="bare words"),
        pytest.param('{"prompt": "hi"', "not JSON", id="cut off"),
        pytest.param('{"prompt": NaN}', "NaN and no Infinity: write null, column 12", id="NaN"),
        pytest.param('{"prompt": -Infinity}', "write null, column 1", id="Infinity"),
        pytest.param('{"prompt": None}', "null, true and false, column 12", id="None"),
        pytest.param("{'prompt': 'hi'}", "double quotes, column 2", id="single quotes"),
        pytest.param('{"prompt": "hi",}', "trailing comma is not allowed, column 16", id="a comma too many"),
        pytest.param('{"prompt": ["hi", ]}', "trailing comma is not allowed", id="a comma too many in a list"),
        pytest.param('{"prompt": "h\0i"}', "a NUL byte", id="a NUL"),
        pytest.param('{"prompt": "h\ti"}', "a tab is written", id="a tab"),
        pytest.param('{"prompt": "h', "the line is cut off", id="cut off in a text"),
        pytest.param('{"晚": 1} {"b": 2}', "column 10", id="two objects, columns in characters"),
        pytest.param('{"prompt": "a", "prompt": "b"}', "the key 'prompt' stands twice", id="a key twice"),
        pytest.param('{"prompt" : "a", "prompt": "b"}', "the key 'prompt' stands twice", id="a key twice, spaced"),
        pytest.param('{"prompt": "a", "x": [{"y": 1, "y": 1}]}', "the key 'y' stands twice", id="a key twice, deep"),
        pytest.param('{"instruction": "Sum up.", "input": "…"}', "both instruction and input", id="Alpaca"),
        pytest.param(
            '{"label": "x", "a\\u0000b": 1}', "no prompt among label, 'a\\x00b'", id="what the row has, nothing that commands"
        ),
        pytest.param('{"conversations": "hi"}', "conversations must be a list of messages", id="text as conversation"),
        pytest.param('{"conversations": []}', "at least one message", id="empty conversation"),
        pytest.param('{"conversations": [{"from": "gpt", "value": "hi"}]}', "nothing to answer", id="an answer only"),
        pytest.param('{"prompt": "\\ud83d"}', "not JSON", id="lone surrogate"),
        pytest.param('""', "text is empty", id="an empty text"),
        pytest.param("[1]", "a row is a JSON object or a text, this is a list", id="a list"),
        pytest.param("null", "a row is a JSON object or a text, this is null", id="null"),
        pytest.param("3", "a row is a JSON object or a text, this is the number 3", id="a number"),
        pytest.param("{}", "no prompt", id="empty object"),
        pytest.param('{"label": "x"}', "no prompt", id="no prompt"),
        pytest.param('{"id": "a", "custom_id": "b", "prompt": "hi"}', "both id and custom_id", id="two ids"),
        pytest.param('{"prompt": "hi", "messages": []}', "both prompt and messages", id="prompt and messages"),
        pytest.param('{"prompt": " \\n"}', "prompt is empty", id="blank prompt"),
        pytest.param('{"question": 3}', "question must be a text", id="number as prompt"),
        pytest.param('{"prompt": {"a": 1}}', "prompt must be a text", id="object as prompt"),
        pytest.param('{"prompt": null}', "prompt must be a text or a list of messages, this is null", id="null as prompt"),
        pytest.param('{"messages": []}', "at least one message", id="no message"),
        pytest.param('{"messages": "hi"}', "messages must be a list", id="text as messages"),
        pytest.param('{"messages": ["hi"]}', "messages[0] must be an object", id="text as message"),
        pytest.param('{"messages": [{"content": "hi"}]}', "messages[0].role", id="no role"),
        pytest.param('{"messages": [{"role": "boss", "content": "hi"}]}', "this is 'boss'", id="unknown role"),
        pytest.param('{"messages": [{"role": [], "content": "hi"}]}', "messages[0].role", id="list as role"),
        pytest.param('{"messages": [{"role": {}, "content": "hi"}]}', "messages[0].role", id="object as role"),
        pytest.param('{"messages": [{"role": "user", "content": 3}]}', "messages[0].content", id="number as content"),
        pytest.param('{"messages": [{"role": "user"}]}', "messages[0].content", id="no content"),
        pytest.param('{"prompt": "hi", "model": 5}', "model must be a text, this is the number 5", id="model"),
        pytest.param('{"prompt": "hi", "tools": {}}', "tools must be a list", id="tools"),
        pytest.param('{"prompt": "hi", "response_format": "json"}', "response_format must be an object", id="response_format"),
        pytest.param('{"prompt": "hi", "max_completion_tokens": "9"}', "max_completion_tokens must be a whole", id="cap as text"),
        pytest.param('{"prompt": "hi", "max_completion_tokens": true}', "this is true", id="cap as boolean"),
        pytest.param('{"prompt": "hi", "max_completion_tokens": 0}', "above zero", id="cap of zero"),
        pytest.param('{"prompt": "hi", "params": []}', "params must be an object", id="params"),
        pytest.param('{"prompt": "hi", "params": {"messages": []}}', "params can't hold messages", id="messages in params"),
        pytest.param('{"prompt": "hi", "params": {"stream": true}}', "stream", id="stream in params"),
        pytest.param('{"prompt": "hi", "params": {"model": 5}}', "model must be a text", id="model in params"),
        pytest.param('{"prompt": "hi", "params": {"model": ["o1"]}}', "model must be a text", id="list as model in params"),
        pytest.param('{"custom_id": "a", "method": "GET", "body": {}}', "method must be POST", id="GET"),
        pytest.param('{"custom_id": "a", "url": "/v1/embeddings", "body": {}}', "url must be", id="other route"),
        pytest.param('{"custom_id": "a", "body": "x"}', "body must be an object", id="text as body"),
        pytest.param('{"custom_id": "a", "body": {}}', "messages must be a list", id="body without messages"),
    ],
)
def test_an_unusable_line_is_told_why(line: str, said: str) -> None:
    assert said in refused(line).reason


def test_a_batch_line_that_asks_for_a_stream_is_refused() -> None:
    body = '{"messages": [{"role": "user", "content": "hi"}], "stream": true}'

    assert "stream" in refused(f'{{"custom_id": "a", "url": "/v1/chat/completions", "body": {body}}}').reason


def test_bytes_that_are_not_utf8_are_named_by_their_place() -> None:
    assert refused(b'{"prompt": "caf\xe9"}').reason.startswith("not UTF-8 at byte 16")


def test_an_unusable_line_keeps_its_good_id() -> None:
    assert refused('{"id": 7, "prompt": ""}').id == "7"


def test_a_complaint_shows_only_the_start_of_a_long_line() -> None:
    assert len(refused("x" * 10_000).reason) < 200


# other forms


def test_a_bare_text_is_a_prompt_and_the_same_row_as_one_in_an_object() -> None:
    assert asked('"hi"').asks == ASKS_HI
    assert asked('"hi"').extra == {}
    assert id_from_content(asked('"hi"').known_by) == id_from_content(asked('{"prompt": "hi"}').known_by)


def test_a_share_gpt_conversation_is_asked_without_its_answer_which_travels_on() -> None:
    answer = {"from": "gpt", "value": "hello"}

    read = asked(f'{{"conversations": [{{"from": "human", "value": "hi"}}, {orjson.dumps(answer).decode()}], "source": "x"}}')

    assert read.asks == ASKS_HI
    assert read.extra == {"source": "x", "conversations": [answer]}


def test_a_prompt_stands_above_a_conversation() -> None:
    assert asked('{"prompt": "hi", "conversations": [1]}').extra == {"conversations": [1]}


def test_an_answer_at_the_end_of_messages_is_sent_unless_told_otherwise() -> None:
    line = '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}'

    assert len(asked(line).asks["messages"]) == 2
    dropped = asked(line, Shape(drop_answer=True))
    assert dropped.asks == ASKS_HI
    assert dropped.extra == {"messages": [{"role": "assistant", "content": "hello"}]}


def test_a_text_that_holds_the_marks_of_keys_is_no_doubled_key() -> None:
    assert asked(orjson.dumps({"prompt": 'is {"a":1,"a":2} JSON?'}).decode()).asks["messages"][0]["content"].startswith("is")


# shapes


TEMPLATE = Shape(template=Template.of("Classify: {text}"))


def test_a_template_makes_the_prompt_and_leaves_the_row_its_fields() -> None:
    read = asked('{"id": 1, "text": "hi", "lang": "en", "model": "o3"}', TEMPLATE)

    assert read.asks == {"messages": [{"role": "user", "content": "Classify: hi"}], "model": "o3"}
    assert read.extra == {"text": "hi", "lang": "en"}


def test_under_a_template_a_row_is_known_by_the_fields_it_names_and_its_overrides() -> None:
    def row_id(line: str, template: str = "Classify: {text}") -> str:
        return id_from_content(asked(line, Shape(template=Template.of(template))).known_by)

    same = row_id('{"text": "hi", "label": 1}')

    assert row_id('{"text": "hi", "label": 2}', "Sort {text} into boxes") == same
    assert row_id('{"text": "bye", "label": 1}') != same
    assert row_id('{"text": "hi", "model": "o3"}') != same
    assert row_id('{"text": "hi", "label": 1}', "{text}{label}") != same


def test_a_template_reads_bare_texts_as_text() -> None:
    assert asked('"hi"', TEMPLATE).asks["messages"][0]["content"] == "Classify: hi"


def test_a_template_leaves_batch_lines_as_they_are() -> None:
    body = '{"messages": [{"role": "user", "content": "hi"}]}'

    assert asked(f'{{"custom_id": "a", "body": {body}}}', TEMPLATE).asks == orjson.loads(body)


def test_a_template_over_messages_is_all_that_is_asked() -> None:
    read = asked('{"messages": [{"role": "user", "content": "hi"}], "text": "x"}', TEMPLATE)

    assert read.asks["messages"] == [{"role": "user", "content": "Classify: x"}]
    assert "messages" in read.extra


def test_a_mail_has_a_body_and_is_no_batch_line() -> None:
    read = asked('{"subject": "s", "body": "b"}', Shape(template=Template.of("{subject}: {body}")))

    assert read.asks["messages"][0]["content"] == "s: b"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param('{"question": "hi"}', "the template needs {text}, this row has question", id="missing"),
        pytest.param('{"text": null}', "{text}, which is null", id="null"),
    ],
)
def test_a_row_that_the_template_does_not_fit_is_told_the_field(line: str, said: str) -> None:
    assert said in refused(line, TEMPLATE).reason


def test_fields_that_make_an_empty_text_are_refused() -> None:
    assert "empty text" in refused('{"text": " "}', Shape(template=Template.of("{text}"))).reason


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        pytest.param('{"q": "hi", "prompt": "other"}', ASKS_HI["messages"], id="a text"),
        pytest.param('{"q": [{"role": "user", "content": "hi"}]}', ASKS_HI["messages"], id="messages"),
        pytest.param('{"q": [{"from": "human", "value": "hi"}]}', ASKS_HI["messages"], id="a conversation"),
    ],
)
def test_a_prompt_can_stand_in_any_field(line: str, messages: object) -> None:
    assert asked(line, Shape(prompt_field="q")).asks["messages"] == messages


def test_the_other_names_of_a_prompt_are_the_rows_own_then() -> None:
    assert asked('{"q": "hi", "prompt": "other"}', Shape(prompt_field="q")).extra == {"prompt": "other"}


def test_an_id_can_stand_in_any_field_and_travels_to_the_output() -> None:
    read = asked('{"uuid": 7, "id": "mine", "prompt": "hi"}', shape(read_settings({"id_field": "uuid"})))

    assert read.id == "7"
    assert read.extra == {"uuid": 7, "id": "mine"}


@pytest.mark.parametrize(
    ("read_as", "said"),
    [
        pytest.param(Shape(prompt_field="q"), "no field 'q' to take the prompt from, this row has text", id="prompt"),
        pytest.param(Shape(id_field="uuid"), "no field 'uuid' to take the id from, this row has text", id="id"),
    ],
)
def test_a_row_without_the_field_that_was_named_is_told(read_as: Shape, said: str) -> None:
    assert said in refused('{"text": "hi"}', read_as).reason


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"template": "{a}", "prompt_field": "b"}, "keep one", id="a template and a field"),
        pytest.param({"template": "a"}, "names no field", id="a template without a field"),
        pytest.param({"images_from": "/nowhere/at/all"}, "no such folder", id="no folder"),
    ],
)
def test_settings_that_make_no_shape_are_told(values: dict[str, str], said: str) -> None:
    with pytest.raises(UsageMistake, match=said):
        shape(read_settings(values))


# laws


@given(line=st.binary(max_size=80))
@settings(max_examples=120, deadline=None)
def test_any_bytes_are_either_asked_or_unusable(line: bytes) -> None:
    assert isinstance(read_line(line), Asked | Unusable)


@given(fields=st.dictionaries(known_names, json_values, max_size=6))
@settings(max_examples=120, deadline=None)
def test_any_object_is_either_asked_or_unusable(fields: dict[str, object]) -> None:
    assert isinstance(read_line(orjson.dumps(fields)), Asked | Unusable)


@given(message=st.dictionaries(known_names, json_values, max_size=3) | json_values)
@settings(max_examples=100, deadline=None)
def test_any_message_is_either_asked_or_unusable(message: object) -> None:
    assert isinstance(read_line(orjson.dumps({"messages": [message]})), Asked | Unusable)


@given(
    fields=st.dictionaries(known_names, json_values, max_size=6),
    read_as=st.sampled_from([TEMPLATE, Shape(id_field="id", prompt_field="input", drop_answer=True)]),
)
@settings(max_examples=120, deadline=None)
def test_any_object_in_any_shape_is_either_asked_or_unusable(fields: dict[str, object], read_as: Shape) -> None:
    read = read_line(orjson.dumps(fields), read_as)

    assert isinstance(read, Asked | Unusable)
    if isinstance(read, Asked):
        assert orjson.loads(orjson.dumps(read.extra)) == read.extra
