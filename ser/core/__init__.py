"""What every other part of `ser` stands on: errors, paths, threads, workers, and commands."""
