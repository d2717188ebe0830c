"""Scenario files: every shipped one plays, and whatever is wrong with another is said, all of it."""

from pathlib import Path

import pytest
from aiohttp import ClientSession

from batch_runner.fake_server import (
    Account,
    AnswerStyle,
    Canned,
    Change,
    ConcurrencyLimit,
    Cut,
    FakeGateway,
    Fault,
    Fixed,
    Hints,
    Latency,
    LogNormal,
    RateLimit,
    Scenario,
    ScenarioError,
    Status,
    Tenant,
    Uniform,
    load_scenario,
)
from batch_runner.fake_server.scenarios.loading import read_scenario, shipped_names
from tests.fake_server.asking import ask, totals

EVERYTHING = """
name = "everything"
about = "All tables at once."
dialect = "new-api"
strict = false
mends = true
streams = false
models = ["o1-mini", "*"]
keys = ["sk-a"]
usage_details = false
bill_hangups = false
most_body_bytes = 1000

[answers_as]
o1-mini = "other"

[latency]
seconds = { median = 2, sigma = 0.5, tail_share = 0.01, tail_factor = 5, most = 60 }
per_token = 0.01
places = 50

[answers]
visible = 20
reasoning = { low = 10, high = 20 }
refusals = 0.1

[hints]
retry_after = "ms"
reset = "seconds"

[account]
granted_usd = 5
holds = false

[[limits]]
requests = 600
per = 10
shape = "sliding"
quantum = 1
refusals_count = true
changes = [{ at = 60, amount = 300 }]
tenant = { low = 0.1, high = 0.2, every = 5 }

[[limits]]
tokens = 100000
counting = "refund"
burst = 5000
uncapped = 10

[[limits]]
at_once = 8

[[faults]]
action = "cut"
inside = true
probability = 0.5

[[faults]]
action = "error"
error = "overloaded"
status = 200
attempts = [1, 3]
prompt = "x"

[[faults]]
action = "status"
status = 418
body = { a = 1 }
headers = { x = "y" }
after = 1
until = 2
times = 3
at_door = true
"""


def test_a_file_says_all_that_python_can() -> None:
    assert read_scenario(EVERYTHING, "name", "source") == Scenario(
        name="everything",
        about="All tables at once.",
        dialect="new-api",
        strict=False,
        mends=True,
        streams=False,
        models=("o1-mini", "*"),
        keys=("sk-a",),
        usage_details=False,
        bill_hangups=False,
        most_body_bytes=1000,
        answers_as={"o1-mini": "other"},
        latency=Latency(seconds=LogNormal(2, sigma=0.5, tail_share=0.01, tail_factor=5, most=60), per_token=0.01, places=50),
        answers=AnswerStyle(visible=Fixed(20), reasoning=Uniform(10, 20), refusals=0.1),
        hints=Hints(retry_after="ms", reset="seconds"),
        account=Account(granted_usd=5, holds=False),
        limits=(
            RateLimit(
                "requests",
                600,
                per=10,
                shape="sliding",
                quantum=1,
                refusals_count=True,
                changes=(Change(60, 300),),
                tenant=Tenant(low=0.1, high=0.2, every=5),
            ),
            RateLimit("tokens", 100_000, counting="refund", burst=5000, uncapped=10),
            ConcurrencyLimit(8),
        ),
        faults=(
            Fault(Cut(inside=True), probability=0.5),
            Fault(Canned("overloaded", status=200), attempts=(1, 3), prompt="x"),
            Fault(Status(418, {"a": 1}, {"x": "y"}), after=1, until=2, times=3, at_door=True),
        ),
    )


WRONG = """
dialekt = "openai"
dialect = "opnai"
strict = 1
[latency]
seconds = { low = 3, high = 1 }
places = 0
[answers]
refusals = 0.6
filtered = 0.6
[[limits]]
requests = 10
tokens = 10
[[limits]]
tokens = -1
shape = "buket"
tenant = { high = 1 }
[[faults]]
action = "cutt"
[[faults]]
action = "error"
[[faults]]
action = "error"
error = "insufficient_quotta"
probability = 2
foo = 1
[[faults]]
action = "hang"
after = 5
until = 4
"""


def test_everything_that_is_wrong_with_a_file_is_said_at_once() -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(WRONG, "name", "bad.toml")

    places = [complaint.partition(":")[0] for complaint in caught.value.complaints]
    assert places == [
        "dialekt",
        "dialect",
        "strict",
        "latency.seconds",
        "latency.places",
        "answers",
        "limits[0]",
        "limits[1].tokens",
        "limits[1].shape",
        "limits[1].tenant",
        "faults[0].action",
        "faults[1]",
        "faults[2].foo",
        "faults[2].error",
        "faults[2].probability",
        "faults[3]",
    ]
    assert str(caught.value).startswith("bad.toml:\n  dialekt: unknown")


def test_a_slip_of_the_pen_is_recognized() -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(WRONG, "name", "bad.toml")

    said = str(caught.value)
    assert "(perhaps openai" in said
    assert "insufficient_quota" in said.partition("faults[2].error")[2]


def test_a_file_that_is_no_toml_is_said() -> None:
    with pytest.raises(ScenarioError, match="not TOML"):
        read_scenario("= 1", "name", "bad.toml")


def test_a_file_of_ones_own_is_called_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "bad_night.toml"
    path.write_text("strict = false")

    assert load_scenario(str(path)) == Scenario(name="bad_night", about="", strict=False)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="gateway_at_night"):
        load_scenario("clam")


def test_calm_is_the_same_as_no_scenario() -> None:
    calm, none = load_scenario("calm"), Scenario()

    assert (calm.limits, calm.faults, calm.latency, calm.answers) == (none.limits, none.faults, none.latency, none.answers)
    assert calm.name == none.name


def test_a_dozen_are_shipped() -> None:
    assert len(shipped_names()) >= 12


@pytest.mark.parametrize("name", shipped_names())
async def test_every_shipped_scenario_says_what_it_is_and_answers(session: ClientSession, name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.about.endswith(".")

    async with FakeGateway(scenario, seed=3) as gateway:
        told = await ask(session, gateway, max_completion_tokens=500)

    assert told.status == 200
    assert totals(gateway)["answered"] == 1
