"""What slurm/submit hands to Slurm: the jobs of a chain and what each waits for."""

import os
import subprocess

from scripts import ROOT

SBATCH = """#!/bin/sh
echo "$@" >> "$SENT"
wc -l < "$SENT"
"""


def test_a_jepa_is_followed_by_its_own_probe(tmp_path):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    sent = tmp_path / "sent"
    given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SENT": str(sent), "MODELS": "regression jepa"}
    line = ["slurm/submit", "configs/base", "runs/base"]
    done = subprocess.run(line, cwd=ROOT, env=os.environ | given, capture_output=True, text=True, check=True)
    assert done.stdout == "submitted: tokenizer 1, probe 2, regression 3, jepa 4, its probe 5, evaluation 6\n"
    of_jepa, evaluation = sent.read_text().splitlines()[4:]
    assert "--dependency=afterok:4" in of_jepa
    assert of_jepa.endswith("slurm/probe.sbatch configs/base runs/base out=runs/base/probe_jepa jepa=runs/base/jepa")
    assert "--dependency=afterok:2:3:4:5" in evaluation
