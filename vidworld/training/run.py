"""A training run: everything that changes in it, and what every training script does with it step by step."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, set_seed
from diffusers.models.modeling_utils import ModelMixin
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from vidworld.core.config import resolved
from vidworld.core.errors import UserError
from vidworld.models.budget import FORMAT
from vidworld.models.files import save_model
from vidworld.models.schema import TrainConfig
from vidworld.training.checkpoint import CheckpointWriter, save_checkpoint
from vidworld.training.compiling import compile_blocks
from vidworld.training.finished import Sources
from vidworld.training.interruption import EXIT_CODE, Interruption
from vidworld.training.optimiser import count_parameters
from vidworld.training.run_log import RunLog
from vidworld.training.sharding import whole
from vidworld.training.spikes import Spikes, keep_batch
from vidworld.training.state import State, averages, restore, state_of
from vidworld.training.watchdog import Heartbeat, Watchdog

Batch = tuple[Any, ...]
"""Tensors, or anything with `at`, of which each clip of the batch has one."""


@dataclass
class Run:
    """Everything that changes while a network trains."""

    config: TrainConfig
    sources: Sources
    accelerator: Accelerator
    network: ModelMixin
    """The network itself, with its weights and methods."""
    model: Callable[..., Any]
    """The same as the loop calls it: wrapped for several processes."""
    kind: type[ModelMixin]
    """What the network was before it was wrapped."""
    optimisers: list[Optimizer]
    schedules: list[LambdaLR]
    ema: EMAModel
    log: RunLog
    spikes: Spikes
    step: int
    flops_per_step: int = 0
    waited_s: float = 0.0
    started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        me, all_of_us = self.accelerator.process_index, self.accelerator.num_processes
        who = f"{self.config.out}, process {me} of {all_of_us}" if all_of_us > 1 else str(self.config.out)
        self.watchdog = Watchdog(self.config.timeout_s, who)
        self.heartbeat = Heartbeat(self.config.out, self.config.steps, self.step)
        self.writer = CheckpointWriter(self.config.out, self.config.keep)
        self.stopping = False
        self._saved_step = self.step
        self._losses: list[float] = []  # since the last checkpoint
        self._batch: Batch = ()
        self._parts: list[Mapping[str, Tensor]] = []
        self._told: dict[str, Tensor] = {}

    # --- what a script calls, in its order ---

    def count_flops(self, one_part: Callable[[], Tensor]) -> None:
        """Measures the floating-point operations of a step: forward and backward, over all processes and parts.

        By torch's counter on one part, whose gradient is dropped.
        """
        counter = FlopCounterMode(display=False)
        with counter:
            one_part().backward()
        self.network.zero_grad(set_to_none=True)
        parts = self.config.accumulation * self.accelerator.num_processes
        self.flops_per_step = counter.get_total_flops() * parts

    def steps(self) -> Iterator[int]:
        """The numbers of the steps to do, under a progress bar; every draw of a step follows from its number.

        Where asked, blocks are compiled from here on.

        Raises:
            SystemExit: with code 75, after saving, where any process was asked to stop.
        """
        if self.config.compile:
            compile_blocks(self.network, self.accelerator, self.config.compile_mode)
        bar = tqdm(
            range(self.step, self.config.steps),
            initial=self.step,
            total=self.config.steps,
            desc=str(self.config.out),
            unit="step",
            disable=None if self.accelerator.is_main_process else True,
        )
        self.interruption = Interruption()
        try:
            with bar, self.watchdog.watching():
                for step in bar:
                    set_seed((self.config.seed * 1_000_003 + step) % 2**32)
                    yield step
                    self.watchdog.beat(f"step {self.step}")
                    if self.accelerator.is_main_process:
                        self.heartbeat.beat(self.step)
                    if self.stopping and self.step < self.config.steps:
                        self.stop()
        except BaseException:  # also the end of a loop that an error has left
            self.interruption.release()
            raise

    def fetch(self, batches: Iterator[Batch]) -> Batch:
        """The next batch on the device; the time that it keeps the step waiting is counted."""
        asked = time.monotonic()
        self._batch = send_to_device(next(batches), self.accelerator.device, non_blocking=True)
        self.waited_s += time.monotonic() - asked
        return self._batch

    def split(self, batch: Batch) -> Iterator[Batch]:
        """The parts that a process' share of a batch is worked through in."""
        for number in range(self.config.accumulation):
            some = slice(number * self.part_clips, (number + 1) * self.part_clips)
            yield tuple(whole[some] if isinstance(whole, Tensor) else whole.at(some) for whole in batch)

    def backward(self, loss: Tensor, told: Mapping[str, Tensor] | None = None) -> None:
        """Adds the gradient of one part of a batch; what else it told is logged."""
        self.accelerator.backward(loss)
        self._parts.append({"loss": loss.detach()} | {k: v.detach() for k, v in (told or {}).items()})

    def update(self) -> None:
        """Takes the optimisers' step, or skips it where the loss is a spike.

        Raises:
            UserError: there were too many spikes.
        """
        norm = float(whole(self._clip(self.network.parameters(), self.config.optimiser.clip_norm)))
        self._told = {
            name: torch.stack([part[name] for part in self._parts]).mean() for name in self._parts[0]
        }
        self._parts = []
        # All processes must agree: one that skips or stops by itself leaves the others waiting.
        asked = torch.tensor(float(bool(self.interruption.name)), device=self.accelerator.device)
        loss, stopping = self.mean(torch.stack((self._told["loss"].float(), asked))).tolist()
        self._told["gradient_norm"] = asked.new_tensor(norm)
        self.stopping = stopping > 0
        scaler = self.accelerator.scaler  # skips by itself where its own scale was too large
        spike = self.spikes.is_one(loss, 0.0 if scaler else norm)
        if spike:
            self._keep(loss, norm)
        for optimiser, schedule in zip(self.optimisers, self.schedules, strict=True):
            if not spike:
                optimiser.step()
            optimiser.zero_grad()
            with warnings.catch_warnings(action="ignore"):  # a schedule goes on over a step that is skipped
                schedule.step()
        if not spike:
            self.ema.step(self.network.parameters())
            self._losses.append(loss)
        elif scaler:
            scaler.update()
        self.step += 1
        if self.spikes.too_many:
            raise UserError(
                f"{self.config.out}: stopped at step {self.step}, as the losses of {self.config.spikes.most} of the "
                f"last {self.config.spikes.window} steps were spikes or no numbers (the last is {loss:.4g}); a lower "
                "optimiser.lr may help, and their batches are in spikes/"
            )

    def write(self) -> dict[str, float]:
        """What the batch told, over all its parts and processes, every `log_every` steps; else nothing.

        Saves a checkpoint every `save_every`.
        """
        numbers: dict[str, float] = {}
        if self.step % self.config.log_every == 0 or self.step == self.config.steps:
            told = torch.stack([value.float() for value in self._told.values()])
            numbers = dict(zip(self._told, self.mean(told).tolist(), strict=True))
            numbers["lr"] = float(self.schedules[0].get_last_lr()[0])
            numbers["skipped"] = self.spikes.skipped
            numbers["data_wait_share"] = self.data_wait_share
            self.log.write(self.step, numbers)
        if self.step % self.config.save_every == 0 and self.step < self.config.steps:
            state = self.state()
            if self.accelerator.is_main_process:
                self.writer.save(self.step, state)
        return numbers

    def averaged(self) -> ModelMixin:
        """A network of its own with the averaged weights, the same on every process."""
        arguments = {k: v for k, v in self.network.config.items() if not k.startswith("_")}
        model = self.kind(**arguments)
        averaged = self.network.state_dict() | dict(averages(self.network, self.ema))
        model.load_state_dict({name: whole(value) for name, value in averaged.items()})
        model.to(self.accelerator.device).eval()
        return model

    def finish(self, model: ModelMixin, **record: object) -> None:
        """Writes the finished model and what it cost, and waits until it is there."""
        self.log.flush()
        if self.accelerator.is_main_process:
            self.writer.wait()
            budget = {
                "config": resolved(self.config),
                "parameters": count_parameters(model),
                "steps": self.config.steps,
                "skipped_steps": self.spikes.skipped,
                "clips_seen": self.config.steps * self.config.batch_clips,
                "training_flops": self.flops_per_step * self.config.steps,
                "seconds": round(self.log.seconds, 1),
                **self.sources,
                **record,
            }
            save_model(model, self.config.out, budget)
            print(
                f"{self.config.out}: {self.config.steps} steps in {self.log.seconds:.0f} s, "
                f"waiting for data {self.data_wait_share:.1%} of the time"
            )
        self._part_company()

    # --- the rest ---

    @property
    def part_clips(self) -> int:
        """Clips that one process works through at once."""
        return self.config.batch_clips // int(self.accelerator.num_processes) // self.config.accumulation

    @property
    def data_wait_share(self) -> float:
        """Part of the time so far that steps waited for their data."""
        return self.waited_s / max(1e-9, time.monotonic() - self.started_s)

    def mine(self, numbers: Sequence[int]) -> Sequence[int]:
        """This process' share of the numbers of a batch."""
        return numbers[self.accelerator.process_index :: self.accelerator.num_processes]

    def mean(self, value: Tensor) -> Tensor:
        """The mean over processes."""
        mean: Tensor = self.accelerator.reduce(value, "mean")
        return mean

    def state(self) -> State:
        """What a checkpoint of this step holds. All processes must call it."""
        state = state_of(self.network, self.ema, self._plain_optimisers(), self.schedules)
        scaler = self.accelerator.scaler
        state.numbers.update(
            config=resolved(self.config),
            format=FORMAT,
            **self.sources,
            processes=self.accelerator.num_processes,
            scaler=None if scaler is None else scaler.state_dict(),
            spikes=self.spikes.state(),
            loss=sum(self._losses) / len(self._losses) if self._losses else None,
        )
        self._losses, self._saved_step = [], self.step
        return state

    def restore(self, state: State) -> None:
        """Sets everything to what `state` holds."""
        restore(state, self.network, self.ema, self._plain_optimisers(), self.schedules)
        self.spikes.restore(state.numbers["spikes"])
        if self.accelerator.scaler is not None and state.numbers["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state.numbers["scaler"])

    def stop(self) -> NoReturn:
        """Saves and exits, to be started again.

        Raises:
            UserError: the checkpoint cannot be written.
        """
        state = None if self._saved_step == self.step else self.state()
        self.log.flush()
        if self.accelerator.is_main_process:
            self.writer.wait(must=True)
            if state is not None:
                save_checkpoint(self.config.out, self.step, state, self.config.keep)
            print(
                f"{self.config.out}: asked to stop ({self.interruption.name or 'another process was'}), saved at step "
                f"{self.step} of {self.config.steps}; started again it goes on from there (exit code {EXIT_CODE})",
                flush=True,
            )
        self._part_company()
        raise SystemExit(EXIT_CODE)

    def _clip(self, parameters: Iterator[Tensor], most: float) -> Tensor:
        norm: Tensor = self.accelerator.clip_grad_norm_(parameters, most)
        return norm

    def _keep(self, loss: float, norm: float) -> None:
        """Puts the batch of a spike where it can be looked at."""
        told = {"loss": loss, "gradient_norm": norm}
        path = keep_batch(self.config.out, self.step, self.accelerator.process_index, self._batch, told)
        self.accelerator.print(
            f"{self.config.out}: skipped step {self.step}, loss {loss:.4g}; its batch: {path}"
        )

    def _plain_optimisers(self) -> list[Optimizer]:
        """The optimisers without what accelerate wraps them in."""
        return [getattr(optimiser, "optimizer", optimiser) for optimiser in self.optimisers]

    def _part_company(self) -> None:
        """Ends what processes have in common, when the first of them is done with writing."""
        self.interruption.release()
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
