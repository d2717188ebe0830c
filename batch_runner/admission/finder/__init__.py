"""Finds a limit that nobody told, fills it and follows it. Pure: events and the time go in, decisions come out."""

from batch_runner.admission.finder.finder import Finder
from batch_runner.admission.finder.values import Ceilings, Learned, Refusal, Sent

__all__ = ["Ceilings", "Finder", "Learned", "Refusal", "Sent"]
