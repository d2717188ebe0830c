"""The only way to send: `async with admission.slot(request) as slot`."""

from batch_runner.admission.exposure import Ceiling, Exposure
from batch_runner.admission.money import Budget, Cap
from batch_runner.admission.slots import Admission, LocalAdmission, Slot

__all__ = ["Admission", "Budget", "Cap", "Ceiling", "Exposure", "LocalAdmission", "Slot"]
