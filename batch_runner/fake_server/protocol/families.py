"""Model families: what each of them accepts on chat completions, as one table.

A model's family is read off its name; a name that says nothing is of family `OTHER`, which accepts everything. What nobody
has reported as refused is accepted.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

O_SERIES = re.compile(r"^o(\d+)(?:-|$)")
GPT_SERIES = re.compile(r"^gpt-(\d+)(?:\.(\d+))?(?:-(.+))?$")
DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
RESPONSES_ONLY = re.compile(r"(-pro|-deep-research)(-|$)|-codex")

FIRST_EFFORTS = ("low", "medium", "high")
GPT_5_EFFORTS = ("minimal", *FIRST_EFFORTS)
GPT_5_1_EFFORTS = ("none", *FIRST_EFFORTS)
GPT_5_2_EFFORTS = (*GPT_5_1_EFFORTS, "xhigh")
OFTEN_JUDGED = frozenset(
    {
        "tools",
        "functions",
        "tool_choice",
        "function_call",
        "response_format",
        "reasoning_effort",
        "verbosity",
        "service_tier",
        "max_completion_tokens",
        "max_tokens",
        "n",
    }
)
"""Fields whose value is looked at in every family."""
ALWAYS_REASONING = frozenset({"gpt-6-astra", "gpt-6.1-sol"})
"""Models of the newest family that don't take effort `none`."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the models of one family refuse, and how much they read and write."""

    name: str
    context: int = 400_000
    most_output: int = 128_000
    roles_refused: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    unrecognized: frozenset[str] = frozenset()
    fixed: frozenset[str] = frozenset()
    sampling: frozenset[str] = frozenset()
    efforts: tuple[str, ...] = ()
    default_effort: str = ""
    formats: bool = True
    images: bool = True
    tools: bool = True
    flex: bool = True

    @cached_property
    def judged(self) -> frozenset[str]:
        """The fields that any of the family's rules could refuse."""
        return self.refused | self.unrecognized | self.fixed | self.sampling | OFTEN_JUDGED


SAMPLING = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
"""Accepted, where at all, only when the model doesn't reason."""
PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
ALWAYS_REFUSED = frozenset({"max_tokens", "logit_bias"})

O1_MINI = Family(
    name="o1-mini",
    context=128_000,
    most_output=65_536,
    roles_refused=frozenset({"system", "developer"}),
    refused=ALWAYS_REFUSED | {"logprobs", "top_logprobs", "parallel_tool_calls"},
    unrecognized=frozenset({"reasoning_effort", "verbosity"}),
    fixed=frozenset({"temperature", "top_p", "n"}) | PENALTIES,
    formats=False,
    images=False,
    tools=False,
    flex=False,
)
O1_PREVIEW = replace(O1_MINI, name="o1-preview", most_output=32_768)
O1 = Family(
    name="o1",
    context=200_000,
    most_output=100_000,
    refused=ALWAYS_REFUSED | SAMPLING | PENALTIES | {"parallel_tool_calls", "verbosity"},
    efforts=FIRST_EFFORTS,
    flex=False,
)
O3_MINI = Family(
    name="o3-mini",
    context=200_000,
    most_output=100_000,
    refused=O1.refused,
    efforts=FIRST_EFFORTS,
    images=False,
    flex=False,
)
O3 = Family(
    name="o3",
    context=200_000,
    most_output=100_000,
    refused=O1.refused | {"stop"},
    efforts=FIRST_EFFORTS,
)
GPT_5 = Family(
    name="gpt-5",
    refused=ALWAYS_REFUSED | SAMPLING | PENALTIES | {"stop"},
    efforts=GPT_5_EFFORTS,
)
GPT_5_1 = Family(
    name="gpt-5.1",
    refused=ALWAYS_REFUSED | PENALTIES | {"stop"},
    sampling=SAMPLING,
    efforts=GPT_5_1_EFFORTS,
    default_effort="none",
)
GPT_5_2 = Family(
    name="gpt-5.2",
    context=1_050_000,
    refused=GPT_5_1.refused,
    sampling=SAMPLING,
    efforts=GPT_5_2_EFFORTS,
    default_effort="none",
)
GPT_5_5 = Family(
    name="gpt-5.5",
    context=1_050_000,
    refused=GPT_5_1.refused,
    sampling=SAMPLING,
    efforts=GPT_5_2_EFFORTS,
)
GPT_6_REASONING = Family(
    name="gpt-6-reasoning",
    context=1_050_000,
    refused=GPT_5_1.refused,
    sampling=SAMPLING,
    efforts=(*FIRST_EFFORTS, "xhigh"),
)
OTHER = Family(name="other", context=1_050_000)

NAMED = {"o1-mini": O1_MINI, "o1-preview": O1_PREVIEW, "o3-mini": O3_MINI}
O_GENERATIONS = {1: O1, 3: O3, 4: O3}


@lru_cache(maxsize=256)
def family_of(model: str) -> Family:
    """The family a model belongs to by its name, a date at its end ignored."""
    name = DATE.sub("", model)
    if name in NAMED:
        return NAMED[name]
    if found := O_SERIES.match(name):
        return O_GENERATIONS.get(int(found[1]), OTHER)
    if found := GPT_SERIES.match(name):
        return GPT_6_REASONING if name in ALWAYS_REASONING else _gpt(int(found[1]), int(found[2] or 0))
    return OTHER


def _gpt(major: int, minor: int) -> Family:
    generations = ((5, 5, GPT_5_5), (5, 2, GPT_5_2), (5, 1, GPT_5_1), (5, 0, GPT_5))
    return next((family for at, least, family in generations if (major, minor) >= (at, least)), OTHER)


@lru_cache(maxsize=256)
def answers_chat(model: str) -> bool:
    """Whether a model answers chat completions at all, rather than the Responses API alone."""
    return not RESPONSES_ONLY.search(DATE.sub("", model))
