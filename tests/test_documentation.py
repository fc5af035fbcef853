"""What the documents name exists: files, links, commands of make, keys, and the template of a model."""

import json
import os
import re
import subprocess
import sys
import tomllib
from types import SimpleNamespace

import pytest
import shown_commands
import torch
import yaml
from scripts import ROOT

import vidworld
from vidworld import cli
from vidworld.analysis.cues import FITTED, ONE_OBJECT, cues_of_law
from vidworld.analysis.records import read_results
from vidworld.core.config import RENAMED, load
from vidworld.core.errors import UserError
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.inside.existence import PUT_IN, TAKEN_OUT
from vidworld.models.families import config_schema
from vidworld.models.schema import WorldModelConfig

PAGES = [*(ROOT.glob("*.md")), *((ROOT / "docs").glob("*.md")), *((ROOT / "docs" / "api").glob("*.md"))]
NAMED_TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Pages whose names are those of today; the changelog and the lab log have older ones, too."""
STUDY_LAWS = ("permanence", "collision", "momentum", "constancy", "continuity", "solidity")
FILE = re.compile(r"(?<![\w./<])((?:[\w.-]+/)+[\w.-]+\.(?:py|yaml|md|toml|sbatch))\b")


def blocks(language, page="README.md"):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", NAMED_TODAY, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page):
    named = set(FILE.findall(page.read_text(encoding="utf-8")))
    places = (ROOT, ROOT / "vidworld", page.parent)
    missing = [name for name in named if not any((place / name).is_file() for place in places)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).is_file()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_make_is_one(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?:^|`)make\s([a-z-]+)", text, re.MULTILINE)
    assert set(named) <= targets


def test_the_template_of_a_model_is_the_one_that_is_tested():
    assert (ROOT / "tests" / "support" / "my_world.py").read_text(encoding="utf-8") in blocks(
        "python", "docs/your_model.md"
    )


def test_the_model_of_the_readme_is_one():
    (shown,) = blocks("python")
    names: dict = {}
    exec(compile(shown, "README.md", "exec"), names)
    frames = torch.randint(0, 255, (2, 8, 3, 16, 16), dtype=torch.uint8)
    predicted = names["MyWorld"]().predict(SimpleNamespace(frames=frames, fps=10.0), 4, [0, 1])
    assert predicted.shape == (2, 4, 3, 16, 16) and predicted.dtype == torch.uint8


def test_the_readme_can_be_read_in_five_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


def test_the_configuration_that_is_shown_can_be_read(tmp_path):
    (shown,) = blocks("yaml", "docs/your_model.md")
    path = tmp_path / "physics.yaml"
    path.write_text(f"out: {tmp_path}\ntokenizer: {tmp_path}\n{shown}")
    assert len(load(PhysicsConfig, path).models) == 3


def test_the_changelog_has_every_key_that_was_renamed():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    table = changelog[changelog.index("| 0.1.0 | 0.2.0 |") : changelog.index("## 0.1.0")]
    assert not [old for old in RENAMED if not re.search(rf"[`.]{old}`", table)]


COMMANDS = sorted(
    {
        line.split(" #")[0].strip()
        for page in NAMED_TODAY
        for line in shown_commands.commands(page.read_text(encoding="utf-8"))
        if not shown_commands.MARK.search(line)
    }
)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_that_a_page_shows_can_be_given(line, monkeypatch):
    shown_commands.check(line, monkeypatch)


@pytest.mark.parametrize(
    "line",
    [
        "vidworld data rendr permanence --out pictures",
        "vidworld data render permanence --loud --out pictures",
        "python eval/run_physics.py --config configs/demo/physics.yaml clipz=3",
        "accelerate launch train/train_world_model.py --config configs/demo/no_such.yaml",
        "accelerate launch --config_file no_such.yaml train/train_probe.py --config configs/demo/probe.yaml",
        "python eval/score_benchmark.py no_such FOLDER --config configs/demo/physics.yaml --out runs/x",
        "python eval/no_such.py",
        "make no-such",
        "make demo VIDE=folder",
        "slurm/submit configs/no_such runs/base",
        "pip install 'vidworld[no_such]'",
        "rm -rf runs",
    ],
)
def test_a_command_that_cannot_be_given_is_found(line, monkeypatch):
    with pytest.raises((AssertionError, UserError, FileNotFoundError)):
        shown_commands.check(line, monkeypatch)


def test_a_block_of_commands_is_known_by_its_first_line():
    page = "```\nVAR=1 make demo \\\n  VIDEO=x\n```\n\n```text\nmake x\n```\n\n```\nfolder/  is no command\n```\n"
    assert list(shown_commands.commands(page)) == ["VAR=1 make demo    VIDEO=x"]


def test_figures_are_what_their_commands_make(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\((figures/[\w.]+)\)", page))
    for line in shown_commands.commands(page):
        cli.run(line.replace("docs/figures", str(tmp_path / "figures")).split()[1:])
    for figure in shown:
        assert (tmp_path / figure).read_bytes() == (ROOT / "docs" / figure).read_bytes(), figure
    assert {f"figures/{path.name}" for path in (ROOT / "docs" / "figures").glob("*_id_*.png")} <= shown


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
    assert len(rows) == 10
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
    places = {
        "reappearance, `occlusion`, 11 clips ↑": ("occlusion", "reappearance", "id"),
        "object integrity, `collision` ↑": ("collision", "object_integrity", "id"),
        "energy score, `uniform`, units ↓": ("uniform", "energy_score", "id"),
        "energy score, `collision`, units ↓": ("collision", "energy_score", "id"),
        "velocity error, `collision`, out of range, units/s ↓": ("collision", "velocity_error", "ood"),
    }
    for what, (task, metric, split) in places.items():
        (cells,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", page.split("## Benchmarks")[0], re.MULTILINE)
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
    for what, cue in (("picture cues, fitted", FITTED), ("one-object rule", f"{ONE_OBJECT}, straight")):
        (cells,) = re.findall(rf"^\| {what} \| (.*) \|$", page, re.MULTILINE)
        for law, cell in zip(STUDY_LAWS, cells.split(" | "), strict=False):
            (found,) = (each for each in cues_of_law(law) if (each.cue, each.layout) == (cue, ""))
            assert cell == f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]", (what, law)


def test_cues_in_the_measures_are_those_that_were_measured():
    page = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")
    (laws,) = re.findall(r"^\| surprise accuracy \| (.*) \|$", page, re.MULTILINE)
    for place, what in enumerate(("all cues, fitted", "one-object rule")):
        (cells,) = re.findall(rf"^\| {what} \| (.*) \|$", page, re.MULTILINE)
        assert cells.split(" | ") == [cue_cells(law)[place] for law in laws.split(" | ")]


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


def test_the_table_of_the_readme_is_that_of_its_files():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = {
        what: cells
        for what, *cells in (row.strip("| ").split(" | ") for row in text.splitlines() if "↑" in row or "↓" in row)
    }
    folder = ROOT / "results" / "study"
    runs = [
        [study_cells(file) for file in sorted(folder.glob(f"{family}_1.8e13_nuisance0_seed*.json"))]
        for family in ("regression", "diffusion", "jepa")
    ]
    places = {"permanence": 0, "collision": 1, "momentum": 2}
    for what, cells in shown.items():
        place = next((number for law, number in places.items() if what.startswith("surprise") and law in what), 6)
        for cell, trainings in zip(cells, runs, strict=False):
            ends = sorted({training[place].split()[0] for training in trainings})
            assert cell == (" to ".join((ends[0], ends[-1])) if len(ends) > 1 else ends[0]), what
    assert len(shown) == 4
    for what, cells in shown.items():
        law = next((law for law in places if what.startswith("surprise") and law in what), None)
        assert cells[4:6] == (["–", "–"] if law is None else cue_cells(law)), what


def apart(better, worse, budget, law):
    """In how many pairs of trainings the interval of one family lies above that of another."""
    place = {"task": "surprise", "law": law, "metric": "surprise_accuracy", "split": "id"}
    ends = [
        [
            (row["low"], row["high"])
            for file in sorted((ROOT / "results" / "study").glob(f"{family}_{budget}_nuisance0_seed*.json"))
            for row in study_rows(file)
            if all(row[key] == value for key, value in place.items())
        ]
        for family in (better, worse)
    ]
    assert [len(each) for each in ends] == [3, 3]
    return sum(one[0] > other[1] for one in ends[0] for other in ends[1])


def test_pairs_of_trainings_that_pages_count_are_those_of_the_files():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    page = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    assert apart("regression", "diffusion", "1.8e13", "permanence") == 7 and "diffusion's in 7 of 9 pairs" in readme
    assert apart("regression", "jepa", "1.8e13", "permanence") == 9 and "above a JEPA's in all 9" in readme
    continuity = [apart("regression", other, "1.8e13", "continuity") for other in ("diffusion", "jepa")]
    assert continuity == [7, 9] and "on continuity in 7 and 9" in page
    assert apart("diffusion", "jepa", "1.8e13", "permanence") == 6 and "six of nine pairs are disjoint" in page
    assert apart("jepa", "diffusion", "1.8e13", "collision") == 2 and "on collision of two" in page
    assert apart("jepa", "diffusion", "9.0e12", "collision") == 5 and "disjoint intervals in five of nine pairs" in page
    permanence = [apart(other, "jepa", "9.0e12", "permanence") for other in ("regression", "diffusion")]
    assert permanence == [6, 7] and "in six and seven of nine pairs" in page


def cue_cells(law):
    """What cues and the rule that each colour goes straight on reach on a law's quadruplets, to two digits."""
    found = {each.cue: each for each in cues_of_law(law) if not each.layout}
    return [f"{found[name].value:.2f}" for name in (FITTED, f"{ONE_OBJECT}, straight")]


def study_rows(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    return [dict(zip(result["columns"], row, strict=True)) for row in result["rows"]]


def study_cells(path):
    """What docs/results.md says of a run."""
    wanted = [("surprise", law, "surprise_accuracy", None, "id") for law in STUDY_LAWS]
    found = {}
    for row in study_rows(path):
        key = tuple(row[name] for name in ("task", "law", "metric", "readout", "split"))
        found[key] = row
    wanted.append(("collision", "uniform motion", "velocity_error", "pixels", "id"))
    wanted += [("surprise", law, "surprise_accuracy", None, "ood") for law in ("permanence", "collision")]
    rows = [found[key] for key in wanted]
    return [f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for row in rows]


def test_the_citation_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software" and citation["message"]
    assert citation["version"] == vidworld.__version__ and citation["license"] == "Apache-2.0"
    assert all(author.get("name") or author.get("family-names") for author in citation["authors"])
    allowed = {"cff-version", "message", "type", "title", "abstract", "authors", "version", "license", "keywords"}
    assert citation.keys() <= allowed | {"date-released", "repository-code", "url", "doi"}


def test_what_is_installed_holds_every_file_of_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folder, packed = ROOT / "vidworld", set()
    for package, patterns in settings["package-data"].items():
        packed |= {path for pattern in patterns for path in (ROOT / package.replace(".", "/")).glob(pattern)}
    others = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    assert not set(others) - packed
    assert all((path.parent / "__init__.py").exists() for path in folder.rglob("*.py"))


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    cells = json.loads((ROOT / "docs" / "quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    program = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "cells.py").write_text(program, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:.", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, tmp_path / "cells.py"], env=environment, check=True, capture_output=True, text=True
    )
    scores = dict(re.findall(r"^mine +(\w+) +\w+ +([\d.]+)", done.stdout, re.MULTILINE))
    assert float(scores["permanence"]) == 0.5 and scores.keys() == {"uniform", "collision", "permanence", "momentum"}


@pytest.mark.slow
def test_costs_are_what_is_counted(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "eval")
    import estimate_cost as estimate

    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 3
    for name, cells in rows:
        path = ROOT / "configs" / "base" / f"{name}.yaml"
        found = estimate.cost(load(WorldModelConfig, path, (), config_schema))
        hours = [found.flops / (989e12 * share) / 3600 for share in (0.4, 0.1)]
        memory = [(found.state_bytes + clips * found.bytes_a_clip) / 1e9 for clips in (256, 32)]
        said = [
            f"{found.parameters / 1e6:.1f} M",
            f"{found.flops:.2e}".replace("e+", "e"),
            f"{hours[0]:.1f} to {hours[1]:.1f}",
        ]
        said += [f"${3 * hours[0]:.0f} to ${3 * hours[1]:.0f}", *(f"{each:.1f} GB" for each in memory)]
        assert cells.split(" | ") == said, name
