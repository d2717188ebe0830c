import pytest

from batch_runner.complaints import WrongLineError
from batch_runner.messages import check_messages, from_turns, without_answer

USER = {"role": "user", "content": "hi"}
ASSISTANT = {"role": "assistant", "content": "hello"}


def test_a_conversation_is_turned_into_messages() -> None:
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "hi"},
        {"from": "gpt", "value": "hello"},
        {"role": "user", "value": "bye"},
    ]

    assert from_turns(turns, "conversations") == [
        {"role": "system", "content": "Be brief."},
        USER,
        ASSISTANT,
        {"role": "user", "content": "bye"},
    ]


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        pytest.param(["hi"], "conversations[0] must be an object", id="a text"),
        pytest.param([{"from": "robot", "value": "x"}], "this is 'robot'", id="an unknown speaker"),
        pytest.param([{"value": "x"}], "conversations[0].from must be one of", id="nobody speaks"),
        pytest.param(
            [{"from": "human", "value": 3}], "conversations[0].value must be a text, this is the number 3", id="a number"
        ),
    ],
)
def test_a_turn_of_a_wrong_shape_is_told_by_its_place(turns: list[object], said: str) -> None:
    with pytest.raises(WrongLineError) as raised:
        from_turns(turns, "conversations")

    assert said in str(raised.value)


def test_an_answer_at_the_end_is_cut() -> None:
    assert without_answer([USER, ASSISTANT, USER, ASSISTANT, ASSISTANT], "messages") == [USER, ASSISTANT, USER]
    assert without_answer([USER], "messages") == [USER]


def test_a_conversation_of_answers_only_asks_nothing() -> None:
    with pytest.raises(WrongLineError, match="nothing to answer"):
        without_answer([ASSISTANT], "messages")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param([], "content is an empty list", id="no part"),
        pytest.param(["hi"], "content[0] must be an object with a type", id="a text"),
        pytest.param([{"text": "hi"}], "content[0] must be an object with a type", id="no type"),
        pytest.param([{"type": "text", "text": 3}], "content[0].text must be a text", id="a number as text"),
        pytest.param([{"type": "image_url"}], "content[0].image_url must be", id="no image"),
        pytest.param([{"type": "image_url", "image_url": {}}], "content[0].image_url must be", id="no address"),
        pytest.param("", "messages[0].content is empty", id="empty"),
        pytest.param(" \n", "messages[0].content is empty", id="blank"),
    ],
)
def test_a_content_of_a_wrong_shape_is_told_by_its_place(content: object, said: str) -> None:
    with pytest.raises(WrongLineError) as raised:
        check_messages([{"role": "user", "content": content}])

    assert said in str(raised.value)


def test_one_empty_message_among_others_is_sent_as_it_is() -> None:
    assert not check_messages([{"role": "system", "content": ""}, USER])


def test_a_conversation_without_any_text_is_refused() -> None:
    with pytest.raises(WrongLineError, match="no text in any of them"):
        check_messages([{"role": "system", "content": ""}, {"role": "user", "content": " "}])


def test_parts_of_kinds_we_do_not_know_pass() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "…", "format": "wav"}}

    assert check_messages([{"role": "user", "content": [sound]}])
