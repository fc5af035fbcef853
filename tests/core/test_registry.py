"""Registries: every built-in name leads to a thing, and a name belongs to one."""

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
