"""What the documents name exists: files, links, commands of make, keys, and the template of a model."""

import re
from types import SimpleNamespace

import pytest
import torch
from scripts import ROOT

from vidworld.core.config import RENAMED, load
from vidworld.evaluation.schema import PhysicsConfig

PAGES = [*(ROOT.glob("*.md")), *((ROOT / "docs").glob("*.md"))]
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
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1250


def test_the_configuration_that_is_shown_can_be_read(tmp_path):
    (shown,) = blocks("yaml")
    path = tmp_path / "physics.yaml"
    path.write_text(f"out: {tmp_path}\ntokenizer: {tmp_path}\n{shown}")
    assert len(load(PhysicsConfig, path).models) == 3


def test_the_changelog_has_every_key_that_was_renamed():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    table = changelog[changelog.index("| 0.1.0 | 0.2.0 |") : changelog.index("## 0.1.0")]
    assert not [old for old in RENAMED if not re.search(rf"[`.]{old}`", table)]
