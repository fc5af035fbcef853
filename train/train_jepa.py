"""Trains the JEPA world.

accelerate launch train/train_jepa.py --config configs/demo/jepa.yaml [key=value ...]
"""

from collections.abc import Mapping

from vidworld.core.config import parse_command_line
from vidworld.core.errors import UserError, run_script
from vidworld.models.budget import fingerprint_in
from vidworld.training.finished import Sources, is_finished
from vidworld.training.schema import JepaConfig
from vidworld.video.store_record import training_fingerprint


def main() -> None:
    config, arguments = parse_command_line(JepaConfig, description=__doc__)
    clips = training_fingerprint(config.data.real)
    sources = {"tokenizer": fingerprint_in(config.tokenizer), "real_clips": clips}
    if not is_finished(config, sources):
        train(config, sources, arguments.resume)


def train(config: JepaConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    from accelerate.utils import set_seed

    from vidworld.core.threads import ahead
    from vidworld.models.jepa import JointEmbeddingPredictor
    from vidworld.models.tokenizers.tokenizer import load_tokenizer
    from vidworld.training.mixture import batch_order
    from vidworld.training.setup import begin
    from vidworld.training.token_cache import cache_tokens

    # --- network, cached tokens, and where an earlier run left off ---
    tokenizer = load_tokenizer(config.tokenizer)
    set_seed(config.seed)
    network = JointEmbeddingPredictor(tokenizer.channels, **vars(config.model))
    run = begin(config, network, resume, sources)
    accelerator = run.accelerator
    cache = cache_tokens(tokenizer, config.data, config.tokenizer / "tokens", accelerator)

    def batch(step: int) -> tuple[torch.Tensor]:
        numbers = batch_order(step, config.batch_clips, len(cache), config.seed)
        return (cache.tokens(run.mine(numbers)),)

    def loss_of_sample() -> torch.Tensor:
        with accelerator.autocast():
            return network(*next(run.split(run.fetch(iter([batch(0)]))))).total

    run.count_flops(loss_of_sample)
    if config.gradient_checkpointing:  # counted without: the second forward pass teaches nothing
        network.enable_gradient_checkpointing()
    set_seed(config.seed)
    untrained = JointEmbeddingPredictor(tokenizer.channels, **vars(config.model)).to(accelerator.device)
    with torch.no_grad(), accelerator.autocast():
        some = cache.tokens(range(min(64, len(cache)))).to(accelerator.device)
        first_deviation = float(untrained(some).deviation)

    # --- the loop ---
    batches = ahead(batch(step) for step in range(run.step, config.steps))
    for _ in run.steps():
        for (tokens,) in run.split(run.fetch(batches)):
            with accelerator.accumulate(run.model), accelerator.autocast():
                loss = run.model(tokens)
                run.backward(loss.total, loss._asdict())
        run.update()
        network.update_target(config.target_decay)
        stop_if_collapsed(config, run.write(), run.step, first_deviation)

    run.finish(run.averaged())


def stop_if_collapsed(
    config: JepaConfig, told: Mapping[str, float], step: int, first_deviation: float
) -> None:
    """Ends a run whose embeddings no longer tell clips apart, where a step told of them, after the warm-up.

    Raises:
        UserError: the deviation across clips, or prediction loss over copy-last loss, has crossed its bound.
    """
    if not told or step < 2 * config.optimiser.warmup_steps:
        return
    deviation, least = told["deviation"], config.collapse_deviation * first_deviation
    if deviation < least:
        raise UserError(
            f"{config.out}: collapsed at step {step}: the embeddings' deviation across clips is {deviation:.3g}, under "
            f"{least:.3g}; a larger model.regulariser_weight, or model.target=frozen, prevents it"
        )
    if told["copy_last_ratio"] > config.collapse_ratio:
        raise UserError(
            f"{config.out}: predicts nothing at step {step}: its loss is {told['copy_last_ratio']:.2f} times that "
            "of repeating the last embedding; a lower optimiser.lr may help"
        )


if __name__ == "__main__":
    run_script(main)
