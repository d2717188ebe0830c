"""What is known of models by their names: how much they read and write, what they refuse, when OpenAI ends them. Pure data.

Sources, seen in November 2026: OpenAI's API specification and model pages; its deprecations page; OpenAI's community thread
1110750 (a tested table of the o-series); the model tables of litellm and vercel/ai. Where they leave something open, or a
name says nothing, the model is believed to take it: the request is sent as given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

O_SERIES = re.compile(r"o(\d+)(?:-|$)")
GPT_SERIES = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?:-(.+))?$")
SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")
RESPONSES_ONLY = re.compile(r"-(pro|codex|deep-research)(-|$)")
"""Reasoning models that answer on the Responses API alone."""

UNKNOWN_MOST = 272_000
"""The most completion tokens of a model nobody knows: the largest maximum known, gpt-5-pro's, so that a worst case is never
too small."""

EFFORTS = ("low", "medium", "high")
SAMPLING = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
FUNCTIONS = frozenset({"tools", "functions", "tool_choice", "function_call"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What models of one family have in common. Tokens are the service's own."""

    name: str
    window: int | None = None
    """The most tokens of prompt and completion together."""
    most_prompt: int | None = None
    """The most tokens of a prompt, where that is less than the window."""
    most_completion: int = UNKNOWN_MOST
    reasons: bool = False
    """Whether it thinks in tokens that count as completion and that a cap includes."""
    on_chat: bool = True
    """False for what answers on the Responses API alone."""
    roles: frozenset[str] = frozenset()
    """Message roles that it refuses."""
    refused: frozenset[str] = frozenset()
    """Parameters that it refuses, whatever their value (one that changes nothing aside)."""
    unrecognized: frozenset[str] = frozenset()
    """Parameters of later models, which it has never heard of."""
    fixed: frozenset[str] = frozenset()
    """Parameters that it takes at their default value only."""
    unless_thinking: frozenset[str] = frozenset()
    """Parameters that it refuses unless its effort is `none`."""
    efforts: tuple[str, ...] = ()
    """The values of `reasoning_effort` that it takes; none: not known."""
    default_effort: str = ""
    formats: bool = True
    """Whether it takes a `response_format` beside text."""
    images: bool = True
    functions: bool = True
    flex: bool = True


OTHER = Family(name="other")
"""Everything nobody here knows: sent as given."""

O1_MINI = Family(
    name="o1-mini",
    window=128_000,
    most_completion=65_536,
    reasons=True,
    roles=frozenset({"system", "developer"}),
    refused=frozenset({"max_tokens", "logit_bias", "logprobs", "top_logprobs", "parallel_tool_calls"}),
    unrecognized=frozenset({"reasoning_effort", "verbosity"}),
    fixed=frozenset({"temperature", "top_p", "n"}) | PENALTIES,
    formats=False,
    images=False,
    functions=False,
    flex=False,
)
O1_PREVIEW = replace(O1_MINI, name="o1-preview", most_completion=32_768)
O1 = Family(
    name="o1",
    window=200_000,
    most_completion=100_000,
    reasons=True,
    refused=frozenset({"max_tokens", "logit_bias", "parallel_tool_calls", "verbosity"}) | SAMPLING | PENALTIES,
    efforts=EFFORTS,
    flex=False,
)
O3_MINI = replace(O1, name="o3-mini", images=False)
O3 = replace(O1, name="o3", refused=O1.refused | {"stop"}, flex=True)
GPT_5 = Family(
    name="gpt-5",
    window=400_000,
    most_prompt=272_000,
    most_completion=128_000,
    reasons=True,
    refused=frozenset({"max_tokens", "logit_bias", "stop"}) | SAMPLING | PENALTIES,
    efforts=("minimal", *EFFORTS),
)
GPT_5_1 = replace(
    GPT_5,
    name="gpt-5.1",
    refused=GPT_5.refused - SAMPLING,
    unless_thinking=SAMPLING,
    efforts=("none", *EFFORTS),
    default_effort="none",
)
GPT_5_2 = replace(GPT_5_1, name="gpt-5.2", efforts=("none", *EFFORTS, "xhigh"))
GPT_5_4 = replace(GPT_5_2, name="gpt-5.4", window=1_050_000, most_prompt=922_000)
GPT_5_5 = replace(GPT_5_4, name="gpt-5.5", default_effort="")
GPT_6_ALWAYS_THINKING = replace(GPT_5_5, name="gpt-6-astra", efforts=(*EFFORTS, "xhigh"))
GPT_4O = Family(name="gpt-4o", window=128_000, most_completion=16_384)
GPT_4_1 = Family(name="gpt-4.1", window=1_047_576, most_completion=32_768)

NAMED = {
    "o1-mini": O1_MINI,
    "o1-preview": O1_PREVIEW,
    "o3-mini": O3_MINI,
    "gpt-4o": GPT_4O,
    "gpt-4.1": GPT_4_1,
    "gpt-6-astra": GPT_6_ALWAYS_THINKING,
    "gpt-6.1-sol": GPT_6_ALWAYS_THINKING,
}
"""Families by how a name begins."""
O_GENERATIONS = {1: O1, 3: O3, 4: O3}
GPT_GENERATIONS = (((5, 5), GPT_5_5), ((5, 4), GPT_5_4), ((5, 2), GPT_5_2), ((5, 1), GPT_5_1), ((5, 0), GPT_5))
"""Families by the version from which they begin."""

SHUTDOWN = {
    "o1-preview": date(2025, 7, 28),
    "o1-mini": date(2025, 10, 27),
    "o1": date(2026, 10, 23),
    "o1-pro": date(2026, 10, 23),
    "o3-mini": date(2026, 10, 23),
    "o4-mini": date(2026, 10, 23),
    "o3": date(2026, 12, 11),
    "o3-pro": date(2026, 12, 11),
    "gpt-5": date(2026, 12, 11),
    "gpt-5-mini": date(2026, 12, 11),
    "gpt-5-nano": date(2026, 12, 11),
    "gpt-5-pro": date(2026, 12, 11),
    "gpt-5.1": date(2027, 4, 1),
}
"""When OpenAI itself ends a model (its deprecations page, November 2026). A gateway may serve it under that name still."""


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """The family that `model` belongs to by its name."""
    name = SNAPSHOT.sub("", model)
    family = next((known for start, known in NAMED.items() if name == start or name.startswith(f"{start}-")), None) or _series(
        name
    )
    if family.reasons and RESPONSES_ONLY.search(name):
        return replace(family, on_chat=False, most_completion=max(family.most_completion, _most_of_pro(family)))
    return family


def shutdown_of(model: str) -> date | None:
    """The day OpenAI ends `model`, where one is known."""
    return SHUTDOWN.get(SNAPSHOT.sub("", model))


def _series(name: str) -> Family:
    if found := O_SERIES.match(name):
        return O_GENERATIONS.get(int(found[1]), OTHER)
    if (found := GPT_SERIES.match(name)) and "chat" not in (found[3] or "").split("-"):  # `gpt-5-chat` doesn't reason
        version = int(found[1]), int(found[2] or 0)
        return next((family for start, family in GPT_GENERATIONS if version >= start), OTHER)
    return OTHER


def _most_of_pro(family: Family) -> int:
    return UNKNOWN_MOST if family.name.startswith("gpt") else family.most_completion
