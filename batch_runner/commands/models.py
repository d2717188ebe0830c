"""`batch-runner models`: what a key may call."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from batch_runner.commands.options import SettingsCommand, settings_from, some_setting_options
from batch_runner.commands.terminal import json_option, print_json


@click.command(cls=SettingsCommand)
@click.argument("text", required=False, default="", metavar="[TEXT]")
@json_option
@some_setting_options("endpoint", "api_key_env", "api_key_file", "api_key_command", "model", "timeout", "ca_bundle", timeout=15.0)
@click.pass_context
def models(ctx: click.Context, /, text: str, *, as_json: bool, **_settings: object) -> int:
    """List the models that the key may call, all or those with TEXT in their names. Costs nothing.

    A `*` marks the run's own model (-m), a `!` one that is shut down, or will be within 60 days.

    \b
    Example:
      batch-runner models
      batch-runner models o1 --endpoint openai
      batch-runner models --json | jq -r '.models[].id'
    """
    from batch_runner.account import holding
    from batch_runner.commands.asking import ask, endpoint_asked, tell_untold
    from batch_runner.exits import ExitStatus
    from batch_runner.failures import Failure
    from batch_runner.inquiry import ask_models
    from batch_runner.reporters.statement import model_lines, models_document, models_summed_up, models_untold
    from batch_runner.reporters.voice import show, tell

    settings = settings_from(ctx)
    endpoint, own = endpoint_asked(settings), settings.request.model
    listed = ask(endpoint, settings, ask_models)
    if isinstance(listed, Failure):
        return tell_untold(models_untold(listed, endpoint.host), listed.kind, endpoint, settings, as_json=as_json)
    if as_json:
        print_json(models_document(listed, own, endpoint.host, text))
        return int(ExitStatus.OK)
    for line in model_lines(list(holding(text, listed)), own, datetime.now(UTC).date()):
        show(line)
    tell(models_summed_up(listed, own, endpoint.host, text))
    return int(ExitStatus.OK)
