"""A scenario: everything the fake gateway plays, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batch_runner.fake_server.account.wallet import Account
from batch_runner.fake_server.answers.scripts import Script
from batch_runner.fake_server.answers.style import AnswerStyle
from batch_runner.fake_server.faults.fault import Fault
from batch_runner.fake_server.latency import Latency
from batch_runner.fake_server.limits.values import SILENT, Hints, Limit
from batch_runner.fake_server.protocol.dialects import Dialect
from batch_runner.fake_server.protocol.families import DATE

MODELS = (
    "o1-mini",
    "o1-preview",
    "o1",
    "o1-pro",
    "o3-mini",
    "o3",
    "o3-pro",
    "o4-mini",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5-chat-latest",
    "gpt-5-pro",
    "gpt-5-codex",
    "gpt-5.1",
    "gpt-5.2",
    "gpt-5.4",
    "gpt-5.5",
    "gpt-5.6-sol",
    "gpt-6-luna",
    "gpt-6-sol",
    "gpt-6-astra",
    "gpt-6.1-sol",
    "gpt-4o",
    "gpt-4o-mini",
)
ALIASES = {"o1-mini": "gpt-4o-2024-05-13"}
"""What gateways answer with when asked for a model that is gone: another one, under its own name."""
ANY_MODEL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a gateway does to its clients. As it stands: calm, prompt, strict, and content with any key.

    `answers_as` maps a model asked for to the one named in the answer. `models` are the ones there are, `*` is any; `keys` the
    ones let in, none named is any. `hints` are about limits: unless told, OpenAI's dialect gives some and gateways give none.
    `mends` is whether a gateway rewrites what the model would refuse. `bill_hangups` is about clients that left before their
    answer was ready.
    """

    name: str = "calm"
    about: str = "Prompt answers, no limits, no faults."
    dialect: Dialect = "openai"
    latency: Latency = field(default_factory=Latency)
    answers: AnswerStyle = field(default_factory=AnswerStyle)
    scripts: tuple[Script, ...] = ()
    limits: tuple[Limit, ...] = ()
    hints: Hints | None = None
    faults: tuple[Fault, ...] = ()
    account: Account = field(default_factory=Account)
    answers_as: Mapping[str, str] = field(default_factory=lambda: dict(ALIASES))
    strict: bool = True
    mends: bool = False
    streams: bool = True
    models: tuple[str, ...] = MODELS
    keys: tuple[str, ...] = ()
    usage_details: bool = True
    bill_hangups: bool = True
    most_body_bytes: int = 32 * 1024 * 1024

    def knows(self, model: str) -> bool:
        """Whether the service has a model; a date at the end of its name doesn't matter."""
        return model in self.models or ANY_MODEL in self.models or DATE.sub("", model) in self.models

    @property
    def listed_models(self) -> tuple[str, ...]:
        """The models the service names when asked for a list."""
        return tuple(name for name in self.models if name != ANY_MODEL) or MODELS

    @property
    def told_hints(self) -> Hints:
        """The hints this service gives about its limits."""
        if self.hints:
            return self.hints
        return Hints() if self.dialect == "openai" else SILENT
