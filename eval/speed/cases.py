"""What is measured: a case is one amount of work, done by us and by what a user would take instead."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from speed import peers
from speed.timing import Job, Probe, block_products, memory_copy
from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.hardware import precision, product_dtype
from vidworld.core.media import write_mp4
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel, flow_loss, shifted
from vidworld.models.families import DiffusionConfig
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.schema import OptimiserConfig, TokenizerModel
from vidworld.models.tokenizers.autoencoder import Autoencoder
from vidworld.models.world_model import Encoded
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips
from vidworld.training.optimiser import make_optimisers
from vidworld.video.decode import open_video, read

FRAMES, SIDE_PX, CHUNKS, CONTEXT = 16, 64, 4, 2
"""A clip of the demo: its frames, its side, its chunks, and how many of these are given."""
GRID = (8, 8)
CELLS = math.prod(GRID)
CHANNELS = TokenizerModel.channels
THEIR_FRAMES = 13
"""Of a clip's 16 for autoencoders that take the first frame by itself and then four at a time: they have less to do."""

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Case:
    """One amount of work."""

    name: str
    unit: str
    amount: int
    """Of the unit's things in one job."""
    ours: Job
    peers: dict[str, Job] = field(default_factory=dict)
    limit: Probe | None = None
    """What shows the machine's rate at what our job needs most of."""
    needed: float = 0.0
    """How much of it our job needs at the least: floating-point operations of its matrix products, or bytes moved."""


class Size(NamedTuple):
    """The size of a world, as in configs/."""

    name: str
    width: int
    depth: int
    heads: int

    def diffusion(self, device: torch.device, **more: Any) -> DiffusionTransformer:
        network: DiffusionTransformer = DiffusionTransformer(CHANNELS, self.width, self.depth, self.heads, **more)
        return placed(network, device)

    def jepa(self, device: torch.device, **more: Any) -> JointEmbeddingPredictor:
        form = (self.width, self.depth // 3, self.depth * 2 // 3, self.heads)
        network: JointEmbeddingPredictor = JointEmbeddingPredictor(CHANNELS, *form, **more)
        return placed(network, device)


def placed(network: Network, device: torch.device) -> Network:
    nn.Module.to(network, device)
    return network


def diffusion_loss(network: nn.Module, tokens: Tensor) -> Tensor:
    """What the diffusion world is trained on, noise and its levels drawn."""
    chunks = tokens[:, 1:]
    level = shifted(torch.rand(chunks.shape[:2], device=tokens.device), DiffusionConfig.shift)
    return flow_loss(network, tokens, torch.randn_like(chunks), level)


DEMO, BASE = Size("demo", 128, 6, 4), Size("base", 384, 12, 12)


def training_cases(size: Size, clips: int, device: torch.device, compiled: bool) -> list[Case]:
    """A training step of each world: loss, gradient, clipping, optimisers, average; ours compiled where asked."""
    tokens = torch.randn(clips, CHUNKS, *GRID, CHANNELS, device=device)
    frames = torch.rand(clips, FRAMES - 4, 3, SIDE_PX, SIDE_PX, device=device)
    diffusion, jepa = size.diffusion(device), size.jepa(device)
    transformer = peers.VideoTransformer(CHANNELS, size.width, size.depth, size.heads, (CHUNKS - 1, *GRID))
    depths = len(jepa.encoder), len(jepa.predictor)
    vjepa = peers.VideoJepa(size.width, *depths, size.heads, FRAMES - 4, SIDE_PX)
    limit = block_products(clips * (CHUNKS - 1) * CELLS, size.width, device)

    def case(
        name: str, ours: DiffusionTransformer | JointEmbeddingPredictor, loss: Callable[[], Tensor], peer: str, job: Job
    ) -> Case:
        step = training_step(ours, loss, device)
        flops = flops_of(step)  # Muon's products too
        if compiled:
            ours.compile_repeated_blocks()
        return Case(f"training step, {name}, {size.name}", "clips/s", clips, step, {peer: job}, limit, flops)

    of_transformer = training_step(transformer.to(device), lambda: transformer(tokens[:, 1:]), device)
    peer, of_diffusion = "diffusers CogVideoXTransformer3DModel", lambda: diffusion_loss(diffusion, tokens)
    cases = [case("diffusion", diffusion, of_diffusion, peer, of_transformer)]
    of_vjepa = training_step(vjepa.to(device), lambda: vjepa(frames), device)
    return [*cases, case("jepa", jepa, lambda: jepa(tokens).total, "transformers VJEPA2Model", of_vjepa)]


def training_step(network: nn.Module, loss: Callable[[], Tensor], device: torch.device) -> Job:
    """What a training does in a step, for any network: so both sides have one optimiser and one average."""
    network.train()
    optimisers = make_optimisers(network, OptimiserConfig(), product_dtype())
    ema = EMAModel(network.parameters(), decay=0.99, use_ema_warmup=True, power=0.9, foreach=True)

    def step() -> None:
        with autocast(device):
            value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        ema.step(network.parameters())

    return step


def tokenizer_cases(clips: int, device: torch.device) -> list[Case]:
    """Clips to tokens and back, beside autoencoders of as many parameters that cut as ours does."""
    model = TokenizerModel()
    ours = Autoencoder(**vars(model), grid=GRID).eval().to(device)
    frames = SimulatedClips("collision", "train").clips(range(clips)).frames.to(device)
    tokens = ours.encode(frames)
    others: dict[str, Any] = {
        "diffusers AutoencoderKLCosmos": peers.cosmos_autoencoder(model.channels).to(device),
        "diffusers AutoencoderKLLTXVideo": peers.ltx_autoencoder(model.channels).to(device),
    }

    def pictures() -> Tensor:
        return frames[:, :THEIR_FRAMES].transpose(1, 2).float() / 127.5 - 1

    with torch.no_grad():
        latents = {name: other.encode(pictures()).latent_dist.mode() for name, other in others.items()}

    def encode(name: str) -> Job:
        return without_gradients(lambda: others[name].encode(pictures()).latent_dist, device)

    def decode(name: str) -> Job:
        return without_gradients(lambda: others[name].decode(latents[name]).sample, device)

    found = []
    limit = block_products(clips * CHUNKS * CELLS, model.width, device)
    for what, job, of_peer in (
        ("encode", lambda: ours.encode(frames), encode),
        ("decode", lambda: ours.decode(tokens), decode),
    ):
        ours_job, theirs = without_gradients(job, device), {name: of_peer(name) for name in others}
        found.append(Case(f"tokenizer, {what}", "clips/s", clips, ours_job, theirs, limit, flops_of(job)))
    return found


def clip_cases(clips: int) -> list[Case]:
    """Making simulated clips."""
    source = SimulatedClips("collision", "train")
    frames = clips * FRAMES

    def ours() -> object:
        return source.clips(range(clips))

    def pymunk() -> object:
        return peers.pymunk_videos(clips, FRAMES, source.shape.fps, SIDE_PX)

    peer, limit, written = {"pymunk + cv2": pymunk}, memory_copy(torch.device("cpu")), 3.0 * SIDE_PX**2 * frames
    return [Case("simulated clips", "frames/s", frames, ours, peer, limit, written)]


def reading_cases(folder: Path, seconds: int = 8, batch: int = 16) -> list[Case]:
    """Reading a video of 320 x 240 px, made here, into batches of pictures of 64 rows."""
    shape = ClipShape(num_frames=25 * seconds, fps=25.0, height_px=240, width_px=320)
    frames = SimulatedClips("billiards", "train", shape=shape).clips([0]).frames[0]
    path = write_mp4(folder / "video.mp4", frames, 25.0)
    height, width = SIDE_PX, round(320 * SIDE_PX / 240)

    def ours() -> object:
        pieces = read(open_video(path), SIDE_PX, piece_frames=batch)
        return [torch.from_numpy(piece.frames).permute(0, 3, 1, 2).contiguous() for piece in pieces]

    jobs: dict[str, Job] = {"PyAV + cv2": lambda: list(peers.pyav_batches(path, batch, height, width))}
    try:
        import decord  # noqa: F401
    except ModuleNotFoundError:  # no wheel for this machine
        pass
    else:
        jobs["decord + cv2"] = lambda: list(peers.decord_batches(path, batch, height, width))
    return [Case("reading a video", "frames/s", len(frames), ours, jobs)]


def world_cases(size: Size, steps: int, device: torch.device) -> list[Case]:
    """A second of video rolled out, pixels included, and the surprise of a quad."""
    tokenizer = Autoencoder(**vars(TokenizerModel()), grid=GRID).eval().to(device)
    clips = SimulatedClips("collision", "id").clips([0])
    context = Encoded(clips, tokenizer.encode(clips.frames.to(device))).chunks(0, CONTEXT)
    made = quadruplets("collision", "id", 0, [0])
    four = [made.a, made.a_then_b, made.b_then_a, made.b]
    quad_tokens = tokenizer.encode(torch.cat([each.frames for each in four]).to(device))
    quadruplet = Encoded(made.a, quad_tokens)
    diffusion = GenerativeModel(size.diffusion(device), "diffusion", steps, PhysicsConfig.sampling_shift, (0.7,))
    jepa = PredictiveModel(size.jepa(device))
    limit = block_products(len(four) * CHUNKS * CELLS, size.width, device)

    def case(name: str, unit: str, amount: int, job: Job) -> Case:
        return Case(name, unit, amount, without_gradients(job, device), limit=limit, needed=flops_of(job))

    found = []
    for model in (diffusion, jepa):
        how = f", {steps} steps" if model is diffusion else ""

        def roll_out(model: GenerativeModel | PredictiveModel = model) -> object:
            return tokenizer.decode(model.rollout(context, CHUNKS, 1, [0]).tokens[:, 0].float())

        def surprise(model: GenerativeModel | PredictiveModel = model) -> object:
            return model.surprise(quadruplet, CONTEXT, [0] * 4)

        found.append(case(f"rollout of {FRAMES} frames, {model.name}{how}", "frames/s", FRAMES, roll_out))
        found.append(case(f"surprise of a quad, {model.name}", "quads/s", 1, surprise))
    return found


PLANNED, IMAGINED, ROUNDS = 64, 5, 5
"""Candidates of a plan, chunks of each, and how often they are imagined."""


def planning_cases(size: Size, device: torch.device) -> list[Case]:
    """A plan: futures under actions from one memory of the context, in chunks of 16 cells as in configs/plan.

    Beside it LeWM, where stable-worldmodel is installed: the same candidates as often, by a larger network. Neither
    side encodes a picture, counts a cost or chooses.
    """
    tokens, actions = torch.randn(1, CHUNKS, 4, 4, CHANNELS), 2 * TokenizerModel.patch_size[0]
    frames = torch.zeros(1, FRAMES, 3, SIDE_PX, SIDE_PX, dtype=torch.uint8)
    context = Encoded(Clips(frames, 10.0, ("",), actions=torch.zeros(1, FRAMES, 2)), tokens.to(device))
    candidates = torch.rand(1, PLANNED, IMAGINED, actions, device=device)
    network = size.diffusion(device, action_channels=actions)
    diffusion = GenerativeModel(network, "diffusion, 2 steps", 2, PhysicsConfig.sampling_shift, (0.7,))
    jepa = PredictiveModel(size.jepa(device, target="ema", action_channels=actions))
    limit, found, theirs = block_products(PLANNED * 16, size.width, device), [], dict[str, Job]()
    if find_spec("stable_worldmodel") is not None:
        try:
            lewm = placed(peers.LatentWorld(actions), device)
        except ImportError as error:  # of what the package needs and does not ask for
            tqdm.write(f"stable-worldmodel is left out: {error}")
        else:
            theirs["stable-worldmodel LeWM"] = without_gradients(
                lambda: [lewm(candidates) for _ in range(ROUNDS)], device
            )
    for model in (diffusion, jepa):

        def imagine(model: GenerativeModel | PredictiveModel = model) -> object:
            return [model.rollout(context, IMAGINED, PLANNED, [0], candidates) for _ in range(ROUNDS)]

        job, chunks = without_gradients(imagine, device), PLANNED * IMAGINED * ROUNDS
        name = f"a plan of {PLANNED} candidates, {IMAGINED} chunks, {ROUNDS} iterations, {model.name}"
        found.append(Case(name, "chunks/s", chunks, job, theirs, limit, flops_of(imagine)))
    return found


def flops_of(job: Job) -> float:
    """The floating-point operations of a job's products."""
    with FlopCounterMode(display=False) as counter:
        job()
    return float(counter.get_total_flops())


def without_gradients(job: Job, device: torch.device) -> Job:
    """The job as an evaluation does it."""

    def done() -> None:
        with torch.no_grad(), autocast(device):
            job()

    return done


def autocast(device: torch.device) -> torch.autocast:
    """The precision that trainings and evaluations take on this machine."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision() == "bf16")
