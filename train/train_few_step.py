"""Teaches a trained diffusion world to sample in 1, 2 or 4 steps.

accelerate launch train/train_few_step.py --config configs/demo/few_step.yaml [key=value ...]
"""

import torch

from vidworld.checkpoint import load_model
from vidworld.config import parse_command_line
from vidworld.data.mixture import batch_order
from vidworld.data.threads import ahead
from vidworld.errors import run_script
from vidworld.harness.comparison import check_tokenizer
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.flow_map import flow_map_loss, flow_map_of
from vidworld.run import begin, count_flops, is_finished
from vidworld.schema import FewStepConfig
from vidworld.tokenizer.autoencoder import Autoencoder
from vidworld.tokenizer.cache import cache_tokens


def main() -> None:
    config, arguments = parse_command_line(FewStepConfig, description=__doc__)
    tokenizer = load_model(Autoencoder, config.tokenizer)
    fingerprint = tokenizer.fingerprint()
    if is_finished(config, tokenizer=fingerprint):
        return

    # --- the trained world, cached tokens, and where an earlier run left off ---
    check_tokenizer(config.diffusion, fingerprint)
    network = flow_map_of(load_model(DiffusionTransformer, config.diffusion))
    run = begin(config, network, arguments.resume)
    accelerator = run.accelerator
    cache = cache_tokens(tokenizer, config.data, config.tokenizer / "tokens", accelerator)

    def batch(step: int) -> torch.Tensor:
        numbers = batch_order(step, config.batch_clips, len(cache), config.seed)
        return cache.tokens(numbers[accelerator.process_index :: accelerator.num_processes])

    part_clips = config.batch_clips // accelerator.num_processes // config.accumulation

    def loss_of_sample() -> torch.Tensor:
        with accelerator.autocast():
            part = batch(0)[:part_clips].to(accelerator.device)
            return flow_map_loss(network, part, config.shift, config.sampling_shift)

    run.flops_per_step = count_flops(run, loss_of_sample)

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        tokens = run.fetch(batches)
        for part in tokens.split(part_clips):
            with accelerator.accumulate(run.model), accelerator.autocast():
                loss = flow_map_loss(run.model, part, config.shift, config.sampling_shift)
                run.backward(loss)
        gradient_norm = run.update()
        run.write({"loss": loss, "gradient_norm": gradient_norm})

    run.ema.copy_to(network.parameters())
    run.finish(tokenizer=fingerprint)


if __name__ == "__main__":
    run_script(main)
