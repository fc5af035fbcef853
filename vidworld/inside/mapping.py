"""Maps of surprise and attention of every model, as shares and as pictures: to maps.json."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vidworld.analysis.inside import MapResults, MapRow, Strip
from vidworld.core.media import stacked, write_png
from vidworld.core.records import prepare_folder, provenance, write_json, writing
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.physics import models_of
from vidworld.inside.maps import Surprises, attention_of, looks_back, share_of_excess, surprises_of, visited
from vidworld.inside.probes import ratio_over
from vidworld.inside.probing import looked_into
from vidworld.inside.schema import InsideConfig
from vidworld.models.external import ExternalModel
from vidworld.models.states import cells_of
from vidworld.simulation.quadruplets import Quadruplets, quadruplets

LAWS_MAPPED = ("permanence", "collision", "momentum")
_SCALE = 2  # of pictures
_HEAT = (255.0, 70.0, 0.0)


def map_models(config: InsideConfig) -> MapResults:
    """Map every model of ours, and write maps.json and its pictures. Raises UserError."""
    prepare_folder(config.out / "media")
    looked, rows, strips = looked_into(config), [], []
    for name, model in looked.models.items():
        if name not in config.models or isinstance(model, ExternalModel):
            continue
        for law in LAWS_MAPPED:
            pairs = quadruplets(law, "id", 0, range(config.pairs), config.context_frames, config.shape)
            maps = surprises_of(model, looked.evaluator, pairs)
            read, even = share_of_excess(maps)
            rows.append(MapRow(name, "", -1, f"excess surprise near what {law} forbids", *read, even, len(maps.near)))
            if law == LAWS_MAPPED[0]:
                strips += list(_surprise_strips(config, name, law, pairs, maps))
        attention = _Attention(config, looked.evaluator, name, model)
        rows += list(attention.rows())
        strips += list(attention.strips())
    results = MapResults(1, provenance(config.seed), models_of(config.physics), rows, strips)
    write_json(config.out / "maps.json", asdict(results))
    return results


def heated(
    frame: UInt8[Tensor, "3 height width"], heat: Float[Tensor, "h w"], most: float
) -> UInt8[Tensor, "3 height width"]:
    """A picture with a map over it, as red as it is high: `most` is the reddest."""
    times = frame.shape[1] // heat.shape[0], frame.shape[2] // heat.shape[1]
    share = (heat / max(most, 1e-9)).clamp(0, 1).repeat_interleave(times[0], 0).repeat_interleave(times[1], 1)
    red = torch.tensor(_HEAT)[:, None, None]
    return torch.lerp(frame.float(), red.expand_as(frame), 0.8 * share).round().to(torch.uint8)


def save_strip(config: InsideConfig, title: str, file: str, picture: UInt8[Tensor, "3 height width"]) -> Strip:
    """What the page says of a picture, after writing it below the folder of the results."""
    with writing(config.out / file):
        write_png(config.out / file, picture, _SCALE)
    return Strip(title, file)


def _surprise_strips(config: InsideConfig, name: str, law: str, pairs: Quadruplets, maps: Surprises) -> Iterator[Strip]:
    """Every frame of the future, possible above and impossible below, the map of its chunk over it."""
    for number in range(min(config.shown, len(pairs))):
        most, rows = float(maps.impossible[number].max()), []
        for clips, heat in ((pairs.a, maps.possible), (pairs.b_then_a, maps.impossible)):
            future = clips.frames[number, config.context_frames - 2 :]
            each = future.shape[0] // heat.shape[1]
            drawn = [
                frame if i < 2 else heated(frame, heat[number, (i - 2) // each], most) for i, frame in enumerate(future)
            ]
            rows.append(torch.stack(drawn))
        title = f"{name}: surprise at a possible future (above) and an impossible one ({law}, quadruplet {number})"
        yield save_strip(config, title, f"media/surprise_{name}_{number}.png", stacked(rows))


class _Attention:
    """How a model looks from where a disc is hidden in the last frame back to where it was before."""

    def __init__(self, config: InsideConfig, evaluator: Evaluator, name: str, model: Any) -> None:
        self.config, self.name = config, name
        context = config.context_frames
        pairs = quadruplets("legacy_permanence", "id", 0, range(config.pairs), context - 1, config.shape)
        tracks = pairs.a.truth
        gone = (tracks.visible[:, context - 1, 0] == 0) & tracks.present[:, context - 1, 0]
        self.clips = [each.at(gone) for each in (pairs.a, pairs.b)]
        tracks = tracks.at(gone)
        chunk = evaluator.tokenizer.patch_size[0]
        encoded = [evaluator.encode(each).chunks(0, context // chunk) for each in self.clips]
        self.grid = encoded[0].tokens.shape[2], encoded[0].tokens.shape[3]
        with evaluator.accelerator.autocast():
            self.weights = [attention_of(model.network, each) for each in encoded]
        aspect = config.shape.height_px / config.shape.width_px
        self.cell = cells_of(tracks.position[:, context - 1, 0].float(), self.grid, aspect)
        first = tracks.between(0, context)
        counted = torch.zeros_like(first.present)
        counted[:, :, 0] = first.visible[:, :, 0] > 0.5
        self.was = visited(first, counted, self.grid, chunk, self.clips[0])

    def rows(self) -> Iterator[MapRow]:
        """Of each layer: the mean head, and the one that looks back most in half of the clips, in the other half."""
        even = float(self.was.flatten(1).float().mean())
        half = len(self.cell) // 2
        for layer in self.weights[0]:
            shares = [looks_back(weights[layer], self.cell, self.was) for weights in self.weights]
            head = int(shares[0][:half].mean(dim=0).argmax())
            for share, what in zip(shares, ("hidden disc", "the same, no disc"), strict=True):
                for number, each in ((-1, share.mean(dim=1)), (head, share[half:, head])):
                    read = ratio_over(each, torch.ones_like(each), torch.arange(len(each)))
                    yield MapRow(self.name, layer, number, f"attention to where it was: {what}", *read, even, len(each))

    def strips(self) -> Iterator[Strip]:
        """The last frame of each chunk, and over it the attention of the layer that looks back most."""
        shares = {layer: looks_back(w, self.cell, self.was).mean(dim=0) for layer, w in self.weights[0].items()}
        layer = max(shares, key=lambda each: float(shares[each].max()))
        head = int(shares[layer].argmax())
        for number in range(min(self.config.shown, len(self.cell))):
            rows = []
            for clips, weights in zip(self.clips, self.weights, strict=True):
                place = self.cell[number, 0] * self.grid[1] + self.cell[number, 1]
                heat = weights[layer][number, head, place].unflatten(0, (-1, *self.grid))
                frames = clips.frames[number, : self.config.context_frames].unflatten(0, (len(heat), -1))[:, -1]
                over = torch.stack([heated(frame, h, 0.15) for frame, h in zip(frames, heat, strict=True)])
                rows.append(torch.cat((frames, over)))
            title = (
                f"{self.name}: {layer}, head {head} looks from the hidden place back, with a disc (above) and without"
            )
            yield save_strip(self.config, title, f"media/attention_{self.name}_{number}.png", stacked(rows))
