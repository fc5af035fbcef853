"""Episodes: what agents reach, what they may see, and what is kept of a run that was killed."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from acting import CHUNK, SIDE, PointEnvironment, PointModel, PointProbe, Spot, picture, point_evaluator

from vidworld.analysis.planning import EpisodeResult
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import ModelFailure
from vidworld.evaluation.task import measure
from vidworld.models.world_model import CopyLast, Rollout
from vidworld.planning.agents import (
    Decision,
    Goal,
    NoOpAgent,
    Observed,
    PlannerAgent,
    RandomAgent,
    SimulatorImagination,
)
from vidworld.planning.episodes import Arena, episode_streams, play, starts_of, units_of
from vidworld.planning.imagination import ModelImagination, futures_at_once
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.planning.units import PlanningUnit
from vidworld.planning.videos import write_video
from vidworld.simulation.environments import ENVIRONMENTS

ENVIRONMENT = PointEnvironment()
SHAPE = ClipShape(height_px=SIDE, width_px=SIDE)
USUAL = PlanningProtocol(
    environment="two_room", episodes=12, planner="cem", candidates=16, iterations=3, elites=4, horizon_blocks=3
)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The world of the point is one of the environments."""
    monkeypatch.setitem(ENVIRONMENTS._places, "point", "acting:POINT")


def protocol(**changes):
    return completed(replace(USUAL, **changes), ENVIRONMENT)


def simulator(given, environment=ENVIRONMENT, **changes):
    imagination = SimulatorImagination(environment, given)
    return PlannerAgent(given, 2, "simulator", sees_state=True, imagination=imagination, **changes)


def planner(given, model=None, environment=ENVIRONMENT, **changes):
    model = PointModel() if model is None else model
    imagination = ModelImagination(model.name, model, point_evaluator(), PointProbe(), environment, given)
    return PlannerAgent(given, 2, model.name, imagination=imagination, **changes)


def reached(agent, given, environment=ENVIRONMENT):
    numbers = starts_of(environment, given).numbers
    return play(Arena(environment, given, SHAPE), agent, numbers)


def test_planners_reach_what_the_floors_do_not():
    given = protocol()
    shares = {}
    for agent in (
        simulator(given),
        planner(given),
        planner(given, CopyLast(point_evaluator().tokenizer)),
        replace(simulator(given), name="goal_blind", other_goal=True),
        RandomAgent(given, 2),
        NoOpAgent(given, 2),
    ):
        found = reached(agent, given)
        assert len(found) == 12 and not any(each.failed for each in found)
        assert all((each.seconds > 0) == isinstance(agent, PlannerAgent) for each in found)
        shares[agent.name] = sum(each.ever for each in found) / 12
    assert shares["simulator"] == shares["point_model"] == 1.0
    assert shares["no_op"] == shares["copy_last"] == 0.0
    assert max(shares["random"], shares["goal_blind"]) < 0.5


@pytest.mark.parametrize("name", ["random_shooting", "mppi", "gradient"])
def test_every_planner_reaches(name):
    given = protocol(planner=name, iterations=8, horizon_blocks=2)
    assert sum(each.ever for each in reached(simulator(given), given)) >= 10


@pytest.mark.parametrize("over", ["last", "sum"])
def test_the_distance_from_the_goals_picture_is_a_cost(over):
    """In the space of the model: here the pixels that say where the point is."""

    class InPixels(PointModel):
        def rollout(self, context, horizon, *arguments, **named):
            places = super().rollout(context, horizon, *arguments, **named).embeddings
            frames = picture(places.unflatten(-1, (CHUNK, 2)).reshape(-1, 2))
            tokens = point_evaluator().tokenizer.encode(frames.view(-1, horizon * CHUNK, 3, SIDE, SIDE))
            tokens = tokens.unflatten(0, places.shape[:2])
            return Rollout(tokens, tokens)

    given = protocol(cost="model", cost_over=over)
    assert sum(each.ever for each in reached(planner(given, InPixels()), given)) >= 10


def test_solved_starts_are_counted_and_excluded():
    given = protocol()
    starts = starts_of(ENVIRONMENT, given)
    every = play(Arena(ENVIRONMENT, given, SHAPE), NoOpAgent(given, 2), range(starts.numbers[-1] + 1))
    solved = [each.number for each in every if each.ever]
    assert starts.excluded == len(solved) > 0
    assert sorted([*starts.numbers, *solved]) == list(range(12 + starts.excluded))
    assert starts_of(ENVIRONMENT, protocol(exclude_solved=False)) == (list(range(12)), 0)


def test_an_environment_of_solved_starts_is_one_line():
    class Solved(PointEnvironment):
        def solved(self, state):
            return torch.ones(len(state.place), dtype=torch.bool)

    with pytest.raises(UserError, match="point: of 120 starts only 0 are not solved without an action"):
        starts_of(Solved(), protocol())


def test_episodes_do_not_depend_on_those_beside_them():
    given = protocol()
    together = play(Arena(ENVIRONMENT, given, SHAPE), planner(given), range(5))
    alone = [each for n in range(5) for each in play(Arena(ENVIRONMENT, given, SHAPE), planner(given), [n])]
    assert [replace(each, seconds=0.0) for each in together] == [replace(each, seconds=0.0) for each in alone]


def test_success_ever_and_at_the_end_are_two_things():
    """An agent that passes the goal: it goes on in the direction in which its goal lies."""

    class Passing(NoOpAgent):
        def decide(self, seen, before, state):
            here = seen.frames[:, 7, :2, 0, 0].double() / 25
            way = seen.goal.target - here
            return Decision((way / way.abs().amax(dim=1, keepdim=True))[:, None])

    class Unbounded(PointEnvironment):
        def step(self, state, action):
            return self.state(state.place + 0.25 * action, state.goal)

    given = protocol(budget_blocks=12)
    found = play(Arena(Unbounded(), given, SHAPE), Passing(given, 2), starts_of(ENVIRONMENT, given).numbers)
    assert all(each.ever and not each.end and 1 <= each.blocks <= 6 for each in found)
    assert all(each.cost > 3 for each in found)


class Poisoned(Spot):
    """A state that only the environment may look at."""

    open = False

    def __getattribute__(self, name):
        if name in ("place", "goal", "at") and not Poisoned.open:
            raise AssertionError(f"somebody looked at {name} of the state")
        return super().__getattribute__(name)


class PoisonedEnvironment(PointEnvironment):
    state = Poisoned

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name not in ("start", "step", "draw", "solved", "target", "goal_picture", "places"):
            return found

        def opened(*arguments):
            before, Poisoned.open = Poisoned.open, True
            try:
                return found(*arguments)
            finally:
                Poisoned.open = before

        return opened


def test_an_agent_sees_nothing_but_frames_its_actions_and_the_goal():
    environment, given = PoisonedEnvironment(), protocol(episodes=3)
    for agent in (planner(given, environment=environment), RandomAgent(given, 2), NoOpAgent(given, 2)):
        assert len(reached(agent, given, environment)) == 3
    with pytest.raises(AssertionError, match="somebody looked at"):
        play(Arena(environment, given, SHAPE), simulator(given, PointEnvironment()), [0])

    class Peeking(NoOpAgent):
        def decide(self, seen, before, state):
            return Decision((state.goal - state.place)[:, None])

    with pytest.raises(AttributeError, match="NoneType"):
        play(Arena(environment, given, SHAPE), Peeking(given, 2), [0])


@pytest.mark.parametrize(
    ("action", "said"), [(1.5, "an action of 1.5 lies outside"), (torch.nan, "an action of nan lies")]
)
def test_an_action_out_of_bounds_is_a_counted_failure(action, said):
    class Wild(NoOpAgent):
        def decide(self, seen, before, state):
            actions = torch.zeros(len(seen.frames), 1, 2, dtype=torch.float64)
            actions[1] = action
            return Decision(actions)

    given = protocol()
    found = play(Arena(ENVIRONMENT, given, SHAPE), Wild(given, 2), range(3))
    assert [each.failed[: len(said)] for each in found] == ["", said, ""]
    assert not found[1].ever and not found[1].end


def test_an_environment_that_dies_costs_the_episode_that_it_died_in(tmp_path, capsys):
    class Mortal(PointEnvironment):
        def step(self, state, action):
            if bool((state.goal == deadly).all(dim=-1).any()):
                raise RuntimeError("the floor is gone\nand more")
            return super().step(state, action)

    given = protocol()
    deadly = ENVIRONMENT.start(Draws(episode_streams("start", given, [1]))).goal
    found = play(Arena(Mortal(), given, SHAPE), NoOpAgent(given, 2), range(3))
    assert [each.failed for each in found] == ["", "point died: RuntimeError: the floor is gone", ""]
    dying = play(Arena(Mortal(), given, SHAPE), simulator(given, Mortal()), range(3))
    assert [bool(each.failed) for each in dying] == [False, True, False]
    assert write_video(Arena(Mortal(), given, SHAPE), simulator(given, Mortal()), 1, tmp_path) is None
    assert "point died: RuntimeError: the floor is gone: the video of episode 1" in capsys.readouterr().out

    class Costly(PointEnvironment):
        def cost(self, places, target):
            if places.ndim > 3:  # of what was imagined
                raise ValueError("too many places")
            return super().cost(places, target)

    found = play(Arena(Costly(), given, SHAPE), planner(given, environment=Costly()), range(2))
    assert [each.failed for each in found] == ["point died: ValueError: too many places"] * 2


def test_a_model_that_imagines_no_numbers_ends_its_row():
    given = protocol()
    with pytest.raises(ModelFailure, match=r"point_model: rollout of \w+ gave nan"):
        play(Arena(ENVIRONMENT, given, SHAPE), planner(given, PointModel(gives=torch.nan)), [0])


def test_futures_go_through_a_model_in_pieces_that_bound_memory():
    model, given = PointModel(), protocol(candidates=300, elites=30, iterations=1, budget_blocks=2, history=2)
    play(Arena(ENVIRONMENT, given, SHAPE), planner(given, model), range(3))
    assert max(clips * samples for clips, samples, _, _ in model.asked) <= futures_at_once(torch.device("cpu"))
    assert {(horizon, context) for _, _, horizon, context in model.asked} == {(3, 2)}
    model = PointModel()
    play(Arena(ENVIRONMENT, protocol(budget_blocks=2), SHAPE), planner(protocol(), model), range(3))
    assert (3, 16, 3, 2) in model.asked and (3, 16, 3, 3) in model.asked


def test_a_probe_is_needed_where_places_are_the_cost():
    with pytest.raises(UserError, match=r"point_model: cost: state reads places by a probe; name one, probe=FOLDER"):
        ModelImagination("point_model", PointModel(), point_evaluator(), None, ENVIRONMENT, protocol())


# --- units ---


def units(folder, given, agent, made_from="all"):
    return list(units_of(Arena(ENVIRONMENT, given, SHAPE), agent, starts_of(ENVIRONMENT, given), folder, 5, made_from))


def without_time(episodes):
    return [replace(each, seconds=0.0) for each in episodes]


def test_a_killed_run_goes_on_with_the_same_episodes(tmp_path):
    given, accelerator = protocol(), point_evaluator().accelerator

    class Killed(RandomAgent):
        def decide(self, seen, before, state):
            if len(seen.frames) == 2:  # the last unit
                raise KeyboardInterrupt
            return super().decide(seen, before, state)

    with pytest.raises(KeyboardInterrupt):
        measure(units(tmp_path, given, Killed(given, 2)), accelerator, "planning")
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 2
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    resumed = measure(units(tmp_path, given, RandomAgent(given, 2)), accelerator, "planning").values
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    whole = play(Arena(ENVIRONMENT, given, SHAPE), RandomAgent(given, 2), starts_of(ENVIRONMENT, given).numbers)
    assert without_time(resumed) == without_time(whole)


def test_what_was_made_from_something_else_is_played_again(tmp_path):
    given = protocol()
    for unit in units(tmp_path, given, NoOpAgent(given, 2)):
        unit.update()
        assert not unit.stale
    assert all(unit.stale for unit in units(tmp_path, given, NoOpAgent(given, 2), "another model"))
    other = protocol(seed=1)
    assert all(unit.stale for unit in units(tmp_path, other, NoOpAgent(other, 2)))
    for path in tmp_path.iterdir():
        path.write_text("{}")
    assert all(unit.stale and unit.values() == [] for unit in units(tmp_path, given, NoOpAgent(given, 2)))


def test_a_model_that_fails_loses_its_own_row_alone(tmp_path):
    given, accelerator = protocol(), point_evaluator().accelerator
    agents = [planner(given, PointModel("broken", gives=torch.inf)), NoOpAgent(given, 2)]
    found = measure([u for agent in agents for u in units(tmp_path, given, agent)], accelerator, "planning")
    assert list(found.failures) == ["broken in point"] and "rollout of" in found.failures["broken in point"]
    assert {each.agent for each in found.values} == {"no_op"} and len(found.values) == 12


def test_what_is_no_number_is_kept_as_such(tmp_path):
    given = protocol()
    episode = replace(play(Arena(ENVIRONMENT, given, SHAPE), NoOpAgent(given, 2), [0])[0], cost=torch.nan)
    unit = PlanningUnit(tmp_path, "batch", "no_op", "all", EpisodeResult, lambda: [episode])
    unit.update()
    (kept,) = unit.values()
    assert kept.cost != kept.cost
    assert asdict(replace(kept, cost=0.0)) == asdict(replace(episode, cost=0.0))
    record = json.loads(unit.path.read_text())
    assert record["made_from"] == "all"
    unit.path.write_text(json.dumps(record | {"rows": []}))  # a row is missing
    assert unit.stale


def test_who_guesses_what_is_hidden_is_wrong_in_half_of_the_episodes_and_stays_so():
    environment, streams = ENVIRONMENTS["heavy_or_light"], episode_streams("start", USUAL, range(100))
    states = [environment.start(Draws(streams))]
    states += [environment.step(states[0], torch.zeros(100, 2).double())]
    frames, _ = environment.draw(states, ClipShape(height_px=32, width_px=32))
    imagination = SimulatorImagination(environment, USUAL, guesses=True)
    goal = Goal(environment.target(states[0]), None)
    wrong = []
    for time in (1, 2):
        seen = Observed(frames[:, :time], torch.zeros(100, time, 2).double(), goal, streams)
        guessed = imagination._guessed(seen, states[time - 1])
        assert torch.equal(guessed.position, states[time - 1].position)
        wrong.append((guessed.mass != states[0].mass).any(1))
    assert torch.equal(*wrong) and 30 < wrong[0].sum() < 70
