"""Waiting for a condition, with an end."""

import time


def wait_for(condition, what, seconds=30):
    """The first true answer of the condition."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)
