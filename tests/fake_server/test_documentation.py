"""The page on the fake gateway: its scenario can be read, its example runs, and no name is left out."""

import asyncio
import re
from pathlib import Path

import pytest
from aiohttp import ClientSession

from batch_runner.fake_server.cli import fake_server
from batch_runner.fake_server.scenarios.fault_tables import ACTIONS, CONDITIONS
from batch_runner.fake_server.scenarios.loading import read_scenario
from batch_runner.fake_server.scenarios.schema import RATE
from tests.fake_server.asking import request

PAGE = (Path(__file__).parents[2] / "docs" / "fake-server.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_scenario_on_the_page_can_be_played() -> None:
    (written,) = blocks("toml")

    scenario = read_scenario(written, "page", "page")

    assert scenario.latency.places == 50
    assert len(scenario.faults) == len(scenario.limits) == 1


async def test_the_example_on_the_page_runs(session: ClientSession) -> None:
    async def my_job(*, base_url: str, api_key: str) -> None:
        """A client that asks again until it is answered."""

        async def row(number: int) -> None:
            headers = {"authorization": f"Bearer {api_key}"}
            for _ in range(50):
                async with session.post(f"{base_url}/chat/completions", json=request(str(number)), headers=headers) as response:
                    if response.status == 200:
                        return
                await asyncio.sleep(0.005)

        await asyncio.gather(*(row(number) for number in range(10)))

    example = blocks("python")[0].replace('RateLimit("requests", 600', 'RateLimit("requests", 60_000').replace("== 100", "== 10")
    names: dict[str, object] = {"my_job": my_job}
    exec(example, names)  # noqa: S102 - the page's own words

    test = names["test_my_job_survives_a_bad_night"]
    assert callable(test)
    await test()


@pytest.mark.parametrize("name", [*ACTIONS, *CONDITIONS, *RATE])
def test_every_name_of_a_scenario_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("option", [parameter.opts[-1] for parameter in fake_server.params])
def test_every_option_is_explained(option: str) -> None:
    assert f"`{option}" in PAGE
