"""Train a head on what is logged in environments: rewards by the goal, or the actions of whoever acts in the clips.

accelerate launch train/train_head.py --config configs/plan/reward.yaml [key=value ...]      (cloned.yaml: actions)
"""

import math
from functools import partial

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.models.files import check_tokenizer, fingerprint_in
from vidworld.models.schema import HeadConfig
from vidworld.training.finished import Sources, data_sources, is_finished, started_from


def main() -> None:
    config, arguments = parse_command_line(HeadConfig, description=__doc__)
    read = {"tokenizer": config.tokenizer, "jepa": config.jepa}
    models = {name: fingerprint_in(folder) if folder else None for name, folder in read.items()}
    sources = models | data_sources(config.data) | started_from(config.start)
    if not is_finished(config, sources):
        for folder in (config.jepa, config.start):
            check_tokenizer(folder, models["tokenizer"])
        train(config, sources, arguments.resume)


def train(config: HeadConfig, sources: Sources, resume: bool) -> None:
    # imported now: what is done, or wrong, was said without waiting for torch
    import torch
    from accelerate.utils import set_seed

    from vidworld.core.hardware import ahead
    from vidworld.models.files import begin_with, load_model
    from vidworld.models.head import GoalHead, deeds_of, rewards_of
    from vidworld.models.jepa import JointEmbeddingPredictor
    from vidworld.models.tokenizers import load_tokenizer
    from vidworld.training.data import action_channels, batch_order
    from vidworld.training.examples import examples_of, logged_sources, tells_actions
    from vidworld.training.run import begin

    # --- network, clips with what is logged in them, and where an earlier run left off ---
    tokenizer, data, shape = load_tokenizer(config.tokenizer), config.data, config.data.shape
    jepa = None if config.jepa is None else load_model(JointEmbeddingPredictor, config.jepa)
    channels = tokenizer.channels if jepa is None else jepa.embedding_channels
    _, *grid = tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)
    rewards, chunk = config.predicts == "reward", tokenizer.patch_size[0]
    answers, chunks = (1, 1) if rewards else (action_channels(data), config.chunks)
    sources_by_name, deeds = logged_sources(data), partial(deeds_of, chunks=chunks, seed=config.seed)
    of_clips = partial(rewards_of if rewards else deeds, chunk_frames=chunk)
    goal_numbers = max(of_clips(source.logged([0]))[0].shape[-1] for source, _ in sources_by_name.values())
    reads_actions = rewards and tells_actions({name: source for name, (source, _) in sources_by_name.items()})
    set_seed(config.seed)
    network = GoalHead(channels, goal_numbers, answers, chunks, math.prod(grid), config.width, reads_actions)
    begin_with(network, config.start)
    run = begin(config, network, resume, sources)
    accelerator, model, device = run.accelerator, run.model, run.accelerator.device
    tokenizer, jepa = tokenizer.to(device), None if jepa is None else jepa.to(device)
    examples = [
        examples_of(source, count, tokenizer, jepa, of_clips, accelerator) for source, count in sources_by_name.values()
    ]

    def batch(step: int) -> tuple[torch.Tensor, ...]:
        """Embeddings, goals and what is to be answered; each batch is of one environment."""
        of_one = examples[step % len(examples)]
        mine = run.mine(batch_order(step, config.global_batch_size, len(of_one[0]), config.seed))
        return tuple(each[mine].float() for each in of_one)

    def loss_of(head: GoalHead, embeddings: torch.Tensor, goal: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        error = head(embeddings[:, : goal.shape[1] + chunks - 1], goal) - truth
        return error[~truth.isnan()].square().mean()  # nobody knows what led to a clip's first frame

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

    run.finish(run.averaged(), predicts=config.predicts, environments=list(sources_by_name))


if __name__ == "__main__":
    run_script(main)
