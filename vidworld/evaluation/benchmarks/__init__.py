"""Other people's benchmarks and training sources as folders of videos, one line here each."""

from typing import TYPE_CHECKING

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.evaluation.benchmarks.benchmark import Benchmark

BENCHMARKS: "Registry[Benchmark]" = Registry(
    "benchmark",
    "vidworld.benchmarks",
    {
        "intphys": "vidworld.evaluation.benchmarks.intphys:INTPHYS",
        "intphys2": "vidworld.evaluation.benchmarks.intphys2:INTPHYS2",
        "grasp": "vidworld.evaluation.benchmarks.grasp:GRASP",
        "inflevel": "vidworld.evaluation.benchmarks.inflevel:INFLEVEL",
        "physics_iq": "vidworld.evaluation.benchmarks.physics_iq:PHYSICS_IQ",
        "physion": "vidworld.evaluation.benchmarks.physion:PHYSION",
        "clevrer": "vidworld.evaluation.benchmarks.clevrer:CLEVRER",
        "phyworld_hdf5": "vidworld.evaluation.benchmarks.phyworld_hdf5:PHYWORLD_HDF5",
        "morpheus": "vidworld.evaluation.benchmarks.morpheus:MORPHEUS",
        "lerobot": "vidworld.evaluation.benchmarks.training_sources:LEROBOT",
        "webdataset": "vidworld.evaluation.benchmarks.training_sources:WEBDATASET",
    },
)
"""What eval/score_benchmark.py and `vidworld data check` read."""
