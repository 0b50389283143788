"""How many cores there are to share out; needs no library, so that anything may ask."""

import os


def n_cores() -> int:
    """Those that this process may use: where it was given some of the machine's, only these."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
