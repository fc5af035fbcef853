"""Fits laws of motion to real films: python eval/fit_laws.py FOLDER --out runs/laws."""

from pathlib import Path

from vidworld.core.errors import ArgumentParser, run_script
from vidworld.video_laws.fit import FIT_RECORD_NAME, fit_films, fit_summary


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="films and their clips.jsonl, whose `event` names the law")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write films.jsonl in")
    parser.add_argument("--sidecar", type=Path, help="default: clips.jsonl in the folder")
    arguments = parser.parse_args()
    films = list(fit_films(arguments.folder, arguments.out, arguments.sidecar))
    print(fit_summary(films))
    fitted = sum(film.why_none is None for film in films)
    print(f"{arguments.out / FIT_RECORD_NAME}: {fitted} of {len(films)} films fitted")


if __name__ == "__main__":
    run_script(main)
