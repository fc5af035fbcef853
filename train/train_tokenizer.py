"""Trains the tokenizer.

accelerate launch train/train_tokenizer.py --config configs/demo/tokenizer.yaml [key=value ...]
"""

import torch

from vidworld.config import parse_command_line
from vidworld.data.mixture import Mixture, batch_order
from vidworld.data.threads import ahead
from vidworld.errors import run_script
from vidworld.run import begin, count_flops, is_finished
from vidworld.schema import TokenizerConfig
from vidworld.tokenizer.autoencoder import Autoencoder


def main() -> None:
    config, arguments = parse_command_line(TokenizerConfig, description=__doc__)
    if is_finished(config):
        return

    # --- clips, network, and where an earlier run left off ---
    clips = Mixture(config.data)
    shape = config.data.shape
    network = Autoencoder(
        **vars(config.model),
        grid=(shape.height_px // config.model.patch_size[1], shape.width_px // config.model.patch_size[2]),
    )
    network.fit_components(clips.frames(range(min(256, len(clips)))))
    run = begin(config, network, arguments.resume)
    accelerator = run.accelerator

    def batch(step: int) -> torch.Tensor:
        numbers = batch_order(step, config.batch_clips, len(clips), config.seed)
        return clips.frames(numbers[accelerator.process_index :: accelerator.num_processes])

    part_clips = config.batch_clips // accelerator.num_processes // config.accumulation
    sample = batch(0)[:part_clips].to(accelerator.device)

    def loss_of_sample() -> torch.Tensor:
        with accelerator.autocast():
            return network(sample, config.kl_weight).total

    run.flops_per_step = count_flops(run, loss_of_sample)

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        frames = run.fetch(batches)
        for part in frames.split(part_clips):
            with accelerator.accumulate(run.model), accelerator.autocast():
                loss = run.model(part, config.kl_weight)
                run.backward(loss.total)
        gradient_norm = run.update()
        psnr_db = -10 * loss.reconstruction.detach().log10()
        run.write({"loss": loss.total, "psnr_db": psnr_db, "kl": loss.kl, "gradient_norm": gradient_norm})

    # --- the averaged weights, and the statistics that its tokens are normalised with ---
    run.ema.copy_to(network.parameters())
    network.eval().fit_statistics(clips.frames(range(min(512, len(clips)))).to(accelerator.device))
    run.finish(fingerprint=network.fingerprint())


if __name__ == "__main__":
    run_script(main)
