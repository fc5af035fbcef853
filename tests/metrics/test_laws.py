"""What holds for every metric of tracks: exact tracks are perfect, and cheating never pays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import DT_S, SCENES, START, duplicated, moved, places, scaled

from vidworld.core.clip import Tracks
from vidworld.metrics import METRICS, Metric

seeds = st.integers(0, 10_000)
OF_TRACKS = [metric for metric in METRICS.values() if metric.takes == "tracks"]


@given(seeds, st.sampled_from(sorted(SCENES)))
@settings(max_examples=30)
def test_exact_tracks_score_as_the_truth(seed, scene):
    truth = SCENES[scene](3, seed)
    for metric in OF_TRACKS:
        values = metric.function(truth, truth, DT_S, START)
        assert np.allclose(values[np.isfinite(values)], metric.ideal, atol=2e-3), metric.name


@pytest.mark.parametrize(
    ("scene", "names"),
    {
        "uniform": {"velocity_error", "motion_ratio", "momentum_drift", "energy_drift", "phantom_objects"},
        "collision": {
            "velocity_error", "motion_ratio", "momentum_drift", "energy_drift", "phantom_objects",
            "contact_time_error", "outgoing_velocity_error", "restitution_error", "interpenetration",
        },
        "occlusion": {
            "velocity_error", "motion_ratio", "momentum_drift", "energy_drift", "phantom_objects",
            "reappearance", "reappearance_error", "reappearance_delay",
        },
    }.items(),
)  # fmt: skip
def test_metrics_apply_where_they_say(scene, names):
    truth = SCENES[scene](20, 0)
    applied = {m.name for m in OF_TRACKS if np.isfinite(m.function(truth, truth, DT_S, START)).any()}
    assert applied == names
    assert applied - {"phantom_objects"} <= {m.name for m in OF_TRACKS if scene in m.scenarios}


def vanish_all(x):
    x[:, START:, 0] = np.nan


def vanish_one_frame(x):
    x[:, START + 5, 0] = np.nan


def vanish_late(x):
    x[:, START + 3 :, 0] = np.nan


def vanish_everything(x):
    x[:, START:] = np.nan


def freeze(x):
    x[:, START:] = x[:, START - 1 : START]


def freeze_one(x):
    x[:, START:, 0] = x[:, START - 1 : START, 0]


def freeze_late(x):
    x[:, START + 3 :] = x[:, START + 2 : START + 3]


def teleport(x):
    x[:, START + 5 :, 0] += 2.5


def jitter(x):
    x[:, START:] += np.random.default_rng(1).normal(0, 0.15, x[:, START:].shape)


def duplicate(x):
    """A read-out by colour finds the middle of the two."""
    x[:, START:, 0] += 0.75


CHEATS = (
    vanish_all, vanish_one_frame, vanish_late, vanish_everything, freeze, freeze_one, freeze_late, teleport,
    jitter, duplicate,
)  # fmt: skip
HONEST = {"exact": 1.0, "slow": 0.96, "fast": 1.04}


@pytest.mark.thorough
@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
@pytest.mark.parametrize("scene", sorted(SCENES))
@pytest.mark.parametrize("honest", HONEST)
def test_cheating_loses_somewhere_and_gains_nowhere(scene, cheat, honest):
    truth = SCENES[scene](20, 5)
    before = scaled(truth, HONEST[honest])
    position = places(before)
    cheat(position)
    lost_on_headline = _compare(before, moved(truth, position), truth, exact=honest == "exact")
    assert lost_on_headline, f"{cheat.__name__} costs nothing in {scene}"


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_a_duplicate_that_is_found_loses_and_gains_nowhere(scene):
    truth = SCENES[scene](20, 5)
    assert _compare(truth, duplicated(truth), truth, exact=True)


def _compare(before: Tracks, after: Tracks, truth: Tracks, exact: bool) -> list[str]:
    """Headline metrics on which `after` is worse; fails where it is better on any metric."""
    lost = []
    for metric in METRICS.values():
        if metric.takes not in ("tracks", "samples") or (metric.higher_is_better is None and not exact):
            continue  # a motion ratio has no better side: it is judged against the exact prediction only
        honest, cheated = _value(metric, before, truth), _value(metric, after, truth)
        if metric.higher_is_better is not None:  # what has no better side may say that there is nothing to tell of
            assert np.array_equal(np.isnan(honest), np.isnan(cheated)), f"{metric.name} drops clips"
        if np.isnan(honest).all() or np.isnan(cheated).all():
            continue
        gain = float(np.nanmean(cheated) - np.nanmean(honest))
        if metric.higher_is_better is None:
            off = [abs(float(np.nanmean(values)) - metric.ideal) for values in (honest, cheated)]
            gain = off[0] - off[1]
        elif not metric.higher_is_better:
            gain = -gain
        assert gain <= 1e-6, f"{metric.name} gains {gain}"
        if metric.headline and gain < -0.02:
            lost.append(metric.name)
    return lost


def _value(metric: Metric, predicted: Tracks, truth: Tracks) -> np.ndarray:
    given = [predicted, predicted] if metric.takes == "samples" else predicted
    return metric.function(given, truth, DT_S, START)
