"""A process that dies costs the job that it was at, and no other."""

import sys

import dying
import pytest

from vidworld.core.workers import each_apart, usual_workers


def test_a_job_that_ends_its_process_is_told_from_all_others() -> None:
    jobs = [0, 1, 2, 3, 4, 5, 10, 11]
    results = dict(each_apart(dying.square, jobs, workers=2, preload=["dying"]))
    assert results == {i: None if job in (3, 10) else job * job for i, job in enumerate(jobs)}


def test_a_job_that_makes_no_progress_is_ended_and_a_slow_one_is_not() -> None:
    assert dict(each_apart(dying.step, [0.25, 5.0], workers=1)) == {0: 0.25, 1: None}


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="1000"):
        dict(each_apart(dying.square, [1, 1000], workers=1))


def test_nothing_to_do_and_some_processors() -> None:
    assert dict(each_apart(dying.square, [], workers=2)) == {}
    assert 1 <= usual_workers() <= 16


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is given back where glibc is used")
def test_memory_that_is_freed_is_given_back() -> None:
    assert dict(each_apart(dying.gaps_mb, [100], workers=1))[0] < 10
