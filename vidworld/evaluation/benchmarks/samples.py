"""Simulated scenes in the folders of benchmarks: what a whole scoring is tried on before their own videos are there.

They are our own discs, and their scores stand beside none that are published. Possible and impossible videos are our
quadruplets, each picture held for as many frames as the benchmark's evaluation steps over, so that a model sees there
what our own evaluation shows it, after a codec.
"""

import argparse
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from tqdm import tqdm

from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.core.media import write_mp4, write_png
from vidworld.core.records import prepare_folder, write_text
from vidworld.evaluation.benchmarks.physics_iq import CONTEXT_S, RECORDED_FPS, TAKES
from vidworld.evaluation.benchmarks.physics_iq_published import HORIZON_S
from vidworld.evaluation.benchmarks.phyworld_hdf5 import FPS, RADIUS
from vidworld.evaluation.benchmarks.violation_folders import BLOCKS, GRASP, INFLEVEL, INTPHYS, INTPHYS2, PROPERTIES
from vidworld.simulation import SCENARIOS
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips, simulated
from vidworld.simulation.stage import Candidates, Sampler, Scenario, Stage

_Video = UInt8[Tensor, "time 3 height width"]
PRIMING_FRAMES = 10  # that stand before a trial of InfLevel
OTHER_TAKE_SPEED = 1.02  # of the first take's
SCENES = ("uniform", "bounce", "billiards")  # that go on for Physics-IQ's eight seconds
GRASP_NAMES = {"permanence": "ObjectPermanence", "continuity": "Continuity", "collision": "Collision"}
INTPHYS2_LAWS = ("permanence", "constancy", "continuity", "solidity")


def _violations(law: str, count: int) -> Iterator[tuple[_Video, _Video, _Video, _Video]]:
    """Possible a and b, and what begins as each of them and is impossible, for each of our quadruplets."""
    found = quadruplets(law, "id", 0, range(count))
    return zip(found.a.frames, found.b.frames, found.a_then_b.frames, found.b_then_a.frames, strict=True)


def _held(video: _Video, step: int) -> UInt8[Tensor, "more 3 height width"]:
    return video.repeat_interleave(step, dim=0)


def _intphys(folder: Path, count: int) -> Iterator[None]:
    for block, law in BLOCKS.items():
        for number, quadruplet in enumerate(_violations(law, count), start=1):
            for place, video in enumerate(quadruplet, start=1):
                one = folder / block / f"{number:04d}" / str(place)
                (one / "scene").mkdir(parents=True)
                for k, picture in enumerate(_held(video, INTPHYS.reading.frame_step), start=1):
                    write_png(one / "scene" / f"scene_{k:03d}.png", picture)
                write_text(one / "status.json", json.dumps({"header": {"is_possible": place <= 2}}))
            yield


def _intphys2(folder: Path, count: int) -> Iterator[None]:
    step, rows, kinds = INTPHYS2.reading.frame_step, [], ("1_Possible", "2_Possible", "1_Impossible", "2_Impossible")
    for law in INTPHYS2_LAWS:
        for number, quadruplet in enumerate(_violations(law, count)):
            for kind, video in zip(kinds, quadruplet, strict=True):
                name = f"{law}_{number}_{kind}"
                _written(folder / "Videos" / f"{name}.mp4", _held(video, step), 10.0 * step)
                rows.append((name, f"Videos/{name}.mp4", kind, law, number))
            yield
    _table(folder / "metadata.csv", ("name", "file_name", "type", "condition", "SceneIndex"), rows)


def _grasp(folder: Path, count: int) -> Iterator[None]:
    step = GRASP.reading.frame_step
    for law, name in GRASP_NAMES.items():
        for number, (a, _, a_then_b, _) in enumerate(_violations(law, count)):
            _written(folder / f"P_{name}" / f"{number}.mp4", _held(a, step), 10.0 * step)
            _written(folder / f"IP_{name}" / f"{number}.mp4", _held(a_then_b, step), 10.0 * step)
            yield


def _inflevel(folder: Path, count: int) -> Iterator[None]:
    step, columns = INFLEVEL.reading.frame_step, ("path", "label", "end_priming_2")
    header = [f"vid{k}_{column}" for k in (1, 2) for column in columns]
    for law in (name for name in PROPERTIES if name != "gravity"):
        rows = []
        for number, (a, _, a_then_b, _) in enumerate(_violations(law, count)):
            row: list[str | int] = []
            for label, video in (("possible", a), ("impossible", a_then_b)):
                shown = torch.cat((video[:1].expand(PRIMING_FRAMES, -1, -1, -1), _held(video, step)))
                _written(folder / law / f"{number}_{label}.mp4", shown, 10.0 * step)
                row += [f"{law}/{number}_{label}.mp4", label, PRIMING_FRAMES - 1]
            rows.append(row)
            yield
        _table(folder / f"{law}.csv", header, rows)


def _physics_iq(folder: Path, count: int) -> Iterator[None]:
    """Both takes of a scene from the left: in the second everything is a little faster."""
    shape = ClipShape(
        num_frames=round((CONTEXT_S + HORIZON_S) * RECORDED_FPS), fps=RECORDED_FPS, height_px=128, width_px=128
    )
    switch = round(CONTEXT_S * RECORDED_FPS)
    for number in range(1, count + 1):
        scenario = SCENES[(number - 1) % len(SCENES)]
        scene = f"trimmed-{scenario}{number}"
        for take, video in enumerate(_takes(scenario, number, shape), start=1):
            digits, ending = f"{number + TAKES * (take - 1):04d}", f"30FPS_perspective-left_take-{take}_{scene}.mp4"
            _written(folder / f"full-videos/take-{take}/30FPS/{digits}_full-videos_{ending}", video, RECORDED_FPS)
            _written(
                folder / f"split-videos/testing/30FPS/{digits}_testing-videos_{ending}", video[switch:], RECORDED_FPS
            )
            if take == 1:
                frame = folder / f"switch-frames/{digits}_switch-frames_anyFPS_perspective-left_{scene}.jpg"
                frame.parent.mkdir(exist_ok=True)
                write_png(frame, video[switch - 1])
            yield


def _takes(scenario: str, number: int, shape: ClipShape) -> tuple[_Video, _Video]:
    drawn_by = SCENARIOS[scenario]
    samplers = {sampler: _with_other_take(sampler) for sampler in drawn_by.samplers}
    twice = Scenario(tuple(samplers[one] for one in drawn_by.samplers), drawn_by.ranges)
    takes = simulated(twice, f"takes/{scenario}/id/0", [number], [("1",), ("2",)], shape, "id", torch.device("cpu"))
    return takes[0].frames[0], takes[1].frames[0]


def _with_other_take(sampler: Sampler) -> Sampler:
    def takes(stage: Stage) -> Candidates:
        (scenes,), valid = sampler(stage)
        return (scenes, replace(scenes, velocity=OTHER_TAKE_SPEED * scenes.velocity)), valid

    return takes


def _phyworld_hdf5(folder: Path, count: int) -> Iterator[None]:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError("phyworld_hdf5: writing HDF5 needs h5py: pip install 'vidworld[benchmarks]'") from error
    shape = ClipShape(num_frames=32, fps=FPS, height_px=256, width_px=256)
    for law, scenario in zip(RADIUS, ("phyworld_uniform", "phyworld_parabola", "phyworld_collision"), strict=True):
        clips = SimulatedClips(scenario, "id", shape=shape).clips(range(count))
        truth, balls = clips.truth, 2 if law == "collision" else 1
        place = truth.position[:, :, :balls].double().numpy()
        speed = truth.velocity[:, 0, :balls, 0].numpy()
        with h5py.File(folder / f"{law}_eval.hdf5", "w") as file:
            file["position_streams/00000"] = np.stack((place[..., 0], WORLD_SIZE - place[..., 1]), axis=-1)
            file["init_streams/00000"] = np.concatenate((truth.radius[:, :balls].numpy(), speed), axis=1)
            videos = file.create_dataset("video_streams/00000", (count,), h5py.vlen_dtype(np.uint8))
            for number, video in enumerate(clips.frames):
                videos[number] = np.frombuffer(_written(folder / "one.mp4", video, FPS).read_bytes(), np.uint8)
                yield
    (folder / "one.mp4").unlink()


def _written(path: Path, video: _Video, fps: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_mp4(path, video, fps)


def _table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    lines = io.StringIO()
    csv.writer(lines).writerows([header, *rows])
    write_text(path, lines.getvalue())


SAMPLES: dict[str, Callable[[Path, int], Iterator[None]]] = {
    "intphys": _intphys,
    "intphys2": _intphys2,
    "grasp": _grasp,
    "inflevel": _inflevel,
    "physics_iq": _physics_iq,
    "phyworld_hdf5": _phyworld_hdf5,
}
"""The benchmarks of which there are samples; physion asks about things of its own, and morpheus about recorded ones."""


def write_samples(kind: str, folder: Path, count: int) -> Path:
    """The folder, after writing so many scenes, or groups of videos of each property, into it.

    Raises UserError: there are no samples of the kind, or the folder holds something.
    """
    if kind not in SAMPLES:
        raise UserError(f"there are no samples of {kind!r}; there are of {', '.join(SAMPLES)}")
    if count < 1:
        raise UserError(f"--count {count}: must be 1 or more")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: holds something already; name another folder")
    prepare_folder(folder)
    for _ in tqdm(SAMPLES[kind](folder, count), f"{kind} samples", disable=None):
        pass
    return folder


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help=", ".join(SAMPLES))
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where they go; it must not hold anything")
    what = "scenes, or groups of videos of each property (default: %(default)s)"
    parser.add_argument("--count", type=int, default=20, help=what)


def _run(arguments: argparse.Namespace) -> None:
    folder = write_samples(arguments.kind, arguments.folder, arguments.count)
    print(f"{folder}: {arguments.kind}, of our own simulated scenes; its scores stand beside none that are published")


SAMPLE = Command(_add_arguments, _run)
