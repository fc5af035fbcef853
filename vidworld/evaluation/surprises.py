"""Surprise of worlds over quads: every future after its own past and after the other's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips, Tracks
from vidworld.evaluation.bench import Bench
from vidworld.evaluation.schema import PhysicsConfig, ScoreConfig
from vidworld.metrics import METRICS
from vidworld.models.baselines import truth_surprise
from vidworld.models.generative import GenerativeModel
from vidworld.models.world_model import Encoded, Scorer
from vidworld.simulation.quadruplets import Quads, quads

Matrix = Float[ndarray, "quad 2 2 chunk"]
"""Surprise of future f after past p at [quad, p, f], chunk by chunk of the horizon."""


@dataclass(frozen=True)
class EncodedQuads:
    """A quad's four clips with their tokens, in the order of a matrix: (A, A then B, B then A, B)."""

    quads: Quads
    clips: tuple[Encoded, Encoded, Encoded, Encoded]

    @staticmethod
    def of(bench: Bench, quads: Quads) -> "EncodedQuads":
        """The possible clips are encoded and the others joined from their chunks: a splice lies between chunks.

        With a tokenizer that remembers, tokens after the splice would tell of the past that they were encoded after:
        then the spliced frames are encoded, as a world would meet them.
        """
        a, b = bench.encode(quads.a), bench.encode(quads.b)
        cut = bench.context_length

        def joined(first: Encoded, second: Encoded, clips: Clips) -> Encoded:
            # The world of the first clip is the one that was seen: its tracks are what a baseline extrapolates.
            spliced = replace(clips, tracks=first.clips.tracks)
            if bench.tokenizer.remembers:
                return bench.encode(spliced)
            return Encoded(spliced, torch.cat((first.tokens[:, :cut], second.tokens[:, cut:]), dim=1))

        return EncodedQuads(quads, (a, joined(a, b, quads.a_then_b), joined(b, a, quads.b_then_a), b))

    def stacked(self) -> Encoded:
        """The four clips of all quads as one batch: all A, all A then B, all B then A, all B."""
        tracks = [each.clips.tracks for each in self.clips if each.clips.tracks is not None]
        whole = None
        if len(tracks) == len(self.clips):
            whole = Tracks(
                **{name: torch.cat([vars(each)[name] for each in tracks]) for name in vars(tracks[0])}
            )
        clips = Clips(
            torch.cat([each.clips.frames for each in self.clips]),
            self.clips[0].clips.fps,
            sum((each.clips.identity for each in self.clips), ()),
            whole,
        )
        return Encoded(clips, torch.cat([each.tokens for each in self.clips]))

    def seeds(self, bench: Bench) -> list[int]:
        """One a clip of the stack: the clips of a quad share it."""
        return bench.seeds(self.quads.identity) * 4


def encoded_quads(
    bench: Bench, config: PhysicsConfig | ScoreConfig, law: str, split: str, numbers: Sequence[int]
) -> EncodedQuads:
    """The quads of these numbers that an evaluation asks for."""
    return EncodedQuads.of(
        bench, quads(law, split, config.seed, numbers, config.context_frames, config.shape)
    )


def as_matrix(surprise: Float[Tensor, "clip *rest"]) -> Float[ndarray, "quad 2 2 *rest"]:
    """Surprise of a stack of quads, by quad, past and future."""
    by_quad = surprise.unflatten(0, (4, -1)).transpose(0, 1).unflatten(1, (2, 2))
    matrix: ndarray = by_quad.double().cpu().numpy()
    return matrix


def surprise_of(bench: Bench, world: Scorer, encoded: EncodedQuads) -> Matrix:
    """The world's surprise at every future after every past."""
    with bench.accelerator.autocast():
        return as_matrix(world.surprise(encoded.stacked(), bench.context_length, encoded.seeds(bench)))


def surprise_of_truth(bench: Bench, encoded: EncodedQuads) -> Matrix:
    """The ceiling: the distance of each future from what the world of its past really did."""
    a, a_b, b_a, b = (each.tokens[:, bench.context_length :] for each in encoded.clips)
    return as_matrix(truth_surprise(torch.cat((a, a_b, b_a, b)), torch.cat((a, a, b, b))))


def level_task(level: float) -> str:
    """What the values at one noise level are called."""
    return f"noise level {level:g}"


def measure_levels(bench: Bench, world: GenerativeModel, encoded: EncodedQuads) -> Iterator[Value]:
    """Accuracy of the diffusion world's surprise at each of its noise levels alone, quad by quad.

    For a validation split: the levels are part of the metric, and choosing them on the test quads would flatter.
    """
    accuracy = METRICS["surprise_accuracy"]
    with bench.accelerator.autocast():
        by_level = world.surprise_by_level(encoded.stacked(), bench.context_length, encoded.seeds(bench))
    matrix = as_matrix(by_level)  # (quad, 2, 2, chunk, level)
    for number, level in enumerate(world.levels):
        place = (world.name, None, level_task(level), encoded.quads.law, "val", accuracy.name, accuracy.unit)
        values = accuracy.function(matrix[..., number]).tolist()
        for identity, value in zip(encoded.quads.identity, values, strict=True):
            yield Value(*place, identity, value, bench.seed)


def measure_surprise(matrix: Matrix, world: str, quads: Quads, split: str, bench: Bench) -> Iterator[Value]:
    """Every metric of surprise, quad by quad."""
    for metric in METRICS.values():
        if metric.takes != "surprise":
            continue
        for identity, value in zip(quads.identity, metric.function(matrix).tolist(), strict=True):
            yield Value(
                world,
                None,
                "surprise",
                quads.law,
                split,
                metric.name,
                metric.unit,
                identity,
                value,
                bench.seed,
            )
