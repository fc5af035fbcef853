"""Becomes one process of a job: srun ... slurm/rank.py SCRIPT ARGUMENTS ...

Sets its rank by the names that torch and accelerate know.
"""

import os
import sys

names = {"RANK": "PROCID", "LOCAL_RANK": "LOCALID", "WORLD_SIZE": "NTASKS", "MASTER_ADDR": "LAUNCH_NODE_IPADDR"}
os.environ.update({name: os.environ[f"SLURM_{of_slurm}"] for name, of_slurm in names.items()})
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
