"""A process that may open no more files, while it runs."""

import contextlib
import os
import resource


@contextlib.contextmanager
def no_more_files(pid):
    """The process opens nothing meanwhile; what it has open stays open."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
