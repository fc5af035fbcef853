"""Train a world model of any family.

accelerate launch train/train_world_model.py --config configs/demo/diffusion.yaml [key=value ...]

`family` in the configuration says which (vidworld/models/families, a file each). What a family minimises is flow_loss
(vidworld/models/flow.py) for diffusion, and JointEmbeddingPredictor.forward (vidworld/models/jepa.py) for JEPA.
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.models.budget import fingerprint_in
from vidworld.models.families import FAMILIES, config_schema
from vidworld.models.schema import WorldModelConfig
from vidworld.training.finished import Sources, data_sources, is_finished


def main() -> None:
    config, arguments = parse_command_line(WorldModelConfig, description=__doc__, select=config_schema)
    sources = {"tokenizer": fingerprint_in(config.tokenizer)} | data_sources(config.data)
    if not is_finished(config, sources):
        train(config, sources, arguments.resume)


def train(config: WorldModelConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    from accelerate.utils import set_seed

    from vidworld.core.counter_rng import generators
    from vidworld.core.threads import ahead
    from vidworld.models.tokenizers.tokenizer import load_tokenizer
    from vidworld.training.mixture import batch_order
    from vidworld.training.setup import begin
    from vidworld.training.token_cache import cache_tokens

    # --- network, cached tokens, and where an earlier run left off ---
    family = FAMILIES[config.family]
    tokenizer = load_tokenizer(config.tokenizer)
    set_seed(config.seed)
    network = family.network(config, tokenizer.channels)
    run = begin(config, network, resume, sources)
    accelerator = run.accelerator
    cache = cache_tokens(tokenizer, config.data, config.tokenizer / "tokens", accelerator)

    def batch(step: int) -> tuple[torch.Tensor, ...]:
        """Tokens of this process' clips, and what the family draws for them."""
        tokens = cache.tokens(run.mine(batch_order(step, config.batch_clips, len(cache), config.seed)))
        streams = generators(config.seed, step, run.mine(range(config.batch_clips)))
        return tokens, *family.draw(config, streams, tokens)

    def loss_of_sample() -> torch.Tensor:
        with accelerator.autocast():
            return family.loss(config, network, *next(run.split(run.fetch(iter([batch(0)]))))).total

    run.count_flops(loss_of_sample)
    if config.gradient_checkpointing:  # counted without: the second forward pass teaches nothing
        network.enable_gradient_checkpointing()
    with accelerator.autocast():
        alarm = family.alarm(config, cache.tokens(range(min(64, len(cache)))).to(accelerator.device))

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        for tokens, *drawn in run.split(run.fetch(batches)):
            with accelerator.accumulate(run.model), accelerator.autocast():
                loss = family.loss(config, run.model, tokens, *drawn)
                run.backward(loss.total, loss.logged)
        run.update()
        family.after_step(config, network)
        alarm(run.step, run.write())

    run.finish(run.averaged(), family=config.family)


if __name__ == "__main__":
    run_script(main)
