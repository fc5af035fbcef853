"""What planning reaches over what its plans cost, as curves."""

from collections import defaultdict

from vidworld.analysis.labels import title
from vidworld.analysis.planning import PlanningResults, PlanningRow, agent_label
from vidworld.analysis.records import Curve, Series


def row_label(row: PlanningRow, results: PlanningResults) -> str:
    """What the row's agent is called, with its sampling steps where it was measured at several."""
    return agent_label(row.agent, results.models) + _steps(row, results)


def success_over_compute(results: PlanningResults) -> list[Curve]:
    """A curve an environment: success over the floating-point operations of a plan, all agents on one axis.

    A line is a family, where there are several trainings of it, or an agent, at one number of sampling steps. Agents
    that have no such cost are drawn across, at their largest number of candidates.
    """
    curves = []
    several = {agent for row in results.families if len(row.agents) > 1 for agent in row.agents}
    for environment in dict.fromkeys(row.environment for row in results.rows):
        rows = [row for row in results.rows if row.environment == environment and row.agent not in several]
        lines: dict[tuple[str, str, str], list[tuple[float, float, float, float]]] = defaultdict(list)
        across: dict[str, PlanningRow] = {}
        for row in rows:
            if row.flops > 0:
                own = (row.flops, row.outcome.value, row.outcome.low, row.outcome.high)
                lines[row_label(row, results), row.agent, row.protocol_name].append(own)
            elif row.agent not in across or row.candidates > across[row.agent].candidates:
                across[row.agent] = row
        for family in (each for each in results.families if each.environment == environment and len(each.agents) > 1):
            row = next(r for r in results.rows if (r.agent, r.protocol) == (family.agents[0], family.protocol))
            label = f"{title(family.family)}, {len(family.agents)} trainings{_steps(row, results)}"
            own = (family.flops, family.value, family.low, family.high)
            lines[label, row.agent, row.protocol_name].append(own)
        if max((len(points) for points in lines.values()), default=0) < 2:
            continue
        spent = [point[0] for points in lines.values() for point in points]
        protocols = {protocol for _, _, protocol in lines}
        series = []
        for (label, agent, protocol), points in lines.items():
            x, y, low, high = (list(each) for each in zip(*sorted(points), strict=True))
            series.append(Series(label + (f", {protocol}" if len(protocols) > 1 else ""), x, y, low, high, agent))
        for agent, row in across.items():  # bands of what lies across would hide the others
            ends, height = [min(spent), max(spent)], [row.outcome.value] * 2
            series.append(Series(agent_label(agent, results.models), ends, height, model=agent))
        what = "success" if rows[0].judged else "return"
        name = f"{what.title()} over planner compute, {results.environments.get(environment, environment)}"
        curves.append(Curve(name, "FLOPs a plan", what, series))
    return curves


def _steps(row: PlanningRow, results: PlanningResults) -> str:
    steps = {
        results.protocols.get(each.protocol, {}).get("sampling_steps")
        for each in results.rows
        if each.agent == row.agent and each.environment == row.environment
    }
    own = results.protocols.get(row.protocol, {}).get("sampling_steps")
    return f", {own} {'step' if own == 1 else 'steps'}" if len(steps) > 1 else ""
