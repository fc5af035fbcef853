"""What the tests of runs in processes of their own share."""

import pytest
from small_runs import train_here


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """The run folder of a small tokenizer."""
    out = tmp_path_factory.mktemp("small") / "tokenizer"
    assert train_here("tokenizer", out) == 0
    return out


@pytest.fixture
def runs(tokenizer, tmp_path):
    """A folder for runs that holds the small tokenizer."""
    (tmp_path / "tokenizer").symlink_to(tokenizer)
    return tmp_path
