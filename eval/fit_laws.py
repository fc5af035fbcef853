"""Fit laws of motion to real videos: python eval/fit_laws.py FOLDER --out runs/laws."""

import argparse
from pathlib import Path

from vidworld.core.errors import ArgumentParser, run_script
from vidworld.video.sidecar import sidecar_help
from vidworld.video_laws.fit import FIT_RECORD_NAME, fit_summary, fit_videos


def main() -> None:
    how = argparse.RawDescriptionHelpFormatter
    parser = ArgumentParser(description=__doc__, formatter_class=how, epilog=sidecar_help())
    add = parser.add_argument
    add("folder", type=Path, help="videos and their clips.jsonl, whose `event` names the law (see below)")
    add("--out", type=Path, required=True, help="the folder to write videos.jsonl in")
    add("--sidecar", type=Path, help="default: clips.jsonl in the folder")
    arguments = parser.parse_args()
    videos = list(fit_videos(arguments.folder, arguments.out, arguments.sidecar))
    print(fit_summary(videos))
    fitted = sum(video.why_none is None for video in videos)
    print(f"{arguments.out / FIT_RECORD_NAME}: {fitted} of {len(videos)} videos fitted")


if __name__ == "__main__":
    run_script(main)
