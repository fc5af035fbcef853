"""`vidworld publish RUNS --to PLACE`: a release of trained models, with a card that says what they cost and reach."""

import argparse
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vidworld.analysis.planning import agent_label, read_planning
from vidworld.analysis.records import Results, Row, read_results
from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, write_text, writing
from vidworld.models.files import read_budget
from vidworld.models.pretrained import HUB, write_release

BITS = (32, 16, 8)
LICENCE = "apache-2.0"
HEAD = f"""---
license: {LICENCE}
library_name: vidworld
tags: [world-model, video, physics, jepa, diffusion]
---

# {{title}}

World models of vidworld, trained on the same clips and tokens and measured by one bench. They are for research; on what
clips they were trained stands in `config.data` of each `model/budget.json`.

## Use

```
vidworld play {{place}}
```

```python
from vidworld.models.pretrained import from_pretrained

runs = from_pretrained("{{place}}")  # a folder of runs: every command that takes the folder of a demo takes it
```
"""


def model_card(runs: Path, released: Mapping[str, Path], place: str) -> str:
    """The card, as Markdown with the Hub's header: budgets, scores with intervals, protocols. Raises UserError."""
    parts = [HEAD.format(title=f"vidworld: {', '.join(released)}", place=place), *_budgets(released)]
    physics, planning = runs / "physics" / "results.json", runs / "planning" / "planning.json"
    if physics.exists():
        parts += _physics(read_results(physics))
    if planning.exists():
        parts += _planning(planning)
    if not physics.exists() and not planning.exists():
        parts.append("## Scores\n\nNothing was measured of these models where they were published.\n")
    parts.append(f"## Licence\n\n{LICENCE}, as vidworld itself.\n")
    return "\n".join(parts)


def _budgets(released: Mapping[str, Path]) -> Iterator[str]:
    yield "## What they cost\n"
    yield "| model | family | parameters | clips seen | training FLOPs | weights | made from tokenizer |"
    yield "|---|---|---|---|---|---|---|"
    rounded = False
    for name, folder in released.items():
        budget = read_budget(folder)
        family = budget.get("family", "")
        seen = (f"{budget.get('clips_seen', 0):,}", f"{budget.get('training_flops', 0):.2e}")
        own = f"`{budget['fingerprint']}`"
        if "rounded_from" in budget:
            own, rounded = f"{own}, {budget['bits']} bits of `{budget['rounded_from']}`", True
        made_from = f"`{budget['tokenizer']}`" if "tokenizer" in budget else ""
        yield f"| {name} | {family} | {budget.get('parameters', 0):,} | {' | '.join(seen)} | {own} | {made_from} |"
    yield ""
    if rounded:
        yield "The scores below are those of the weights before they were rounded.\n"


def _physics(results: Results) -> Iterator[str]:
    """The headline numbers of each model in distribution, beside floor and ceiling."""
    names = [*results.models]
    tables: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for row in results.results:
        if row.headline and row.split == "id" and row.model in names and row.readout in (None, "pixels"):
            tables.setdefault((row.law, row.task, row.metric, row.unit), {})[row.model] = row
    made = results.provenance
    yield f"## Physics\n\nCommit {made.get('commit')}, `{made.get('command')}`; 95% intervals over clips.\n"
    yield f"| | {' | '.join(results.models[name].label for name in names)} | floor | ceiling |"
    yield "|---" * (len(names) + 3) + "|"
    for (law, task, metric, unit), by_model in tables.items():
        first = next(iter(by_model.values()))
        better = {True: " ↑", False: " ↓", None: ""}[first.higher_is_better]
        what = f"{metric.replace('_', ' ')}, {law} ({task}){f', {unit}' if unit else ''}{better}"
        cells = [_interval(by_model[name]) if name in by_model else "" for name in names]
        yield f"| {what} | {' | '.join(cells)} | {_number(first.floor)} | {_number(first.ceiling)} |"
    yield ""


def _planning(path: Path) -> Iterator[str]:
    found = read_planning(path)
    made = found.provenance
    yield f"## Planning\n\nCommit {made.get('commit')}, `{made.get('command')}`; success with Wilson's 95% intervals.\n"
    yield "| environment | protocol | agent | episodes | success |\n|---|---|---|---|---|"
    for row in found.rows:
        place, who = found.environments.get(row.environment, row.environment), agent_label(row.agent, found.models)
        success = f"{row.outcome.value:.2f} [{row.outcome.low:.2f}, {row.outcome.high:.2f}]"
        said = success if row.judged else f"return {success}"
        yield f"| {place} | {row.protocol_name} `{row.protocol}` | {who} | {row.episodes} | {said} |"
    yield ""


def _interval(row: Row) -> str:
    return f"{_number(row.value)} [{_number(row.low)}, {_number(row.high)}]"


def _number(value: Any) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.2f}"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("runs", type=Path, metavar="RUNS", help="a folder with the run folders of tokenizer, models and probes")
    add("--to", required=True, metavar="PLACE", help=f"a folder, or {HUB}OWNER/NAME on the Hugging Face Hub")
    few = "of the weights: 32 (files as diffusers reads them), 16 or 8 (smaller; rounded) (default: %(default)s)"
    add("--bits", type=int, choices=BITS, default=32, help=few)
    add("--models", nargs="+", default=[], metavar="NAME", help="which of them (default: all)")


def _run(arguments: argparse.Namespace) -> None:
    place: str = arguments.to
    if not place.startswith(HUB):
        _write(arguments, prepare_folder(Path(place)), Path(place).name)
        print(f"{place}: vidworld play {place}")
        return
    with TemporaryDirectory() as folder:
        _write(arguments, Path(folder), place)
        _upload(Path(folder), place.removeprefix(HUB))


def _write(arguments: argparse.Namespace, to: Path, place: str) -> None:
    released = write_release(arguments.runs, to, arguments.bits, arguments.models)
    write_text(to / "README.md", model_card(arguments.runs, released, place))


def _upload(folder: Path, name: str) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    hub = HfApi()
    try:
        with writing(Path(f"{HUB}{name}")):
            hub.create_repo(name, exist_ok=True)
            print(hub.upload_folder(repo_id=name, folder_path=folder, commit_message="vidworld publish"))
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled) as error:
        line = str(error).strip().splitlines()[0]
        raise UserError(f"{HUB}{name}: cannot be published ({line}); log in with `hf auth login`") from error


PUBLISH = Command(_add_arguments, _run)
