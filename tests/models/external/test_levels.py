"""Noise levels: each parametrisation inverted, and the sampler on data whose answer is known."""

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DDIMScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    KarrasVeScheduler,
    UniPCMultistepScheduler,
)

from vidworld.core.errors import UserError
from vidworld.models.external.transformers_of_video import Levels, sampled

SCHEDULERS = {
    "flow": FlowMatchEulerDiscreteScheduler(shift=3.0),
    "flow by UniPC": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=2.0),
    "v of CogVideoX": CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    "noise": DDIMScheduler(prediction_type="epsilon"),
    "clean": DDIMScheduler(prediction_type="sample"),
    "edm": EDMEulerScheduler(sigma_data=0.5, sigma_max=80.0),
    "edm with v": EDMEulerScheduler(sigma_data=0.5, prediction_type="v_prediction"),
}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_the_right_answer_gives_back_clean_sample_and_noise(name, share):
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 50, dtype=torch.float64)
    level = Levels(SCHEDULERS[name]).at(share)
    noisy, answer = level.noisy(clean, noise), level.target(clean, noise)
    found = level.solved(noisy, answer)
    assert torch.allclose(found[0], clean, atol=1e-4)
    assert torch.allclose(found[1], noise, atol=1e-4)


def test_edm_is_what_the_scheduler_makes_of_an_output():
    scheduler = EDMEulerScheduler(sigma_data=0.5)
    level = Levels(scheduler).at(0.8)  # sigma 2
    noisy, answer = torch.tensor([1.3]), torch.tensor([0.4])
    sigma = torch.tensor(level.noise)
    assert level.noise == pytest.approx(2.0)
    assert level.solved(noisy, answer)[0] == pytest.approx(float(scheduler.precondition_outputs(noisy, answer, sigma)))
    assert level.timestep == pytest.approx(float(scheduler.precondition_noise(sigma)))
    assert noisy * level.scale == pytest.approx(float(scheduler.precondition_inputs(noisy, sigma)))


def test_a_discrete_level_adds_noise_as_its_scheduler_does():
    scheduler = DDIMScheduler(prediction_type="epsilon")
    clean, noise = torch.tensor([[0.7]]), torch.tensor([[-1.2]])
    level = Levels(scheduler).at(0.4)
    assert level.timestep == 399
    there = scheduler.add_noise(clean, noise, torch.tensor([399]))
    assert torch.allclose(level.noisy(clean, noise), there)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_sampler_turns_noise_into_the_gaussian_that_the_denoiser_knows(name):
    """Data of mean 3 and deviation 0.5, for which the best answer is linear in the noisy sample."""
    torch.manual_seed(0)
    mean, deviation = 3.0, 0.5

    def ask(noisy, level):
        gain = level.clean * deviation**2 / ((level.clean * deviation) ** 2 + level.noise**2)
        clean = mean + gain * (noisy - level.clean * mean)
        return level.target(clean, (noisy - level.clean * clean) / level.noise)

    found = sampled(Levels(SCHEDULERS[name]).descending(200), torch.randn(20000, dtype=torch.float64), ask)
    assert float(found.mean()) == pytest.approx(mean, abs=0.1)
    assert float(found.std()) == pytest.approx(deviation, rel=0.1)


def test_a_flow_is_shifted_as_its_scheduler_says():
    levels = Levels(FlowMatchEulerDiscreteScheduler(shift=3.0)).descending(2)
    assert [level.noise for level in levels] == pytest.approx([1.0, 0.75])
    assert [level.timestep for level in levels] == pytest.approx([1000.0, 750.0])
    assert Levels(FlowMatchEulerDiscreteScheduler(), unit_time=True).at(0.5).timestep == 0.5


def test_a_scheduler_of_another_kind_is_named():
    with pytest.raises(UserError, match="how it adds noise is not known here"):
        Levels(KarrasVeScheduler())
    assert Levels(FlowMatchHeunDiscreteScheduler()).form == "flow"
