"""What is measured, of which models, with what: tasks, work units, controls, calibration, benchmarks."""

from typing import TYPE_CHECKING

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.evaluation.task import Task

TASKS: "Registry[Task]" = Registry(
    "task",
    "vidworld.tasks",
    {
        "rollouts": "vidworld.evaluation.rollouts:ROLLOUTS",
        "surprise": "vidworld.evaluation.surprises:SURPRISE",
        "real_video": "vidworld.evaluation.real:REAL_VIDEO",
    },
    of="vidworld.evaluation.task:Task",
)
"""What models are measured by. A task is a function from a `Setup` to work units."""
