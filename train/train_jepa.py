"""Trains the JEPA world.

accelerate launch train/train_jepa.py --config configs/demo/jepa.yaml [key=value ...]
"""

import torch

from vidworld.config import parse_command_line
from vidworld.data.mixture import batch_order
from vidworld.data.threads import ahead
from vidworld.errors import UserError, run_script
from vidworld.models.jepa import JepaLoss, JointEmbeddingPredictor
from vidworld.run import begin, count_flops, is_finished
from vidworld.schema import JepaConfig
from vidworld.tokenizer.cache import cache_tokens
from vidworld.tokenizer.tokenizer import load_tokenizer


def main() -> None:
    config, arguments = parse_command_line(JepaConfig, description=__doc__)
    tokenizer = load_tokenizer(config.tokenizer)
    fingerprint = tokenizer.fingerprint()
    if is_finished(config, tokenizer=fingerprint):
        return

    # --- network, cached tokens, and where an earlier run left off ---
    network = JointEmbeddingPredictor(tokenizer.channels, **vars(config.model))
    run = begin(config, network, arguments.resume)
    accelerator = run.accelerator
    cache = cache_tokens(tokenizer, config.data, config.tokenizer / "tokens", accelerator)

    def batch(step: int) -> torch.Tensor:
        numbers = batch_order(step, config.batch_clips, len(cache), config.seed)
        return cache.tokens(numbers[accelerator.process_index :: accelerator.num_processes])

    part_clips = config.batch_clips // accelerator.num_processes // config.accumulation

    def loss_of_sample() -> torch.Tensor:
        with accelerator.autocast():
            return network(batch(0)[:part_clips].to(accelerator.device)).total

    run.flops_per_step = count_flops(run, loss_of_sample)
    with torch.no_grad(), accelerator.autocast():
        first_deviation = float(
            network(cache.tokens(range(min(64, len(cache)))).to(accelerator.device)).deviation
        )

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        tokens = run.fetch(batches)
        for part in tokens.split(part_clips):
            with accelerator.accumulate(run.model), accelerator.autocast():
                loss = run.model(part)
                run.backward(loss.total)
        gradient_norm = run.update()
        network.update_target(config.target_decay)
        run.write(loss._asdict() | {"gradient_norm": gradient_norm})
        stop_if_collapsed(config, loss, run.step, first_deviation)

    run.ema.copy_to(network.parameters())
    run.finish(tokenizer=fingerprint)


def stop_if_collapsed(config: JepaConfig, loss: JepaLoss, step: int, first_deviation: float) -> None:
    """Ends a run whose embeddings no longer tell clips apart, every `log_every` steps after the warm-up.

    Raises:
        UserError: the deviation across clips, or prediction loss over copy-last loss, has crossed its bound.
    """
    if step % config.log_every or step < 2 * config.optimiser.warmup_steps:
        return
    deviation, least = float(loss.deviation), config.collapse_deviation * first_deviation
    if deviation < least:
        raise UserError(
            f"{config.out}: collapsed at step {step}: the embeddings' deviation across clips is {deviation:.3g}, under "
            f"{least:.3g}; a larger model.regulariser_weight, or model.target=frozen, prevents it"
        )
    if float(loss.copy_last_ratio) > config.collapse_ratio:
        raise UserError(
            f"{config.out}: predicts nothing at step {step}: its loss is {float(loss.copy_last_ratio):.2f} times that "
            "of repeating the last embedding; a lower optimiser.lr may help"
        )


if __name__ == "__main__":
    run_script(main)
