"""A real Slurm of two nodes of one core each on this machine: Debian's packages, started by root and ended again."""

import os
import shutil
import subprocess
import time
from pathlib import Path

DAEMONS = ("slurmctld", "slurmd", "munged")
CONF = """
ClusterName=vidworld
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
AuthType=auth/munge
AuthInfo=cred_expire=5
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={state}/ctld
SlurmdSpoolDir={state}/%n
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.%n.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=20
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17011 CPUs=1 RealMemory={memory}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=17012 CPUs=1 RealMemory={memory}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
"""A job that is requeued waits for `cred_expire` seconds, two minutes where nothing is said."""


def why_not() -> str:
    """The reason for which no Slurm can be started here; empty where one can."""
    if os.geteuid() != 0:
        return "only root can start Slurm's daemons"
    if not all(shutil.which(name) for name in DAEMONS):
        if shutil.which("apt-get") is None:
            return "Slurm is not installed, and there is no apt-get to install Debian's packages with"
        for line in ("apt-get update -qq", "apt-get install -y -qq slurm-wlm munge"):
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(line.split(), env=environment, capture_output=True, check=False)
    missing = [name for name in DAEMONS if shutil.which(name) is None]
    return f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge" if missing else ""


class Cluster:
    """The daemons, and what is asked of them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.environment = os.environ | {"SLURM_CONF": str(state / "slurm.conf")}
        self.own_munged = False

    def start(self) -> None:
        """Returns when both nodes are idle."""
        for name in ("ctld", "n1", "n2"):
            (self.state / name).mkdir(parents=True)
        host = subprocess.run(["hostname", "-s"], capture_output=True, text=True, check=True).stdout.strip()
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**21 - 512  # MB, half each
        (self.state / "slurm.conf").write_text(CONF.format(host=host, state=self.state, memory=memory))
        if subprocess.run(["pgrep", "-x", "munged"], capture_output=True, check=False).returncode:
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            subprocess.run(["su", "munge", "-s", "/bin/sh", "-c", "/usr/sbin/munged"], check=True)
            self.own_munged = True
        conf = str(self.state / "slurm.conf")
        subprocess.run(["slurmctld", "-f", conf], check=True)
        for node in ("n1", "n2"):
            subprocess.run(["slurmd", "-N", node, "-f", conf], check=True)
        self.wait(lambda: set(self.ask("sinfo", "-h", "-o", "%T").split()) == {"idle"}, 60, "the nodes to be idle")

    def stop(self) -> None:
        """Ends what was started."""
        self.ask("scancel", "--full", "--signal=KILL", "--user=root")
        for name in ("slurmd.n1.pid", "slurmd.n2.pid", "slurmctld.pid"):
            pid = self.state / name
            if pid.exists():
                subprocess.run(["kill", pid.read_text().strip()], check=False)
        if self.own_munged:
            subprocess.run(["su", "munge", "-s", "/bin/sh", "-c", "/usr/sbin/munged --stop"], check=False)

    def ask(self, *command: str) -> str:
        """What a command of Slurm's says, whether it can or not."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout

    def state_of(self, job: str) -> str:
        """COMPLETED, PENDING, ... of each part of a job, one after another."""
        words = self.ask("scontrol", "show", "job", job).split()
        return " ".join(word.removeprefix("JobState=") for word in words if word.startswith("JobState="))

    def restarts(self, job: str) -> int:
        """How often a job was requeued and started again."""
        words = self.ask("scontrol", "show", "job", job).split()
        return sum(int(word.removeprefix("Restarts=")) for word in words if word.startswith("Restarts="))

    def wait(self, until, seconds: float, what: str) -> None:
        """Returns when `until` is true.

        Raises:
            TimeoutError: it was not in time.
        """
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                said = self.ask("squeue", "-a") + self.ask("sinfo")
                raise TimeoutError(f"waited {seconds:g} s for {what}\n{said}")
            time.sleep(0.5)

    def wait_for(self, job: str, seconds: float) -> None:
        """Returns when all parts of a job are completed."""

        def over() -> bool:
            states = set(self.state_of(job).split())
            assert "DependencyNeverSatisfied" not in self.ask("scontrol", "show", "job", job), "an earlier job failed"
            assert not states & {"FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}, states
            return states == {"COMPLETED"}

        self.wait(over, seconds, f"job {job}")
