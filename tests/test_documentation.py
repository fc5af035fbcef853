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
from vidworld.core.config import RENAMED, load
from vidworld.core.errors import UserError
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.families import config_schema
from vidworld.models.schema import WorldModelConfig

PAGES = [*(ROOT.glob("*.md")), *((ROOT / "docs").glob("*.md")), *((ROOT / "docs" / "api").glob("*.md"))]
NAMED_TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Pages whose names are those of today; the changelog and the lab log have older ones, too."""
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
