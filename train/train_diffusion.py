"""Trains the diffusion world.

accelerate launch train/train_diffusion.py --config configs/demo/diffusion.yaml [key=value ...]
"""

import torch

from vidworld.config import parse_command_line
from vidworld.data.mixture import batch_order
from vidworld.data.threads import ahead
from vidworld.errors import run_script
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.flow import flow_loss
from vidworld.run import begin, count_flops, is_finished
from vidworld.schema import DiffusionConfig
from vidworld.tokenizer.cache import cache_tokens
from vidworld.tokenizer.tokenizer import load_tokenizer


def main() -> None:
    config, arguments = parse_command_line(DiffusionConfig, description=__doc__)
    tokenizer = load_tokenizer(config.tokenizer)
    fingerprint = tokenizer.fingerprint()
    if is_finished(config, tokenizer=fingerprint):
        return

    # --- network, cached tokens, and where an earlier run left off ---
    network = DiffusionTransformer(tokenizer.channels, **vars(config.model))
    run = begin(config, network, arguments.resume)
    accelerator = run.accelerator
    cache = cache_tokens(tokenizer, config.data, config.tokenizer / "tokens", accelerator)

    def batch(step: int) -> torch.Tensor:
        numbers = batch_order(step, config.batch_clips, len(cache), config.seed)
        return cache.tokens(numbers[accelerator.process_index :: accelerator.num_processes])

    part_clips = config.batch_clips // accelerator.num_processes // config.accumulation

    def loss_of_sample() -> torch.Tensor:
        with accelerator.autocast():
            return flow_loss(network, batch(0)[:part_clips].to(accelerator.device), config.shift)

    run.flops_per_step = count_flops(run, loss_of_sample)

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        tokens = run.fetch(batches)
        for part in tokens.split(part_clips):
            with accelerator.accumulate(run.model), accelerator.autocast():
                loss = flow_loss(run.model, part, config.shift)
                run.backward(loss)
        gradient_norm = run.update()
        run.write({"loss": loss, "gradient_norm": gradient_norm})

    run.ema.copy_to(network.parameters())
    run.finish(tokenizer=fingerprint)


if __name__ == "__main__":
    run_script(main)
