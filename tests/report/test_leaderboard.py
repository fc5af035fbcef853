"""The leaderboard merges results, and sorts and filters them in a real browser."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from browser import Page, needs_chromium

from vidworld.core.errors import UserError
from vidworld.report.leaderboard import results_files, write_leaderboard

PROJECT = Path(__file__).parents[2]


def row(model: str, value: float | None, **rest: object) -> dict[str, object]:
    names = {"task": "uniform", "law": "uniform motion", "split": "id", "metric": "velocity_error"}
    ends = {"low": value and value - 0.1, "high": value and value + 0.1, "n": 32, "unit": "units/s"}
    other = {"higher_is_better": False, "floor": 2.7, "ceiling": 0.04, "seed": 0, "readout": "pixels"}
    return names | ends | other | {"model": model, "value": value, "headline": True} | rest


def write(folder: Path, rows: list[dict[str, object]], command: str = "eval/run_physics.py out=x") -> Path:
    folder.mkdir(parents=True)
    provenance = {"command": command, "commit": "0123456789abcdef", "dirty": False}
    models = {"jepa": {"label": "JEPA", "family": "jepa", "spec": f"{folder}/jepa"}}
    content = {"schema": 2, "provenance": provenance, "models": models, "compare": [], "labels": {}}
    content |= {"results": rows}
    (folder / "results.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    share = {"unit": "share", "higher_is_better": True, "task": "surprise", "readout": None}
    first = [
        row("diffusion", 0.77),
        row("jepa", 0.69),
        row("copy_last", 2.70),
        row("truth", 0.04),
        row("jepa", 1.40, split="ood"),
        row("jepa", None, split="ood", task="bounce"),
        row("blind", 0.5, law="permanence", metric="surprise_accuracy", **share),
    ]
    second = [row("other <b>model</b>", 0.11, seed=None), row("jepa", 10.2)]
    return (
        write(tmp_path / "one" / "physics", first, "eval/run_physics.py --config 'a b.yaml' out=runs/one"),
        write(tmp_path / "two" / "physics", second),
    )


def test_every_row_of_every_file_is_there_with_its_command(runs: tuple[Path, Path], tmp_path: Path) -> None:
    page, count = write_leaderboard(runs, tmp_path / "board.html")
    text = page.read_text()
    assert count == 9
    assert text.count('data-name="Model"') == 9
    assert "python eval/run_physics.py --config &#39;a b.yaml&#39; out=runs/one" in text
    assert "one/physics" in text and "two/physics" in text
    assert "A row with a seed is one checkpoint, and says nothing of its family" in text
    assert "0123456789ab" in text
    assert "<b>model</b>" not in text
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize("command", ["eval/run_physics.py 'a b", "   ", "eval/it.py \\"])
def test_a_command_that_somebody_edited_is_shown_as_it_is(command: str, tmp_path: Path) -> None:
    path = write(tmp_path / "one", [row("jepa", 1.0)], command)
    page, _ = write_leaderboard([path], tmp_path / "board.html")
    assert command.replace("'", "&#39;") in page.read_text()
    assert f"python {command}" not in page.read_text()


def test_a_folder_stands_for_every_results_json_in_it_once(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert len(results_files([tmp_path, runs[0] / "results.json", runs[1]])) == 2


def test_every_fault_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as caught:
        results_files([tmp_path / "nowhere", tmp_path / "empty", runs[0]])
    assert [line.split(":")[0].rpartition("/")[2] for line in str(caught.value).splitlines()] == ["nowhere", "empty"]
    for number, text in enumerate(('{"schema": 9}', "{")):
        (tmp_path / f"bad{number}").mkdir()
        (tmp_path / f"bad{number}" / "results.json").write_text(text)
    with pytest.raises(UserError) as caught:
        write_leaderboard([tmp_path], tmp_path / "board.html")
    assert len(str(caught.value).splitlines()) == 2
    assert not (tmp_path / "board.html").exists()


def test_the_script_says_what_it_wrote(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(PROJECT / "eval" / "make_leaderboard.py"))["main"]
    argv = ["make_leaderboard.py", str(runs[0]), "--out", str(tmp_path / "board.html")]
    monkeypatch.setattr(sys, "argv", argv)
    main()
    assert "board.html: 7 rows" in capsys.readouterr().out


SHOWN = "[...document.querySelectorAll('.board tbody tr:not([hidden])')]"
MODELS = f"{SHOWN}.map((row) => row.querySelector('[data-name=Model]').dataset.key)"
VALUES = f"{SHOWN}.map((row) => row.querySelector('[data-name=Value]').dataset.key)"


def choose(page: Page, name: str, value: str) -> None:
    found = f"document.querySelector('[data-filter={name}]')"
    page.evaluate(f"({found}.value = '{value}', {found}.dispatchEvent(new Event('input', {{bubbles: true}})))")


@needs_chromium
def test_it_sorts_filters_and_fits_a_telephone(runs: tuple[Path, Path], tmp_path: Path) -> None:
    path, _ = write_leaderboard(runs, tmp_path / "board.html")
    with Page(path) as page:
        head = "document.querySelector('[data-column=value] button')"
        page.evaluate(f"{head}.click()")
        assert [float(v) for v in page.evaluate(VALUES)[:-1]] == [0.04, 0.11, 0.5, 0.69, 0.77, 1.4, 2.7, 10.2]
        assert page.evaluate(VALUES)[-1] == "nan"  # what was not measured comes last, either way
        page.evaluate(f"{head}.click()")
        assert page.evaluate("document.querySelector('[aria-sort=descending]').dataset.column") == "value"
        assert page.evaluate(VALUES)[0] == "10.2"
        assert page.evaluate(VALUES)[-1] == "nan"

        choose(page, "split", "ood")
        assert page.evaluate(MODELS) == ["jepa", "jepa"]
        choose(page, "split", "")
        choose(page, "law", "permanence")
        assert page.evaluate(MODELS) == ["blind"]
        choose(page, "kind", "model")
        assert page.evaluate(MODELS) == []
        assert page.evaluate("document.querySelector('.nothing').hidden") is False
        choose(page, "law", "")
        assert sorted(set(page.evaluate(MODELS))) == ["diffusion", "jepa", "other <b>model</b>"]
        choose(page, "kind", "control")
        assert sorted(page.evaluate(MODELS)) == ["blind", "copy_last"]
        page.evaluate("document.querySelector('[type=reset]').click()")
        page.evaluate("new Promise((done) => setTimeout(done, 50))")
        assert len(page.evaluate(MODELS)) == 9

        find = "document.querySelector('[data-find]')"
        page.evaluate(f"({find}.value = 'OTHER two', {find}.dispatchEvent(new Event('input', {{bubbles: true}})))")
        assert page.evaluate(MODELS) == ["other <b>model</b>"]
        assert page.evaluate("document.querySelector('.filters output').textContent") == "1 of 9 rows"

        for width in (400, 1200):
            page.resize(width, 800)
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.resize(400, 800)
        sorter = "document.querySelector('[data-sort]')"
        assert page.evaluate(f"{sorter}.getBoundingClientRect().width") > 40  # the way to sort without heads
        page.evaluate("document.querySelector('.board details summary').click()")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert page.errors == []
