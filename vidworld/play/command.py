"""`vidworld play RUN` and `vidworld view RUN`."""

import argparse
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.models.files import EXPORT_FORMS
from vidworld.play.guard import check_loopback
from vidworld.simulation import SCENARIOS
from vidworld.simulation.environments import ENVIRONMENTS

if TYPE_CHECKING:
    from vidworld.play.cast import Cast
    from vidworld.play.truths import Truth

NEEDED = ("starlette", "uvicorn", "websockets")
SCRIPTED = "scripted"


def check_installed() -> None:
    """Raise UserError where what serves pages is not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{', '.join(missing)}: not installed; pip install 'vidworld[play]' installs what play needs")


def out_folder(run: Path, named: Path | None) -> Path:
    """Where recordings go: what was named, else the run folder or, where that cannot be written, here."""
    return named or (run / "play" if os.access(run, os.W_OK) else Path("play"))


def _common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="RUN", help="a folder of runs that `make demo` or `make plan` wrote, or a release (hub:NAME)")
    add("--models", default="", metavar="NAMES", help="of RUN, by comma (default: the first of each family)")
    add("--sampling-steps", type=int, default=4, help="of diffusion, a chunk (default: %(default)s)")
    by_files = "onnx or int8: by the files that `vidworld export` wrote"
    add("--exported", choices=list(EXPORT_FORMS), metavar="FORM", help=by_files)
    add("--exports", type=Path, metavar="FOLDER", help="where these lie (default: RUN/export)")
    add("--host", default="127.0.0.1", help="127.0.0.1 or ::1 (default: %(default)s)")
    add("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    add("--video", type=Path, metavar="FILE", help="a video of your own beside RUN's scenes")


def _play_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    add = parser.add_argument
    add("--environment", metavar="NAME", help="with which to begin; a scenario where RUN's models know no actions")
    add("--scene", type=int, default=0, help="number of the first scene (default: %(default)s)")
    add("--out", type=Path, metavar="FOLDER", help="for recordings (default: RUN/play, or ./play)")
    add("--record", type=Path, metavar="FILE", help="write a moving picture (.mp4, .gif) and open no page")
    add("--actions", default=SCRIPTED, metavar="FILE", help="what is done in it: a recording, or `scripted`")
    add("--seconds", type=float, default=10.0, help="of a scripted one (default: %(default)g)")
    add("--scale", type=int, default=2, help="times its panels are enlarged (default: %(default)s)")


def _play(arguments: argparse.Namespace) -> None:
    if arguments.environment not in (None, "video", *SCENARIOS):
        ENVIRONMENTS.check([arguments.environment])  # before any model is loaded
    cast = _cast(arguments)
    worlds = list(cast.worlds) + (["video"] if arguments.video else [])
    first = arguments.environment or ("video" if arguments.video else worlds[0])
    if first not in worlds:
        raise UserError(f"--environment {first}: these models were trained on {', '.join(worlds)}")

    @cache
    def truth_of(name: str) -> "Truth":
        return truth_for(cast, name, arguments.video)

    if arguments.record is not None:
        _record(arguments, cast, truth_of(first), worlds)
        return
    check_installed()
    from vidworld.play.server import Playground, play_app, serve

    ordered = [first, *(world for world in worlds if world != first)]
    out = out_folder(Path(arguments.folder), arguments.out)
    truth_of(first)  # a video that cannot be read is said before anything is served
    ground = Playground(cast, ordered, truth_of, out, arguments.scene)
    serve(lambda port: play_app(ground, port), arguments.host, arguments.port, "play")


def _cast(arguments: argparse.Namespace) -> "Cast":
    check_loopback(arguments.host)
    if not 0 <= arguments.port < 2**16:  # before any model is loaded
        raise UserError(f"--port {arguments.port}: is no port; 1 to 65535 would do, or 0, which takes a free one")
    from vidworld.models.pretrained import from_pretrained
    from vidworld.play.cast import cast_of

    names = [name for name in arguments.models.split(",") if name]
    if arguments.sampling_steps < 1:
        raise UserError(f"--sampling-steps {arguments.sampling_steps}: at least 1 is needed")
    run = from_pretrained(arguments.folder)
    return cast_of(run, names, arguments.sampling_steps, arguments.exported, arguments.exports)


def truth_for(cast: "Cast", name: str, video: Path | None = None) -> "Truth":
    """The truth of this name: an environment, a scenario, or `video`, one's own."""
    from vidworld.play.truths import ActedTruth, SceneTruth, VideoTruth

    if name == "video":
        if video is None:
            raise UserError("video: name its file, --video FILE")
        return VideoTruth(video, cast.shape, cast.chunk_frames)
    kind = ActedTruth if name in ENVIRONMENTS else SceneTruth
    return kind(name, cast.shape, cast.chunk_frames)


def _record(arguments: argparse.Namespace, cast: "Cast", truth: "Truth", worlds: list[str]) -> None:
    from vidworld.core.hardware import one_core_pool
    from vidworld.play.recording import played_again, read_recording, scripted, write_picture
    from vidworld.play.session import Session

    pool = one_core_pool(2, "players")
    if arguments.actions == SCRIPTED:
        session = Session(cast, truth, arguments.scene, over=pool.map)
        count = round(arguments.seconds * cast.shape.fps / cast.chunk_frames)
        moments = scripted(session, count)
    else:
        world, number, steps = read_recording(Path(arguments.actions), cast)
        session = Session(cast, truth_for(cast, world, arguments.video), number, over=pool.map)
        count, moments = len(steps), played_again(session, steps)
    print(write_picture(arguments.record, cast, moments, count + 1, arguments.scale))


PLAY = Command(_play_arguments, _play)


def _view_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    add = parser.add_argument
    add("--static", type=Path, metavar="FILE", help="write a page for sharing that needs no server, and end")
    clips = "of that page, by comma, each KIND/NAME/SPLIT/NUMBER such as clip/puck/id/3 (default: the first of each)"
    add("--clips", default="", metavar="NAMES", help=clips)


def _view(arguments: argparse.Namespace) -> None:
    check_installed()
    cast = _cast(arguments)
    from vidworld.play.server import serve
    from vidworld.play.viewer import usual_choices, view_app, write_static

    if arguments.static is not None:
        wanted = [text for text in arguments.clips.split(",") if text] or usual_choices(cast, arguments.video)
        print(write_static(arguments.static, cast, wanted, arguments.video))
        return
    serve(lambda port: view_app(cast, port, arguments.video), arguments.host, arguments.port, "view")


VIEW = Command(_view_arguments, _view)
