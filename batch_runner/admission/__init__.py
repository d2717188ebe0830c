"""The only way to send: `async with admission.slot(request) as slot`."""

from batch_runner.admission.exposure import Ceiling, Exposure
from batch_runner.admission.leave import Admission, Slot
from batch_runner.admission.money import Budget, Cap
from batch_runner.admission.slots import LocalAdmission

__all__ = ["Admission", "Budget", "Cap", "Ceiling", "Exposure", "LocalAdmission", "Slot"]
