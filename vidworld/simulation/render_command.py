"""`vidworld data render`: a picture and an MP4 of a simulated clip, or of the four clips of a quadruplet."""

import argparse
import difflib
from pathlib import Path

from vidworld.core.clip_shape import ClipShape
from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.core.media import enlarged, filmstrip, write_mp4, write_png
from vidworld.simulation import LAWS, SCENARIOS
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SPLITS, SimulatedClips

_MOST = {"height": 4096, "width": 4096, "num_frames": 10_000, "fps": 1000, "scale": 64}
"""What an argument may be; no number (nan) is none of it."""


def _names() -> list[str]:
    return [*SCENARIOS, *(law for law in LAWS if law not in SCENARIOS)]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="SCENARIO_OR_LAW", help=f"one of {', '.join(_names())}")
    quad = "the law's quad, where a scenario has the same name (collision)"
    add("--quadruplet", "--quad", action="store_true", help=quad)
    add("--split", default="id", help=f"one of {', '.join(SPLITS)} (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    add("--index", type=int, default=0, help="number of the clip or quad (default: %(default)s)")
    add("--out", type=Path, required=True, metavar="FOLDER", help="where the files go")
    usual = ClipShape()
    add("--height", type=int, default=usual.height_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--width", type=int, default=usual.width_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--num-frames", type=int, default=usual.num_frames, help="(default: %(default)s)")
    add("--fps", type=float, default=usual.fps, help="frames a second (default: %(default)g)")
    add("--scale", type=int, default=4, help="times the files are enlarged (default: %(default)s)")


def _run(arguments: argparse.Namespace) -> None:
    for name, most in _MOST.items():
        if not 0 < (value := getattr(arguments, name)) <= most:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be more than 0, and at most {most}")
    if not 0 <= arguments.index < 2**63 - 1:
        raise UserError(f"--index {arguments.index}: clips are numbered from 0 to 2^63 - 2")
    size = {"height_px": arguments.height, "width_px": arguments.width}
    setting = ClipShape(num_frames=arguments.num_frames, fps=arguments.fps, **size)
    name, split, seed, index = arguments.name, arguments.split, arguments.seed, arguments.index
    if arguments.quadruplet or name not in SCENARIOS:
        if not arguments.quadruplet and name not in LAWS:
            near = difflib.get_close_matches(name, _names(), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_names())}"
            raise UserError(f"there is no scenario or law {name!r}; {hint}")
        LAWS.check([name])
        quadruplet = quadruplets(name, split, seed, [index], splice_frame=setting.num_frames // 2, shape=setting)
        videos = {part: getattr(quadruplet, part) for part in ("a", "b", "a_then_b", "b_then_a")}
    else:
        videos = {"clip": SimulatedClips(name, split, seed, index + 1, setting).clips([index])}
    folder, scale = arguments.out, arguments.scale
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, clips in videos.items():
            stem, frames = f"{name}_{split}_{seed}_{index}_{part}", clips.frames[0]
            paths.append(write_png(folder / f"{stem}.png", filmstrip(enlarged(frames, scale), gap_px=scale)))
            paths.append(write_mp4(folder / f"{stem}.mp4", frames, clips.fps, scale))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
    print(*paths, sep="\n")


RENDER = Command(_add_arguments, _run)
