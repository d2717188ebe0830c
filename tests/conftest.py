"""What every test needs before it is collected."""

import os
import sys
from pathlib import Path

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path(sys.prefix) / "hypothesis"))
"""Hypothesis notes the full paths of what it has read: beside the other tools, not among the project's files."""
