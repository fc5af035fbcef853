"""phyworld's evaluation files as its authors share them: films and true positions in HDF5.

Source: Kang et al. (arXiv 2411.02385) and its generators: 32 frames 0.1 s apart at 256 px, 3 of them given; batches
of films as MP4 bytes, positions in a world of 10 x 10 with y upwards.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.errors import UserError
from vidworld.core.shapes import Film
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading, film_of
from vidworld.video.source import Source

LAWS = ("uniform_motion", "parabola", "collision")
STREAMS = ("video_streams", "position_streams", "init_streams")
LAYOUT = """\
FOLDER/
  uniform_motion_eval.hdf5 parabola_eval.hdf5 collision_eval.hdf5
    video_streams/00000     (film,) of MP4 bytes, for each batch
    position_streams/00000  (film, frame, ball, 2) or (film, frame, 2)
    init_streams/00000      (film, radii then speeds)"""


def entries(folder: Path) -> list[Entry]:
    """Every film of the three files; a file that is not there is one entry."""
    found = []
    for law in LAWS:
        path = folder / f"{law}_eval.hdf5"
        if not path.exists():
            found.append(Entry(law, law, law, True, path))
            continue
        with _open(path) as file:
            faults = [f"{path}: has no {name}" for name in STREAMS if name not in file]
            for batch in sorted(file[STREAMS[0]]) if not faults else []:
                count = len(file[STREAMS[0]][batch])
                for name in STREAMS[1:]:
                    there = len(file[name][batch]) if batch in file[name] else 0
                    if there != count:
                        faults.append(f"{path}: {name}/{batch} has {there} films, not {count}")
                members = [f"{batch}/{i}" for i in range(count)]
                found += [Entry(f"{law}/{m}", law, law, True, path, member=m) for m in members]
            if faults:
                raise UserError("\n".join(faults))
    return found


def true_positions(entry: Entry) -> Float[np.ndarray, "time object 2"]:
    """Where the balls are in each frame, in world units with y downwards, as in the picture."""
    batch, number = entry.member.split("/")
    with _open(entry.video) as file:
        places = np.asarray(file["position_streams"][batch][int(number)], np.float64)
    places = places.reshape(len(places), -1, 2)
    return np.stack([places[..., 0], WORLD_SIZE - places[..., 1]], axis=-1)


def radii_and_speeds(entry: Entry) -> tuple[Float[np.ndarray, " object"], Float[np.ndarray, " object"]]:
    """What the film was drawn from, in world units and seconds; speeds are sizes."""
    batch, number = entry.member.split("/")
    with _open(entry.video) as file:
        drawn = np.asarray(file["init_streams"][batch][int(number)], np.float64).ravel()
    radius, speed = np.split(drawn, 2)
    return radius, np.abs(speed)


def film(entry: Entry) -> tuple[Film, float]:
    """The film's frames and rate."""
    batch, number = entry.member.split("/")
    with _open(entry.video) as file:
        content = np.asarray(file["video_streams"][batch][int(number)], np.uint8).tobytes()
    with tempfile.NamedTemporaryFile(suffix=".mp4") as place:
        place.write(content)
        place.flush()
        return film_of(Source(Path(place.name)))


def _open(path: Path) -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError(f"{path}: reading HDF5 needs h5py: pip install 'vidworld[benchmarks]'") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: is no HDF5 file that can be read ({error})") from error


BENCHMARK = Benchmark(
    name="phyworld_hdf5",
    source="arXiv 2411.02385",
    layout=LAYOUT,
    reading=Reading(size_px=256, fps=10.0, window_frames=32, context_frames=(3,)),
    entries=entries,
    film=film,
)
