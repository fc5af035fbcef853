"""What the page says is what its files say."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parsed_page import Page, render

from vidworld.analysis.records import Model, Verdict
from vidworld.core.errors import UserError
from vidworld.report import page as report
from vidworld.report.charts import Legend
from vidworld.report.page import read_run

LEGEND = Legend({name: Model(name.title(), name, name) for name in ("jepa", "diffusion")})


def verdict(**given: Any) -> Verdict:
    test = {"metric": "surprise_accuracy", "task": "surprise", "p_value": 0.03, "difference": 0.2}
    test |= {"low": 0.1, "high": 0.3, "n": 100, "first": "jepa", "second": "diffusion", "better": None}
    return Verdict(**{"law": "a", "statement": "", **test, **given})


def test_verdicts_are_said_in_the_words_of_the_test(page: Page) -> None:
    said = "JEPA's is better than Diffusion's (p = 2e-05, corrected for 8 tests)"
    assert f"These checkpoints differ by surprise accuracy: {said}" in page.words
    assert "JEPA − Diffusion: 0.27 [0.21, 0.33]" in page.words
    assert (
        "JEPA and Diffusion 4 JEPA’s checkpoint is better Permanence, Momentum, Continuity, Uniform motion"
        in page.words
    )
    start = page.words.index("JEPA and Regression Not a controlled comparison:")  # beneath the pair that it is about
    assert "1 JEPA’s checkpoint is better Momentum" in page.words[start : start + 400]


def test_a_verdict_is_drawn_with_the_numbers_that_it_is_about(finished_run: Path) -> None:
    run = read_run(finished_run)
    found = next(v for v in run.comparison.verdicts if v.law == "uniform motion")
    shown = report._verdict(run, found, Legend(run.results.models, run.results.labels))["forest"]
    assert (shown.task, shown.readout, shown.splits) == ("Uniform", "tracker", ["ID"])
    assert shown.of("jepa")[0].value == "0.17"


def test_a_chance_that_the_statement_does_not_name_stands_beside_it(finished_run: Path) -> None:
    run = read_run(finished_run)
    named, silent = (report._verdict(run, verdict(statement=text), LEGEND)["detail"] for text in ("p = 0.03", "so"))
    assert named == "Jepa − Diffusion: 0.20 [0.10, 0.30]"
    assert silent == f"{named}, p = 0.03"


def test_a_withheld_law_has_its_reason_and_no_headline_number(finished_run: Path, page: Page) -> None:
    assert page.words.count("The control Frame difference reaches 0.71, above 0.60.") == 3
    rows = read_run(finished_run).results.results
    table = report.tables.headline_table(rows, {("constancy", "surprise_accuracy"): "a reason"}, LEGEND)
    (entry,) = next(group for group in table if group["law"] == "constancy")["rows"]
    assert entry["withheld"] == "a reason"
    assert "0.13 [0.07, 0.19]" not in page.words  # its difference


def test_every_interval_is_shown(finished_run: Path, page: Page) -> None:
    for forest in report.tables.forests(read_run(finished_run).results.results, LEGEND):
        for estimate in forest.estimates:
            assert estimate.interval
            assert f"{estimate.value} {estimate.interval}" in page.words


def test_the_table_keeps_to_the_tracker_and_the_headline_splits(finished_run: Path) -> None:
    rows = read_run(finished_run).results.results
    table = report.tables.headline_table(rows, {}, LEGEND)
    entries = [entry for group in table for entry in group["rows"]]
    assert {entry["split"] for entry in entries} == {"ID", "OOD", "real"}
    assert {entry["forest"].readout for entry in entries} == {"", "tracker"}
    probed = report.tables.headline_table(rows, {}, LEGEND, secondary=True)
    assert {entry["forest"].readout for group in probed for entry in group["rows"]} == {"probe"}
    only_ood = [row for row in rows if row.split == "ood" and row.readout == "probe"]
    (entry, *_) = report.tables.headline_table(only_ood, {}, LEGEND)[0]["rows"]
    assert (entry["split"], entry["forest"].readout) == ("OOD", "probe")


def test_how_far_a_model_has_come_from_floor_to_ceiling_is_said(finished_run: Path, page: Page) -> None:
    table = report.tables.headline_table(read_run(finished_run).results.results, {}, LEGEND)
    forests = [entry["forest"] for group in table for entry in group["rows"]]
    forest = next(f for f in forests if (f.metric, f.task) == ("velocity_error", "Uniform"))
    assert [estimate.reached for estimate in forest.of("jepa")] == ["94%"]  # 0.17 between 2.5 and 0.01
    assert "Of the way" in page.words and "94%" in page.words


def test_lines_between_frames_are_no_part_of_them(finished_run: Path) -> None:
    run = read_run(finished_run)
    strip = report._quadruplet(run, run.media.quadruplets[0], LEGEND)["strips"][
        0
    ]  # 16 frames of 64 pixels, 15 lines of one
    assert strip["aspect"] == 1
    assert strip["length"] == (16 * 64 + 15) / 64


def test_one_quadruplet_and_one_rollout_of_a_kind_are_seen_at_once(edited: Callable[..., Path]) -> None:
    def twice(content: dict[str, Any]) -> None:
        content["rollouts"] += content["rollouts"][:1]
        content["quadruplets"] += content["quadruplets"][:1]

    page = render(edited("physics/media.json", twice))
    assert len(page.all("video")) == 18
    assert "1 more of Uniform" in page.words
    assert "1 more quadruplet" in page.words


def test_noise_levels_and_targets_are_named_with_their_models(page: Page) -> None:
    assert "surprise of Diffusion is a mean over noise levels 0.7, 1.0, whatever their scores" in page.words
    assert "JEPA predicts vcreg (end to end" in page.words


def test_which_way_is_better_is_said(page: Page) -> None:
    assert "Velocity error ↓ lower is better" in page.words
    assert "Surprise accuracy ↑ higher is better" in page.words
    assert "Motion ratio closest to the ceiling is best" in page.words


def test_detection_limits_stand_with_their_law_where_a_calibration_lies_beside_the_run(
    edited: Callable[..., Path],
) -> None:
    folder = edited("physics/results.json", lambda content: None)
    assert "Detection limit" not in report.render_page(read_run(folder))
    line = {"law": "momentum", "metric": "momentum_drift", "readout": "pixels", "task": "uniform", "n": 200}
    line |= {"size": 2.0, "value": 0.1, "low": 0.1, "high": 0.1, "higher_is_better": False, "monotone": 1.0}
    line |= {"fault": "speed", "fault_unit": "%", "unit": "ratio", "noise_floor": 0.0189, "detection_limit": 2.0}
    calibration = folder.parent / "calibration" / "calibration.json"
    calibration.parent.mkdir()
    calibration.write_text(
        json.dumps({"schema": 3, "provenance": {}, "results": [line, line | {"size": 5.0}], "baselines": []})
    )
    (chapter,) = re.findall(r'<article id="law-momentum".*?</article>', report.render_page(read_run(folder)), re.S)
    cells = re.findall("<td>(.*?)</td>", chapter.split("Detection limit")[-1])
    assert cells == [*("momentum", "Momentum drift", "speed, uniform", "tracker", "0.0189 ratio", "2 %", "1.00", "200")]
    rows = read_run(folder).calibration
    assert report.tables.limits_table([replace(rows[0], readout="by eye")])["rows"][0][3] == "by eye"
    calibration.write_text("{}")
    with pytest.raises(UserError, match=r"calibration\.json: is of schema None, not 3"):
        read_run(folder)


def test_recombined_is_a_headline_and_a_longer_horizon_stands_below(edited: Callable[..., Path]) -> None:
    def added(content: dict[str, Any]) -> None:
        outside = [row for row in content["results"] if row["split"] == "ood"]
        for split, value in (("recombined", 7.77), ("horizon_56", 8.88)):
            content["results"] += [row | {"split": split, "value": value} for row in outside]

    run = read_run(edited("physics/results.json", added))
    table = report.tables.headline_table(run.results.results, {}, LEGEND)
    shown = {entry["split"] for law in table for entry in law["rows"]}
    assert {"ID", "OOD", "recombined"} <= shown <= {"ID", "OOD", "recombined", "real"}
    before, every_row = report.render_page(run).split("<summary>All ")
    assert "7.77" in before and "8.88" in before and "8.88" in every_row
    assert "horizon of 56 frames" in before


def test_the_page_speaks_of_checkpoints_until_each_was_trained_five_times(edited: Callable[..., Path]) -> None:
    def five(content: dict[str, Any]) -> None:
        content["runs"] = 5
        content["verdicts"] = [verdict | {"runs": 5} for verdict in content["verdicts"]]

    once = render(edited("physics/comparison.json", lambda content: None)).words
    assert "Each was trained once: what is said is said of these checkpoints, not of families" in once
    families = render(edited("physics/comparison.json", five)).words
    assert "Each was trained 5 times: what is said is said of families" in families
    assert "JEPA is better" in families and "checkpoint is better" not in families


def test_what_no_difference_is_shown_in_is_folded(page: Page, finished_run: Path) -> None:
    assert "1 on which no difference is shown, or which both have solved: Collision" in page.words
    run = read_run(finished_run)
    laws = report._laws(run, LEGEND)
    assert [law["law"] for law in laws if law["folded"]] == ["collision"]


def test_what_every_model_has_solved_is_no_headline(edited: Callable[..., Path]) -> None:
    def solve(content: dict[str, Any]) -> None:
        for row in content["results"]:
            if (row["law"], row["split"], row["model"]) in [("solidity", "id", m) for m in LEARNED]:
                row["value"] = 0.99

    def verdicts(content: dict[str, Any]) -> None:
        content["verdicts"] = [v | {"solved": v["law"] == "solidity"} for v in content["verdicts"]]

    folder = edited("physics/results.json", solve)
    assert report.tables.parted(_headline(folder))[1][0]["law"] == "solidity"
    words = render(edited("physics/comparison.json", verdicts)).words
    assert "Solved by every model: Solidity" in words and "1 Solved by both Solidity" in words
    one = edited("physics/results.json", lambda c: [r.update(value=0.9) for r in c["results"] if r["model"] == "jepa"])
    assert report.tables.parted(_headline(one))[1] == []


LEARNED = ("jepa", "diffusion", "regression")


def _headline(folder: Path) -> list[dict[str, Any]]:
    run = read_run(folder)
    return report.tables.headline_table(run.results.results, {}, Legend(run.results.models))


def test_few_clips_are_marked_where_one_in_ten_may_decide(edited: Callable[..., Path]) -> None:
    def few(content: dict[str, Any]) -> None:
        content["results"] = [row | {"n": 14, "unit": "units/s"} for row in content["results"]]

    assert "Fewer than 40 clips" not in render(edited("physics/results.json", lambda content: None)).words
    words = render(edited("physics/results.json", few)).words
    assert "Fewer than 40 clips are marked few: a kind of clip that is one in ten" in words


def test_the_tally_counts_laws_and_nothing_without_verdicts() -> None:
    verdicts = [
        verdict(law="momentum", better="jepa"),
        verdict(law="collision"),
        verdict(law="constancy", better="jepa", withheld="a control"),
    ]
    found = report.tally(verdicts, ("diffusion", "jepa"), LEGEND)
    assert [(outcome["color"], outcome["laws"]) for outcome in found] == [
        ("hue0", ["Momentum"]),
        ("hue1", []),
        ("undecided", ["Collision"]),
        ("withheld", ["Constancy"]),
    ]
    assert report.tally([], ("diffusion", "jepa"), LEGEND) == []


def test_without_verdicts_nothing_is_claimed(edited: Callable[..., Path]) -> None:
    page = render(edited("physics/comparison.json", lambda c: [c.pop("verdicts"), c.pop("further_verdicts")]))
    assert "is better" not in page.words.replace("↑ higher is better", "").replace("↓ lower is better", "")
    assert "data do not say" not in page.words


def test_an_uncontrolled_comparison_says_what_differs_first(edited: Callable[..., Path]) -> None:
    def change(content: dict[str, Any]) -> None:
        content["controlled"]["jepa vs diffusion"] = False
        content["differences"]["jepa vs diffusion"] = ["steps: 2000 and 1000", "seeds: 0 and 1"]

    words = render(edited("physics/comparison.json", change)).words
    assert "Not a controlled comparison: JEPA and Diffusion: steps: 2000 and 1000; seeds: 0 and 1" in words
    assert words.index("Not a controlled comparison") < words.index("Permanence")
    assert "same budget" not in words


def test_each_pair_says_whether_it_is_controlled(page: Page) -> None:
    assert "JEPA and Diffusion learned from the same clips and tokens, with the same budget" in page.words
    assert "Not a controlled comparison: JEPA and Regression: steps differ: 2000 and 1000" in page.words


def test_budgets_stand_side_by_side(finished_run: Path) -> None:
    run = read_run(finished_run)
    table = {row["name"]: row for row in report.tables.budget_table(run.comparison, run.results.models)}
    assert table["Family"]["cells"] == ["jepa", "diffusion", "regression"]
    assert table["Parameters"]["cells"] == ["2\u202f712\u202f576", "2\u202f801\u202f664", "2\u202f712\u202f576"]
    assert table["Parameters"]["spread"] == "1.03"
    assert (table["Steps"]["spread"], table["Clips seen"]["spread"]) == ("2", "equal")
    models = run.results.models | {"mine": Model("Mine", "python", "python:my.Model")}
    table = {row["name"]: row for row in report.tables.budget_table(run.comparison, models)}
    assert table["Parameters"]["cells"][-1] == "–" and table["Parameters"]["spread"] == "1.03"
    assert table["Training FLOPs"]["cells"] == ["1.31 × 10¹⁵", "1.34 × 10¹⁵", "1.31 × 10¹⁵", "–"]


def test_training_is_drawn_and_long_runs_are_averaged(finished_run: Path) -> None:
    run = read_run(finished_run)
    drawn = report.training_charts(run, Legend(run.results.models, run.results.labels))
    charts = {chart.curve.name: chart for chart in drawn}
    assert set(charts) >= {"Tokenizer: Loss", "Diffusion: Copy last ratio", "JEPA: Deviation"}
    assert charts["JEPA: Loss"].lines[0].color == "hue0"
    assert len(charts["JEPA: Loss"].table) <= report.plots.MAX_POINTS


def test_several_seeds_have_rows_of_their_own(edited: Callable[..., Path]) -> None:
    def second_seed(content: dict[str, Any]) -> None:
        content["results"] += [row | {"seed": 1} for row in content["results"] if row["model"] == "jepa"]

    words = render(edited("physics/results.json", second_seed)).words
    assert "JEPA, seed 0" in words
    assert "JEPA, seed 1" in words


def test_the_page_speaks_the_language_of_the_field(page: Page) -> None:
    labels = [attributes.get("aria-label", "") for _, attributes in page.elements]
    for text in (page.words, *labels):
        assert not re.search(r"\b(quads?|films?|filmed|read-?outs?|told|no headline)\b", text, re.IGNORECASE)


def test_models_have_columns_and_colours_in_their_order(page: Page) -> None:
    assert "Metric On one axis JEPA Diffusion Regression Floor Ceiling" in page.words
    keys = [attributes["class"] for name, attributes in page.elements if "key c-hue" in attributes.get("class", "")]
    assert keys[:3] == ["key c-hue0", "key c-hue1", "key c-hue2"]


def test_a_page_needs_no_torch() -> None:
    code = "import sys, vidworld.report.page, vidworld.report.leaderboard; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("provenance", [{}, {"versions": "x"}, {"versions": [1], "started": 3}])
def test_provenance_that_says_little_is_shown(provenance: dict[str, Any], edited: Callable[..., Path]) -> None:
    words = render(edited("physics/results.json", lambda content: content.update(provenance=provenance))).words
    assert "Provenance" in words


def test_a_log_that_says_nothing_is_no_training_chart(edited: Callable[..., Path]) -> None:
    folder = edited("physics/results.json", lambda content: None)
    lines = ({"loss": 1}, {"step": "x", "loss": 1}, {"step": 10**400, "loss": [1]}, {"seconds": "long"})
    (folder / "jepa" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "JEPA: Loss" not in render(folder).words


def test_without_models_or_known_budgets_there_is_a_page(edited: Callable[..., Path]) -> None:
    folder = edited("physics/comparison.json", lambda content: content.update(budgets={"jepa": {"steps": None}}))
    assert "Budget" in render(folder).words
    folder = edited("physics/results.json", lambda content: content.update(models={}, compare=[]))
    assert "Budget" in render(folder).words


def test_half_of_a_surrogate_pair_is_written_as_json_says_it(edited: Callable[..., Path]) -> None:
    folder = edited("physics/results.json", lambda content: content["provenance"].update(command="run \ud800"))
    assert "run \\ud800" in report.write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("field", ["chunk_start", "frames_per_chunk"])
def test_more_frames_than_a_page_shows_are_refused(field: str, edited: Callable[..., Path]) -> None:
    folder = edited("physics/media.json", lambda content: content["quadruplets"][0].update({field: 1e9}))
    with pytest.raises(UserError, match=r"media\.json: .*: chunk_start and frames_per_chunk give more than the 10,000"):
        report.render_page(read_run(folder))


def test_more_frames_than_the_picture_has_pixels_are_refused(edited: Callable[..., Path]) -> None:
    folder = edited("physics/media.json", lambda content: content["quadruplets"][0].update(chunk_start=2000))
    with pytest.raises(UserError, match=r"\.png: is 1039 x 64 pixels, no 8,\d\d\d frames side by side"):
        report.render_page(read_run(folder))


def test_the_start_of_a_png_is_none(edited: Callable[..., Path]) -> None:
    folder = edited("physics/media.json", lambda content: None)
    shown = read_run(folder).media.quadruplets[0].frames["possible"]
    (folder / "physics" / shown).write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match="should be a PNG, and is not"):
        report.render_page(read_run(folder))
