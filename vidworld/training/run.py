"""A training run: how it starts or goes on, what changes in it, and what the loops share that train/ spells out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn, TextIO

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, gather_object, send_to_device, set_seed
from diffusers.models.modeling_utils import ModelMixin
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from vidworld.core.config import resolved
from vidworld.core.errors import UserError
from vidworld.core.hardware import precision, product_dtype
from vidworld.core.locks import hold
from vidworld.models.files import FORMAT, save_model
from vidworld.models.schema import TrainConfig
from vidworld.training.checkpoint import (
    CheckpointWriter,
    State,
    averages,
    fitting,
    restore,
    save_checkpoint,
    state_of,
    state_to_resume,
)
from vidworld.training.finished import Sources
from vidworld.training.optimiser import (
    Optimisers,
    Schedules,
    count_parameters,
    full_tensor,
    make_optimisers,
    make_schedule,
)
from vidworld.training.resilience import STOPPED, Heartbeat, Interruption, Spikes, Watchdog, check_trained
from vidworld.training.run_log import RunLog, missing_trackers

Batch = tuple[Any, ...]
"""Tensors, or anything with `at`, of which each clip of the batch has one."""


@dataclass
class Run:
    """Everything that changes while a network trains."""

    config: TrainConfig
    sources: Sources
    accelerator: Accelerator
    network: ModelMixin  # itself, with its weights and methods
    model: Callable[..., Any]  # the network as the loop calls it: wrapped for several processes
    kind: type[ModelMixin]  # what the network was before it was wrapped
    optimiser: Optimisers
    schedule: Schedules
    ema: EMAModel
    records: RunLog
    step: int  # the number of the step that is taken or was taken last, from 1 on
    lock: TextIO | None = None  # of the folder, which the main process has to itself
    flops_per_step: int = 0
    waited_s: float = 0.0
    started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        me, all_of_us = self.accelerator.process_index, self.accelerator.num_processes
        who = f"{self.config.out}, process {me} of {all_of_us}" if all_of_us > 1 else str(self.config.out)
        self.watchdog = Watchdog(self.config.timeout_s, who)
        self.heartbeat = Heartbeat(self.config.out, self.config.steps, self.step)
        self.writer = CheckpointWriter(self.config.out, self.config.keep)
        self.spikes = Spikes(self.config.spikes)
        self.stopping, self._saved_step = False, self.step
        self._losses: list[float] = []  # since the last checkpoint
        self._of_micro_batches: list[Mapping[str, Tensor]] = []
        self._logged: dict[str, Tensor] = {}

    # --- what a loop calls, in its order ---

    def count_flops(self, batch: Batch, loss_of: Callable[..., Tensor]) -> None:
        """Measure the floating-point operations of a step, all processes and micro-batches together.

        By torch's counter on the first micro-batch, forward and backward, whose gradient is dropped.
        """
        micro_batch = next(self.micro_batches(self.fetch(iter([batch]))))
        with FlopCounterMode(display=False) as counter:
            with self.accelerator.autocast():
                loss = loss_of(*micro_batch)
            loss.backward()
        self.network.zero_grad(set_to_none=True)
        micro_batches = self.config.grad_accum_steps * self.accelerator.num_processes
        self.flops_per_step = counter.get_total_flops() * micro_batches

    def steps(self) -> Iterator[int]:
        """The steps that are left, under a progress bar; everything drawn in a step follows from its number.

        Blocks are compiled from here on, if the configuration says so. Raises SystemExit: with code 75, after saving,
        where any process was asked to stop.
        """
        if self.config.compile:
            compile_blocks(self.network, self.accelerator, self.config.compile_mode)
        left, total, out = range(self.step, self.config.steps), self.config.steps, str(self.config.out)
        disable = None if self.accelerator.is_main_process else True  # None: where there is no terminal
        bar = tqdm(left, initial=self.step, total=total, desc=out, unit="step", disable=disable)
        self.interruption = Interruption()
        try:
            with bar, self.watchdog.watching():
                for done in bar:
                    set_seed((self.config.seed * 1_000_003 + done) % 2**32)
                    self.step = done + 1
                    yield self.step
                    self.watchdog.beat(f"step {self.step}")
                    if self.accelerator.is_main_process:
                        self.heartbeat.beat(self.step)
                    if self.stopping and self.step < self.config.steps:
                        self.stop()
        except BaseException:  # also the end of a loop that an error has left
            self._release()
            raise

    def fetch(self, batches: Iterator[Batch]) -> Batch:
        """The next batch on the device; the time that it keeps the step waiting is counted."""
        asked = time.monotonic()
        batch: Batch = send_to_device(next(batches), self.accelerator.device, non_blocking=True)
        self.waited_s += time.monotonic() - asked
        return batch

    def micro_batches(self, batch: Batch) -> Iterator[Batch]:
        """A process' share of a batch, piece by piece as it goes through the network."""
        size = self.config.global_batch_size // int(self.accelerator.num_processes) // self.config.grad_accum_steps
        for number in range(self.config.grad_accum_steps):
            some = slice(number * size, (number + 1) * size)
            yield tuple(each[some] if isinstance(each, Tensor) else each.at(some) for each in batch)

    def record(self, loss: Tensor, logged: Mapping[str, Tensor] | None = None) -> None:
        """Keep the loss of a micro-batch, and what else is logged of it."""
        self._of_micro_batches.append({"loss": loss.detach()} | {k: v.detach() for k, v in (logged or {}).items()})

    def accepts(self, gradient_norm: Tensor) -> bool:
        """Whether the step is to be taken; if not, its loss or its gradient is a spike or not finite.

        All processes agree on it, and on stopping, in the one reduction that a step has: one that skipped or stopped by
        itself would leave the others waiting. Raises UserError: there were too many spikes.
        """
        norm = float(full_tensor(gradient_norm))
        pieces, self._of_micro_batches = self._of_micro_batches, []
        self._logged = {name: torch.stack([piece[name] for piece in pieces]).mean() for name in pieces[0]}
        asked = torch.tensor(float(bool(self.interruption.name)), device=self.accelerator.device)
        loss, stopping = self.mean(torch.stack((self._logged["loss"].float(), asked))).tolist()
        self._logged["gradient_norm"] = asked.new_tensor(norm)
        self.stopping = stopping > 0
        scaler = self.accelerator.scaler  # skips by itself where its own scale was too large
        if not self.spikes.is_one(loss, 0.0 if scaler else norm):
            self._losses.append(loss)
            return True
        self.accelerator.print(f"{self.config.out}: skipped step {self.step}, loss {loss:.4g}")
        if scaler:
            scaler.update()
        if self.spikes.too_many:
            raise UserError(
                f"{self.config.out}: stopped at step {self.step}, as the losses of {self.config.spikes.most} of the "
                f"last {self.config.spikes.window} steps were spikes or not finite (the last is {loss:.4g}); a lower "
                "optimiser.lr may help"
            )
        return False

    def log_if_due(self) -> dict[str, float]:
        """Log the means over the whole batch every `log_every` steps, and return them; else nothing."""
        if self.step % self.config.log_every and self.step < self.config.steps:
            return {}
        logged = self.mean(torch.stack([value.float() for value in self._logged.values()]))
        numbers = dict(zip(self._logged, logged.tolist(), strict=True))
        numbers |= {"lr": self.schedule.lr, "skipped": self.spikes.skipped, "data_wait_share": self.data_wait_share}
        self.records.write(self.step, numbers)
        return numbers

    def save_if_due(self) -> None:
        """Save a checkpoint every `save_every` steps, beside the training."""
        if self.step % self.config.save_every == 0 and self.step < self.config.steps:
            state = self.state()
            if self.accelerator.is_main_process:
                self.writer.save(self.step, state)

    def averaged(self) -> ModelMixin:
        """A network of its own with the averaged weights, the same on every process."""
        model = self.kind(**{k: v for k, v in self.network.config.items() if not k.startswith("_")})
        averaged = self.network.state_dict() | dict(averages(self.network, self.ema))
        model.load_state_dict({name: full_tensor(value) for name, value in averaged.items()})
        model.to(self.accelerator.device).eval()
        return model

    def finish(self, model: ModelMixin, **record: object) -> None:
        """Write the finished model and what it cost, and wait until it is there; UserError as `check_trained`."""
        self.records.close()
        try:
            check_trained(model, self.config, self.spikes.skipped)
        except UserError:
            self._release()
            raise
        if self.accelerator.is_main_process:
            self.writer.wait()
            budget = {
                "config": resolved(self.config), "parameters": count_parameters(model), "steps": self.config.steps,
                "skipped_steps": self.spikes.skipped, "seconds": round(self.records.seconds, 1),
                "clips_seen": self.config.steps * self.config.global_batch_size,
                "training_flops": self.flops_per_step * self.config.steps,
                **self.sources, **record,
            }  # fmt: skip
            save_model(model, self.config.out, budget)
            print(
                f"{self.config.out}: {self.config.steps} steps in {self.records.seconds:.0f} s, "
                f"waiting for data {self.data_wait_share:.1%} of the time"
            )
        self._part_company()

    # --- the rest ---

    @property
    def data_wait_share(self) -> float:
        """Part of the time so far that steps waited for their data."""
        return self.waited_s / max(1e-9, time.monotonic() - self.started_s)

    def mine(self, numbers: Sequence[int]) -> Sequence[int]:
        """This process' share of the numbers of a batch."""
        return numbers[self.accelerator.process_index :: self.accelerator.num_processes]

    def mean(self, value: Tensor) -> Tensor:
        """Over all processes, which must all call it."""
        mean: Tensor = self.accelerator.reduce(value, "mean")
        return mean

    def state(self) -> State:
        """What a checkpoint of this step holds. All processes must call it."""
        state = state_of(self.network, self.ema, self.optimiser.plain, self.schedule.each)
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
        """Go on from a checkpoint's state. All processes must call it."""
        restore(state, self.network, self.ema, self.optimiser.plain, self.schedule.each)
        self.spikes.restore(state.numbers["spikes"])
        if self.accelerator.scaler is not None and state.numbers["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state.numbers["scaler"])

    def stop(self) -> NoReturn:
        """Save and exit, to be started again. Raises UserError: the checkpoint cannot be written."""
        state = None if self._saved_step == self.step else self.state()
        self.records.close()
        if self.accelerator.is_main_process:
            self.writer.wait(must=True)
            if state is not None:
                save_checkpoint(self.config.out, self.step, state, self.config.keep)
            print(
                f"{self.config.out}: asked to stop ({self.interruption.name or 'another process was'}), saved at step "
                f"{self.step} of {self.config.steps}; started again it goes on from there (exit code {STOPPED})",
                flush=True,
            )
        self._part_company()
        raise SystemExit(STOPPED)

    def _part_company(self) -> None:
        """End what processes have in common, when the first of them is done with writing."""
        self._release()
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()

    def _release(self) -> None:
        """Let go of the signals and of the folder."""
        self.interruption.release()
        if self.lock is not None:
            self.lock.close()


def compile_blocks(network: ModelMixin, accelerator: Accelerator, mode: str = "default") -> None:
    """Compile one transformer block for all of a kind, where that is possible: much faster than the whole network."""
    if reason := why_not_compile(accelerator.device):
        accelerator.print(f"compile: not possible here, going on without ({reason})")
    else:
        # A block is compiled once for each shape, and for weights with and without gradient (those of a slow copy).
        torch._dynamo.config.recompile_limit = 32
        network.compile_repeated_blocks(mode=mode)


def why_not_compile(device: torch.device) -> str | None:
    """Why torch.compile does not work here, where it does not: on a CPU it takes a C++ compiler."""
    try:
        torch.compile(torch.square)(torch.ones(16, device=device))
    except RuntimeError as error:  # torch's for a backend that failed
        return str(error).strip().splitlines()[0]
    return None


def begin(
    config: TrainConfig, network: ModelMixin, resume: bool, sources: Sources, first: Callable[[], object] = bool
) -> Run:
    """A run at its first step, before which `first` is called, or at that of the newest whole checkpoint in its folder.

    Raises UserError: the folder cannot be written, another training runs there, its checkpoint is of another
    configuration, or `resume` is asked for with nothing there.
    """
    accelerator = Accelerator(
        mixed_precision=precision(config.mixed_precision),
        gradient_accumulation_steps=config.grad_accum_steps,
        # A collective by itself waits longer: the watchdog, whose message says more, is to end it.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=config.timeout_s + 60))],
    )
    shares = accelerator.num_processes * config.grad_accum_steps
    if config.global_batch_size % shares:
        raise UserError(
            f"global_batch_size={config.global_batch_size} does not divide into {accelerator.num_processes} processes "
            f"x {config.grad_accum_steps} micro-batches; choose a multiple of {shares}"
        )
    if missing := missing_trackers(config.trackers):
        raise UserError(f"trackers: {', '.join(missing)} cannot be imported; install it, or leave it out")
    main = accelerator.is_main_process
    lock = hold(config.out / "lock", wait=False) if main else None
    if not all(gather_object([lock is not None or not main])):
        raise UserError(f"{config.out}: another training is running there; wait for it, or name another out")
    step, state = state_to_resume(config, accelerator, resume, sources)
    kind = type(network)
    if state is None:
        first()
    network = network.to(accelerator.device).train()
    optimisers = make_optimisers(network, config.optimiser, product_dtype(config.mixed_precision))
    schedules = [make_schedule(optimiser, config.optimiser, config.steps) for optimiser in optimisers]
    model, *prepared = accelerator.prepare(network, *optimisers)
    ema = EMAModel(network.parameters(), decay=config.optimiser.ema_decay, use_ema_warmup=True, power=0.9, foreach=True)
    records = RunLog(config.out, config, config.seed, main, resumed_step=step or None, trackers=config.trackers)
    optimiser, schedule = Optimisers(prepared), Schedules(schedules)
    run = Run(config, sources, accelerator, network, model, kind, optimiser, schedule, ema, records, step, lock)
    if state is not None:
        with fitting(config.out, step):
            run.restore(state)
        accelerator.print(f"{config.out}: going on from step {step}")
    return run
