"""slurm/launch: which exit codes of a script are a wish to be started again."""

import os
import subprocess

import pytest
from small_runs import ROOT


@pytest.mark.parametrize(("code", "again"), [(0, False), (1, False), (2, False), (70, False), (75, True), (138, True)])
def test_a_script_that_was_asked_to_stop_is_requeued_and_one_that_failed_is_not(code, again, tmp_path):
    """75: it saved; 138: it died of SIGUSR1, which comes before a time limit."""
    for name, line in (("srun", f"exit {code}"), ("scontrol", 'echo "$@" > requeued')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    line = [str(ROOT / "slurm" / "launch"), "train/train_world_model.py"]
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == code
    requeued = tmp_path / "requeued"
    assert requeued.exists() == again
    assert not again or requeued.read_text() == "requeue 7\n"
