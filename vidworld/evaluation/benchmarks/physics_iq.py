"""Physics-IQ, original and verified: filmed experiments from three sides, in one take or two.

Source: Motamed et al. 2025 (arXiv 2501.09038) and its code. A world is given what comes before the switch frame (3 s)
and predicts the 5 s of the testing film, at 30 frames a second or those that it can.
"""

import re
from pathlib import Path

from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading

CONTEXT_S, HORIZON_S = 3.0, 5.0
NAME = re.compile(
    r"(?P<number>\d{4})_(?P<kind>[a-z-]+)_(?:\d+|any)FPS_perspective-(?P<side>left|center|right)"
    r"(?:_take-(?P<take>\d))?_(?P<scene>.+)\.(?:mp4|jpg)"
)
LAYOUT = """\
FOLDER/
  full-videos/take-1/30FPS/0001_full-videos_30FPS_perspective-left_take-1_trimmed-NAME.mp4    (take-2: original only)
  split-videos/testing/30FPS/0001_testing-videos_30FPS_perspective-left_take-1_trimmed-NAME.mp4
  switch-frames/0001_switch-frames_anyFPS_perspective-left_trimmed-NAME.jpg                  (_take-1_ in the original)
  video-masks/real/30FPS/0001_video-masks_30FPS_perspective-left_take-1_trimmed-NAME.mp4
Names end alike: number, side, take and experiment."""
FOLDERS = {
    "full-videos": "full-videos/take-{take}/30FPS",
    "testing-videos": "split-videos/testing/30FPS",
    "video-masks": "video-masks/real/30FPS",
}


def entries(folder: Path) -> list[Entry]:
    """Every take of every side of every experiment of which any file is there; a group is one side of one."""
    takes: dict[tuple[str, str, str, str], None] = {}
    frames: dict[tuple[str, str, str], Path] = {}
    places = ["full-videos/*/30FPS", "split-videos/testing/30FPS", "video-masks/real/30FPS", "switch-frames"]
    for path in (path for place in places for path in sorted(folder.glob(f"{place}/*"))):
        if fits := NAME.fullmatch(path.name):
            key = (fits["number"], fits["side"], fits["scene"])
            takes.setdefault((*key, fits["take"] or "1"))
            if fits["kind"] == "switch-frames":
                frames[key] = path
    found = []
    for number, side, scene, take in sorted(takes):
        ending = f"30FPS_perspective-{side}_take-{take}_{scene}.mp4"
        files = {
            kind: folder / place.format(take=take) / f"{number}_{kind}_{ending}"
            for kind, place in FOLDERS.items()
        }
        switch_start = folder / "switch-frames" / f"{number}_switch-frames_anyFPS_perspective-{side}"
        original = switch_start.with_name(f"{switch_start.name}_take-{take}_{scene}.jpg")
        verified = switch_start.with_name(f"{switch_start.name}_{scene}.jpg")
        usual = verified if any("_take-" not in path.name for path in frames.values()) else original
        switch = frames.get((number, side, scene), usual)
        needs = (files["full-videos"], files["video-masks"], switch)
        identity = f"{scene}/{side}/take-{take}"
        found.append(Entry(identity, scene, f"{scene}/{side}", True, files["testing-videos"], needs))
    return found


BENCHMARK = Benchmark(
    name="physics_iq",
    source="arXiv 2501.09038",
    layout=LAYOUT,
    reading=Reading(size_px=256, fps=30.0, square="squeezed"),
    entries=entries,
)
