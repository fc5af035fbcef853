"""What the pages say of results is what the files of results hold."""

import json
import re

from scripts import ROOT
from study_files import STUDY_LAWS, cue_cells, study_cells, study_rows

from vidworld.analysis.cues import FITTED, MIRRORED, ONE_OBJECT, cues_of_law
from vidworld.analysis.records import read_results
from vidworld.inside.existence import PUT_IN, TAKEN_OUT

STUDY_ROLLOUTS = {
    "reappearance, `occlusion`, 11 clips ↑": ("occlusion", "reappearance", "id"),
    "object integrity, `collision` ↑": ("collision", "object_integrity", "id"),
    "energy score, `uniform`, units ↓": ("uniform", "energy_score", "id"),
    "energy score, `collision`, units ↓": ("collision", "energy_score", "id"),
    "velocity error, `collision`, out of range, units/s ↓": ("collision", "velocity_error", "ood"),
}


def test_the_picture_of_a_dictionary_is_that_of_its_results():
    media = ROOT / "results" / "inside" / "media" / "dictionary_jepa.png"
    assert (ROOT / "docs" / "figures" / media.name).read_bytes() == media.read_bytes()


def test_three_trainings_that_were_steered_are_those_of_their_files():
    page = (ROOT / "docs" / "inside.md").read_text(encoding="utf-8").split("## Three trainings")[1]
    files = [ROOT / "results" / "inside" / f"steering_9.0e12_seed{seed}.json" for seed in range(3)]
    trainings = [json.loads(file.read_text(encoding="utf-8"))["rows"] for file in files]
    concepts = {"hidden disc taken out": TAKEN_OUT, "hidden disc put in": PUT_IN}
    kinds = {"random direction": ("random",), "states exchanged": ("exchanged",)}
    rows = re.findall(r"^\| ([\w ]+), ([\w ]+) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 12
    for name, what, cells in rows:
        for family, cell in zip(("regression", "diffusion", "jepa"), cells.split(" | "), strict=True):
            found = [
                row["others" if what == "other discs" else "slope"]
                for steered in trainings
                for row in steered
                if (row["model"], row["concept"], row["best"]) == (family, concepts.get(name, name), True)
                and row["readout"] != "pixels"
                and row["direction"] in kinds.get(what, ("probe", "means"))
            ]
            assert cell == ", ".join(f"{value:.2f}" for value in found), (name, what, family)


def test_results_are_those_of_their_files():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+_[\d.]+e\d+_\w+)` \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) >= 4
    for name, cells in rows:
        assert cells.split(" | ") == study_cells(ROOT / "results" / "study" / f"{name}.json")


def test_rollouts_of_the_study_are_those_of_their_files():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for what, (task, metric, split) in STUDY_ROLLOUTS.items():
        (cells,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", page.split("Rollouts at 9e13")[0], re.MULTILINE)
        expected = []
        for family in ("regression", "diffusion", "jepa"):
            found = [
                row
                for file in (ROOT / "results" / "study").glob(f"{family}_1.8e13_nuisance0_seed*.json")
                for row in study_rows(file)
                if (row["task"], row["metric"], row["split"], row["readout"]) == (task, metric, split, "pixels")
            ]
            values = sorted({f"{row['value']:.2f}" for row in found})
            expected.append(" to ".join((values[0], values[-1])) if len(values) > 1 else values[0])
        assert cells.split(" | ") == [*expected, f"{found[0]['floor']:.2f}", f"{found[0]['ceiling']:.2f}"], what


def test_cues_in_the_results_are_those_that_were_measured():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    rows = {"picture cues, fitted": FITTED, "one-object rule": f"{ONE_OBJECT}, straight", MIRRORED: MIRRORED}
    for what, cue in rows.items():
        (cells,) = re.findall(rf"^\| {what} \| (.*) \|$", page, re.MULTILINE)
        for law, cell in zip(STUDY_LAWS, cells.split(" | "), strict=False):
            (found,) = (each for each in cues_of_law(law) if (each.cue, each.layout) == (cue, ""))
            assert cell == f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]", (what, law)


def test_cues_in_the_measures_are_those_that_were_measured():
    page = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")
    (laws,) = re.findall(r"^\| surprise accuracy \| (.*) \|$", page, re.MULTILINE)
    for place, what in enumerate(("all cues, fitted", "one-object rule", MIRRORED)):
        (cells,) = re.findall(rf"^\| {what} \| (.*) \|$", page, re.MULTILINE)
        assert cells.split(" | ") == [cue_cells(law)[place] for law in laws.split(" | ")]
    halves = {each.layout: each.value for each in cues_of_law("solidity") if each.cue == MIRRORED}
    assert f"is right in {halves['meeting']:.2f}, in the other half in {halves['passing']:.2f}" in " ".join(
        page.split()
    )


def test_scores_on_samples_of_benchmarks_are_those_of_their_files():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    names = {
        "relative accuracy ↑": ("relative_accuracy_score", "test"),
        "score as published, 10 frames a second ↑": ("physics_iq_score", "published_10fps"),
        "verified score, 10 frames a second ↑": ("physics_iq_verified_score", "published_10fps"),
        "error, units/s ↓": ("phyworld_error", "id"),
        "error, units ↓": ("phyworld_error", "id"),
    }
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 17
    for benchmark, law, score, cells in rows:
        found = read_results(ROOT / "results" / "benchmarks" / f"{benchmark}.json").results
        places = [(model, law, *names[score]) for model in ("copy_last", "regression", "jepa", "truth")]
        by_place = {(row.model, row.law, row.metric, row.split): row for row in found}
        assert cells.split(" | ") == [shown(by_place.get(place)) for place in places], (benchmark, law)


def shown(row):
    if row is None:
        return "–"
    return f"{row.value:.2f}" + (f" [{row.low:.2f}, {row.high:.2f}]" if row.n > 1 else "")


def test_variants_on_real_video_are_those_of_their_file():
    page = (ROOT / "docs" / "real_video.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| (as the demo|longer) \| (.*) \|$", page, re.MULTILINE)
    variants = {
        "a fifth of the clips real (the demo)": "a_share20", "a fifth real": "b_share20",
        "four fifths real, of 8 videos in place of 15": "b_half80", "four fifths real, mirrored as well": "b_mirror80",
        "half real and mirrored, nuisance 2 in the simulated ones": "b_mirror80_nuisance",
        "a fifth real, three times the steps": "b_share20_long",
        "four fifths real, three times the steps": "b_share80_long", "frozen frame": "copy_last",
        "reconstruction (ceiling)": "reconstruction",
    }  # fmt: skip
    found = {}
    for tokenizer, model, metric, *numbers, _ in json.loads((ROOT / "results/real_video/variants.json").read_text())[
        "rows"
    ]:
        digits = 3 if metric.endswith("mse") else 2
        value, low, high = (f"{number:.{digits}f}" for number in numbers)
        found["longer" if tokenizer.startswith("800") else "as the demo", model, metric] = f"{value} [{low}, {high}]"
    metrics = [f"physics_iq_{name}" for name in ("spatial_iou", "weighted_spatial_iou", "spatiotemporal_iou", "mse")]
    assert len(rows) == 11
    for what, tokenizer, cells in rows:
        model = variants.get(what, f"{tokenizer[0].replace('l', 'b')}_share80")
        assert cells.split(" | ") == [found[tokenizer, model, metric] for metric in [*metrics, "position_error"]], what


def test_the_demos_table_is_that_of_its_file():
    found = json.loads((ROOT / "results/demo/one_demo.json").read_text())
    models, shown = ("regression", "diffusion", "jepa", "copy_last", "oracle"), {}
    for row in found["rows"]:
        model, task, law, split, metric, _, value, low, high, *_ = row
        interval = f" [{low:.2f}, {high:.2f}]" if model in models[:3] else ""
        shown[task, law if task == "surprise" else metric, split, model] = f"{value:.2f}{interval}"
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("## The demo")[1]
    rows = re.findall(r"^\| ([^|]*[↑↓]) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == len(found["rows"]) / len(models) == 9
    for what, cells in rows:
        name, place, split = re.split(", |`", what.strip("↑↓ "))[0].replace(" ", "_"), "surprise", "id"
        if name == "surprise_accuracy":
            name = what.split(", ")[1].split()[0]
        else:
            place, split = what.split("`")[1], "ood" if "out of range" in what else "id"
        assert cells.split(" | ") == [shown[place, name, split, model] for model in models], what
    better = {(v["law"], frozenset((v["first"], v["second"]))): v["better"] for v in found["verdicts"]}
    pairs = {
        frozenset(pair): pair for pair in (("regression", "diffusion"), ("regression", "jepa"), ("diffusion", "jepa"))
    }
    said = {
        ("permanence", "regression diffusion"): "diffusion", ("permanence", "diffusion jepa"): "diffusion",
        ("collision", "regression diffusion"): "regression", ("collision", "diffusion jepa"): "jepa",
        ("constancy", "diffusion jepa"): "diffusion",
    }  # fmt: skip
    assert {(law, " ".join(pairs[pair])): name for (law, pair), name in better.items() if name} == said


def predicted_cells(budget, measure, ranges):
    """What docs/results.md says of a prediction: the mean over a family's trainings, and the range predicted."""
    laws, cells = [*STUDY_LAWS, "velocity error, collision"], []
    for family, (low, high) in ranges.items():
        values = []
        for path in sorted((ROOT / "results" / "study").glob(f"{family}_{budget}_nuisance0_seed*.json")):
            if measure in laws:
                values.append(float(study_cells(path)[laws.index(measure)].split()[0]))
            else:
                metric, task, *split = measure.replace(" error", "_error").split(", ")
                place = (task, metric, "ood" if split else "id", "pixels")
                values += [
                    r["value"] for r in study_rows(path) if (r["task"], r["metric"], r["split"], r["readout"]) == place
                ]
        digits = 1 if high > 2 else 2
        mean = f"{sum(values) / len(values):.{digits}f}" if values else "–"
        inside = "" if not values else " ✓" if low <= float(mean) <= high else " ✗"
        cells.append(f"{mean} ({low:.{digits}f} to {high:.{digits}f}){inside}")
    return cells


def test_predictions_stand_beside_what_came():
    made = json.loads((ROOT / "results/predictions/larger_points.json").read_text())
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for budget, measures in made["points"].items():
        for measure, ranges in measures.items():
            cells = predicted_cells(budget, measure, ranges)
            row = f"| {float(budget):.2g}".replace("+", "") + f" | {measure} | " + " | ".join(cells) + " |"
            assert row in page or all(cell.startswith("–") for cell in cells), row


def test_what_trained_models_know_of_hidden_properties_is_that_of_their_files():
    files = [ROOT / "results" / "hidden" / f"longer_{name}.json" for name in ("seed0", "seeds_1_2_diffusion")]
    page = (ROOT / "docs" / "hidden.md").read_text(encoding="utf-8").split("## Checkpoints that never")[0]

    def shown(value, low, high):
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"

    read, acted = {}, {}
    for found in (json.loads(file.read_text()) for file in files):
        read |= {(p["task"], p["model"], p["frames"]): p for p in found["probes"] if p["split"] == "id"}
        acted |= {
            (r["task"], r["readout"], r["model"]): shown(r["value"], r["low"], r["high"])
            for r in found["rows"]
            if (r["metric"], r["split"]) == ("implied_rank", "after")
        }
    tasks, seeds = ("hidden_mass", "hidden_restitution"), ("", "_1", "_2")
    models = {f"{family}, seed {n}": f"{family}{s}" for family in ("regression", "jepa") for n, s in enumerate(seeds)}
    for label, model in {**models, "diffusion": "diffusion"}.items():
        probes = [read[task, model, frames] for task in tasks for frames in (8, 12, 16)]
        cells = [shown(p["rank"], p["rank_low"], p["rank_high"]) for p in probes]
        assert f"| {label} | {' | '.join(cells)} |" in page
        cells = [acted[task, readout, model] for task in tasks for readout in ("pixels", "probe")]
        assert f"| {label} | {' | '.join(cells)} |" in page
        assert all(0.45 <= read[task, model, 4]["rank"] <= 0.55 for task in tasks)
    for task, least in (
        ("hidden_mass", 0.89),
        ("hidden_restitution", 0.83),
    ):  # "by disjoint intervals in all nine pairs"
        low = [read[task, f"jepa{seed}", 8]["rank_low"] for seed in seeds]
        assert min(low) > max(read[task, f"regression{seed}", 8]["rank_high"] for seed in seeds)
        assert round(min(read[task, f"jepa{seed}", 8]["rank"] for seed in seeds), 2) == least


def test_interventions_by_larger_models_are_those_of_their_files():
    def rows(name, metric="effect_error"):
        found = json.loads((ROOT / "results/interventions" / f"{name}.json").read_text())["rows"]
        of = [r for r in found if r["metric"] == metric]
        of.sort(key=lambda row: row["readout"] == "pixels")  # which counts, where there are both
        return {(r["model"], r["task"], r["split"]): r for r in of}

    regression = rows("regression_9.0e13_seed0")
    more = rows("diffusion_jepa_9.0e13_seed0_128_pairs") | rows("regression_9.0e13_seed0_128_pairs")
    jepas = rows("jepa_3.6e13_seeds_0_1_2")
    page = (ROOT / "docs" / "interventions.md").read_text(encoding="utf-8").split("## With more compute")[1]
    shown = re.findall(r"^\| `(\w+)`, (\w+) \| (.*) \|$", page, re.MULTILINE)
    assert len(shown) == 6
    for task, change, cells in shown:
        one = regression["regression", task, change]
        of_jepas = sorted(jepas[f"jepa_{seed}", task, change]["value"] for seed in range(3))
        assert cells.split(" | ") == [
            f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]",
            f"{of_jepas[0]:.2f} to {of_jepas[-1]:.2f}",
            f"{regression['constant_velocity', task, change]['value']:.2f}",
        ]
    for change in ("kick", "remove"):
        found = [more[model, "collision", change] for model in ("regression", "diffusion", "jepa", "constant_velocity")]
        said = " | ".join(f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]" for one in found)
        assert f"| {change} | {said} |" in page
    passed = rows("diffusion_jepa_9.0e13_seed0_128_pairs", "passed_on_error")
    passed |= rows("regression_9.0e13_seed0_128_pairs", "passed_on_error")
    said = {
        name: "{value:.2f} [{low:.2f}, {high:.2f}]".format(**passed[name, "collision", "kick"])
        for name in ("jepa", "regression", "diffusion")
    }
    sentence = "by its interval ({jepa}; regression {regression}, diffusion {diffusion})"
    assert f"only the JEPA is better than that baseline {sentence.format(**said)}" in " ".join(page.split())


def test_ten_minutes_of_play_are_those_of_their_file():
    found = json.loads((ROOT / "results/play/ten_minutes.json").read_text())
    late = {name: f"{took:.0f}" for name, took in found["frame_p95_ms_by_the_wall"].items()}
    page = " ".join((ROOT / "docs" / "play.md").read_text(encoding="utf-8").split())
    assert (found["minutes"], found["dropped"], found["errors"]) == (10, 0, [])
    assert f"took the JEPA {late['jepa']} ms, regression {late['regression']} and diffusion {late['diffusion']}" in page
    minute, three = found["samples"][1], found["samples"][3]
    assert f"The server took {minute['server_mb']:.0f} MB after one minute, {three['server_mb']:.0f} MB after" in page


def test_what_the_smallest_point_of_the_study_shows_is_that_of_its_files():
    page = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    found = {}
    for family in ("regression", "diffusion", "jepa"):
        files = sorted((ROOT / "results" / "study").glob(f"{family}_3.0e12_nuisance0_seed*.json"))
        assert len(files) == 3
        for row in (row for file in files for row in study_rows(file)):
            if row["split"] == "id" and row["readout"] in (None, "pixels"):
                found.setdefault((family, row["task"], row["law"], row["metric"]), []).append(row)

    def span(law, *families):
        values = [r["value"] for f in families for r in found[f, "surprise", law, "surprise_accuracy"]]
        return f"{min(values):.2f} to {max(values):.2f}"

    assert f"momentum of single discs ({span('momentum', 'regression', 'diffusion')}), JEPAs in part" in page
    assert f"JEPAs in part ({span('momentum', 'jepa')})" in page
    regressions, diffusions = (span("permanence", family) for family in ("regression", "diffusion"))
    assert f"On permanence regressions have {regressions} and diffusions {diffusions}" in page
    errors = {
        f: [r for (g, t, _, m), rows in found.items() if (g, t, m) == (f, "collision", "velocity_error") for r in rows]
        for f in ("regression", "diffusion", "jepa")
    }
    assert all(len(rows) == 3 for rows in errors.values())
    assert not [row for rows in errors.values() for row in rows if row["high"] < row["floor"]]
    assert all(row["low"] > row["floor"] for row in errors["jepa"])
