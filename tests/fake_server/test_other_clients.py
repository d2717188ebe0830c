"""Another project's client, unchanged, against the fake gateway."""

import asyncio
import sys
from importlib.util import find_spec
from typing import Any

import orjson
import pytest

from batch_runner.fake_server import Canned, FakeGateway, Fault, Scenario
from tests.fake_server.asking import totals

LITELLM = """
import json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

def ask(**more):
    try:
        told = litellm.completion(
            model="openai/o1-mini", api_base=sys.argv[1], api_key="sk-test", max_retries=0,
            messages=[{"role": "user", "content": "hello"}], **more,
        )
    except Exception as error:
        return type(error).__name__
    if more.get("stream"):
        return "".join(chunk.choices[0].delta.content or "" for chunk in told)
    return told.choices[0].message.content

print(json.dumps([ask(), ask(stream=True), ask(extra_body={"max_tokens": 5}), ask(user="unlucky"), ask(user="unlucky")]))
"""


async def answers_to(script: str, gateway: FakeGateway) -> Any:
    """What a client in a process of its own prints."""
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, gateway.url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed, _ = await client.communicate()
    return orjson.loads(printed.splitlines()[-1])


@pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed")
async def test_litellm_reads_answers_streams_and_errors() -> None:
    faults = (Fault(Canned("rate_limit_exceeded"), attempts=(3,)), Fault(Canned("insufficient_quota"), attempts=(4,)))
    async with FakeGateway(Scenario(faults=faults)) as gateway:
        whole, streamed, *errors = await answers_to(LITELLM, gateway)

    assert whole == streamed
    assert errors == ["BadRequestError", "RateLimitError", "RateLimitError"]
    assert totals(gateway)["answered"] == 2
