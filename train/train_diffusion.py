"""Trains the diffusion world.

accelerate launch train/train_diffusion.py --config configs/demo/diffusion.yaml [key=value ...]
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.models.budget import fingerprint_in
from vidworld.training.finished import Sources, is_finished
from vidworld.training.schema import DiffusionConfig
from vidworld.video.store_record import training_fingerprint


def main() -> None:
    config, arguments = parse_command_line(DiffusionConfig, description=__doc__)
    clips = training_fingerprint(config.data.real)
    sources = {"tokenizer": fingerprint_in(config.tokenizer), "real_clips": clips}
    if not is_finished(config, sources):
        train(config, sources, arguments.resume)


def train(config: DiffusionConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    from accelerate.utils import set_seed

    from vidworld.core.threads import ahead
    from vidworld.models.dit import DiffusionTransformer
    from vidworld.models.flow import flow_loss, training_levels
    from vidworld.models.tokenizers.tokenizer import load_tokenizer
    from vidworld.training.mixture import batch_order
    from vidworld.training.noise import generators, normal, uniform
    from vidworld.training.setup import begin
    from vidworld.training.token_cache import cache_tokens

    # --- network, cached tokens, and where an earlier run left off ---
    tokenizer = load_tokenizer(config.tokenizer)
    set_seed(config.seed)
    network = DiffusionTransformer(tokenizer.channels, **vars(config.model))
    run = begin(config, network, resume, sources)
    accelerator = run.accelerator
    cache = cache_tokens(tokenizer, config.data, config.tokenizer / "tokens", accelerator)

    def batch(step: int) -> tuple[torch.Tensor, ...]:
        """Tokens of this process' clips, their noise, and its level."""
        numbers = batch_order(step, config.batch_clips, len(cache), config.seed)
        tokens = cache.tokens(run.mine(numbers))
        streams = generators(config.seed, step, run.mine(range(config.batch_clips)))
        level = training_levels(uniform(streams, tokens.shape[1] - 1), config.shift, config.pure_share)
        return tokens, normal(streams, *tokens[0, 1:].shape), level

    def loss_of_sample() -> torch.Tensor:
        with accelerator.autocast():
            return flow_loss(network, *next(run.split(run.fetch(iter([batch(0)])))))

    run.count_flops(loss_of_sample)
    if config.gradient_checkpointing:  # counted without: the second forward pass teaches nothing
        network.enable_gradient_checkpointing()

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        for tokens, noise, level in run.split(run.fetch(batches)):
            with accelerator.accumulate(run.model), accelerator.autocast():
                run.backward(flow_loss(run.model, tokens, noise, level))
        run.update()
        run.write()

    run.finish(run.averaged())


if __name__ == "__main__":
    run_script(main)
