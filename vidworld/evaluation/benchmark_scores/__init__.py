"""Scores of benchmarks whose films are continued, one file a benchmark; `SCORES` is what eval/score_benchmark.py reads.

Those whose films are possible or not are scored by surprise (violations.py).
"""

from vidworld.evaluation.benchmark_scores import morpheus, physics_iq, physion, phyworld
from vidworld.evaluation.benchmark_scores.films import FilmScore

SCORES: dict[str, FilmScore] = {
    "physics_iq": physics_iq.SCORE,
    "physion": physion.SCORE,
    "phyworld_hdf5": phyworld.SCORE,
    "morpheus": morpheus.SCORE,
}
UNSCORED = {
    "clevrer": "its score is of answers to questions in words, which no world gives; its films can be trained on",
    "lerobot": "is a source of films to train on (vidworld data ingest), and has no score",
    "webdataset": "is a source of films to train on (vidworld data ingest), and has no score",
}
"""Why a benchmark has no score here."""

__all__ = ["SCORES", "UNSCORED", "FilmScore"]
