"""Trains the probe of a representation.

accelerate launch train/train_readout.py --config configs/demo/readout.yaml [key=value ...]
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.models.budget import fingerprint_in
from vidworld.models.schema import ReadoutConfig
from vidworld.training.finished import Sources, data_sources, is_finished


def main() -> None:
    config, arguments = parse_command_line(ReadoutConfig, description=__doc__)
    read = {"tokenizer": config.tokenizer, "jepa": config.jepa}
    models = {name: fingerprint_in(folder) if folder else None for name, folder in read.items()}
    sources = models | data_sources(config.data)
    if not is_finished(config, sources):
        train(config, sources, arguments.resume)


def train(config: ReadoutConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    import torch.nn.functional as F
    from accelerate.utils import set_seed

    from vidworld.core.clip import Tracks
    from vidworld.core.threads import ahead
    from vidworld.models.files import load_model
    from vidworld.models.jepa import JointEmbeddingPredictor
    from vidworld.models.probe import Probe, probe_loss, shows
    from vidworld.models.tokenizers.tokenizer import load_tokenizer
    from vidworld.simulation.simulated import SimulatedClips
    from vidworld.training.mixture import batch_order, weights
    from vidworld.training.setup import begin

    # --- network, clips with their true tracks, and where an earlier run left off ---
    tokenizer = load_tokenizer(config.tokenizer)
    jepa = None if config.jepa is None else load_model(JointEmbeddingPredictor, config.jepa)
    shape, data = config.data.shape, config.data
    grid = tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)
    channels = tokenizer.channels if jepa is None else jepa.embedding_channels
    set_seed(config.seed)
    network = Probe(
        channels,
        tokenizer.channels,
        tokenizer.patch_size[0],
        grid[1:],
        config.width,
        config.depth,
        decodes=jepa is not None,
    )
    run = begin(config, network, resume, sources)
    accelerator = run.accelerator
    device = accelerator.device
    tokenizer, jepa = tokenizer.to(device), None if jepa is None else jepa.to(device)
    sources_of_clips = [SimulatedClips(s, "train", data.seed, data.clips, shape) for s in weights(data)]

    def batch(step: int) -> tuple[torch.Tensor, Tracks]:
        """Each batch is of one scenario, so that its clips have equally many objects."""
        source = sources_of_clips[step % len(sources_of_clips)]
        numbers = batch_order(step, config.batch_clips, len(source), config.seed)
        clips = source.clips(run.mine(numbers))
        assert clips.tracks is not None
        return clips.frames, clips.tracks

    def discs_in_a_part(tracks: Tracks) -> torch.Tensor:
        """How many show, on average over the parts of a batch and the processes."""
        shown = shows(tracks).sum().to(device) / config.accumulation
        return run.mean(shown).clamp_min(1)

    def loss_of(model: Probe, frames: torch.Tensor, tracks: Tracks, discs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            tokens = tokenizer.encode(frames)
            embeddings = tokens if jepa is None else jepa.embeddings(tokens)
        loss = probe_loss(model(embeddings), tracks, embeddings.shape[2:4], discs)
        return loss if network.decoder is None else loss + F.mse_loss(network.decoder(embeddings), tokens)

    def loss_of_sample() -> torch.Tensor:
        frames, tracks = run.fetch(iter([batch(0)]))
        with accelerator.autocast():
            return loss_of(network, frames, tracks, discs_in_a_part(tracks))

    run.count_flops(loss_of_sample)

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        batch_now = run.fetch(batches)
        discs = discs_in_a_part(batch_now[1])
        for frames, tracks in run.split(batch_now):
            with accelerator.accumulate(run.model), accelerator.autocast():
                run.backward(loss_of(run.model, frames, tracks, discs))
        run.update()
        run.write()

    run.finish(run.averaged())


if __name__ == "__main__":
    run_script(main)
