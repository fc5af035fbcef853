"""Laws fitted to made-up tracks give back the constants that they were made with."""

import numpy as np
import pytest

from vidworld.video_laws import VIDEO_LAWS, Fit, LawFit, NoFit, Quantity, VideoScene
from vidworld.video_laws.momentum import fit_collision, fit_explosion
from vidworld.video_laws.parabolas import fit_bounces, fit_flight, fit_uniform
from vidworld.video_laws.pendulum import fit_pendulum, fit_spring

STEP = 1 / 60
DOWN = (0.0, 1.0)


def of(fit: LawFit, name: str) -> Quantity:
    return next(quantity for quantity in fit.quantities if quantity.name == name)


def noisy(path: np.ndarray, px: float = 0.2, seed: int = 0) -> np.ndarray:
    return path + px * np.random.default_rng(seed).standard_normal(path.shape)


def thrown(times: np.ndarray, g_px: float = 1962.0, speed: tuple[float, float] = (200.0, -500.0)) -> np.ndarray:
    path = np.stack([20 + speed[0] * times, 300 + speed[1] * times + 0.5 * g_px * times**2], axis=1)
    return path[:, None]


def test_a_throw_has_gravity_its_direction_and_an_interval() -> None:
    times = np.arange(40) * STEP
    fit = fit_flight(times, noisy(thrown(times)), VideoScene((), DOWN, 200.0), None)
    g = of(fit, "acceleration")
    assert g.unit == "m/s²"
    assert g.low < 9.81 < g.high and g.high - g.low < 0.3
    assert abs(of(fit, "angle_to_gravity").value) < 1.0
    assert of(fit, "initial_speed").value == pytest.approx(np.hypot(200, 500) / 200, rel=0.02)
    assert 0.15 < fit.deviation_px < 0.45


@pytest.mark.thorough
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    times, inside = np.arange(40) * STEP, 0
    for seed in range(20):
        g = of(fit_flight(times, noisy(thrown(times), seed=seed), VideoScene((), DOWN, 200.0), None), "acceleration")
        inside += g.low <= 9.81 <= g.high
    assert inside >= 16  # 19 of 20 are meant; fewer than 16 would be chance in one of 400


def test_uniform_motion_gives_its_acceleration_with_an_interval_around_it() -> None:
    """Also where it is not uniform at all: the interval is that of what was measured, not of the law."""
    times = np.arange(40) * STEP
    for pull in (0.0, 300.0):
        path = np.stack([20 + 200 * times - 0.5 * pull * times**2, 50 + 0 * times], axis=1)[:, None]
        fit = fit_uniform(times, noisy(path), VideoScene(), None)
        found = of(fit, "acceleration")
        assert found.low <= found.value <= found.high
        assert found.low < -pull < found.high  # along the way: what slows down is below zero
    assert fit.deviation_px > 4


def test_what_happens_before_the_release_is_left_out() -> None:
    """A hand that carries the ball up is no flight, though nobody named the release."""
    times = np.arange(70) * STEP
    release = 25
    held = np.stack([20 + 0 * times, 800 - 400 * times], axis=1)[:, None]
    path = np.where((np.arange(70) < release)[:, None, None], held, 0)
    flight = thrown(times - times[release])
    flight += held[release] - flight[release]
    path[release:] = flight[release:]
    fit = fit_flight(times, noisy(path), VideoScene((), DOWN, 200.0), None)
    assert of(fit, "acceleration").value == pytest.approx(9.81, rel=0.03)
    assert (np.flatnonzero(fit.stretch >= 0) >= release - 2).all()


def test_a_roll_ends_where_several_things_happen_to_it() -> None:
    times = np.arange(120) * STEP
    roll = np.stack([20 + 40 * times + 0.5 * 150 * times**2, 50 + 0 * times], axis=1)
    rng = np.random.default_rng(3)
    roll[80:] = roll[79] + np.cumsum(rng.uniform(-4, 4, (40, 2)), axis=0)
    fit = fit_flight(times, noisy(roll[:, None], 0.1), VideoScene(), None)
    assert of(fit, "acceleration").value == pytest.approx(150, rel=0.03)
    assert 75 <= np.flatnonzero(fit.stretch >= 0).max() <= 81


def test_a_force_that_grows_is_no_contact() -> None:
    times = np.arange(120) * STEP
    path = np.stack([20 + 100 * times + 20 * times**3, 50 + 0 * times], axis=1)
    fit = fit_flight(times, noisy(path[:, None], 0.1), VideoScene(), None)
    assert (fit.stretch == 0).all() and fit.deviation_px > 0.5


def bouncing(times: np.ndarray, restitution: float) -> tuple[np.ndarray, list[float]]:
    """Drops from 250 px, g 1962 px/s²: the path and when it hits the floor."""
    y, v, g, contacts, path = 50.0, 0.0, 1962.0, [], []
    fine = STEP / 200
    for k in range(len(times)):
        path.append((30 + 60 * times[k], y))
        for j in range(200):
            v += g * fine
            y += v * fine
            if y > 300 and v > 0:
                contacts.append(times[k] + j * fine)
                v, y = -restitution * v, 300.0
    return np.array(path)[:, None], contacts


def test_bounces_have_their_restitution_though_contacts_are_read_by_eye() -> None:
    times = np.arange(120) * STEP
    path, contacts = bouncing(times, 0.8)
    assert len(contacts) >= 3
    by_eye = tuple(c + STEP * e for c, e in zip(contacts, (2, -3, 1, 2, -2), strict=False))
    fit = fit_bounces(times, noisy(path), VideoScene(by_eye, DOWN, 200.0), None)
    assert of(fit, "acceleration").value == pytest.approx(9.81, rel=0.03)
    assert of(fit, "restitution").value == pytest.approx(0.8, abs=0.03)
    assert fit.deviation_px < 0.6


def test_a_contact_that_nobody_named_is_found() -> None:
    times = np.arange(120) * STEP
    path, contacts = bouncing(times, 0.8)
    fit = fit_bounces(times, noisy(path), VideoScene((contacts[0],), DOWN, 200.0), None)
    assert fit.stretch.max() >= 2
    assert of(fit, "restitution").value == pytest.approx(0.8, abs=0.05)


def test_a_pendulum_has_its_period_and_decay() -> None:
    times = np.arange(200) * STEP
    swing = 80 * np.exp(-0.15 * times) * np.cos(2 * np.pi * times / 1.3 + 0.4)
    path = np.stack([150 + swing, 200 - 0.002 * swing**2], axis=1)[:, None]
    fit = fit_pendulum(times, noisy(path), VideoScene(), None)
    period, decay = of(fit, "period"), of(fit, "decay")
    assert period.value == pytest.approx(1.3, rel=0.005) and period.low <= 1.301 and period.high >= 1.299
    assert decay.value == pytest.approx(0.15, abs=0.01)


def test_a_pendulum_that_hits_a_wall_has_its_own_period_still() -> None:
    times = np.arange(160) * STEP
    phase = 2 * np.pi * times / 1.3
    swing = 80 * np.exp(-0.3 * np.floor(phase / np.pi) * 0.65) * np.abs(np.sin(phase))  # it turns round where it hangs
    path = np.stack([150 - swing, 200 + 0 * swing], axis=1)[:, None]
    fit = fit_pendulum(times, noisy(path), VideoScene(), None)
    assert fit.stretch.max() >= 2
    assert of(fit, "period").value == pytest.approx(1.3, rel=0.05)
    assert of(fit, "decay").value == pytest.approx(0.3, abs=0.06)


def colliding(times: np.ndarray, kept: float = 1.0) -> np.ndarray:
    """One comes with (600, 100) px/s; at 0.3 s they share it out."""
    before = np.array([[600.0, 100.0], [0.0, 0.0]])
    after = kept * np.array([[250.0, 220.0], [350.0, -120.0]])
    meet = np.array([[190.0, 100.0], [208.0, 95.0]])
    t = (times - 0.3)[:, None, None]
    return meet + np.where(t < 0, before * t, after * t)


@pytest.mark.parametrize("kept", [1.0, 0.8])
def test_a_collision_keeps_its_momentum_or_shows_what_it_lost(kept: float) -> None:
    times = np.arange(144) / 240
    fit = fit_collision(times, noisy(colliding(times, kept), 0.1), VideoScene((0.31,)), None)
    assert abs(of(fit, "momentum_angle").value) < 1.0
    assert of(fit, "momentum_kept").value == pytest.approx(kept, abs=0.02)
    assert of(fit, "momentum_angle").low < 0.3 and of(fit, "momentum_angle").high > -0.3


def test_a_turned_momentum_is_seen() -> None:
    times = np.arange(144) / 240
    path, turn = colliding(times), np.radians(20)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    meet = colliding(np.array([0.3]))[0]
    path = np.where((times >= 0.3)[:, None, None], (path - meet) @ matrix + meet, path)
    fit = fit_collision(times, noisy(path, 0.1), VideoScene((0.3,)), None)
    assert of(fit, "momentum_angle").value == pytest.approx(20, abs=1.5)


def test_a_prediction_is_fitted_over_the_truths_own_stretches() -> None:
    """A fall that stops dead halfway deviates; found by itself its kink would be a contact, and nothing would."""
    times = np.arange(40) * STEP
    truth = thrown(times)
    own = fit_flight(times, truth, VideoScene((), DOWN), None)
    frozen = truth.copy()
    frozen[20:] = frozen[19]
    assert fit_flight(times, frozen, VideoScene((), DOWN), own.stretch).deviation_px > 5
    assert own.deviation_px < 1e-6


@pytest.mark.parametrize("event", VIDEO_LAWS)
def test_what_is_hardly_seen_has_no_fit(event: str) -> None:
    times = np.arange(30) * STEP
    path = np.full((30, 2, 2), np.nan)
    path[:3] = 1.0
    with pytest.raises(NoFit):
        VIDEO_LAWS[event].fit(times, path, VideoScene((0.2,), DOWN), None)


def elastic(times: np.ndarray, masses: tuple[float, float], seed: int = 0) -> np.ndarray:
    """Two discs that meet at an angle, the second at rest before: exact, at 0.3 s."""
    rng = np.random.default_rng(seed)
    before = np.array([[600.0, rng.uniform(-100, 100)], [0.0, 0.0]])
    angle = rng.uniform(-0.7, 0.7)
    normal = np.array([np.cos(angle), np.sin(angle)])
    push = 2 * (before[0] - before[1]) @ normal / (1 / masses[0] + 1 / masses[1]) * normal
    after = before + np.array([-push / masses[0], push / masses[1]])
    t = (times - 0.3)[:, None, None]
    return np.array([200.0, 100.0]) + np.array([-9 * normal, 9 * normal]) + np.where(t < 0, before * t, after * t)


@pytest.mark.thorough
@pytest.mark.parametrize("masses", [(1.0, 1.0), (0.6317, 0.7492), (1.0, 2.0), (5.0, 1.0), (1.0, 5.0)])
def test_a_collision_of_unequal_masses_keeps_its_momentum(masses: tuple[float, float]) -> None:
    times = np.arange(144) / 240
    fit = fit_collision(times, noisy(elastic(times, masses), 0.1), VideoScene((), masses=masses), None)
    angle, kept, energy = (of(fit, name) for name in ("momentum_angle", "momentum_kept", "energy_kept"))
    assert angle.low < 0 < angle.high and angle.high - angle.low < 12
    assert kept.low < 1 < kept.high and kept.value == pytest.approx(1, abs=0.05)
    assert energy.value == pytest.approx(1, abs=0.05) and of(fit, "restitution").value == pytest.approx(1, abs=0.05)
    assert not fit.notes


def test_masses_go_from_left_to_right_whichever_thing_was_found_first() -> None:
    times = np.arange(144) / 240
    path = noisy(elastic(times, (1.0, 5.0)), 0.1)
    for places in (path, path[:, ::-1]):
        fit = fit_collision(times, places, VideoScene((), masses=(1.0, 5.0)), None)
        assert abs(of(fit, "momentum_angle").value) < 4
    tall = path[..., ::-1]  # one above the other
    assert abs(of(fit_collision(times, tall, VideoScene((), masses=(1.0, 5.0)), None), "momentum_angle").value) < 4


def test_masses_that_are_not_given_are_taken_as_equal_and_said() -> None:
    times = np.arange(144) / 240
    fit = fit_collision(times, noisy(elastic(times, (1.0, 1.0)), 0.1), VideoScene(), None)
    assert "taken as equal" in fit.notes[0]
    with pytest.raises(NoFit, match="gives 1 mass"):
        fit_collision(times, elastic(times, (1.0, 1.0)), VideoScene(masses=(1.0,)), None)


def flying_apart(times: np.ndarray) -> np.ndarray:
    """Two that rest until 0.3 s; then they go with 250 and 100 px/s."""
    t = np.maximum(times - 0.3, 0.0)[:, None, None]
    return np.array([[190.0, 100.0], [228.0, 95.0]]) + np.array([[-250.0, 20.0], [100.0, -8.0]]) * t


@pytest.mark.parametrize("contacts_s", [(), (0.3,)])
def test_an_explosion_has_a_total_momentum_of_zero(contacts_s: tuple[float, ...]) -> None:
    times = np.arange(144) / 240
    fit = fit_explosion(times, noisy(flying_apart(times), 0.1), VideoScene(contacts_s, masses=(1.0, 2.5)), None)
    for part in ("along", "across"):
        total = of(fit, f"total_momentum_{part}")
        assert total.low < 0 < total.high and total.high - total.low < 0.2 and total.unit == "share"
    assert of(fit, "speed_ratio").value == pytest.approx(2.5, rel=0.03)
    wrong = fit_explosion(times, noisy(flying_apart(times), 0.1), VideoScene(contacts_s), None)  # of equal masses
    assert of(wrong, "total_momentum_along").high < -0.3 and wrong.notes


def test_a_total_momentum_near_zero_has_no_direction() -> None:
    """Two of equal mass that come from both sides: shares are given, no angle and no ratio over nothing."""
    times = np.arange(144) / 240
    t = (times - 0.3)[:, None, None]
    path = np.array([[190.0, 100.0], [208.0, 100.0]]) + np.where(t < 0, [[400.0, 0.0], [-400.0, 0.0]], 0.0) * t
    path = path + np.where(t < 0, 0.0, [[-300.0, 0.0], [300.0, 0.0]]) * t
    fit = fit_collision(times, noisy(path, 0.1), VideoScene(masses=(1.0, 1.0)), None)
    names = {quantity.name for quantity in fit.quantities}
    assert "momentum_angle" not in names and "momentum_kept" not in names
    for when in ("before", "after"):
        total = of(fit, f"total_momentum_{when}_along")
        assert total.low < 0 < total.high and total.high - total.low < 0.1
    assert of(fit, "restitution").value == pytest.approx(0.75, abs=0.05)
    resting = fit_collision(times, noisy(flying_apart(times), 0.1), VideoScene((0.3,), masses=(1.0, 2.5)), None)
    assert not {"restitution", "energy_kept", "momentum_angle"} & {quantity.name for quantity in resting.quantities}


@pytest.mark.thorough
@pytest.mark.parametrize("law", [fit_spring, fit_pendulum])
@pytest.mark.parametrize("frames_a_period", [5.0, 9.4, 12.7, 16.0, 20.0])
def test_an_oscillation_near_the_rate_of_the_frames_has_its_period(frames_a_period: float, law: Fit) -> None:
    """No turn of it is taken for a wall, also where it is not quite a sine."""
    times = np.arange(231) / 25
    phase = 2 * np.pi * times * 25 / frames_a_period
    line = 17.5 * np.exp(-0.04 * times) * (np.cos(phase + 0.3) + 0.03 * np.cos(2 * phase))
    path = np.stack([150 + 0.05 * line, 200 + line], axis=1)[:, None]
    fit = law(times, noisy(path, 0.26), VideoScene(), None)
    assert (fit.stretch == 0).all()
    assert of(fit, "period").value == pytest.approx(frames_a_period / 25, rel=0.002)


def test_a_long_video_of_a_fast_spring_has_its_period() -> None:
    times = np.arange(1200) / 25
    line = 17.5 * np.cos(2 * np.pi * times * 25 / 9.0)
    fit = fit_spring(times, noisy(np.stack([150 + 0 * line, 200 + line], axis=1)[:, None], 0.26), VideoScene(), None)
    assert fit.deviation_px < 0.4
