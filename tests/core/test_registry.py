"""Registries: every built-in name leads to a thing, and a name belongs to one."""

import sys
from importlib.metadata import EntryPoint

import pytest

from vidworld.core import registry
from vidworld.core.errors import UserError
from vidworld.core.registry import Registry
from vidworld.evaluation import TASKS
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.metrics import METRICS
from vidworld.models import KINDS
from vidworld.models.families import FAMILIES
from vidworld.models.tokenizers import TOKENIZERS
from vidworld.simulation import LAWS, SCENARIOS

ALL = (BENCHMARKS, FAMILIES, KINDS, LAWS, METRICS, SCENARIOS, TASKS, TOKENIZERS)


@pytest.mark.parametrize("known", ALL, ids=lambda known: known.kind)
def test_every_name_leads_to_a_thing(known):
    assert list(known) and all(known[name] is not None for name in known)
    assert set(known._versions) <= set(known.builtin), "a version of what is not there"


def test_a_misspelt_name_is_said_with_the_nearest():
    with pytest.raises(UserError, match=r"^there is no scenario 'colision'; did you mean collision\?$"):
        SCENARIOS["colision"]


def test_another_package_cannot_take_a_name(monkeypatch):
    theirs = EntryPoint("uniform", "theirs:UNIFORM", "vidworld.scenarios")
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [theirs])
    known = Registry("scenario", "vidworld.scenarios", {"uniform": "ours:UNIFORM"})
    with pytest.raises(UserError, match="adds a scenario named uniform, which is ours:UNIFORM"):
        list(known)


def test_the_version_of_another_packages_thing_is_its_own(monkeypatch):
    theirs = EntryPoint("mine", "their_module:THING", "g")
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [theirs])
    known = Registry("thing", "g", {"a": "x:A", "b": "x:B"}, versions={"b": 3})
    monkeypatch.setattr(registry, "import_module", lambda name: type("M", (), {"THING": type("T", (), {"version": 7})}))
    assert [known.version(name) for name in known] == [1, 3, 7]


def test_what_another_package_changes_is_noticed(monkeypatch, tmp_path):
    theirs = EntryPoint("mine", "a_package_of_theirs:Thing", "g")
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [theirs])
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "a_package_of_theirs"
    package.mkdir()
    (package / "__init__.py").write_text("from a_package_of_theirs.inner import Thing")
    (package / "inner.py").write_text("class Thing:\n    size = 1\n")
    known = Registry("thing", "g", {"ours": "vidworld:__version__"})
    before = known.digests(["mine"])
    (package / "inner.py").write_text("class Thing:\n    size = 2\n")
    assert known.digests(["mine"]) != before and len(before) == 2
    assert known.digests(["ours", "nobody's"]) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("THING = (", r"cannot be loaded \(SyntaxError: .*\)"),
        ("raise RuntimeError('no\\ngood')", r"cannot be loaded \(RuntimeError: no good\)"),
        ("import sys; sys.exit(0)", r"cannot be loaded \(SystemExit: 0\)"),
        ("OTHER = 1", r"cannot be loaded \(AttributeError: .*THING.*\)"),
        ("THING = 'a word'", "is a str, where a Scenario is wanted"),
        ("THING = None", "is a NoneType, where a Scenario is wanted"),
    ],
)
def test_a_broken_package_of_somebody_elses_is_one_line(content, said, monkeypatch, tmp_path):
    theirs = EntryPoint("mine", "broken_of_theirs:THING", "g")
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [theirs])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_of_theirs", raising=False)
    (tmp_path / "broken_of_theirs.py").write_text(content)
    known = Registry("scenario", "g", {}, of="vidworld.simulation.stage:Scenario")
    with pytest.raises(UserError, match=rf"^scenario mine: broken_of_theirs:THING {said}; mend or remove its package$"):
        known["mine"]


def test_an_entry_point_without_a_module_is_one_line(monkeypatch):
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [EntryPoint("mine", "", "g")])
    with pytest.raises(UserError, match=r"^thing mine: .* cannot be loaded"):
        Registry("thing", "g", {})["mine"]
