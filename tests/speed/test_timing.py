"""Times and memory: each job as often as the others, and the peak is that of the job."""

import sys
import time

import pytest
import torch

from speed.timing import medians_s, peak_mb


def test_jobs_are_done_in_turn_and_their_medians_are_their_times():
    order = []

    def job(name, seconds):
        def done():
            order.append(name)
            time.sleep(seconds)

        return done

    found = medians_s({"quick": job("quick", 0.002), "slow": job("slow", 0.01)}, 0.05)
    assert order[:2] == ["quick", "slow"]
    assert order == ["quick", "slow"] * (len(order) // 2)
    assert len(order) >= 8
    assert 0.002 <= found["quick"] < found["slow"]
    assert found["slow"] >= 0.01


@pytest.mark.skipif(sys.platform != "linux", reason="a process's peak memory is known on Linux only")
def test_the_peak_is_what_a_job_takes_at_its_height():
    def job():
        torch.ones(16 * 2**20).sum()  # 67 MB for a moment
        torch.ones(2**18).sum()

    assert peak_mb(job) == pytest.approx(67, abs=25)


@pytest.mark.skipif(sys.platform != "linux", reason="a process's peak memory is known on Linux only")
def test_memory_that_an_earlier_job_freed_is_no_gift():
    """The allocator keeps what lies below a piece still held; a job that takes it again takes it all the same."""

    def job():
        return [torch.ones(2**14) for _ in range(1000)]  # 66 MB in pieces below the size that is mapped

    pieces = job()
    held = torch.ones(2**14)
    del pieces
    assert [peak_mb(job) for _ in range(2)] == pytest.approx([66, 66], abs=10)
    assert held[0] == 1
