"""The command that serves a fake gateway until it is told to stop."""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import orjson

from batch_runner.fake_server.answers.scripts import read_scripts
from batch_runner.fake_server.gateway import FakeGateway
from batch_runner.fake_server.scenario import Scenario
from batch_runner.fake_server.scenario_error import ScenarioError
from batch_runner.fake_server.scenarios.loading import load_scenario, shipped_names

FILE = click.Path(dir_okay=False, path_type=Path)
OBJECTS_BETWEEN_COLLECTIONS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service, from its first line on standard output to its dump."""

    scenario: Scenario
    host: str
    port: int
    seed: int
    echo: bool
    dump: Path | None

    async def run(self) -> None:
        """Serves until an interrupt or a polite kill, then dumps the books."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with AsyncExitStack() as stack:
            gateway = FakeGateway(self.scenario, host=self.host, port=self.port, seed=self.seed, echo=self.echo)
            try:
                await stack.enter_async_context(gateway)
            except OSError as error:
                raise click.ClickException(f"can't listen at {self.host}:{self.port}: {error.strerror}") from error
            click.echo(f"fake gateway at {gateway.url}")
            await stop.wait()
        if self.dump:
            self.dump.write_bytes(orjson.dumps(gateway.stats(), option=orjson.OPT_INDENT_2))


def _in_a_folder(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    # Found out at the end of a night, it would cost the books of that night.
    if path and not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}")
    return path


def _list_scenarios(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if not wanted:
        return
    for name in shipped_names():
        click.echo(f"{name:20} {load_scenario(name).about}")
    context.exit()


@click.command(name="fake-server", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--scenario", "name", default="calm", show_default=True, help="A shipped scenario, or a TOML file.")
@click.option("--seed", default=0, show_default=True, help="Another seed: other answers and other luck.")
@click.option("--echo", is_flag=True, help="Answer each prompt with itself.")
@click.option("--answers", type=FILE, help="Answers by prompt, one JSON line each.")
@click.option("--key", "keys", multiple=True, help="A key that is let in (repeatable); without any, every key is.")
@click.option("--dump", type=FILE, callback=_in_a_folder, help="Write the books to this file at exit.")
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_scenarios, help="Name the shipped scenarios."
)
def fake_server(*, name: str, answers: Path | None, keys: tuple[str, ...], **options: Any) -> None:
    """Serve a fake o1 endpoint: strict about the API, scriptable in its faults, honest in its books.

    \b
    Example:
      batch-runner fake-server --port 8080 --scenario gateway_at_night
      curl 'http://127.0.0.1:8080/stats?rows=0'
    """
    try:
        scenario = load_scenario(name)
        scripts = read_scripts(answers) if answers else scenario.scripts
    except ScenarioError as error:
        raise click.ClickException(str(error)) from error
    played = replace(scenario, scripts=scripts, keys=keys or scenario.keys)
    # The books only grow, and a collector at its usual pace would walk through all of them again and again.
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    _runner()(Service(scenario=played, **options).run())


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop  # noqa: PLC0415 - an optional extra that makes the loop faster
    except ImportError:
        return asyncio.run
    run: Callable[[Coroutine[Any, Any, None]], None] = uvloop.run
    return run
