"""The processes of an evaluation."""

from datetime import timedelta

from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from vidworld.core.config import Precision
from vidworld.core.precision import precision

PROCESS_GROUP_TIMEOUT = timedelta(hours=2)
"""How long a process waits for the others, which have more or slower units: accelerate's 10 or 30 minutes are less
than one unit of somebody else's model can take."""


def evaluation_accelerator(mixed_precision: Precision = "auto") -> Accelerator:
    """The device and the processes of an evaluation."""
    patient = InitProcessGroupKwargs(timeout=PROCESS_GROUP_TIMEOUT)
    return Accelerator(mixed_precision=precision(mixed_precision), kwargs_handlers=[patient])
