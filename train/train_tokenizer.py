"""Train the tokenizer.

accelerate launch train/train_tokenizer.py --config configs/demo/tokenizer.yaml [key=value ...]
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.models.schema import TokenizerConfig
from vidworld.training.finished import Sources, data_sources, is_finished


def main() -> None:
    config, arguments = parse_command_line(TokenizerConfig, description=__doc__)
    sources = data_sources(config.data)
    if not is_finished(config, sources):
        train(config, sources, arguments.resume)


def train(config: TokenizerConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    from accelerate.utils import set_seed

    from vidworld.core.counter_rng import generators, normal_of
    from vidworld.core.hardware import ahead
    from vidworld.models.tokenizers.autoencoder import Autoencoder
    from vidworld.training.data import Mixture, batch_order
    from vidworld.training.run import begin

    # --- clips, network, and where an earlier run left off ---
    set_seed(config.seed)
    clips = Mixture(config.data)
    shape = config.data.shape
    _, rows, columns = config.model.patch_size
    network = Autoencoder(**vars(config.model), grid=(shape.height_px // rows, shape.width_px // columns))

    def fit() -> None:
        network.fit_components(clips.frames(range(min(256, len(clips)))))

    run = begin(config, network, resume, sources, fit)
    accelerator, model = run.accelerator, run.model

    grid = network.grid_of(shape.num_frames, shape.height_px, shape.width_px)

    def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames of this process' clips, and the noise of their latents."""
        numbers = batch_order(step, config.global_batch_size, len(clips), config.seed)
        streams = generators(config.seed, step, run.mine(range(config.global_batch_size)))
        return clips.frames(run.mine(numbers)), normal_of(streams, *grid, network.channels)

    run.count_flops(batch(0), lambda frames, noise: network(frames, noise, config.kl_weight).total)

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        for frames, noise in run.micro_batches(run.fetch(batches)):
            with accelerator.accumulate(model), accelerator.autocast():
                loss = model(frames, noise, config.kl_weight)
                accelerator.backward(loss.total)
            run.record(loss.total, {"psnr_db": -10 * loss.reconstruction.log10(), "kl": loss.kl})
        norm = accelerator.clip_grad_norm_(network.parameters(), config.optimiser.max_grad_norm)
        if run.accepts(norm):
            run.optimiser.step()
            run.ema.step(network.parameters())
        run.optimiser.zero_grad()
        run.schedule.step()
        run.log_if_due()
        run.save_if_due()

    # --- the averaged weights, and the statistics that its tokens are normalised with ---
    averaged = run.averaged()
    averaged.fit_statistics(clips.frames(range(min(512, len(clips)))).to(accelerator.device))
    run.finish(averaged)


if __name__ == "__main__":
    run_script(main)
