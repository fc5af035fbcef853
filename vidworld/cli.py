"""The `vidworld` command, and the registry of what stands behind each of its words."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from vidworld import __version__
from vidworld.core.command import Command
from vidworld.core.errors import ArgumentParser, run_script
from vidworld.core.registry import Registry

COMMANDS: Registry[Command] = Registry(
    "command",
    "vidworld.commands",
    {
        "data render": "vidworld.simulation.render_command:RENDER",
        "data collect": "vidworld.video.collect:COLLECT",
        "data ingest": "vidworld.video.ingest:INGEST",
        "data sidecar": "vidworld.video.sidecar:SIDECAR",
        "data contexts": "vidworld.evaluation.rollouts:CONTEXTS",
        "data check": "vidworld.evaluation.benchmarks.benchmark:CHECK",
        "data sample": "vidworld.evaluation.benchmarks.samples:SAMPLE",
        "check-world": "vidworld.models.external.check_world:CHECK_WORLD",
        "publish": "vidworld.evaluation.publish:PUBLISH",
        "export": "vidworld.play.export:EXPORT",
        "play": "vidworld.play.command:PLAY",
        "view": "vidworld.play.command:VIEW",
    },
    of="vidworld.core.command:Command",
)
"""A command is imported when it is called: `vidworld --help` need not wait for torch."""
PURPOSES = {
    "data render": "write a picture and an MP4 of a clip or a quadruplet of a simulated scene",
    "data collect": "write videos of episodes in an environment, with what was done in them",
    "data ingest": "turn a folder of videos, and what was done in them, into a data set",
    "data sidecar": "write a first clips.jsonl of a folder of videos, to fill in what happens in them",
    "data contexts": "write the clips that a model which runs elsewhere is to continue",
    "data check": "say whether the folder of a benchmark is complete, and what is missing",
    "data sample": "write simulated scenes in the folder of a benchmark, to try its scoring on",
    "check-world": "say what is wrong with a model that is to be measured",
    "publish": "write trained models, with a card of what they cost and reach, to a folder or the Hub",
    "play": "act in a world, truth and models side by side in a page on this machine",
    "view": "look at clips, what models predict of them, and their surprise, in a page on this machine",
    "export": "write trained world models as ONNX files, with weights of eight bits too, and what each form costs",
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Exit with 0, or 2 where the arguments or what they name cannot be used."""
    run_script(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> None:
    """Run the command of these arguments; UserError where they, or what they name, cannot be used."""
    parser = ArgumentParser(prog="vidworld", description="Families of world models on one bench of physics.")
    parser.add_argument("--version", action="version", version=f"vidworld {__version__}")
    groups = {"": parser.add_subparsers(metavar="COMMAND", required=True)}
    for name in COMMANDS:
        group, _, word = name.rpartition(" ")
        if group not in groups:
            members = " and ".join(each.split()[1] for each in COMMANDS if each.startswith(f"{group} "))
            below = groups[""].add_parser(group, help=members)
            groups[group] = below.add_subparsers(metavar="COMMAND", required=True)
        purpose = PURPOSES.get(name, "")
        command = groups[group].add_parser(word, help=purpose, description=f"{purpose.capitalize()}.")
        if " ".join(argv[: len(name.split())]) == name:
            COMMANDS[name].add_arguments(command)
            command.set_defaults(run=COMMANDS[name].run)
    arguments = parser.parse_args(argv or ["--help"])
    arguments.run(arguments)
