"""Runs that were begun and not ended: the same command goes on with what they have stored.

A run is remembered in `OUTPUT/begun/` from its start until all of it is stored and tracked, under the
hash of what decides its seeds' results. A process that is at it holds a lock; a killed one holds nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from contsym.files import clear_partial, to_json, write_file
from contsym.results import store

if TYPE_CHECKING:
    from contsym.training.plan import Plan


FORMAT = 1


@contextmanager
def going_on(plans: Sequence[Plan]) -> Iterator[list[Plan]]:
    """Remember the plans inside; gives them under the names of begun runs where there are any.

    They are forgotten when nothing is raised inside. A plan that another process is at this moment
    is a run of its own, as if there were no other.
    """
    with ExitStack() as held:
        named = [_claim(plan, held) for plan in plans]
        yield named
        for plan in named:
            record = _record(plan)
            if _read(record) == plan.name:
                record.unlink(missing_ok=True)


def _claim(plan: Plan, held: ExitStack) -> Plan:
    """Hold the plan's place, if nobody else does, and take over what was begun under it."""
    from filelock import FileLock, Timeout

    record = _record(plan)
    record.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(record.with_name(f".{record.stem}.lock"))
    try:
        held.enter_context(lock.acquire(timeout=0))
    except Timeout:
        return plan
    begun = _read(record)
    if begun is not None:
        before = replace(plan, name=begun)
        # Whoever wrote there is dead: the lock was free.
        for folder in (before.folder, *(store.seed_folder(before.folder, s) for s in plan.config.seeds)):
            clear_partial(folder, older_than=0)
        return before
    write_file(record, to_json({"format": FORMAT, "run": plan.name}))
    return plan


def n_stored(plan: Plan) -> int:
    """The seeds of the plan that its run has stored."""
    return sum((store.seed_folder(plan.folder, seed) / store.RESULT).is_file() for seed in plan.config.seeds)


def _record(plan: Plan) -> Path:
    from contsym.training.plan import key_of

    keys = "".join(key_of(plan, seed) for seed in plan.config.seeds)
    return plan.config.output / "begun" / f"{hashlib.sha256(keys.encode()).hexdigest()[:32]}.json"


def _read(record: Path) -> str | None:
    """The name of a begun run; None where there is none, or another version wrote it."""
    try:
        found = json.loads(record.read_text("utf-8"))
        name = found["run"] if found["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # A name, no path: the folder is made under results/.
    return name if isinstance(name, str) and name == Path(name).name and not name.startswith(".") else None
