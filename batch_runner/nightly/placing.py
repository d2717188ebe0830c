"""Where and as whom a job runs: what the machine and the shell tell of it, for a scheduler that knows neither."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
import tempfile
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.endpoint import CREDENTIALS, CREDENTIALS_FOLDER, FAKE, is_loopback, key_variable_of, resolve
from batch_runner.failures import UsageMistake
from batch_runner.nightly.layers import VARIABLE, read_layers
from batch_runner.nightly.outputs import DATE
from batch_runner.nightly.schedule import Placement
from batch_runner.redaction import redact
from batch_runner.settings import table
from batch_runner.settings.notices import STDERR
from batch_runner.zones import local_zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import tzinfo

    from batch_runner.nightly.job_file import Job
    from batch_runner.nightly.outputs import Outputs
    from batch_runner.settings import Settings

OF_THE_ENDPOINT = ("OPENAI_BASE_URL", "SSL_CERT_FILE")
"""Variables that a run looks at beside its settings."""


def placement(
    job: Job, settings: Settings, zone: tzinfo, outputs: Outputs, *, at: time | None, environment: Mapping[str, str] = os.environ
) -> Placement:
    """Everything a scheduler has to be told of `job`. Raises `UsageMistake` where nobody says when it starts."""
    start = at or job.keys.start_at
    if start is None:
        raise UsageMistake(f'{job.path.name}: nobody says when it starts: start_at = "22:00" under [job], or --at 22:00')
    if getattr(zone, "key", "UTC") is None:
        raise UsageMistake(f'{job.path.name}: this machine doesn\'t say which zone it is in: zone = "Europe/Berlin" under [job]')
    root = os.geteuid() == 0
    credential = _credential(settings)
    needed = dict(_needed(job, environment))
    return Placement(
        name=job.name,
        job=job.path,
        command=_command(),
        home=outputs.home,
        at=start,
        zone=zone,
        zone_name=str(zone),
        machine_zone=local_zone(),
        drain_seconds=settings.ending.drain_timeout + _seconds_to_tell(settings),
        environment=needed,
        key_variable=_key_variable(settings),
        key_file=_config(root=root) / (credential or f"{job.name}.env"),
        credential=credential,
        writable=_writable(settings),
        asks_command=settings.request.api_key_command is not None,
        user=_owner(job.path) if root else None,
    )


def _command() -> tuple[str, ...]:
    """How this very program is started, in full."""
    own = shutil.which(sys.argv[0])
    if own is not None and Path(own).name == "batch-runner":
        return (str(Path(own).absolute()),)
    return (sys.executable, "-m", "batch_runner")


def _needed(job: Job, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The variables that a run looks at and that are set here, secrets left out."""
    texts = [layer.text for layer in read_layers(str(job.path))]
    written = {found["name"] for text in texts for found in VARIABLE.finditer(text) if found["name"]}
    looked_at = {entry.variable for entry in table() if entry.variable and not entry.facts.secret}
    for name in sorted((written | looked_at | set(OF_THE_ENDPOINT)) - {CREDENTIALS}):
        value = environment.get(name)
        if value is not None and redact(value) == value and "\n" not in value:
            yield name, value


def _key_variable(settings: Settings) -> str | None:
    request = settings.request
    if request.endpoint == FAKE or request.api_key_file is not None or request.api_key_command is not None:
        return None
    if request.api_key_env is None and is_loopback(resolve(settings).host):
        return None
    return key_variable_of(settings)


def _credential(settings: Settings) -> str | None:
    found = re.fullmatch(rf"{re.escape(CREDENTIALS_FOLDER)}/([^/]+)", settings.request.api_key_file or "")
    return found[1] if found else None


def _writable(settings: Settings) -> tuple[Path, ...]:
    """Where a run puts answers that its output doesn't take, and what else it writes of itself."""
    named, whom = settings.disk.rescue_dir, settings.notify
    files = [whom.metrics, whom.summary, settings.log.log if settings.log.log != STDERR else None]
    folders = [Path(f"{name.partition(DATE)[0]}x").absolute().parent for name in files if name is not None]
    return (Path(tempfile.gettempdir()) if named is None else Path(named).absolute(), *folders)


def _seconds_to_tell(settings: Settings) -> float:
    """What telling others of the end may take, before the manager of a service kills it."""
    whom = settings.notify
    addresses = whom.notify_timeout if whom.ping or whom.webhook or whom.notify else 0.0
    ends = bool(whom.on_success or whom.on_failure) + bool(whom.after)
    return addresses + ends * whom.command_timeout


def _config(*, root: bool) -> Path:
    return Path("/etc/batch-runner") if root else Path.home() / ".config/batch-runner"


def _owner(path: Path) -> str:
    """Whose job it is: a service of the system runs as whoever owns the file."""
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except KeyError:
        return str(path.stat().st_uid)
