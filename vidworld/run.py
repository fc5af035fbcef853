"""The state of a training run and the few things that every training script does with it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from diffusers.models.modeling_utils import ModelMixin
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from vidworld.checkpoint import checkpoints, load_checkpoint, read_budget, save_checkpoint, save_model
from vidworld.config import resolved
from vidworld.errors import UserError
from vidworld.optimiser import count_parameters, make_optimisers, make_schedule
from vidworld.record import RunLog, prepare_folder
from vidworld.schema import AdoptConfig, TrainConfig

Batch = TypeVar("Batch")


@dataclass
class Run:
    """Everything that changes while a network trains."""

    config: TrainConfig
    accelerator: Accelerator
    network: ModelMixin
    """The network itself, with its weights and methods."""
    model: Callable[..., Any]
    """The same as the loop calls it: wrapped for several processes, and compiled if asked."""
    optimisers: list[Optimizer]
    schedules: list[LambdaLR]
    ema: EMAModel
    log: RunLog
    step: int
    flops_per_step: int = 0
    waited_s: float = 0.0
    started_s: float = field(default_factory=time.monotonic)

    def steps(self) -> Iterator[int]:
        """The numbers of the steps to do, under a progress bar."""
        yield from tqdm(
            range(self.step, self.config.steps),
            initial=self.step,
            total=self.config.steps,
            desc=str(self.config.out),
            unit="step",
            disable=None if self.accelerator.is_main_process else True,
        )

    def fetch(self, batches: Iterator[Batch]) -> Batch:
        """The next batch on the device; the time that it keeps the step waiting is counted."""
        asked = time.monotonic()
        batch: Batch = send_to_device(next(batches), self.accelerator.device, non_blocking=True)
        self.waited_s += time.monotonic() - asked
        return batch

    def backward(self, loss: Tensor) -> None:
        """Adds the gradient of one part of a batch.

        Raises:
            UserError: the loss is no number.
        """
        if not torch.isfinite(loss.detach()):
            raise UserError(
                f"{self.config.out}: the loss of step {self.step} is {loss.item()}; a lower optimiser.lr may help"
            )
        self.accelerator.backward(loss)

    def update(self) -> float:
        """Takes the optimisers' step and returns the gradient's norm before clipping."""
        norm = self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip_norm)
        for optimiser, schedule in zip(self.optimisers, self.schedules, strict=True):
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
        self.ema.step(self.network.parameters())
        self.step += 1
        return float(norm)

    def write(self, values: dict[str, Any]) -> None:
        """Logs the values every `log_every` steps and saves a checkpoint every `save_every`."""
        if self.step % self.config.log_every == 0 or self.step == self.config.steps:
            numbers: dict[str, float] = {
                k: float(v.detach() if isinstance(v, Tensor) else v) for k, v in values.items()
            }
            numbers |= {
                "lr": float(self.schedules[0].get_last_lr()[0]),
                "data_wait_share": self.data_wait_share,
            }
            self.log.write(self.step, numbers)
        if self.step % self.config.save_every == 0 and self.step < self.config.steps:
            save_checkpoint(self.accelerator, self.config.out, self.step)

    @property
    def data_wait_share(self) -> float:
        """Part of the time so far that steps waited for their data."""
        return self.waited_s / max(1e-9, time.monotonic() - self.started_s)

    def finish(self, **record: object) -> None:
        """Writes the model with its averaged weights, and what it cost."""
        self.accelerator.wait_for_everyone()
        self.log.close()
        if not self.accelerator.is_main_process:
            return
        budget = {
            "config": resolved(self.config),
            "parameters": count_parameters(self.network),
            "steps": self.config.steps,
            "clips_seen": self.config.steps * self.config.batch_clips,
            "training_flops": self.flops_per_step * self.config.steps,
            "seconds": round(self.log.seconds, 1),
            **record,
        }
        save_model(self.network, self.config.out, budget)
        print(
            f"{self.config.out}: {self.config.steps} steps in {self.log.seconds:.0f} s, "
            f"waiting for data {self.data_wait_share:.1%} of the time"
        )


def is_finished(config: TrainConfig | AdoptConfig, **record: object) -> bool:
    """Whether the run folder holds the model of this very configuration, which is then said.

    Raises:
        UserError: it holds one of another configuration, which is not to be lost.
    """
    if not (config.out / "model" / "budget.json").exists():
        return False
    budget = read_budget(config.out)
    wanted = {"config": resolved(config), **record}
    differing = sorted(key for key, value in wanted.items() if budget.get(key) != value)
    if differing:
        raise UserError(
            f"{config.out}: holds a model made from another {' and '.join(differing)}; "
            "choose another out=FOLDER, or remove that one"
        )
    print(f"{config.out}: finished before, from the same configuration; nothing to do")
    return True


def begin(config: TrainConfig, network: ModelMixin, resume: bool) -> Run:
    """A run at its first step, or at that of the newest checkpoint in its folder.

    Raises:
        UserError: the folder cannot be written, or `resume` is asked for with nothing there.
    """
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision, gradient_accumulation_steps=config.accumulation
    )
    share = config.batch_clips / accelerator.num_processes / config.accumulation
    if share != int(share):
        raise UserError(
            f"batch_clips={config.batch_clips} does not divide into {accelerator.num_processes} processes x "
            f"{config.accumulation} parts; choose a multiple of {accelerator.num_processes * config.accumulation}"
        )
    prepare_folder(config.out)
    torch.manual_seed(config.seed + accelerator.process_index)
    network = network.to(accelerator.device).train()
    optimisers = make_optimisers(network, config.optimiser)
    schedules = [make_schedule(optimiser, config.optimiser, config.steps) for optimiser in optimisers]
    model, *prepared = accelerator.prepare(network, *optimisers)
    ema = EMAModel(network.parameters(), decay=config.optimiser.ema_decay, use_ema_warmup=True, power=0.9)
    accelerator.register_for_checkpointing(ema, *schedules)
    step = 0
    if resume or checkpoints(config.out):
        step = load_checkpoint(accelerator, config.out)
        accelerator.print(f"{config.out}: going on from step {step}")
    log = RunLog(
        config.out,
        config,
        config.seed,
        main=accelerator.is_main_process,
        resumed_step=step if step else None,
    )
    called = torch.compile(model) if config.compile else model
    return Run(config, accelerator, network, called, prepared, schedules, ema, log, step)


def count_flops(run: Run, one_part: Callable[[], Tensor]) -> int:
    """Floating-point operations of one optimiser step: forward and backward, over all processes and parts.

    Measured by torch's counter on one part, whose gradient is dropped.
    """
    states = torch.get_rng_state()
    counter = FlopCounterMode(display=False)
    with counter:
        one_part().backward()
    run.network.zero_grad(set_to_none=True)
    torch.set_rng_state(states)
    parts: int = run.config.accumulation * run.accelerator.num_processes
    per_part: int = counter.get_total_flops()
    return per_part * parts
