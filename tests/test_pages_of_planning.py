"""What the page of planning says of 200 episodes is what the files of results hold."""

import json
import re
from dataclasses import replace

from scripts import ROOT

from vidworld.core.config import load
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.simulation.environments import environment_named

PAGE = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8")
TABLE = PAGE.split("### With 200 episodes")[1].split("### Remembered")[0]
LONG, RELEASE = "jepa_1720_steps", "jepa"
AGENTS = {
    "JEPA of 1,720 steps": ("jepa", (LONG,)),
    "JEPA of the release": ("jepa", (RELEASE,)),
    "regression of the release": ("regression", ("regression",)),
    "diffusion of the release, 1 step": ("diffusion", ("diffusion",)),
    "untrained JEPA": ("untrained_jepa", (LONG, RELEASE)),
    "copy-last": ("copy_last", (LONG, RELEASE, "diffusion")),
    "random": ("random", (LONG, RELEASE, "diffusion")),
    "goal-blind simulator": ("simulator_goal_blind", (LONG, RELEASE, "diffusion")),
    "simulator that guesses": ("simulator_guessing", (LONG, RELEASE, "diffusion")),
    "true simulator": ("simulator", (LONG, RELEASE, "diffusion")),
}
"""The name in results, and of which files of an environment the first that has it counts."""
ENVIRONMENTS = ("two_room", "puck", "hidden_goal", "heavy_or_light")


def success(environment, agent, files):
    for file in files:
        path = ROOT / "results" / "planning" / f"{environment}_200_{file}.json"
        rows = json.loads(path.read_text())["rows"] if path.is_file() else []
        for row in rows:
            if row["agent"] == agent:
                assert row["episodes"] >= 197 and row["failed"] == 0
                return f"{row['ever']['value']:.2f} [{row['ever']['low']:.2f}, {row['ever']['high']:.2f}]"
    return "–"


def test_success_in_200_episodes_is_that_of_the_files():
    for label, (agent, files) in AGENTS.items():
        (cells,) = re.findall(rf"^\| {re.escape(label)} \| (.*) \|$", TABLE, re.MULTILINE)
        assert cells.split(" | ") == [success(environment, agent, files) for environment in ENVIRONMENTS], label


def test_all_of_an_environment_were_played_by_one_protocol():
    for environment in ENVIRONMENTS:
        files = (ROOT / "results" / "planning").glob(f"{environment}_200_*.json")
        rows = [row for file in files if "remembered" not in file.name for row in json.loads(file.read_text())["rows"]]
        assert len({row["protocol"] for row in rows}) == 1 and {row["rule"] for row in rows} == {"ever"}


def test_success_by_memory_is_that_of_the_file():
    families, guesses = ("regression", "diffusion", "jepa"), success("hidden_goal", "simulator_guessing", (RELEASE,))
    for what, of in (("where the state remembers them", "remembered"), ("where imagined chunks show them", None)):
        (cells,) = re.findall(rf"^\| hidden discs {what} \| (.*) \|$", PAGE, re.MULTILINE)
        expected = [success("hidden_goal", family, (of or family,)) for family in families]
        assert cells.split(" | ") == [*expected, guesses]


def test_success_against_compute_is_that_of_the_file():
    rows = json.loads((ROOT / "results/planning/two_room_budgets.json").read_text())["rows"]
    lines = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.split("### Success against compute")[1], re.MULTILINE)
    assert [int(candidates) for candidates, _ in lines] == [4, 8, 16, 32, 64]
    for candidates, cells in lines:
        found = {row["agent"]: row for row in rows if row["candidates"] == int(candidates)}
        ever = [found[agent]["ever"] for agent in ("regression", "diffusion", "jepa", "simulator")]
        expected = [f"{each['value']:.2f} [{each['low']:.2f}, {each['high']:.2f}]" for each in ever]
        flops = [found[family]["flops"] for family in ("regression", "diffusion", "jepa")]
        expected.append(f"{min(flops):.1e} to {max(flops):.1e}".replace("e+0", "e").replace("e+", "e"))
        assert cells.split(" | ") == expected


def test_push_t_is_that_of_its_file():
    rows = json.loads((ROOT / "results/planning/push_t_quick.json").read_text())["rows"]
    ever = {row["agent"]: row["ever"] for row in rows}
    shown = {agent: f"{each['value']:.2f} [{each['low']:.2f}, {each['high']:.2f}]" for agent, each in ever.items()}
    (cells,) = re.findall(r"^\| `push_t` \| (.*) \|$", PAGE, re.MULTILINE)
    assert cells.split(" | ")[:3] == [shown["regression"], shown["jepa"], shown["diffusion"]]
    controls = ("simulator_goal_blind", "random", "simulator")
    assert cells.split(" | ")[4:] == [f"{ever[agent]['value']:.2f}" for agent in controls]


def test_dreaming_is_that_of_its_file():
    rows = json.loads((ROOT / "results/planning/dreaming_puck.json").read_text())["rows"]
    assert {row["success"]["count"] for row in rows} == {0} and len(rows) == 6
    last = {row["arm"]: row for row in rows if row["round"] == 2}
    assert (last["planned"]["collected"]["count"], last["random"]["collected"]["count"]) == (0, 2)
    first = next(row for row in rows if row["round"] == 0)
    said = (f"{cost:.2f}" for cost in (first["cost"], last["planned"]["cost"], last["random"]["cost"]))
    begin, planned, at_random = said
    assert f"from {begin} to {planned} with planned data and to {at_random} with random data" in " ".join(PAGE.split())


def test_the_ceiling_by_the_default_protocol_is_that_of_its_file():
    rows = json.loads((ROOT / "results/planning/default_controls.json").read_text())["rows"]
    simulator = {row["environment"]: row for row in rows if row["agent"] == "simulator"}
    reached = [f"{simulator[environment]['ever']['value']:.2f}" for environment in ENVIRONMENTS]
    assert min(simulator[environment]["episodes"] for environment in ENVIRONMENTS) >= 197
    assert f"reaches {', '.join(reached[:3])} and {reached[3]} of 200 goals in these four" in PAGE
    rows = json.loads((ROOT / "results/planning/push_t_default_controls.json").read_text())["rows"]
    ever = {row["agent"]: row["ever"] for row in rows}
    assert ever["simulator"]["value"] >= 0.98 and {row["episodes"] for row in rows} == {200}
    simulator = f"{ever['simulator']['value']:.2f} [{ever['simulator']['low']:.2f}, {ever['simulator']['high']:.2f}]"
    floors = f"random actions {ever['random']['value']:.2f}, none {ever['no_op']['value']:.2f}"
    assert f"{simulator} in Push-T ({floors};" in " ".join(PAGE.split())


def test_how_models_condition_on_their_actions_is_that_of_the_files():
    files = sorted((ROOT / "results" / "planning").glob("*.json"))
    checks = [each for file in files for each in json.loads(file.read_text()).get("checks", [])]
    trained = [each for each in checks if not each["model"].startswith("untrained")]
    factors, best = ([each[key] for each in trained] for key in ("factor", "top"))
    said = " ".join(PAGE.split())
    assert f"their error is {min(factors):.1f} to {max(factors):.0f} times as high" in said
    assert f"fit best in {100 * min(best):.0f} to {100 * max(best):.0f}% of 48 clips" in said
    assert {min(trained, key=lambda each: each[key])["environment"] for key in ("factor", "top")} == {"push_t"}


def test_planners_are_those_of_their_file():
    rows = json.loads((ROOT / "results/planning/two_room_planners.json").read_text())["rows"]
    found = {(row["protocol_name"], row["agent"]): row for row in rows}
    table = PAGE.split("### Planners")[1].split("###")[0]
    for planner in ("random_shooting", "cem", "mppi", "gradient"):
        (cells,) = re.findall(rf"^\| `{planner}` \| (.*) \|$", table, re.MULTILINE)
        mine = found[planner, "regression"]
        ever = [found[planner, agent]["ever"] for agent in ("regression", "simulator")]
        expected = [f"{each['value']:.2f} [{each['low']:.2f}, {each['high']:.2f}]" for each in ever]
        assert cells.split(" | ") == [*expected, f"{mine['flops']:.1e}".replace("e+", "e"), f"{mine['seconds']:.2f}"]
    mine = [found[planner, "regression"] for planner in ("random_shooting", "cem", "mppi", "gradient")]
    assert max(each["ever"]["low"] for each in mine) <= min(each["ever"]["high"] for each in mine)
    assert 1.8 < mine[3]["flops"] / mine[1]["flops"] < 2.2


def test_results_are_of_todays_protocols():
    """Where keys or defaults come to differ the hash does, and what was measured by it is to be measured again."""
    ours = ("default", "quick", "sixteen", "remembered")
    checked = set()
    for file in sorted((ROOT / "results" / "planning").glob("*.json")):
        for row in json.loads(file.read_text())["rows"]:
            name, environment = row.get("protocol_name"), row.get("environment")
            if name in ours and (name, environment, row["candidates"]) not in checked:
                given = load(PlanningProtocol, ROOT / "configs" / "protocols" / f"{name}.yaml")
                today = completed(replace(given, environment=environment), environment_named(environment, 64))
                today = today.with_candidates(row["candidates"])
                assert row["protocol"] == today.hash, (file.name, name, environment)
                checked.add((name, environment, row["candidates"]))
    assert {(name, environment) for name, environment, _ in checked} >= {("default", "push_t"), ("quick", "two_room")}


def test_the_row_of_ensembles_is_that_of_its_file():
    content = json.loads((ROOT / "results/planning/puck_ensembles.json").read_text())
    found = {(row["protocol_name"], row["agent"]): row["ever"] for row in content["rows"]}
    places = [("quick", name) for name in ("regression", "diffusion", "jepa", "together")]
    places += [("careful", "together"), ("quick", "simulator")]
    shown = [f"{found[each]['value']:.2f} [{found[each]['low']:.2f}, {found[each]['high']:.2f}]" for each in places]
    page = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8")
    assert f"| {' | '.join(shown)} |" in page
    cautions = [keys.get("caution", 0) for keys in content["protocols"].values()]
    assert sorted(cautions) == [0, 1.0] and not content["provenance"]["dirty"]
