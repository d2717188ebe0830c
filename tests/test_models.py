from datetime import date

import pytest

from batch_runner.models import OTHER, UNKNOWN_MOST, family_of, shutdown_of


@pytest.mark.parametrize(
    ("model", "window", "most_prompt", "most_completion"),
    [
        ("o1-preview", 128_000, None, 32_768),
        ("o1-mini", 128_000, None, 65_536),
        ("o1-mini-2024-09-12", 128_000, None, 65_536),
        ("o1", 200_000, None, 100_000),
        ("o1-2024-12-17", 200_000, None, 100_000),
        ("o1-pro", 200_000, None, 100_000),
        ("o3-mini", 200_000, None, 100_000),
        ("o3-mini-high", 200_000, None, 100_000),
        ("o3", 200_000, None, 100_000),
        ("o3-pro", 200_000, None, 100_000),
        ("o4-mini", 200_000, None, 100_000),
        ("gpt-5", 400_000, 272_000, 128_000),
        ("gpt-5-mini", 400_000, 272_000, 128_000),
        ("gpt-5-nano", 400_000, 272_000, 128_000),
        ("gpt-5-pro", 400_000, 272_000, 272_000),
        ("gpt-5.1", 400_000, 272_000, 128_000),
        ("gpt-5.2", 400_000, 272_000, 128_000),
        ("gpt-5.4", 1_050_000, 922_000, 128_000),
        ("gpt-5.5", 1_050_000, 922_000, 128_000),
        ("gpt-5.6-sol", 1_050_000, 922_000, 128_000),
        ("gpt-6-luna", 1_050_000, 922_000, 128_000),
        ("gpt-6.1-sol", 1_050_000, 922_000, 128_000),
        ("gpt-4o", 128_000, None, 16_384),
        ("gpt-4o-mini-2024-07-18", 128_000, None, 16_384),
        ("gpt-4.1-nano", 1_047_576, None, 32_768),
    ],
)
def test_what_a_family_reads_and_writes_is_known(model: str, window: int, most_prompt: int | None, most_completion: int) -> None:
    family = family_of(model)

    assert (family.window, family.most_prompt, family.most_completion) == (window, most_prompt, most_completion)


@pytest.mark.parametrize(
    "model", ["", "x", "somebody/o1-mini", "o9", "o1mini", "gpt-5-chat-latest", "gpt-4", "claude-3-5", "deepseek-chat", "o-1"]
)
def test_a_name_that_says_nothing_is_believed_to_take_everything(model: str) -> None:
    assert family_of(model) is OTHER
    assert (OTHER.window, OTHER.most_completion, OTHER.reasons) == (None, UNKNOWN_MOST, False)


@pytest.mark.parametrize(
    ("model", "reasons", "on_chat"),
    [
        ("o1-mini", True, True),
        ("o3-deep-research", True, False),
        ("o1-pro", True, False),
        ("o3-pro-2025-06-10", True, False),
        ("gpt-5.2-pro", True, False),
        ("gpt-5.1-codex-mini", True, False),
        ("gpt-4o", False, True),
        ("deepseek-pro", False, True),
    ],
)
def test_who_reasons_and_who_answers_on_chat_is_known(model: str, *, reasons: bool, on_chat: bool) -> None:
    assert (family_of(model).reasons, family_of(model).on_chat) == (reasons, on_chat)


@pytest.mark.parametrize(
    ("model", "day"),
    [
        ("o1-preview", date(2025, 7, 28)),
        ("o1-mini", date(2025, 10, 27)),
        ("o1-2024-12-17", date(2026, 10, 23)),
        ("o3-mini", date(2026, 10, 23)),
        ("o4-mini", date(2026, 10, 23)),
        ("gpt-5-nano", date(2026, 12, 11)),
        ("gpt-5.1", date(2027, 4, 1)),
        ("gpt-5.4", None),
        ("x", None),
    ],
)
def test_the_day_openai_ends_a_model_is_known(model: str, day: date | None) -> None:
    assert shutdown_of(model) == day
