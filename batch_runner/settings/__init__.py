"""One table of settings, read as flags, environment variables, job keys, keyword arguments and reference docs."""

from batch_runner.settings.groups import Setting, Settings, table
from batch_runner.settings.reading import KEY_SETTINGS, PATH_SETTINGS, as_written, read_settings

__all__ = ["KEY_SETTINGS", "PATH_SETTINGS", "Setting", "Settings", "as_written", "read_settings", "table"]
