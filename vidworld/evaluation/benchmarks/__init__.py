"""Other people's benchmarks as folders of films; `BENCHMARKS` is what `vidworld data check` reads.

A new benchmark is one short file with a `BENCHMARK`, and its line here.
"""

from vidworld.evaluation.benchmarks import (
    clevrer,
    grasp,
    inflevel,
    intphys,
    intphys2,
    lerobot,
    morpheus,
    physics_iq,
    physion,
    phyworld_hdf5,
    webdataset,
)
from vidworld.evaluation.benchmarks.benchmark import Benchmark

MODULES = (
    intphys,
    intphys2,
    grasp,
    inflevel,
    physics_iq,
    physion,
    clevrer,
    phyworld_hdf5,
    morpheus,
    lerobot,
    webdataset,
)
BENCHMARKS: dict[str, Benchmark] = {module.BENCHMARK.name: module.BENCHMARK for module in MODULES}

__all__ = ["BENCHMARKS", "Benchmark"]
