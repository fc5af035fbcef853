"""Train a diffusion model further, to sample in 1, 2 or 4 steps.

accelerate launch train/train_few_step.py --config configs/demo/few_step.yaml [key=value ...]
"""

from typing import Any

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.models.files import fingerprint_in
from vidworld.models.schema import FewStepConfig
from vidworld.training.finished import Sources, data_sources, is_finished


def main() -> None:
    config, arguments = parse_command_line(FewStepConfig, description=__doc__)
    models = {name: fingerprint_in(getattr(config, name)) for name in ("tokenizer", "diffusion")}
    sources = models | data_sources(config.data)
    if not is_finished(config, sources):
        train(config, sources, arguments.resume)


def train(config: FewStepConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    from accelerate.utils import set_seed

    from vidworld.core.counter_rng import generators
    from vidworld.core.errors import UserError
    from vidworld.core.hardware import ahead
    from vidworld.models.diffusion import DiffusionTransformer
    from vidworld.models.files import check_tokenizer, load_model
    from vidworld.models.flow_map import JumpDraws, draw, flow_map_loss, flow_map_of
    from vidworld.models.tokenizers import load_tokenizer
    from vidworld.training.data import acting, batch_order, cache_tokens, check_clips
    from vidworld.training.run import begin

    # --- the trained model, cached tokens, and where an earlier run left off ---
    tokenizer = load_tokenizer(config.tokenizer)
    check_clips(tokenizer, config.data.shape)
    teacher = load_model(DiffusionTransformer, config.diffusion)
    check_tokenizer(config.diffusion, tokenizer.fingerprint())
    actions = sum(acting(config.data, tokenizer))
    if actions != teacher.config.action_channels:
        it = f"{config.diffusion}: takes {teacher.config.action_channels} numbers of action a chunk"
        raise UserError(f"{it}, and the clips of this training have {actions}; name the data that it was trained on")
    set_seed(config.seed)
    network = flow_map_of(teacher)
    run = begin(config, network, resume, sources)
    accelerator, model = run.accelerator, run.model
    cache = cache_tokens(tokenizer, config.data, config.tokenizer / "tokens", accelerator)

    def batch(step: int) -> tuple[torch.Tensor, ...]:
        """Tokens of this process' clips, their actions where somebody acts, and what is drawn for each."""
        mine = run.mine(batch_order(step, config.global_batch_size, len(cache), config.seed))
        tokens, streams = cache.tokens(mine), generators(config.seed, step, run.mine(range(config.global_batch_size)))
        return tokens, *draw(streams, tokens), *((cache.actions(mine),) if cache.acts else ())

    def loss_of(model: Any, tokens: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        drawn, actions = JumpDraws(*rest[:2]), rest[2] if cache.acts else None
        return flow_map_loss(model, tokens, drawn, config.shift, config.sampling_shift, actions)

    run.count_flops(batch(0), lambda *whole: loss_of(network, *whole))

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        for micro_batch in run.micro_batches(run.fetch(batches)):
            with accelerator.accumulate(model), accelerator.autocast():
                loss = loss_of(model, *micro_batch)
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

    run.finish(run.averaged(), family="diffusion")


if __name__ == "__main__":
    run_script(main)
