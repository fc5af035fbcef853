"""From worlds and tasks to results, statistics and the report."""
