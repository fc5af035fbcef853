"""Other people's benchmarks and training sources as folders of videos, one line here each."""

from typing import TYPE_CHECKING

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.evaluation.benchmarks.benchmark import Benchmark

BENCHMARKS: "Registry[Benchmark]" = Registry(
    "benchmark",
    "vidworld.benchmarks",
    {
        "intphys": "vidworld.evaluation.benchmarks.violation_folders:INTPHYS",
        "intphys2": "vidworld.evaluation.benchmarks.violation_folders:INTPHYS2",
        "grasp": "vidworld.evaluation.benchmarks.violation_folders:GRASP",
        "inflevel": "vidworld.evaluation.benchmarks.violation_folders:INFLEVEL",
        "physics_iq": "vidworld.evaluation.benchmarks.physics_iq:PHYSICS_IQ",
        "physion": "vidworld.evaluation.benchmarks.physion:PHYSION",
        "clevrer": "vidworld.evaluation.benchmarks.training_sources:CLEVRER",
        "phyworld_hdf5": "vidworld.evaluation.benchmarks.phyworld_hdf5:PHYWORLD_HDF5",
        "morpheus": "vidworld.evaluation.benchmarks.morpheus:MORPHEUS",
        "lerobot": "vidworld.evaluation.benchmarks.training_sources:LEROBOT",
        "webdataset": "vidworld.evaluation.benchmarks.training_sources:WEBDATASET",
    },
    of="vidworld.evaluation.benchmarks.benchmark:Benchmark",
)
"""What eval/score_benchmark.py and `vidworld data check` read."""
