"""lm-deluge as its README uses it: all prompts handed over, all answers taken back, then written.

python deluge.py URL INPUT OUTPUT IN_FLIGHT
"""

import asyncio
import os
import sys

import orjson
from lm_deluge import LLMClient
from lm_deluge.models import register_model

PLENTY = 100_000_000


async def main(url: str, source: str, target: str, in_flight: int) -> None:
    os.environ["BENCHMARK_KEY"] = "sk-benchmark"
    register_model("benchmark", "o1-mini", url, "BENCHMARK_KEY", "openai")
    client = LLMClient(
        "benchmark",
        max_requests_per_minute=PLENTY,
        max_tokens_per_minute=PLENTY * 1000,
        max_concurrent_requests=in_flight,
        request_timeout=600,
    )
    with open(source, "rb") as lines:  # noqa: ASYNC230, PTH123 - as a script does
        rows = [orjson.loads(line) for line in lines]
    answers = await client.process_prompts_async([row["prompt"] for row in rows], show_progress=False)
    with open(target, "wb") as output:  # noqa: ASYNC230, PTH123 - as above
        output.writelines(
            orjson.dumps({"id": row["id"], "answer": answer.completion}) + b"\n"
            for row, answer in zip(rows, answers, strict=True)
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
