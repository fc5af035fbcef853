"""`vidworld data collect ENVIRONMENT --out FOLDER`: episodes as videos with an `actions.csv`, which can be ingested.

Environments are ours by name, and those of Gymnasium by id. A video has its name only when its rows are in the table,
so that a run that is stopped goes on where it was.
"""

import argparse
import csv
import io
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from vidworld.core.clip_shape import ClipShape
from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.core.media import write_mp4
from vidworld.core.records import append, prepare_folder, read_json, write_json, write_text, writing
from vidworld.core.workers import each_apart, usual_workers
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.by_id import (
    MOST_FRAMES,
    PICTURES_VERSION,
    UNSAID_FPS,
    fps_of,
    in_time,
    made_with,
    open_world,
    picture_of,
    scaled_actions,
    spec_of,
)
from vidworld.simulation.environments.clips import POLICIES, EnvironmentClips, check_policy
from vidworld.video import ACTIONS_NAME, COLLECTED_NAME, REWARD

LONGEST_HELD = 8  # frames for which the random policy holds an action in Gymnasium's environments
SMALLEST_PX = 16


@dataclass(frozen=True)
class Play:
    """Which episodes: each follows from this and its number."""

    environment: str
    policy: str = "random"
    seed: int = 0
    size_px: int = 64
    """Of the shorter side."""
    most_frames: int | None = None
    """Frames after which an episode is cut off; None: as many as one of ours has, 200 of Gymnasium's."""


@dataclass(frozen=True)
class Played:
    """One episode."""

    frames: UInt8[Tensor, "time 3 height width"]
    fps: float
    actions: Float[np.ndarray, "taken action"]
    """What was done after each frame but the last, from -1 to 1; of Discrete ones 1 for that taken, else 0."""
    rewards: Float[np.ndarray, " taken"]
    """What each of these brought."""


def made_by(play: Play) -> str:
    """The version of what is played. UserError: there is no such environment or policy, or Gymnasium is missing."""
    check_policy(play.policy)
    if play.environment in ENVIRONMENTS:
        return f"{play.environment} {ENVIRONMENTS.version(play.environment)}"
    spec_of(play.environment)
    if play.policy != "random":
        raise UserError(f"{play.environment}: has no {play.policy} policy (ours have); --policy random would do")
    return f"{made_with(play.environment)}, pictures {PICTURES_VERSION}"


def played(play: Play, number: int) -> Played:
    """One episode by its number. UserError: nobody could play it; other errors are the environment's own."""
    return _ours(play, number) if play.environment in ENVIRONMENTS else _gymnasiums(play, number)


def _ours(play: Play, number: int) -> Played:
    """Clip `number` of the environment's clips for training, as long as an episode."""
    world = ENVIRONMENTS[play.environment]
    count = play.most_frames or world.context_frames + world.budget_frames
    shape = ClipShape(num_frames=count, height_px=play.size_px, width_px=play.size_px)
    logged = EnvironmentClips(play.environment, "train", play.seed, number + 1, shape, play.policy).logged([number])
    clips, rewards = logged.clips, logged.reward[0, 1:].double().numpy()
    assert clips.actions is not None
    return Played(clips.frames[0], clips.fps, clips.actions[0, 1:].numpy().astype(np.float64), rewards)


def _gymnasiums(play: Play, number: int) -> Played:
    reset_seed, *of_policy = np.random.SeedSequence([play.seed, number]).generate_state(3).tolist()
    draws = np.random.default_rng(of_policy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium's, about what it thinks of the environment
        with closing(open_world(play.environment, play.size_px)) as world:
            fps = fps_of(play.environment, world.metadata)
            drawn, given = scaled_actions(play.environment, world.action_space)
            with in_time(play.environment):
                world.reset(seed=reset_seed)
            frames, ends = [picture_of(play.environment, world, play.size_px)], 0
            actions: list[np.ndarray] = []
            rewards: list[float] = []
            while len(frames) < (play.most_frames or MOST_FRAMES):
                if len(actions) == ends:
                    held, ends = drawn(draws), ends + int(draws.integers(1, LONGEST_HELD + 1))
                actions.append(held)
                with in_time(play.environment):
                    _, reward, terminated, truncated, _ = world.step(given(held))
                rewards.append(float(reward))
                frames.append(picture_of(play.environment, world, play.size_px))
                if terminated or truncated:
                    break
    return Played(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), fps, np.stack(actions), np.array(rewards))


@dataclass
class Collected:
    """What there is after `collect_episodes`."""

    out: Path
    made: int = 0
    there: int = 0
    """Episodes that an earlier run had made."""
    died: dict[int, str] = field(default_factory=dict)
    """Why there is no video of an episode, by its number."""


TABLE_VERSION = 2
"""Raised when the columns of a collected actions.csv change; 2: with rewards."""


@dataclass(frozen=True)
class _Job:
    play: Play
    number: int
    part: Path


def collect_episodes(play: Play, episodes: int, out: Path, workers: int | None = None) -> Collected:
    """The videos of episodes 0 to `episodes` - 1 and what was done in them, in a folder; those that are there stay.

    An episode in which the environment raises an error, or ends its process, is left out and named; a later run tries
    it again. UserError: there is no such environment or policy, none of its episodes can be had, or the folder holds
    something else.
    """
    _check(play, episodes, workers)
    record = {"made_by": made_by(play), "table": TABLE_VERSION} | asdict(play)
    _begin(out, record)
    table, names = out / ACTIONS_NAME, {number: f"episode_{number:06d}.mp4" for number in range(episodes)}
    there = _without_torn(table)
    jobs = [_Job(play, n, out / f".{name}.part.mp4") for n, name in names.items() if name not in there]
    result = Collected(out, there=episodes - len(jobs))
    with tqdm(total=episodes, initial=result.there, desc="collect", unit="episode", disable=None) as bar:
        for index, done in each_apart(play_one, jobs, workers or usual_workers(), preload=[__name__]):
            job = jobs[index]
            if isinstance(done, Done):
                append(table, _rows(names[job.number], done, header=not table.exists()))
                with writing(out):
                    job.part.replace(out / names[job.number])
                result.made += 1
            else:
                job.part.unlink(missing_ok=True)
                result.died[job.number] = done or "ends the process that plays it"
            bar.update()
    if not result.made and not result.there and result.died:
        number, reason = min(result.died.items())
        raise UserError(f"{play.environment}: none of its {episodes} episodes can be had: episode {number} {reason}")
    return result


class Done(NamedTuple):
    """What was done in an episode, and what each action brought."""

    actions: Float[np.ndarray, "taken action"]
    rewards: Float[np.ndarray, " taken"]


def play_one(job: _Job) -> Done | str:
    """What was done in an episode, after its video is written; or why there is none, which goes on from its name."""
    try:
        episode = played(job.play, job.number)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever another's environment raises costs its episode
        lines = str(error).splitlines() or [""]
        return f"died ({type(error).__name__}: {lines[0]})"
    with writing(job.part):
        write_mp4(job.part, episode.frames, episode.fps)
    return Done(episode.actions, episode.rewards)


def _check(play: Play, episodes: int, workers: int | None) -> None:
    low = {"--episodes": (episodes, 1), "--size": (play.size_px, SMALLEST_PX), "--seed": (play.seed, 0)}
    low |= {} if workers is None else {"--workers": (workers, 1)}
    low |= {} if play.most_frames is None else {"--frames": (play.most_frames, 2)}
    faults = [f"{name}: {value} is below {least}" for name, (value, least) in low.items() if value < least]
    if faults:
        raise UserError("\n".join(faults))


def _begin(out: Path, record: dict[str, object]) -> None:
    """The folder with its record; UserError where it is there already and of something else."""
    if out.is_dir() and any(out.iterdir()):
        if not (out / COLLECTED_NAME).exists():
            raise UserError(f"{out}: is there already and holds no collected episodes: name another folder")
        before = read_json(out / COLLECTED_NAME)
        if not isinstance(before, dict):
            raise UserError(f"{out / COLLECTED_NAME}: is no record of collected episodes; name another folder")
        if differ := [f"{key} {before.get(key)}, now {now}" for key, now in record.items() if before.get(key) != now]:
            raise UserError(f"{out}: holds episodes of others ({'; '.join(differ)}): name another folder")
        return
    prepare_folder(out)
    write_json(out / COLLECTED_NAME, record)


def _without_torn(table: Path) -> set[str]:
    """Take away the rows of videos that a stopped run did not finish; the videos that are there with their rows.

    Raises UserError: it is no text.
    """
    if not table.exists():
        return set()
    try:
        header, *lines = table.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    except UnicodeDecodeError as error:
        raise UserError(f"{table}: is no table of actions; remove it, and all episodes are made again") from error
    whole = {path.name for path in table.parent.glob("*.mp4") if path.stat().st_size > 0}
    kept = [line for line in lines if line.partition(",")[0] in whole]
    if not kept:
        table.unlink()
    elif kept != lines:
        write_text(table, header + "".join(kept))
    return {line.partition(",")[0] for line in kept}


def _rows(file: str, done: Done, header: bool) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    if header:
        table.writerow(["file", "frame", *(f"action_{channel}" for channel in range(done.actions.shape[1])), REWARD])
    rows = zip(done.actions.tolist(), done.rewards.tolist(), strict=True)
    table.writerows([file, frame, *action, reward] for frame, (action, reward) in enumerate(rows))
    return text.getvalue().encode()


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    usual, add = Play(""), parser.add_argument
    ours = f"one of {', '.join(ENVIRONMENTS)}, or an id of Gymnasium (Reacher-v5, or module:Id-v0 of another package)"
    add("environment", metavar="ENVIRONMENT", help=ours)
    add("--policy", default=usual.policy, help=f"{', '.join(POLICIES)}; of Gymnasium's random (default: %(default)s)")
    add("--episodes", type=int, default=100, help="(default: %(default)s)")
    where = f"where videos, {ACTIONS_NAME} and {COLLECTED_NAME} go"
    add("--out", type=Path, required=True, metavar="FOLDER", help=where)
    add("--seed", type=int, default=usual.seed, help="(default: %(default)s)")
    add("--size", type=int, default=usual.size_px, help="pixels of the shorter side (default: %(default)s)")
    most = f"frames of an episode at most (default: an episode of ours, {MOST_FRAMES} of Gymnasium's)"
    add("--frames", type=int, help=most)
    add("--workers", type=int, help="processes that play (default: as many as there are processors, 16 at most)")
    parser.epilog = (
        f"Each episode is an MP4 at the environment's own rate (render_fps; {UNSAID_FPS:g} where it says none), "
        f"and a row of {ACTIONS_NAME} says what was done after each frame: Box actions "
        "from -1 to 1 by their bounds, Discrete ones as 1 for the one taken and 0 for the others; and what it brought. "
        "`vidworld data ingest FOLDER` takes the folder as it is. The same command goes on where a stopped one was."
    )


def _run(arguments: argparse.Namespace) -> None:
    play = Play(arguments.environment, arguments.policy, arguments.seed, arguments.size, arguments.frames)
    print(*_summary(collect_episodes(play, arguments.episodes, arguments.out, arguments.workers)), sep="\n")


def _summary(result: Collected) -> Sequence[str]:
    lines = [f"episode {number} {reason}" for number, reason in sorted(result.died.items())]
    parts = [f"{result.made} episodes are written", f"{result.there} were there"]
    parts += [f"{len(lines)} died, which a rerun tries again"] if lines else []
    return [*lines, f"{result.out}: {', '.join(parts)}"]


COLLECT = Command(_add_arguments, _run)
