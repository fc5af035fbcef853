"""Measure world models on physics.

accelerate launch eval/run_physics.py --config configs/demo/physics.yaml [key=value ...]

A run that was stopped goes on where it was. models.NAME=SPEC adds a model: a run folder, or KIND:PATH for other
people's (vjepa2, diffusers, videos, python). configs/base/frames.yaml measures these without a tokenizer of ours.
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.evaluation.schema import PhysicsConfig


def main() -> None:
    config, _ = parse_command_line(PhysicsConfig, description=__doc__)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.evaluation.physics import evaluate

    evaluate(config)


if __name__ == "__main__":
    run_script(main)
