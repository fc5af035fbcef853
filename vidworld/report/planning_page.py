"""The page of planning: what agents reach by which protocol, success over compute, checks of actions, videos."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis.planning import ActionCheck, FamilyRow, PlanningResults, PlanningRow, agent_label, read_planning
from vidworld.analysis.planning_checkpoints import FEWEST_CHECKPOINTS, TRAININGS, check_correlations
from vidworld.analysis.planning_curves import row_label, success_over_compute
from vidworld.core.errors import UserError
from vidworld.report import charts as plots
from vidworld.report.landscapes import landscape_figures
from vidworld.report.page import embedded, save_page

_HEADS = (
    *("Environment", "Protocol", "Agent", "Candidates", "Ever", "At the end", "Episodes", "Excluded", "Failed"),
    *("Blocks", "Cost, units", "Return", "FLOPs a plan", "Seconds a plan"),
)


def write_planning_page(folder: Path, out: Path, others: Sequence[Path] = ()) -> Path:
    """The page's path, after writing it from FOLDER/planning.json and those of its videos that are there.

    Raises UserError: there is no such file, or what it holds is not whole.

    others: further folders, whose checkpoints count where offline checks are compared with success.
    """
    results = read_planning(folder / "planning.json")
    every = [results, *(read_planning(other / "planning.json") for other in others)]
    legend, protocols = plots.Legend(results.models), _protocols(results).items()
    if lacking := [key for key, _ in protocols if key not in results.protocols]:
        said = f"{folder / 'planning.json'}: protocols lacks {', '.join(lacking)}, of which there are rows"
        raise UserError(f"{said}; run eval/run_planning.py again")
    return save_page(
        out, "planning.html", legend=legend, overview=overview(results),
        said=[*sentences(results), *lost_videos(results, folder)],
        results={"heads": _HEADS, "rows": [_cells(row, results) for row in results.rows]},
        charts_drawn=plots.line_charts(success_over_compute(results), legend, log_x=True), checks=_checks(results),
        correlated=correlation_lines(every), families=_families(results), landscapes=landscape_figures(results),
        videos=list(_videos(results, folder)), failures=results.failures,
        protocols=[{"name": names, "hash": key, "keys": results.protocols[key]} for key, names in protocols],
    )  # fmt: skip


def planning_summary(results: PlanningResults) -> str:
    """The table as text, a line an agent."""
    rows: list[tuple[str, ...]] = [
        ("environment", "protocol", "agent", "candidates", "ever", "end", "return", "FLOPs a plan", "s a plan")
    ]
    for row in results.rows:
        cells = (row.environment, row.protocol_name, row.agent, str(row.candidates))
        reached = map(words.estimate_of, (row.ever, row.end, row.returned))
        rows.append((*cells, *reached, f"{row.flops:.3g}", f"{row.seconds:.2g}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines += [
        f"{row.environment}, {row.agent}: {row.failed} of {row.episodes} episodes failed; episodes.csv says why"
        for row in results.rows
        if row.failed
    ]
    return "\n".join([*lines, *_deaf(results)])


def sentences(results: PlanningResults) -> list[str]:
    """What the rows say of each environment, by disjoint intervals against the strongest floor."""
    lines = []
    for place, at in _at_most_candidates(results).items():
        models = [row for row in at if row.agent in results.models]
        ceiling = next((row for row in at if row.agent == "simulator"), None)
        floors = [row for row in at if row.agent not in results.models and row is not ceiling]
        label = _place_label(place, results)
        if ceiling is not None:
            lines.append(f"{label}: planning on the true simulator reaches {_outcome(ceiling)}.")
        if not models or not floors:
            continue
        floor = max(floors, key=lambda row: row.outcome.value)
        above = [row for row in models if row.outcome.low > floor.outcome.high]
        named = ", ".join(f"{row_label(row, results)} {_outcome(row)}" for row in above or models)
        what = "above" if above else "not above, by disjoint intervals,"
        lines.append(
            f"{label}: {named}: {what} the highest floor, "
            f"{agent_label(floor.agent, results.models).lower()} {_outcome(floor)}."
        )
    lines += _family_sentences(results)
    return lines + _deaf(results)


def _deaf(results: PlanningResults) -> list[str]:
    """A sentence on the models whose futures do not follow actions, if there are any."""
    ignoring = [each for each in results.checks if each.ignores and not each.hears]
    said = ", ".join(
        f"{agent_label(each.model, results.models)} in {each.environment} ({each.clips} clips)" for each in ignoring
    )
    lines = [f"Not shown to depend on actions: the futures of {said}."] if ignoring else []
    return lines + [
        f"{agent_label(each.model, results.models)} in {each.environment} hears its actions {each.hears}: "
        "given to mend that, they fit what happened better."
        for each in results.checks
        if each.hears
    ]


def _family_sentences(results: PlanningResults) -> Iterator[str]:
    """What families reach of which there are `TRAININGS` or more, at the largest number of candidates."""
    for (place, protocol), rows in _at_most(results).items():
        enough = [row for row in rows if len(row.agents) >= TRAININGS]
        if enough:
            said = ", ".join(f"{words.title(row.family)} {words.estimate_of(row)}" for row in enough)
            label = results.environments.get(place, place)
            yield f"{label}, {min(len(row.agents) for row in enough)} trainings a family or more: {said}."
        for pair in (each for each in results.pairs if (each.environment, each.protocol) == (place, protocol)):
            names = [words.title(pair.first), words.title(pair.second)]
            better, other = names if pair.value > 0 else names[::-1]
            ends = sorted((abs(pair.low), abs(pair.high)))
            if pair.p_value < 0.05:
                more = words.estimate(abs(pair.value), *ends)
                yield f"{better} reaches more than {other} by {more}, {words.p_text(pair.p_value)} corrected."


def _at_most(results: PlanningResults) -> dict[tuple[str, str], list[FamilyRow]]:
    """The families' rows of each environment, of the protocol with the most candidates."""
    found: dict[tuple[str, str], list[FamilyRow]] = {}
    for place in dict.fromkeys(row.environment for row in results.rows):
        most = max((row for row in results.rows if row.environment == place), key=lambda row: row.candidates).protocol
        found[place, most] = [row for row in results.families if (row.environment, row.protocol) == (place, most)]
    return found


def correlation_lines(every: Sequence[PlanningResults]) -> list[str]:
    """Whether offline checks order checkpoints as success does, a line an environment, protocol and check."""
    names = {"factor": "factor by which other clips’ actions are worse", "rank": "rank of the true actions"}
    places = {key: name for results in every for key, name in results.environments.items()}
    lines = []
    for each in check_correlations(every):
        place = f"{places.get(each.environment, each.environment)} ({each.protocol})"
        if each.checkpoints < FEWEST_CHECKPOINTS:
            continue
        if math.isnan(each.rho):
            said = f"says nothing of {each.checkpoints} checkpoints: all are alike in it, or in success"
        else:
            p = words.p_text(each.p_value)
            said = f"ρ {words.number(each.rho)} with success over {each.checkpoints} checkpoints, {p}"
        lines.append(f"{place}, {names[each.check]}: {said}.")
    return lines or [
        f"How these checks go with success is said from {FEWEST_CHECKPOINTS} checkpoints of a protocol on."
    ]


def _outcome(row: PlanningRow) -> str:
    return ("" if row.judged else "a return of ") + words.estimate_of(row.outcome)


_Place = tuple[str, str]  # environment and protocol's name


def overview(results: PlanningResults) -> dict[str, Any]:
    """What each agent reaches in each environment by each protocol, with the most candidates there."""
    places = _at_most_candidates(results)
    found: dict[str, dict[_Place, str]] = {}
    for place, rows in places.items():
        for row in rows:
            found.setdefault(row_label(row, results), {})[place] = _outcome(row)
    rows_shown = [(agent, *(of.get(place, "–") for place in places)) for agent, of in found.items()]
    return {"heads": ("Agent", *(_place_label(place, results) for place in places)), "rows": rows_shown}


def _at_most_candidates(results: PlanningResults) -> dict[_Place, list[PlanningRow]]:
    """The rows of each environment and protocol, of its runs with the most candidates."""
    found: dict[_Place, list[PlanningRow]] = {}
    for row in results.rows:
        found.setdefault((row.environment, row.protocol_name), []).append(row)
    most = {place: max(row.candidates for row in rows) for place, rows in found.items()}
    return {place: [row for row in rows if row.candidates == most[place]] for place, rows in found.items()}


def _place_label(place: _Place, results: PlanningResults) -> str:
    """The environment, and the protocol where there are several in it."""
    label = results.environments.get(place[0], place[0])
    several = len({row.protocol_name for row in results.rows if row.environment == place[0]}) > 1
    return f"{label}, {place[1]}" if several else label


def _cells(row: PlanningRow, results: PlanningResults) -> tuple[str, ...]:
    flops = "–" if not row.flops > 0 else words.scientific(row.flops)
    return (
        results.environments.get(row.environment, row.environment), f"{row.protocol_name} ({row.protocol})",
        row_label(row, results), str(row.candidates), words.estimate_of(row.ever), words.estimate_of(row.end),
        str(row.episodes), str(row.excluded), str(row.failed), words.number(row.blocks), words.number(row.cost),
        words.estimate_of(row.returned), flops, words.number(row.seconds),
    )  # fmt: skip


def _families(results: PlanningResults) -> dict[str, Any]:
    heads = ("Environment", "Protocol", "Family", "Trainings", "Success", "FLOPs a plan")
    return {
        "heads": heads,
        "rows": [
            (
                results.environments.get(row.environment, row.environment), row.protocol, words.title(row.family),
                ", ".join(row.agents), words.estimate_of(row), words.scientific(row.flops),
            )
            for row in results.families
        ],
    }  # fmt: skip


def _checks(results: PlanningResults) -> dict[str, Any]:
    heads = (
        *("Environment", "Model", "Error under true actions", "Under others'", "Factor", "Rank of the true actions"),
        *("True ones fit best", "Clips", ""),
    )
    return {"heads": heads, "rows": [_check(each, results) for each in results.checks]}


def _check(each: ActionCheck, results: PlanningResults) -> tuple[str, ...]:
    return (
        results.environments.get(each.environment, each.environment), agent_label(each.model, results.models),
        words.number(each.error_true), words.number(each.error_shuffled),
        f"{words.number(each.factor)} (from {words.number(each.factor_low)})",
        words.estimate(each.rank, each.rank_low, each.rank_high), words.percent(each.top), str(each.clips),
        f"hears its actions {each.hears}" if each.hears else "ignores its actions" if each.ignores else "",
    )  # fmt: skip


def lost_videos(results: PlanningResults, folder: Path) -> list[str]:
    """A line where videos are not in the folder, as after a move, and so not on the page."""
    lost = [video.file for video in results.videos if not (folder / video.file).is_file()]
    said = f"{len(lost)} of {len(results.videos)} videos are not beside planning.json any more, and left out"
    return [f"{said}; the first is {lost[0]}"] if lost else []


def _videos(results: PlanningResults, folder: Path) -> Iterator[dict[str, Any]]:
    """By environment and agent; a video that is not there any more is left out."""
    for video in results.videos:
        path = folder / video.file
        if path.is_file():
            place = results.environments.get(video.environment, video.environment)
            title = f"{place}, {agent_label(video.agent, results.models)}, episode {video.number}"
            judged = all(row.judged for row in results.rows if row.environment == video.environment)
            said = ("reached" if video.solved else "not reached") if judged else "nobody says whether a goal is reached"
            yield {"uri": embedded(path), "title": title, "said": said}


def _protocols(results: PlanningResults) -> dict[str, str]:
    """The names of the files that each hash comes from."""
    names: dict[str, dict[str, None]] = {}
    for row in results.rows:
        names.setdefault(row.protocol, {})[row.protocol_name] = None
    return {key: ", ".join(each) for key, each in names.items()}
