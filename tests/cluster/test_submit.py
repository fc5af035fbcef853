"""What slurm/submit hands to Slurm: the jobs of a chain and what each waits for."""

import os
import shutil
import subprocess

import pytest
from scripts import ROOT

SBATCH = """#!/bin/sh
echo "$@" >> "$SENT"
wc -l < "$SENT"
"""


@pytest.mark.parametrize("configs", ["configs/base", "configs/plan"])
def test_a_jepa_is_followed_by_its_own_probe(tmp_path, configs):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    sent = tmp_path / "sent"
    given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SENT": str(sent), "MODELS": "regression jepa"}
    line = ["slurm/submit", configs, "runs/base"]
    done = subprocess.run(line, cwd=ROOT, env=os.environ | given, capture_output=True, text=True, check=True)
    assert done.stdout == "submitted: tokenizer 1, probe 2, regression 3, jepa 4, its probe 5, evaluation 6\n"
    of_jepa, evaluation = sent.read_text().splitlines()[4:]
    assert "--dependency=afterok:4" in of_jepa
    assert of_jepa.endswith(f"slurm/probe.sbatch {configs} runs/base out=runs/base/probe_jepa jepa=runs/base/jepa")
    assert "--dependency=afterok:2:3:4:5" in evaluation


@pytest.mark.parametrize(
    ("file", "script", "page"),
    [
        ("physics.yaml", "eval/run_physics.py", "make_report.py runs"),
        ("planning.yaml", "eval/run_planning.py", "runs/planning"),
    ],
)
def test_the_evaluation_of_a_chain_is_what_its_folder_configures(tmp_path, file, script, page):
    (tmp_path / "slurm").mkdir()
    shutil.copy(f"{ROOT}/slurm/evaluate", tmp_path / "slurm")
    launch = tmp_path / "slurm" / "launch"
    launch.write_text('#!/bin/sh\necho launch "$@"\n')
    launch.chmod(0o755)
    (tmp_path / file).touch()
    for name, family in (("jepa_wide", "jepa"), ("mine", "jepa_of_mine")):  # the second is a family of somebody's own
        (tmp_path / f"{name}.yaml").write_text(f"family: {family}  # with a remark\n")
    environment = os.environ | {"VIDWORLD_PYTHON": "echo", "MODELS": "jepa_wide mine"}
    given = ["slurm/evaluate", ".", "runs", "seed=3"]
    said = subprocess.run(given, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    first, second = said.splitlines()
    assert first.startswith(f"launch {script} --config ./{file} ") and first.endswith(
        "models={jepa_wide: runs/jepa_wide, mine: runs/mine, } seed=3"
    )
    assert "tokenizer=runs/tokenizer probe=runs/probe probes={jepa_wide: runs/probe_jepa_wide, } models=" in first
    assert second.endswith(page)
