"""A run folder as evaluation leaves it, with invented numbers, small pictures and videos."""

import csv
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pictures import CONTEXT, joined, video, write_mp4, write_png

MODELS = {
    "jepa": {"label": "JEPA", "family": "jepa", "spec": "runs/demo/jepa"},
    "diffusion": {"label": "Diffusion", "family": "diffusion", "spec": "runs/demo/diffusion"},
    "regression": {"label": "Regression", "family": "regression", "spec": "runs/demo/regression"},
}
PAIRS = (("jepa", "diffusion"), ("jepa", "regression"))
SCORED = (
    *("diffusion", "jepa", "regression", "untrained_jepa", "untrained_diffusion"),
    *("copy_last", "frame_difference", "blind"),
)
ACCURACY = {  # law: diffusion, jepa, regression, controls
    "permanence": (0.66, 0.93, 0.90, (0.51, 0.50, 0.48, 0.50, 0.50)),
    "constancy": (0.58, 0.71, 0.69, (0.50, 0.50, 0.52, 0.71, 0.50)),
    "continuity": (0.61, 0.79, 0.76, (0.49, 0.50, 0.50, 0.47, 0.50)),
    "momentum": (0.65, 0.99, 0.93, (0.45, 0.50, 0.31, 0.36, 0.50)),
    "collision": (0.55, 0.58, 0.57, (0.48, 0.50, 0.42, 0.44, 0.50)),
    "solidity": (0.78, 0.61, 0.64, (0.47, 0.50, 0.49, 0.46, 0.50)),
}
LAWS = {law: f"What {law} says." for law in ("permanence", "collision", "momentum", "constancy")}
METRICS = {
    "velocity_error": "Mean distance between predicted and true velocity.",
    "surprise_accuracy": "Futures that surprise more after the wrong past.",
}
ROLLED_OUT = ("diffusion", "jepa", "copy_last", "constant_velocity", "reconstruction", "truth")
ROLLOUTS = {  # (task, law, metric, unit): a value for each of ROLLED_OUT; OOD factor; higher is better
    ("uniform", "uniform motion", "velocity_error", "units/s"): ((0.21, 0.17, 2.5, 0.02, 0.05, 0.01), 2.6, False),
    ("uniform", "uniform motion", "motion_ratio", "ratio"): ((0.97, 0.93, 0.0, 1.0, 1.0, 1.0), 0.8, None),
    ("collision", "uniform motion", "velocity_error", "units/s"): ((0.52, 0.61, 2.1, 1.7, 0.07, 0.012), 2.1, False),
    ("collision", "collision", "contact_time_error", "frames"): ((0.8, 1.1, 4.4, 3.9, 0.12, 0.0), 1.5, False),
    ("collision", "momentum", "momentum_drift", "share"): ((0.12, 0.09, 1.0, 0.01, 0.02, 0.004), 2.2, False),
    ("occlusion", "permanence", "reappearance", "share"): ((0.71, 0.83, 0.0, 0.98, 0.99, 1.0), 0.7, True),
    ("occlusion", "permanence", "phantom_objects", "objects/clip"): ((0.08, 0.03, 0.0, 0.0, 0.01, 0.0), 3.0, False),
}


def row(value: float, half: float, **names: Any) -> dict[str, Any]:
    """One row of results.json, in a share's range where its unit is that."""
    defaults = {"n": 200, "unit": "share", "higher_is_better": True, "floor": 0.5, "ceiling": 1.0, "seed": 0}
    whole = {"value": value, "low": value - half, "high": value + half, "readout": None, "headline": False}
    whole |= defaults | names
    if whole["unit"] == "share":
        whole |= {"low": max(whole["low"], 0.0), "high": min(whole["high"], 1.0)}
    return whole


def rows() -> list[dict[str, Any]]:
    """Every model, law and split, with intervals of a plausible width."""
    found = []
    for (law, (diffusion, jepa, regression, controls)), split in product(ACCURACY.items(), ("id", "ood")):
        for model, accuracy in zip(SCORED, (diffusion, jepa, regression, *controls), strict=True):
            value = accuracy if split == "id" else 0.5 + 0.6 * (accuracy - 0.5)
            half = 0.0 if value == 0.5 else 1.4 * (value * (1 - value) / 200) ** 0.5
            names = {"model": model, "task": "surprise", "law": law, "split": split}
            headline = law != "constancy"
            found.append(row(value, half, **names, metric="surprise_accuracy", headline=headline))
            found.append(row(value - 0.02, half, **names, metric="surprise_auroc"))
    for ((task, law, metric, unit), (values, ood, better)), split, readout in product(
        ROLLOUTS.items(), ("id", "ood"), ("pixels", "probe")
    ):
        names = {"task": task, "law": law, "split": split, "metric": metric, "unit": unit, "readout": readout}
        names |= {"floor": values[2], "ceiling": values[5], "higher_is_better": better}
        names["headline"] = metric != "motion_ratio"
        for model, value in zip(ROLLED_OUT, values, strict=True):
            if split == "ood" and model in ("diffusion", "jepa"):
                value = min(value * ood, 1.0) if unit == "share" else value * ood
            if readout == "pixels" or model != "reconstruction":
                found.append(row(value, 0.1 * value, **names, model=model))
    for metric, better, values in (
        ("physics_iq_spatial_iou", True, (0.21, 0.19, 0.05, 1.0)),
        ("physics_iq_mse", False, (0.016, 0.017, 0.02, 0.0)),
    ):
        for model, value in zip(("diffusion", "jepa", "copy_last", "truth"), values, strict=True):
            names = {"model": model, "task": "real video", "law": "motion", "split": "real", "metric": metric}
            ends = {"floor": values[2], "ceiling": values[3], "higher_is_better": better, "n": 17}
            found.append(row(value, 0.3 * value, **names, **ends, headline=True))
    return found


def verdict(
    law: str, better: str | None, p_value: float, difference: float, second: str = "diffusion", **rest: Any
) -> dict[str, Any]:
    """What the paired test found about the JEPA and another model on one law."""
    labels = {name: model["label"] for name, model in MODELS.items()}
    other = second if better == "jepa" else "jepa"
    chance = f"(p = {p_value:.2g}, corrected for 8 tests)."
    text = f"these checkpoints of JEPA and {labels[second]} differ by surprise accuracy {chance}"
    text = f"The data do not say whether {text}"
    if better:
        text = f"{labels[better]}'s is better than {labels[other]}'s {chance}"
        text = f"These checkpoints differ by surprise accuracy: {text}"
    test = {"p_value": p_value, "difference": difference, "low": difference - 0.06, "high": difference + 0.06}
    found = {"law": law, "statement": text, "better": better, "first": "jepa", "second": second, "n": 200}
    return found | test | {"metric": "surprise_accuracy", "task": "surprise"} | rest


def comparison() -> dict[str, Any]:
    """One controlled comparison with a verdict of each kind, and one that is not controlled."""
    budget = {"parameters": 2712576, "steps": 2000, "clips_seen": 64000, "training_flops": 1.31e15, "seeds": [0]}
    budget |= {"tokenizer_hash": "9f31c2ab07", "probe_steps": 400}
    accuracies = {
        ("diffusion", "3e-4"): 0.61,
        ("diffusion", "1e-3"): 0.64,
        ("jepa", "3e-4"): 0.82,
        ("jepa", "1e-3"): 0.85,
    }
    return {
        "controlled": {"jepa vs diffusion": True, "jepa vs regression": False},
        "differences": {"jepa vs diffusion": [], "jepa vs regression": ["steps differ: 2000 and 1000"]},
        "budgets": {
            "jepa": budget,
            "diffusion": budget | {"parameters": 2801664, "training_flops": 1.34e15},
            "regression": budget | {"steps": 1000},
        },
        "targets": {"jepa": "vcreg"},
        "noise_levels": {"diffusion": [0.7, 1.0]},
        "notes": ["One seed each: intervals cover clips, not training runs."],
        "tried": [
            {
                "model": model,
                "change": f"learning_rate={rate}",
                "val_surprise_accuracy": value,
                "chosen": rate == "1e-3",
            }
            for (model, rate), value in accuracies.items()
        ],
        "verdicts": [
            verdict("permanence", "jepa", 2e-5, 0.27),
            verdict("collision", None, 0.31, 0.03),
            verdict("momentum", "jepa", 1e-3, 0.06, second="regression"),
            verdict("momentum", "jepa", 1e-6, 0.34),
            verdict("continuity", "jepa", 4e-4, 0.18),
            verdict("solidity", "diffusion", 3e-3, -0.17),
            verdict("constancy", None, 0.02, 0.13, withheld="The control Frame difference reaches 0.71, above 0.60."),
            verdict(
                "uniform motion", "jepa", 0.01, -0.04, low=-0.06, high=-0.02, metric="velocity_error", task="uniform"
            ),
        ],
        "further_verdicts": [
            verdict("momentum", "jepa", 0.01, -0.03, low=-0.04, high=-0.02, metric="momentum_drift", task="collision")
        ],
    }


def media(folder: Path) -> dict[str, Any]:
    """Rollouts, quadruplets and curves; their files are written below the folder."""
    (folder / "media").mkdir(parents=True, exist_ok=True)
    rollouts, quadruplets = [], []
    kinds = {
        "truth": 0.0,
        "diffusion": 1.5,
        "jepa": 0.5,
        "copy_last": 0.0,
        "constant_velocity": 0.0,
        "reconstruction": 0,
    }
    for task, speed in (("uniform", 3.0), ("occlusion", 3.2)):
        videos = {}
        for model, wobble in kinds.items():
            frames = video(speed, wobble, lambda frame: True, (26, 40) if task == "occlusion" else None)
            if model == "copy_last":
                frames[CONTEXT:] = frames[CONTEXT - 1]
            videos[model] = f"media/{task}_{model}.mp4"
            write_mp4(folder / videos[model], frames)
        identity = f"{task}/id/0/17"
        rollouts.append(dict(task=task, identity=identity, context_frames=CONTEXT, fps=10, videos=videos))
    for law, after in (("permanence", False), ("momentum", True)):
        frames = {}
        for kind, there in (("possible", lambda f: True), ("impossible", lambda f, a=after: a or f < CONTEXT)):
            screen = (24, 44) if law == "permanence" else None
            strip = video(3.0 if kind == "possible" or not after else 1.6, 0.0, there, screen)
            frames[kind] = f"media/{law}_{kind}.png"
            write_png(folder / frames[kind], joined(strip))
        surprise = {
            "jepa": {"possible": [0.21, 0.34], "impossible": [0.24, 0.95]},
            "diffusion": {"possible": [0.61, 0.72], "impossible": [0.60, 0.83]},
            "untrained_jepa": {"possible": [1.02, 1.01], "impossible": [1.02, 1.0]},
        }
        shown = dict(
            law=law, identity=f"{law}/id/0/3", frames=frames, frames_per_chunk=4, surprise=surprise, chunk_start=2
        )
        quadruplets.append(shown)
    by_noise = {"permanence": [0.5, 0.55, 0.63, 0.74, 0.85, 0.7], "momentum": [0.6, 0.7, 0.8, 0.86, 0.8, 0.62]}
    by_context = {"diffusion": [0.55, 0.64, 0.66], "jepa": [0.7, 0.93, 0.94]}

    def curve(name: str, x_label: str, x: list[float], lines: dict[str, list[float]], half: float) -> dict[str, Any]:
        bands = {k: {"low": [v - half for v in y], "high": [v + half for v in y]} for k, y in lines.items()}
        series = [
            {"label": label, "x": x, "y": y, "model": label if label in MODELS else None, **bands[label]}
            for label, y in lines.items()
        ]
        return {"name": name, "x_label": x_label, "y_label": "surprise accuracy", "series": series}

    curves = [
        curve("Diffusion by noise level", "noise level", [0.1, 0.3, 0.5, 0.7, 0.85, 1.0], by_noise, 0.04),
        curve("By context length", "context, chunks", [1, 2, 3], by_context, 0.03),
    ]
    return {"rollouts": rollouts, "quadruplets": quadruplets, "curves": curves}


def write_trainings(folder: Path) -> None:
    """The training runs: where each ran and how it went."""
    steps = {"tokenizer": 1500, "diffusion": 2000, "jepa": 2000, "regression": 1000, "probe": 400}
    for number, (name, count) in enumerate(steps.items()):
        stage = folder / name
        stage.mkdir(parents=True, exist_ok=True)
        (stage / "heartbeat.json").write_text(json.dumps({"step": count, "steps": count, "time": "then"}))
        provenance = dict(
            commit="8ebe6e2f0a4c", dirty=False, device="cpu", seed=0, started=f"2026-11-22T{10 + number}:00:00+00:00"
        )
        provenance |= dict(versions={"python": "3.11.7", "torch": "2.13.0"}, command=f"python train/train_{name}.py")
        (stage / "provenance.json").write_text(json.dumps(provenance))
        with (stage / "metrics.jsonl").open("w") as file:
            rng = np.random.default_rng(len(name))
            for step in range(0, count, 10):
                line = {"step": step, "loss": 0.1 + 0.9 * np.exp(-step / 300) * (1 + 0.1 * rng.standard_normal())}
                line |= {"seconds": step * 0.2, "learning_rate": 1e-3}
                if name in ("diffusion", "jepa"):
                    line["copy_last_ratio"] = 0.4 + 0.6 * np.exp(-step / 500)
                if name == "jepa":
                    line["deviation"] = 0.9 + 0.05 * rng.standard_normal()
                file.write(json.dumps(line) + "\n")


def write_run(folder: Path) -> Path:
    """The folder, filled with a whole run."""
    physics = folder / "physics"
    physics.mkdir(parents=True)
    table = rows()
    provenance = dict(commit="8ebe6e2f0a4c", dirty=True, device="cpu", seed=0, started="2026-11-22T12:30:00+00:00")
    provenance |= dict(versions={"python": "3.11.7", "torch": "2.13.0"}, command="python eval/run_physics.py runs/demo")
    results = {"schema": 2, "provenance": provenance, "models": MODELS, "compare": PAIRS}
    results |= {"labels": {"laws": LAWS, "metrics": METRICS}, "results": table}
    (physics / "results.json").write_text(json.dumps(results))
    (physics / "comparison.json").write_text(json.dumps(comparison()))
    (physics / "media.json").write_text(json.dumps(media(physics)))
    with (physics / "per_clip.csv").open("w", newline="") as file:
        names = ["model", "readout", "task", "law", "split", "metric", "unit", "identity", "value", "seed"]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "identity": f"{row['law']}/0"} for row in table)
    write_trainings(folder)
    return folder
