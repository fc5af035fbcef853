"""Becomes one process of a job: srun ... slurm/rank.py SCRIPT ARGUMENTS ...

Tells it its rank by the names that torch and accelerate know. The signal that comes before a time limit waits until
the script listens: sent while it still starts, it would kill it.
"""

import os
import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
names = {
    "RANK": "PROCID",
    "LOCAL_RANK": "LOCALID",
    "WORLD_SIZE": "NTASKS",
    "MASTER_ADDR": "LAUNCH_NODE_IPADDR",
}
os.environ.update({name: os.environ[f"SLURM_{of_slurm}"] for name, of_slurm in names.items()})
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
