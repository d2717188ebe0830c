"""`batch-runner quota`: what is left on a key."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from batch_runner.commands.options import SettingsCommand, settings_from, some_setting_options
from batch_runner.commands.terminal import json_option, print_json


@click.command(cls=SettingsCommand)
@json_option
@some_setting_options("endpoint", "api_key_env", "api_key_file", "api_key_command", "timeout", "ca_bundle", timeout=15.0)
@click.pass_context
def quota(ctx: click.Context, /, *, as_json: bool, **_settings: object) -> int:
    """Tell what was granted to the key, what is used, what is left, and when it expires. Costs nothing.

    one-api and new-api gateways tell it; OpenAI itself doesn't. new-api answers 20 times in 20 minutes.

    \b
    Example:
      batch-runner quota
      batch-runner quota --json | jq .left
    """
    from batch_runner.account import Quota
    from batch_runner.commands.asking import ask, endpoint_asked, tell_untold
    from batch_runner.exits import ExitStatus
    from batch_runner.inquiry import ask_quota
    from batch_runner.reporters.statement import quota_document, quota_lines, quota_untold
    from batch_runner.reporters.voice import show

    settings = settings_from(ctx)
    endpoint = endpoint_asked(settings)
    told = ask(endpoint, settings, ask_quota)
    if not isinstance(told, Quota):
        return tell_untold(quota_untold(told, endpoint.host), told.kind, endpoint, settings, as_json=as_json)
    if as_json:
        print_json(quota_document(told, endpoint.host))
        return int(ExitStatus.OK)
    for line in quota_lines(told, endpoint.host, datetime.now(UTC)):
        show(line)
    return int(ExitStatus.OK)
