"""stable-worldmodel: our models as the cost of its planners, and its LeWM as a `python:` model of ours.

Neither imports that package, which has an environment of its own: docs/stable_worldmodel.md. Written against 0.1.1.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips, Frames
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import evaluation_accelerator, evaluator_of, model_of
from vidworld.evaluation.presentation import names_of
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.planning.imagination import bare, imagine, in_its_space
from vidworld.simulation.environments.environment import FRAME_S

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, by which LeWM's pictures are scaled
_SIDE_PX = 224  # of its pictures


class CostModel:
    """A model that was trained here, as what stable-worldmodel's solvers ask: `CEMSolver(CostModel(run, tokenizer))`.

    The cost is the squared distance of the last imagined chunk from the goal's picture, standing still, in the space
    that the model predicts in. A step of its horizon is one of our chunks, so that `action_block` is the chunk's
    frames. Actions beyond [-1, 1] cost what those at the bounds do.
    """

    def __init__(self, run: str, tokenizer: str, probe: str | None = None, sampling_steps: int = 1) -> None:
        """run, tokenizer: run folders. probe: that of a JEPA's own embeddings. Raises UserError."""
        config = PhysicsConfig(
            out=Path(), models={"model": run}, compare=(), tokenizer=Path(tokenizer),
            probes={} if probe is None else {"model": Path(probe)}, shape=ClipShape(num_frames=16), oracle=False,
            sampling_steps=sampling_steps,
        )  # fmt: skip
        self.evaluator = evaluator_of(config, evaluation_accelerator())
        self.model = bare(model_of(config, config.specs[0], self.evaluator).model)
        self.chunk_frames = self.evaluator.tokenizer.patch_size[0]

    def get_cost(
        self, info_dict: dict[str, Any], action_candidates: Float[Tensor, "env candidate step action"]
    ) -> Float[Tensor, "env candidate"]:
        """Of `info_dict`, whose tensors have an axis of candidates, `pixels` and `goal` are looked at.

        Pictures are uint8 with channels last, or first, or in [0, 1]. Raises UserError: others, or an action_block
        that is no chunk.
        """
        per_frame, left = divmod(action_candidates.shape[-1], self.chunk_frames)
        if left:
            raise UserError(
                f"a step holds one action for each frame of a chunk; action_block={self.chunk_frames} would do"
            )
        frames = _frames(info_dict["pixels"])
        missing = frames[:, :1].expand(-1, -frames.shape[1] % self.chunk_frames, -1, -1, -1)
        frames = torch.cat((missing, frames), dim=1)
        rest = torch.zeros(*frames.shape[:2], per_frame)
        goal = _frames(info_dict["goal"])[:, -1:].expand(-1, self.chunk_frames, -1, -1, -1)
        encode, names = self.evaluator.encode, tuple(names_of(frames))
        wanted = in_its_space(self.model, self.evaluator, encode(Clips(goal, 1 / FRAME_S, names)).tokens)
        context = encode(Clips(frames, 1 / FRAME_S, names, actions=rest))
        done = action_candidates.clamp(-1, 1).float()
        imagined = imagine("model", self.model, self.evaluator, context, done).embeddings[:, :, -1:]
        apart: Tensor = (imagined - wanted[:, None].to(imagined)).square().mean(dim=(2, 3, 4, 5))
        return apart.to(action_candidates)

    criterion = get_cost


def _frames(pictures: Tensor) -> Frames:
    """Those of the first candidate, which all share: uint8 (env, time, 3, height, width)."""
    shared = torch.as_tensor(pictures)[:, 0]
    shared = shared.movedim(-1, -3) if shared.shape[-1] == 3 else shared
    if shared.is_floating_point():
        if not 0 <= float(shared.amin()) <= float(shared.amax()) <= 1:
            raise UserError("pictures are scaled by more than 1/255; a WorldModelPolicy without transform would do")
        shared = (shared * 255).round().to(torch.uint8)
    return shared.cpu()


class LeWorldModel:
    """LeWM as a model of ours: it is surprised, and its own cost plans (a protocol with `cost: model`).

    It imagines embeddings and no pictures. A subclass of `python:` says in `__init__` which weights are meant.
    """

    def __init__(self, lewm: Any, action_block: int, transform: Callable[[Tensor], Tensor] | None = None) -> None:
        """lewm: stable_worldmodel.wm.lewm.LeWM, or what has its encode, predict and get_cost.

        action_block: frames from one picture that it sees to the next, with the actions in between. transform: from
        pictures in [0, 1] to what it was trained on; by default 224 px and ImageNet's scale.
        """
        self.lewm, self.action_block, self.transform = lewm.eval(), action_block, transform or _as_trained

    def surprise(self, clips: Clips, context_frames: int, seeds: Sequence[int]) -> Float[Tensor, "clip frame"]:
        """Squared error of the embedding that it predicts of each picture; frames between two have the later one's.

        Those after the last whole step have the last one's. UserError: clips without actions, or too few frames.
        """
        block, count = self.action_block, (clips.frames.shape[1] - 1) // self.action_block
        if clips.actions is None or count < 1:
            raise UserError(f"LeWM needs actions and more than {block} frames")
        pictures = self._pictures(clips.frames[:, ::block][:, : count + 1])
        done = clips.actions[:, 1 : count * block + 1].unflatten(1, (count, block)).flatten(2).float()
        seen = self.lewm.encode({"pixels": pictures, "action": F.pad(done, (0, 0, 0, 1))})
        history, errors = getattr(self.lewm.predictor, "num_frames", 3), []
        for step in range(count):
            past = slice(max(0, step + 1 - history), step + 1)
            predicted = self.lewm.predict(seen["emb"][:, past], seen["act_emb"][:, past])[:, -1]
            errors.append((predicted - seen["emb"][:, step + 1]).square().mean(dim=-1))
        frames = torch.arange(context_frames, clips.frames.shape[1])
        return torch.stack(errors, dim=1)[:, ((frames - 1) // block).clamp(0, count - 1)].float()

    def cost(
        self, context: Clips, goal: Frames, actions: Float[Tensor, "clip candidate frame action"]
    ) -> Float[Tensor, "clip candidate"]:
        """Its own cost of what is done from the context's last frame on. UserError: actions are no whole steps."""
        clips, candidates, frames, _ = actions.shape
        if frames % self.action_block:
            raise UserError(f"LeWM plans in steps of {self.action_block} frames, not {frames} in all")
        done = actions.unflatten(2, (-1, self.action_block)).flatten(3).float()
        shared = {"pixels": self._pictures(context.frames[:, -1:]), "goal": self._pictures(goal[:, -1:])}
        info = {name: each[:, None].expand(-1, candidates, *[-1] * 4) for name, each in shared.items()}
        info["action"] = done[:, :, :1]
        # One clip at a time: its criterion lays a goal over the candidates, which only one goal fits.
        each = ({name: value[i : i + 1] for name, value in info.items()} for i in range(clips))
        costs: Tensor = torch.cat([self.lewm.get_cost(one, done[i : i + 1]) for i, one in enumerate(each)])
        return costs

    def _pictures(self, frames: Frames) -> Float[Tensor, "clip time 3 h w"]:
        device = next(self.lewm.parameters()).device
        pictures: Tensor = self.transform(frames.flatten(0, 1).float() / 255)
        by_clip: Tensor = pictures.unflatten(0, frames.shape[:2]).to(device)
        return by_clip


def _as_trained(pictures: Float[Tensor, "picture 3 height width"]) -> Float[Tensor, "picture 3 h w"]:
    large = F.interpolate(pictures, size=(_SIDE_PX, _SIDE_PX), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    return (large - mean) / std
