"""Other people's benchmarks and training sources as folders of videos, one file and one line here each."""

from typing import TYPE_CHECKING

from vidworld.core.registry import Registry

if TYPE_CHECKING:
    from vidworld.evaluation.benchmarks.benchmark import Benchmark

BENCHMARKS: "Registry[Benchmark]" = Registry(
    "benchmark",
    "vidworld.benchmarks",
    {
        "intphys": "vidworld.evaluation.benchmarks.intphys:BENCHMARK",
        "intphys2": "vidworld.evaluation.benchmarks.intphys2:BENCHMARK",
        "grasp": "vidworld.evaluation.benchmarks.grasp:BENCHMARK",
        "inflevel": "vidworld.evaluation.benchmarks.inflevel:BENCHMARK",
        "physics_iq": "vidworld.evaluation.benchmarks.physics_iq:BENCHMARK",
        "physion": "vidworld.evaluation.benchmarks.physion:BENCHMARK",
        "clevrer": "vidworld.evaluation.benchmarks.clevrer:BENCHMARK",
        "phyworld_hdf5": "vidworld.evaluation.benchmarks.phyworld_hdf5:BENCHMARK",
        "morpheus": "vidworld.evaluation.benchmarks.morpheus:BENCHMARK",
        "lerobot": "vidworld.evaluation.benchmarks.lerobot:BENCHMARK",
        "webdataset": "vidworld.evaluation.benchmarks.webdataset:BENCHMARK",
    },
)
"""What eval/score_benchmark.py and `vidworld data check` read."""
