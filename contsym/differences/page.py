"""The page of a comparison: what changed, by which pairs, and where; in the manner of a report."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from contsym.config import DEFAULT_FORM
from contsym.differences.figures import all_figures
from contsym.differences.schema import Diff
from contsym.differences.sentences import answer, seen
from contsym.differences.tables import all_tables
from contsym.differences.tasks import BUNDLED_TASKS, LIMIT
from contsym.report.render import Report, Section
from contsym.tasks.schema import FIRST


def make_page(found: Diff) -> Report:
    """The page with its figures and tables."""
    figures, tables = all_figures(found), all_tables(found)

    def section(
        name: str,
        title: str,
        *paragraphs: tuple[str, str],
        commands: Sequence[str] = (),
        is_open: bool = False,
    ) -> Section:
        own_figures = [figure for place, figure in figures if place == name]
        own_tables = [(table, is_open) for place, table in tables if place == name]
        return Section(name, title, [p for p in paragraphs if p[1]], commands, own_figures, own_tables)

    no_groups = "" if any(a.groups for a in found.abilities) else "The pairs have no relation, kind or skill."
    no_parts = ""
    if not found.put_back:
        no_parts = "No part of OLD was put back into NEW (--no-put-back)."
    elif not found.transplants:
        no_parts = "No ability was lost, or no part of OLD fits into NEW: nothing was put back."
    return Report(
        f"What changed from {found.old.name} to {found.new.name}",
        " · ".join(
            [
                *(f"{task.name}: {task.n:,} pairs" for task in found.tasks),
                f"seed {found.seed}",
                f"{found.device}, {found.precision}",
            ]
        ),
        [],
        [
            section(
                "answer",
                "The question and the answer",
                ("question", "Which abilities were lost or gained, and where in the network?"),
                *(("answer", sentence) for sentence in answer(found)),
                *(("warning", note) for note in (*seen(found), *found.notes)),
            ),
            section("abilities", "Abilities before and after", is_open=True),
            section("groups", "By relation, kind and skill", ("text", no_groups)),
            section("where", "Where it moved", is_open=True),
            section("returned", "One part of OLD put back", ("text", "" if found.transplants else no_parts)),
            section(
                "provenance",
                "Where these figures come from",
                *(("text", f"{task.name}: {note}") for task in found.tasks for note in task.notes),
                commands=[line] if (line := command(found)) else [],
            ),
        ],
        made_of="both checkpoints",
    )


def command(found: Diff) -> str:
    """The command that makes the same comparison; empty where its pairs were rows in memory."""
    words = ["contsym", "diff", found.old.name, found.new.name]
    for task in found.tasks:
        if task.name in BUNDLED_TASKS and task.given == "bundled":
            continue
        if task.given == "rows":
            return ""
        words += (
            [f"--{task.name}", task.given] if task.name in FIRST else ["--task", f"{task.name}={task.given}"]
        )
    defaults = {"form": DEFAULT_FORM, "limit": LIMIT, "seed": 0}
    for name, default in defaults.items():
        if (value := getattr(found, name)) != default:
            words += [f"--{name}", str(value)]
    words += [] if found.put_back else ["--no-put-back"]
    words += ["--device", found.device, "--precision", found.precision]
    return shlex.join(words)


def name_of(found: Diff) -> str:
    """A name for the folder of the page: both checkpoints, and a hash of what was compared."""
    facts = [
        found.old.weights_sha256,
        found.new.weights_sha256,
        command(found),
        *(t.source for t in found.tasks),
    ]
    digest = hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    sides = "-".join(Path(side.name).name for side in (found.old, found.new))
    return f"{re.sub(r'[^A-Za-z0-9_.+-]', '_', sides)[:100].lstrip('.')}-{digest}"
