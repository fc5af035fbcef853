"""How a training starts: at its first step, or at that of its newest whole checkpoint."""

from datetime import timedelta

from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list
from diffusers.models.modeling_utils import ModelMixin
from diffusers.training_utils import EMAModel

from vidworld.core.errors import UserError
from vidworld.core.precision import precision, product_dtype
from vidworld.core.records import prepare_folder
from vidworld.models.schema import TrainConfig
from vidworld.training.checkpoint import State, load_checkpoint, newest_checkpoint
from vidworld.training.finished import Sources, differing
from vidworld.training.optimiser import Optimisers, Schedules, make_optimisers, make_schedule
from vidworld.training.run import Run
from vidworld.training.run_log import RunLog, missing_trackers


def begin(config: TrainConfig, network: ModelMixin, resume: bool, sources: Sources) -> Run:
    """A run at its first step, or at that of the newest whole checkpoint in its folder.

    Raises UserError: the folder cannot be written, its checkpoint is of another configuration, or `resume` is asked for
    with nothing there.
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
    prepare_folder(config.out)
    step, state = _state_to_resume(config, accelerator, resume, sources)
    kind = type(network)
    network = network.to(accelerator.device).train()
    optimisers = make_optimisers(network, config.optimiser, product_dtype(config.mixed_precision))
    schedules = [make_schedule(optimiser, config.optimiser, config.steps) for optimiser in optimisers]
    model, *prepared = accelerator.prepare(network, *optimisers)
    ema = EMAModel(network.parameters(), decay=config.optimiser.ema_decay, use_ema_warmup=True, power=0.9, foreach=True)
    main = accelerator.is_main_process
    records = RunLog(config.out, config, config.seed, main, resumed_step=step or None, trackers=config.trackers)
    optimiser, schedule = Optimisers(prepared), Schedules(schedules)
    run = Run(config, sources, accelerator, network, model, kind, optimiser, schedule, ema, records, step)
    if state is not None:
        run.restore(state)
        accelerator.print(f"{config.out}: going on from step {step}")
    return run


def _state_to_resume(
    config: TrainConfig, accelerator: Accelerator, resume: bool, sources: Sources
) -> tuple[int, State | None]:
    """The step to go on from and what was saved at it: that which the main process finds whole."""
    found = newest_checkpoint(config.out) if accelerator.is_main_process else None
    (newest,) = broadcast_object_list([found])
    if newest is None:
        if resume:
            raise UserError(f"{config.out}: no checkpoint to resume from; leave out --resume to start a new run there")
        return 0, None
    step, path = newest
    state = load_checkpoint(path)
    if changed := differing(state.numbers, config, sources):
        raise UserError(
            f"{path}: is of another configuration: {', '.join(changed)}; choose another out=FOLDER, or the "
            "configuration in its config.yaml"
        )
    return step, state
