"""Train a world model of any family.

accelerate launch train/train_world_model.py --config configs/demo/diffusion.yaml [key=value ...]

`family` in the configuration says which (vidworld/models/families.py). What a family minimises is flow_loss
(vidworld/models/diffusion.py) for diffusion, and JointEmbeddingPredictor.forward (vidworld/models/jepa.py) for JEPA.
"""

from typing import Any

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.models.families import FAMILIES, Loss, config_schema
from vidworld.models.files import check_tokenizer, fingerprint_in
from vidworld.models.schema import WorldModelConfig
from vidworld.training.finished import Sources, data_sources, is_finished, started_from


def main() -> None:
    kinds = {f"family: {name}": family.config for name, family in FAMILIES.items()}
    config, arguments = parse_command_line(WorldModelConfig, None, __doc__, config_schema, kinds)
    sources = {"tokenizer": fingerprint_in(config.tokenizer)} | data_sources(config.data) | started_from(config.start)
    if not is_finished(config, sources):
        check_tokenizer(config.start, sources["tokenizer"])
        train(config, sources, arguments.resume)


def train(config: WorldModelConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    from accelerate.utils import set_seed

    from vidworld.core.counter_rng import generators
    from vidworld.core.hardware import ahead
    from vidworld.models.files import begin_with
    from vidworld.models.tokenizers import load_tokenizer
    from vidworld.training.data import acting, batch_order, cache_tokens, check_clips
    from vidworld.training.run import begin

    # --- network, cached tokens, and where an earlier run left off ---
    family = FAMILIES[config.family]
    tokenizer = load_tokenizer(config.tokenizer)
    check_clips(tokenizer, config.data.shape)
    set_seed(config.seed)
    network = family.network(config, tokenizer.channels, *acting(config.data, tokenizer))
    begin_with(network, config.start)
    run = begin(config, network, resume, sources)
    accelerator, model = run.accelerator, run.model
    cache = cache_tokens(tokenizer, config.data, config.tokenizer / "tokens", accelerator)

    def batch(step: int) -> tuple[torch.Tensor, ...]:
        """Tokens of this process' clips, what is done in them where somebody acts, and what the family draws."""
        mine = run.mine(batch_order(step, config.global_batch_size, len(cache), config.seed))
        tokens, streams = cache.tokens(mine), generators(config.seed, step, run.mine(range(config.global_batch_size)))
        done = (cache.actions(mine),) if cache.acts else ()
        return tokens, *done, *family.draw(config, streams, tokens)

    def loss_of(model: Any, tokens: torch.Tensor, *rest: torch.Tensor) -> Loss:
        done = {"actions": rest[0]} if cache.acts else {}
        return family.loss(config, model, tokens, *rest[len(done) :], **done)

    run.count_flops(batch(0), lambda *whole: loss_of(network, *whole).total)
    if config.gradient_checkpointing:  # counted without: the second forward pass teaches nothing
        network.enable_gradient_checkpointing()
    if not run.step and config.start is None:
        family.fit(config, network, cache.tokens(range(min(256, len(cache)))))
    with accelerator.autocast():
        some = range(min(64, len(cache)))
        done = {"actions": cache.actions(some).to(accelerator.device)} if cache.acts else {}
        alarm = family.alarm(config, network, cache.tokens(some).to(accelerator.device), **done)

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for step in run.steps():
        for micro_batch in run.micro_batches(run.fetch(batches)):
            with accelerator.accumulate(model), accelerator.autocast():
                loss = loss_of(model, *micro_batch)
                accelerator.backward(loss.total)
            run.record(loss.total, loss.logged)
        norm = accelerator.clip_grad_norm_(network.parameters(), config.optimiser.max_grad_norm)
        if run.accepts(norm):
            run.optimiser.step()
            run.ema.step(network.parameters())
            family.after_step(config, network)
        run.optimiser.zero_grad()
        run.schedule.step()
        alarm(step, run.log_if_due())
        run.save_if_due()

    run.finish(run.averaged(), family=config.family)


if __name__ == "__main__":
    run_script(main)
