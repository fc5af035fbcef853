"""A video keeps its split for ever: it follows from the video's own content, and from nothing else."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import made_videos
import numpy as np
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from padded_videos import of_split

from vidworld.core.records import fingerprint
from vidworld.video.clips import ClipOptions
from vidworld.video.folder import sources_of
from vidworld.video.ingest import ingest
from vidworld.video.source import REAL_SHARE, VAL_SHARE, Source, content_of, split_of, splits_by_content

OPTIONS = ClipOptions(size_px=16, num_frames=4, stride=4)


def splits_in(folder: Path) -> dict[str, str]:
    """The split of every video of a folder."""
    sources = sources_of(folder)
    return splits_by_content(sources, {name: content_of(source) for name, source in sources.items()})


NAMES = st.from_regex(r"[a-d]{1,3}(/[a-d]{1,2})?\.mp4", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(min_size=1, max_size=8), min_size=1, max_size=12), st.data())
@settings(max_examples=50)
def test_other_videos_and_names_never_change_a_split(videos: dict[str, bytes], data: st.DataObject) -> None:
    """Some videos go, others come, all that stay get other names."""
    stay = data.draw(st.lists(st.sampled_from(sorted(videos)), unique=True, min_size=1))
    more = data.draw(st.lists(st.binary(min_size=1, max_size=8), max_size=6))
    by_content: list[dict[bytes, str]] = []
    renamed = {f"z{i}.mp4": videos[name] for i, name in enumerate(stay)}
    others = {f"new{i}.mp4": content for i, content in enumerate(more)}
    for those in (videos, renamed | others):
        with TemporaryDirectory() as folder:
            for name, content in those.items():
                (Path(folder) / name).parent.mkdir(exist_ok=True)
                (Path(folder) / name).write_bytes(content)
            splits = splits_in(Path(folder))
        assert splits.keys() == those.keys()
        by_content.append({content: splits[name] for name, content in those.items()})
        assert all(splits[name] == by_content[-1][content] for name, content in those.items())  # doubles, too
    before, after = by_content
    assert all(after[content] == before[content] for content in before.keys() & after.keys())


def test_splits_have_their_shares() -> None:
    splits = [split_of(str(i)) for i in range(4000)]
    shares = {split: splits.count(split) / len(splits) for split in set(splits)}
    assert abs(shares["real"] - REAL_SHARE) < 0.03 and abs(shares["val"] - VAL_SHARE) < 0.03
    assert set(shares) == {"train", "val", "real"}


def test_a_group_has_one_split_in_the_same_shares() -> None:
    sources = {f"{k}/{i}": Source(Path(), group=str(k)) for k in range(2000) for i in range(3)}
    contents = {name: fingerprint(name) for name in sources}
    splits = splits_by_content(sources, contents)
    assert all(len({splits[f"{k}/{i}"] for i in range(3)}) == 1 for k in range(2000))
    held_out = sum(splits[f"{k}/0"] == "real" for k in range(2000)) / 2000
    assert abs(held_out - REAL_SHARE) < 0.04


def test_a_file_is_known_by_all_of_its_bytes(tmp_path: Path) -> None:
    """Also by those in the middle of a large one."""
    path = tmp_path / "a.avi"
    content = bytearray(5 * 2**20)
    path.write_bytes(content)
    before = content_of(Source(path))
    content[len(content) // 2] = 1
    path.write_bytes(content)
    assert content_of(Source(path)) != before


def test_a_member_of_a_tar_file_is_known_by_its_own_bytes(tmp_path: Path) -> None:
    one = samples.write_shard(tmp_path / "one.tar", ["a"])
    two = samples.write_shard(tmp_path / "two.tar", ["renamed", "b"])
    content = content_of(Source(one, "a.mp4"))
    assert content is not None and content == content_of(Source(two, "renamed.mp4"))
    assert content != content_of(Source(two, "b.mp4"))
    assert content_of(Source(two, "a.mp4")) is None


def test_a_stretch_is_known_by_its_own_packets(tmp_path: Path) -> None:
    """Where another episode follows it in the file, or comes before it, it is the same."""
    for name, seed in (("first", 1), ("second", 2)):
        samples.recording(tmp_path / f"{name}.mp4", seed)
    alone = content_of(Source(tmp_path / "first.mp4", span_s=(0.0, 12 / 30)))
    assert alone is not None
    after = joined(tmp_path / "after.mp4", tmp_path / "first.mp4", tmp_path / "second.mp4")
    before = joined(tmp_path / "before.mp4", tmp_path / "second.mp4", tmp_path / "first.mp4")
    assert content_of(Source(after, span_s=(0.0, 12 / 30))) == alone
    assert content_of(Source(before, span_s=(12 / 30, 24 / 30))) == alone
    assert content_of(Source(after, span_s=(12 / 30, 24 / 30))) != alone
    assert content_of(Source(after, span_s=(5.0, 6.0))) is None


def joined(path: Path, *parts: Path) -> Path:
    """The packets of several videos in one, as LeRobot v3 joins episodes."""
    with av.open(str(path), "w") as out:
        stream, offset = None, 0
        for part in parts:
            with av.open(str(part)) as container:
                if stream is None:
                    stream = out.add_stream_from_template(container.streams.video[0])
                for packet in container.demux(container.streams.video[0]):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                        packet.stream = stream
                        time_base = packet.time_base
                        out.mux(packet)
                offset += round(12 / 30 / time_base)
    return path


def test_what_cannot_be_read_has_no_content(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    assert content_of(Source(tmp_path / "none.mp4")) is None
    assert content_of(Source(tmp_path / "text.mp4", "member.mp4")) is None
    assert content_of(Source(tmp_path / "text.mp4", span_s=(0.0, 1.0))) is None
    sound = made_videos.write_sound(tmp_path / "sound.mp4")
    assert content_of(Source(sound, span_s=(0.0, 1.0))) is None


def test_ingesting_again_with_other_videos_names_and_events_keeps_every_split(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    for i, split in enumerate(("train", "real", "val")):
        made = made_videos.write(folder / f"{i}.mp4", made_videos.recording(np.arange(30) / 30, seed=i))
        of_split(split, made)
    first = {one.file: one.split for one in ingest(folder, tmp_path / "out", OPTIONS).files}
    assert first == {"0.mp4": "train", "1.mp4": "real", "2.mp4": "val"}
    (folder / "0.mp4").rename(folder / "renamed.mp4")
    (folder / "2.mp4").unlink()
    shutil.copy(folder / "1.mp4", folder / "9_double.mp4")
    made_videos.write(folder / "another.mp4", made_videos.recording(np.arange(30) / 30, seed=7))
    lines = ['{"file": "renamed.mp4", "event": "fall"}', '{"file": "1.mp4", "event": "fall"}']
    (folder / "clips.jsonl").write_text("\n".join(lines))
    made = ingest(folder, tmp_path / "out", OPTIONS)
    again = {one.file: one.split for one in made.files}
    assert again.pop("another.mp4") in ("train", "val", "real")
    assert again == {"renamed.mp4": "train", "1.mp4": "real"}
    assert [one.file for one in made.set_aside] == ["9_double.mp4"]
