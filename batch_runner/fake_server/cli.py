"""The command that serves a fake gateway until it is told to stop."""

import asyncio
import signal
from pathlib import Path

import click
import orjson

from batch_runner.fake_server.gateway import FakeGateway
from batch_runner.fake_server.reading import load_scenario
from batch_runner.fake_server.scenario import Scenario


@click.command(name="fake-server", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--port", default=0, show_default="any free one", help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--scenario", "scenario_name", default="calm", show_default=True, help="A shipped scenario, or a TOML file.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other answers and other luck.")
@click.option("--echo", is_flag=True, help="Answer with the prompt itself.")
@click.option("--dump", type=click.Path(dir_okay=False, path_type=Path), help="Write the books to this file at exit.")
def fake_server(*, port: int, host: str, scenario_name: str, seed: int, echo: bool, dump: Path | None) -> None:
    """Serve a fake o1 endpoint that is strict about the API and keeps honest books.

    \b
    Example:
      batch-runner fake-server --port 8080
      curl http://127.0.0.1:8080/stats?rows=0
    """
    asyncio.run(serve(load_scenario(scenario_name), port=port, host=host, seed=seed, echo=echo, dump=dump))


async def serve(scenario: Scenario, *, port: int, host: str, seed: int, echo: bool, dump: Path | None) -> None:
    """Serves until an interrupt or a polite kill, then dumps the books."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with FakeGateway(scenario, host=host, port=port, seed=seed, echo=echo) as gateway:
        click.echo(f"fake gateway at {gateway.url}")
        await stop.wait()
    if dump:
        dump.write_bytes(orjson.dumps(gateway.stats(), option=orjson.OPT_INDENT_2))
