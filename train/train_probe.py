"""Train the probe of a representation.

accelerate launch train/train_probe.py --config configs/demo/probe.yaml [key=value ...]
"""

from functools import partial

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.models.files import check_tokenizer, fingerprint_in
from vidworld.models.schema import ProbeConfig
from vidworld.training.finished import Sources, data_sources, is_finished


def main() -> None:
    config, arguments = parse_command_line(ProbeConfig, description=__doc__)
    read = {"tokenizer": config.tokenizer, "jepa": config.jepa}
    models = {name: fingerprint_in(folder) if folder else None for name, folder in read.items()}
    sources = models | data_sources(config.data)
    if not is_finished(config, sources):
        check_tokenizer(config.jepa, models["tokenizer"])
        train(config, sources, arguments.resume)


def train(config: ProbeConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    from accelerate.utils import set_seed

    from vidworld.core.clip import Tracks
    from vidworld.core.hardware import ahead
    from vidworld.models.files import load_model
    from vidworld.models.jepa import JointEmbeddingPredictor
    from vidworld.models.probe import Probe, decoder_loss, probe_loss, shows, untrained_probe
    from vidworld.models.tokenizers import load_tokenizer
    from vidworld.training.data import batch_order, training_source, weights
    from vidworld.training.run import begin

    # --- network, clips with their true tracks, and where an earlier run left off ---
    tokenizer = load_tokenizer(config.tokenizer)
    jepa = None if config.jepa is None else load_model(JointEmbeddingPredictor, config.jepa)
    set_seed(config.seed)
    network = untrained_probe(config, tokenizer, jepa)
    run = begin(config, network, resume, sources)
    accelerator, model, device = run.accelerator, run.model, run.accelerator.device
    tokenizer, jepa = tokenizer.to(device), None if jepa is None else jepa.to(device)
    data = config.data
    sources_of_clips = [training_source(data, name) for name in weights(data)]

    def batch(step: int) -> tuple[torch.Tensor, Tracks]:
        """Each batch is of one scenario, so that its clips have equally many objects."""
        source = sources_of_clips[step % len(sources_of_clips)]
        numbers = batch_order(step, config.global_batch_size, len(source), config.seed)
        clips = source.clips(run.mine(numbers))
        assert clips.tracks is not None
        return clips.frames, clips.tracks

    def loss_of(probe: Probe, frames: torch.Tensor, tracks: Tracks, discs: float | torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            tokens = tokenizer.encode(frames)
            embeddings = tokens if jepa is None else jepa.embeddings(tokens)
        return probe_loss(probe(embeddings), tokens, tracks, discs)

    if jepa is None or network.decoder is None:
        run.count_flops(batch(0), lambda frames, tracks: loss_of(network, frames, tracks, 1.0))
    else:  # what is recorded is the decoder's, a part of the model that it is of; the probe only measures
        run.count_flops((tokenizer.encode(batch(0)[0]),), partial(decoder_loss, network.decoder, jepa))

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        whole = run.fetch(batches)
        # How many show in a micro-batch, on average over those of all processes.
        discs = run.mean(shows(whole[1]).sum().to(device) / config.grad_accum_steps).clamp_min(1)
        for frames, tracks in run.micro_batches(whole):
            with accelerator.accumulate(model), accelerator.autocast():
                loss = loss_of(model, frames, tracks, discs)
                accelerator.backward(loss)
            run.record(loss)
        norm = accelerator.clip_grad_norm_(network.parameters(), config.optimiser.max_grad_norm)
        if run.accepts(norm):
            run.optimiser.step()
            run.ema.step(network.parameters())
        run.optimiser.zero_grad()
        run.schedule.step()
        run.log_if_due()
        run.save_if_due()

    run.finish(run.averaged())


if __name__ == "__main__":
    run_script(main)
