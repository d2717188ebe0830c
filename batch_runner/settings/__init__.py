"""One table of settings, read as flags, environment variables, job keys, keyword arguments and reference docs."""

from batch_runner.settings.groups import Setting, Settings, table
from batch_runner.settings.reading import did_you_mean, read_settings, text_or_file

__all__ = ["Setting", "Settings", "did_you_mean", "read_settings", "table", "text_or_file"]
