"""Noise levels of other people's diffusion models: what they are shown and what they predict.

Every Gaussian diffusion shows x = clean * x0 + noise * n and asks for a mixture of x0 and n. So the noise n (epsilon),
v (arXiv 2202.00512), the velocity of a flow (arXiv 2209.03003), the clean sample and EDM's preconditioned residual
(arXiv 2206.00364, table 1) are five choices of four numbers, and one formula inverts them all.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vidworld.core.errors import UserError


class NoiseLevel(NamedTuple):
    timestep: float  # what the network is given
    clean: float
    noise: float  # the noisy sample is clean * x0 + noise * n
    target_clean: float
    target_noise: float  # the network predicts target_clean * x0 + target_noise * n
    scale: float = 1.0  # the noisy sample is multiplied by this before the network sees it

    def noisy(self, clean: Tensor, noise: Tensor) -> Tensor:
        return self.clean * clean + self.noise * noise

    def target(self, clean: Tensor, noise: Tensor) -> Tensor:
        """What the network should answer: its own parametrisation."""
        return self.target_clean * clean + self.target_noise * noise

    @property
    def _determinant(self) -> float:
        return self.target_noise * self.clean - self.noise * self.target_clean

    def clean_of(self, noisy: Tensor, answer: Tensor) -> Tensor:
        """The clean sample that an answer to a noisy one means."""
        return (self.target_noise * noisy - self.noise * answer) / self._determinant

    def noise_of(self, noisy: Tensor, answer: Tensor) -> Tensor:
        """The noise that an answer to a noisy sample means."""
        return (self.clean * answer - self.target_clean * noisy) / self._determinant


class Levels:
    """The noise levels that a folder's scheduler knows, by their share from 0 (clean) to 1 (noise).

    A share is the flow's time; the share of the training steps where those are discrete; sigma over sigma and the
    data's deviation for EDM.
    """

    def __init__(self, scheduler: Any, unit_time: bool = False) -> None:
        """`unit_time`: a flow whose network takes times in [0, 1] and not in training steps (Cosmos 2)."""
        config = scheduler.config
        self.scheduler, self.unit_time = scheduler, unit_time
        self.prediction = str(config.get("prediction_type", ""))
        name = type(scheduler).__name__
        if name == "EDMEulerScheduler":
            self.form = "edm"
        elif name.startswith("FlowMatch") or self.prediction == "flow_prediction":
            self.form = "flow"
        elif hasattr(scheduler, "alphas_cumprod") and self.prediction in ("epsilon", "v_prediction", "sample"):
            self.form = "steps"
        else:
            raise UserError(
                f"{name} with prediction_type {self.prediction or None}: how it adds noise is not known here; a flow "
                "match, an EDM or a DDIM-like scheduler (epsilon, v_prediction, sample) would be"
            )

    @property
    def latent_scale(self) -> float:
        """The deviation that the model wants its latents to have."""
        return float(self.scheduler.config.sigma_data) if self.form == "edm" else 1.0

    def at(self, share: float) -> NoiseLevel:
        config = self.scheduler.config
        if self.form == "flow":
            told = share if self.unit_time else share * config.num_train_timesteps
            return NoiseLevel(told, 1 - share, share, -1.0, 1.0)
        if self.form == "edm":
            data, most = config.sigma_data, config.sigma_max
            return _edm(min(data * share / (1 - share), most) if share < 1 else most, data, self.prediction)
        step = max(0, round(share * config.num_train_timesteps) - 1)
        kept = float(self.scheduler.alphas_cumprod[step])
        clean, noise = math.sqrt(kept), math.sqrt(1 - kept)
        targets = {"epsilon": (0.0, 1.0), "v_prediction": (-noise, clean), "sample": (1.0, 0.0)}
        return NoiseLevel(float(step), clean, noise, *targets[self.prediction])

    def descending(self, steps: int) -> list[NoiseLevel]:
        """The levels of a sampler of so many steps, from noise on, with the scheduler's own shift towards noise."""
        shares = torch.linspace(1, 1 / steps, steps)
        if self.form == "flow":
            config = self.scheduler.config
            shift = float(config.get("flow_shift") or config.get("shift") or 1.0)
            if config.get("use_dynamic_shifting"):  # grows with the length, and the bench's clips are short
                shift = math.exp(config.get("base_shift", 0.5))
            shares = shift * shares / (1 + (shift - 1) * shares)
        return [self.at(float(share)) for share in shares]


def sampled(levels: list[NoiseLevel], noise: Tensor, ask: Any) -> Tensor:
    """The clean sample at the end of a deterministic sampler: DDIM without noise, which is Euler's method for a flow.

    `ask(noisy, level)` is the network's answer. Source: arXiv 2010.02502, eq. 12 with sigma 0.
    """
    # a discrete schedule's last step need not be pure noise: what it leaves of the clean sample is taken as zero
    noisy = levels[0].noise * noise
    for level, following in zip(levels, [*levels[1:], None], strict=True):
        answer = ask(noisy, level).float()
        clean = level.clean_of(noisy, answer)
        noisy = clean if following is None else following.noisy(clean, level.noise_of(noisy, answer))
    return noisy


def _edm(sigma: float, data: float, prediction: str) -> NoiseLevel:
    """The level of EDM with this deviation of the noise; the sign of its output is the prediction type's."""
    total, sign = math.hypot(sigma, data), -1 if prediction == "v_prediction" else 1
    skip, out = data**2 / total**2, sign * (sigma * data / total)
    return NoiseLevel(0.25 * math.log(sigma), 1.0, sigma, (1 - skip) / out, -skip * sigma / out, 1 / total)
