"""Videos of episodes: what happened, what the agent had imagined of it, and the goal, side by side."""

from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from tqdm import tqdm

from vidworld.analysis.planning import PlanningVideo
from vidworld.core.media import write_mp4
from vidworld.core.records import prepare_folder, writing
from vidworld.evaluation.task import SCALE, media_name
from vidworld.planning.agents import Decision, Observed, PlannerAgent
from vidworld.planning.episodes import Arena, play
from vidworld.planning.imagination import ModelImagination
from vidworld.planning.protocol import PlanningProtocol

VIDEOS_VERSION = 1  # raised when videos come to look otherwise
_GAP_PX = 2


def write_video(arena: Arena, agent: PlannerAgent, number: int, folder: Path) -> PlanningVideo | None:
    """What the page says of an episode, after writing its video below the folder; None where the environment dies.

    Raises ModelFailure.
    """
    decisions: list[tuple[Observed, Decision]] = []
    whole: list[Observed] = []

    def watch(seen: Observed, decision: Decision | None) -> None:
        if decision is None:
            whole.append(seen)
        else:
            decisions.append((seen, decision))

    (episode,) = play(arena, agent, [number], watch)
    environment, protocol, _ = arena
    if not whole:
        tqdm.write(f"{episode.failed or environment.name}: the video of episode {number} by {agent.name} is left out")
        return None
    name = f"media/{media_name(environment.name)}_{protocol.hash}_{agent.name}_{number}.mp4"
    prepare_folder(folder / "media")
    with writing(folder / name):
        write_mp4(folder / name, _beside(agent, protocol, decisions, whole[0]), environment.fps, scale=SCALE)
    return PlanningVideo(environment.name, protocol.hash, agent.name, number, episode.ever, name)


def _beside(
    agent: PlannerAgent, protocol: PlanningProtocol, decisions: list[tuple[Observed, Decision]], end: Observed
) -> UInt8[Tensor, "time 3 height width"]:
    """The columns: what happened, what was imagined (of a model), the goal (where it has a picture)."""
    happened = end.frames[0]
    columns = [happened]
    if isinstance(agent.imagination, ModelImagination) and agent.imagination.shows:
        imagined = [decisions[0][0].frames[0]]  # the context is seen
        for seen, decision in decisions:
            executed = decision.actions[:, : protocol.execute_blocks]
            imagined.append(agent.imagination.frames(seen, executed)[0])
        columns.append(torch.cat(imagined)[: len(happened)])
    if end.goal.picture is not None:
        columns.append(end.goal.picture[0].expand_as(happened))
    line = happened.new_full((*happened.shape[:3], _GAP_PX), 230)
    return torch.cat([part for column in columns for part in (column, line)][:-1], dim=-1)
