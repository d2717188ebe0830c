"""What every test needs before it is collected."""

import os
import signal
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path(sys.prefix) / "hypothesis"))
"""Hypothesis notes the full paths of what it has read: beside the other tools, not among the project's files."""

os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="batch-runner-tests-")
"""What runs remember of limits: never in the home of whoever runs the tests."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as behind `&` in a script: the runs that tests start would never hear it
    signal.signal(signal.SIGINT, signal.default_int_handler)
