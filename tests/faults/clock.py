"""A clock that somebody sets while a process runs."""

import time

import mlflow


def change_within_the_run(seconds):
    """Let `time.time` jump by `seconds` as soon as a run has started."""
    real, real_ns, create = time.time, time.time_ns, mlflow.MlflowClient.create_run
    jump = 0.0

    def create_and_jump(*args, **kwargs):
        nonlocal jump
        run = create(*args, **kwargs)
        jump = seconds
        return run

    mlflow.MlflowClient.create_run = create_and_jump
    time.time = lambda: real() + jump
    time.time_ns = lambda: real_ns() + int(jump * 1e9)
