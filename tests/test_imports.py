import ast
import collections
import re
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

import vidworld

PACKAGE = Path(vidworld.__file__).parent
PROJECT = PACKAGE.parent


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("vidworld", cache_dir=None)


def test_imports_have_one_direction(capsys):
    kept = lint_imports(config_filename=str(PROJECT / "pyproject.toml"), no_cache=True, no_logo=True) == 0
    assert kept, capsys.readouterr().out


def test_metrics_import_only_errors_shapes_and_what_a_clip_is(graph):
    allowed = {f"vidworld.core.{name}" for name in ("clip", "clip_shape", "errors", "registry")}
    metrics = graph.find_descendants("vidworld.metrics") | {"vidworld.metrics"}
    imported = {name for module in metrics for name in graph.find_modules_directly_imported_by(module)}
    assert imported - metrics <= allowed


@pytest.mark.parametrize("folder", ["vidworld", "train", "eval"])
def test_no_code_names_a_device_vendor_where_a_device_would_do(folder):
    """`.cuda()` and `device="cuda"` would leave out every other accelerator."""
    for path in (PROJECT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                named = [a for a in given if isinstance(a, ast.Constant) and str(a.value).startswith("cuda")]
                assert called != "cuda", f"{path}:{node.lineno}"
                assert not named, f"{path}:{node.lineno}"


def test_scripts_do_not_take_the_name_of_a_module():
    """`python train/x.py` puts train/ first on the path, where x.py would hide a module x."""
    modules = {path.stem for path in PACKAGE.rglob("*.py")}
    scripts = {path.stem for folder in ("train", "eval") for path in (PROJECT / folder).glob("*.py")}
    assert not scripts & modules


def test_the_architecture_names_every_module_of_every_room():
    """In the row of its room: who reads it as whole is not misled."""
    rows = re.findall(r"^\| `(\w+)/` \|.*$", (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {f"vidworld.{room}" for room in rows} == {f"vidworld.{path.parent.name}" for path in PACKAGE.glob("*/*.py")}
    for line in (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        if room := re.match(r"\| `(\w+)/` \|", line):
            modules = {path.stem for path in (PACKAGE / room[1]).glob("*.py")} - {"__init__"}
            assert modules <= set(re.findall(r"`(\w+)`", line)), room[1]


def test_a_public_name_is_defined_once_and_files_are_short():
    places = collections.defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 350, path
        for name in _defined(ast.parse(text).body):
            places[name].append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in places.items() if len(files) > 1 and not name.startswith("_")} == {}


@pytest.mark.parametrize(("script", "most"), [("train/train_world_model.py", 30), ("eval/run_physics.py", 60)])
def test_few_files_are_behind_a_script(script, most):
    """Those of the script itself are imported in a function, once it is known that there is something to do."""
    files, waiting = set(), _imported(PROJECT / script, everywhere=True)
    while waiting:
        if (path := waiting.pop()) not in files:
            files.add(path)
            waiting |= _imported(path)
    assert len(files) <= most, sorted(str(path.relative_to(PROJECT)) for path in files)


def _imported(path, everywhere=False):
    """The package's files that a file imports when it is imported itself, or everywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [*ast.walk(tree)] if everywhere else tree.body
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {f"{node.module}.{name.name}" for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names}
    names |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    found = set()
    for name in names:
        parts = name.split(".")
        above = [PROJECT.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
        found |= {place for place in (*above, PROJECT.joinpath(*parts).with_suffix(".py")) if place.is_file()}
    return {place for place in found if place.is_relative_to(PACKAGE)}


def _defined(body):
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                yield target.id
