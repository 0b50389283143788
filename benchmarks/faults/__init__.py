"""Faults injected into contsym, one function a fault, and what came of them in numbers.

    python -m benchmarks.faults --trials 50
    python -m benchmarks.faults --only kill_run,disk_full --trials 5 --json faults.json

Trials run contsym's own commands on toy tasks with a tiny encoder, in a process each, which is
forked off one that has the libraries loaded. The tests (tests/faults/) call the same functions.
"""
