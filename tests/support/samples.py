"""Tiny made-up samples of every benchmark, in its own layout: a few pictures of a disc that moves."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

SIZE = 32


def frames(seed: int, count: int = 12) -> np.ndarray:
    """`count` pictures (time height width 3) of a disc that moves right."""
    pictures = np.full((count, SIZE, SIZE, 3), 200, np.uint8)
    for k in range(count):
        cv2.circle(pictures[k], (5 + k % 24, 8 + 3 * (seed % 5)), 4, (200, 40, 40), -1)
    return pictures


def video_bytes(seed: int, count: int = 12, fps: int = 30) -> bytes:
    return as_mp4(frames(seed, count), fps)


def as_mp4(pictures: np.ndarray, fps: int) -> bytes:
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "10", "preset": "ultrafast"}
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return content.getvalue()


def recording(path: Path, seed: int = 0, count: int = 12, fps: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(video_bytes(seed, count, fps))


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def intphys(folder: Path, labelled: bool = True, count: int = 12) -> Path:
    """The file that is taken away to see whether it is missed; so for all."""
    for block in ("O1", "O2", "O3"):
        for video_number in range(1, 5):
            place = folder / block / "0001" / str(video_number)
            (place / "scene").mkdir(parents=True)
            for k, picture in enumerate(frames(video_number, count), start=1):
                cv2.imwrite(str(place / "scene" / f"scene_{k:03d}.png"), picture[..., ::-1])
            if labelled:
                text(place / "status.json", json.dumps({"header": {"is_possible": video_number <= 2}}))
    return folder / "O2" / "0001" / "3" / "scene" / "scene_005.png"


def intphys2(folder: Path) -> Path:
    lines = ["name,file_name,type,condition,SceneIndex,game_name"]
    for k, kind in enumerate(("1_Possible", "1_Impossible", "2_Possible", "2_Impossible")):
        recording(folder / "Videos" / f"a{k}.mp4", k)
        lines.append(f"a{k},Videos/a{k}.mp4,{kind},permanence,7,x")
    text(folder / "metadata.csv", "\n".join(lines) + "\n")
    return folder / "Videos" / "a2.mp4"


def grasp(folder: Path) -> Path:
    for kind in ("P", "IP"):
        for name in ("Collision", "Gravity"):
            for k in range(2):
                recording(folder / f"{kind}_{name}" / f"{k}.mp4", k)
    return folder / "IP_Gravity" / "1.mp4"


def inflevel(folder: Path) -> Path:
    lines = ["vid1_path,vid2_path,vid1_label,vid1_end_priming_2,vid2_end_priming_2"]
    recording(folder / "continuity" / "a.mp4", 0, 20)
    recording(folder / "continuity" / "b.mp4", 1, 22)
    lines.append("continuity/a.mp4,continuity/b.mp4,impossible,3,4")
    text(folder / "continuity.csv", "\n".join(lines) + "\n")
    return folder / "continuity" / "b.mp4"


def physics_iq(
    folder: Path, count: int = 12, sides: tuple[str, ...] = ("left", "center", "right"), testing: int = 12
) -> Path:
    """As its authors describe and number it: switch frames are of first takes, and do not say so."""
    pictures = frames(0, count)
    for number, side in enumerate(sides, start=1):
        for take in (1, 2):
            name = f"perspective-{side}_take-{take}_trimmed-ball"
            digits = f"{number + 198 * (take - 1):04d}"
            for place, kind, shown in (
                (f"full-videos/take-{take}", "full-videos", pictures),
                ("split-videos/testing", "testing-videos", pictures[-testing:]),
                ("video-masks/real", "video-masks", pictures[-testing:]),
            ):
                file = folder / place / "30FPS" / f"{digits}_{kind}_30FPS_{name}.mp4"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(as_mp4(shown, 30))
        frame = folder / f"switch-frames/{number:04d}_switch-frames_anyFPS_perspective-{side}_trimmed-ball.jpg"
        frame.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(frame), pictures[0])
    place = folder / "split-videos" / "testing" / "30FPS"
    return place / "0200_testing-videos_30FPS_perspective-center_take-2_trimmed-ball.mp4"


def physion(folder: Path, each: int = 2, count: int = 12) -> Path:
    lines = ["stimulus,touches"]
    for scenario in ("Collide", "Drop"):
        for k in range(each):
            recording(folder / scenario / "mp4s-redyellow" / f"pilot_{scenario}_{k:04d}_img.mp4", k % 2, count)
            lines.append(f"pilot_{scenario}_{k:04d},{bool(k % 2)}")
    text(folder / "labels.csv", "\n".join(lines) + "\n")
    return folder / "Drop" / "mp4s-redyellow" / "pilot_Drop_0001_img.mp4"


def clevrer(folder: Path) -> Path:
    for k in (10000, 10001):
        recording(folder / "video_10000-11000" / f"video_{k}.mp4")
        note = {"scene_index": k, "collision": [{"object_ids": [0, 2], "frame_id": 7, "location": [0, 0, 0]}]}
        text(folder / "annotation_10000-11000" / f"annotation_{k}.json", json.dumps(note))
    return folder / "annotation_10000-11000" / "annotation_10001.json"


def phyworld_hdf5(folder: Path) -> Path:
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    for law in ("uniform_motion", "parabola", "collision"):
        balls = 2 if law == "collision" else 1
        with h5py.File(folder / f"{law}_eval.hdf5", "w") as file:
            places = np.full((3, 12, balls, 2), 7.0)
            places[..., 0, 0] = np.linspace(1, 8, 12)
            if law == "collision":  # the first stops where it meets the second, which goes on
                step = np.arange(12)
                places[..., 0, 0] = 1.5 + 0.4 * np.minimum(step, 8)
                places[..., 1, 0] = 6.7 + 0.4 * np.maximum(0, step - 8)
            file["position_streams/00000"] = places
            file["init_streams/00000"] = np.ones((3, 2 * balls))
            recordings = file.create_dataset("video_streams/00000", (3,), h5py.vlen_dtype(np.uint8))
            for k in range(3):
                recordings[k] = np.frombuffer(as_mp4(discs(places[k]), 30), np.uint8)
    return folder / "parabola_eval.hdf5"


def discs(places: np.ndarray) -> np.ndarray:
    """Pictures of a red disc and a blue one at places in a world of 10 x 10, y upwards."""
    pictures = np.full((len(places), SIZE, SIZE, 3), 200, np.uint8)
    for picture, balls in zip(pictures, places, strict=True):
        for (x, y), color in zip(balls, ((200, 40, 40), (40, 40, 200)), strict=False):
            x, y, radius = (round(16 * SIZE * length / 10) for length in (x, 10 - y, 1.0))
            cv2.circle(picture, (x - 8, y - 8), radius, color, -1, cv2.LINE_AA, shift=4)
    return pictures


def morpheus(folder: Path, count: int = 12, fps: int = 30) -> Path:
    for experiment in ("falling_ball", "pendulum"):
        place = folder / "real-world-cropped" / experiment / "take_1"
        recording(place / "cropped_video.mp4", 0, count, fps)
        text(place / "info.json", "{}")
    return folder / "real-world-cropped" / "pendulum" / "take_1" / "cropped_video.mp4"


def _lerobot_info(folder: Path, version: str, data: str, video: str) -> None:
    features = {"observation.images.top": {"dtype": "video"}, "action": {"dtype": "float32"}}
    info = {"codebase_version": version, "fps": 30, "features": features, "chunks_size": 1000}
    text(folder / "meta" / "info.json", json.dumps(info | {"data_path": data, "video_path": video}))


def lerobot(folder: Path) -> Path:
    """Format v2.1."""
    data = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    video = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    _lerobot_info(folder, "v2.1", data, video)
    rows = [json.dumps({"episode_index": k, "length": 12}) for k in range(2)]
    text(folder / "meta" / "episodes.jsonl", "\n".join(rows) + "\n")
    for k in range(2):
        text(folder / f"data/chunk-000/episode_{k:06d}.parquet", "not looked into")
        recording(folder / f"videos/chunk-000/observation.images.top/episode_{k:06d}.mp4", k)
    return folder / "videos/chunk-000/observation.images.top/episode_000001.mp4"


def lerobot_v3(folder: Path) -> Path:
    """Two episodes, of 12 and 8 frames, in one video."""
    import pyarrow
    from pyarrow import parquet

    data = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    video = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    _lerobot_info(folder, "v3.0", data, video)
    camera = "videos/observation.images.top"
    rows = [
        {"episode_index": k, "data/chunk_index": 0, "data/file_index": 0}
        | {f"{camera}/chunk_index": 0, f"{camera}/file_index": 0}
        | {f"{camera}/from_timestamp": start / 30, f"{camera}/to_timestamp": stop / 30}
        for k, (start, stop) in enumerate(((0, 12), (12, 20)))
    ]
    place = folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    place.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), place)
    text(folder / "data/chunk-000/file-000.parquet", "not looked into")
    recording(folder / f"{camera}/chunk-000/file-000.mp4", 0, 20)
    return folder / "data/chunk-000/file-000.parquet"


def webdataset(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(3):
        write_shard(folder / f"clips-{shard:06d}.tar", [f"{shard}{k}" for k in range(2)], 12 + shard)
    return folder / "clips-000001.tar"


def write_shard(path: Path, keys: Sequence[str], count: int = 12) -> Path:
    """A tar file with a video and its JSON for each key."""
    with tarfile.open(path, "w") as archive:
        for k, key in enumerate(keys):
            for suffix, content in (("mp4", video_bytes(k, count)), ("json", b"{}")):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


SAMPLES = {
    "intphys": intphys,
    "intphys2": intphys2,
    "grasp": grasp,
    "inflevel": inflevel,
    "physics_iq": physics_iq,
    "physion": physion,
    "clevrer": clevrer,
    "phyworld_hdf5": phyworld_hdf5,
    "morpheus": morpheus,
    "lerobot": lerobot,
    "webdataset": webdataset,
}
