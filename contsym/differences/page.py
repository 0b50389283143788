"""The page of a comparison: what changed, by which pairs, and where; in the manner of a report."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from contsym.config import DEFAULT_FORM
from contsym.differences import LIMIT
from contsym.differences.figures import all_figures
from contsym.differences.schema import ANSWER_COLUMNS, Diff
from contsym.differences.sentences import answer, warnings
from contsym.differences.tables import all_tables
from contsym.differences.tasks import BUNDLED_TASKS
from contsym.errors import SettingError
from contsym.files import shield, write_file
from contsym.report.render import REPORT, Report, Section, write_report
from contsym.tasks.schema import FIRST

ANSWERS = "answers.csv"
FOLDED = ("label-shares", "weights")
"""Long tables of sections whose other tables are unfolded."""


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
        own_tables = [
            (table, is_open and table.name not in FOLDED) for place, table in tables if place == name
        ]
        return Section(name, title, [p for p in paragraphs if p[1]], commands, own_figures, own_tables)

    no_groups = "" if any(a.groups for a in found.abilities) else "The pairs have no relation, kind or skill."
    no_parts = ""
    if not found.put_back:
        no_parts = "No part of OLD was put back into NEW (--no-put-back)."
    elif not found.transplants:
        no_parts = "No ability was lost, or no part of OLD fits into NEW: nothing was put back."
    sections = [
        section(
            "answer",
            "The question and the answer",
            ("question", "Which abilities were lost or gained, and where in the network?"),
            *(("warning", note) for note in warnings(found)),
            *(("answer", sentence) for sentence in answer(found)),
        ),
        section("abilities", "Abilities before and after", is_open=True),
        section(
            "answers",
            "Which answers changed",
            (
                "text",
                f"{ANSWERS} beside this page has every pair with both answers.",
            ),
            is_open=True,
        ),
        section("groups", "By relation, kind and skill", ("text", no_groups)),
        section("where", "Where it moved", is_open=True),
        section("returned", "One part of OLD put back", ("text", "" if found.transplants else no_parts)),
        section(
            "provenance",
            "Where these figures come from",
            *(("text", f"{task.name}: {note}") for task in found.tasks for note in task.notes),
            commands=[line] if (line := command(found)) else [],
        ),
    ]
    return Report(
        f"What changed from {found.old.title} to {found.new.title}",
        " · ".join(
            [
                *(f"{task.name}: {task.n:,} pairs" for task in found.tasks),
                f"seed {found.seed}",
                f"{found.device}, {found.precision}",
            ]
        ),
        [],
        [each for each in sections if not found.is_same or each.id in ("answer", "provenance")],
        made_of="both checkpoints",
    )


def command(found: Diff) -> str:
    """The command that makes the same comparison; empty where its pairs were rows in memory."""
    given = {task.name: task.given for task in found.tasks}
    if "rows" in given.values():
        return ""
    words = [*("--device", found.device, "--precision", found.precision)]
    asked = request(
        *(found.old.name, found.new.name, given),
        form=found.form,
        limit=found.limit,
        seed=found.seed,
        put_back=found.put_back,
    )
    return f"{asked} {shlex.join(words)}"


def request(
    old: str, new: str, tasks: Mapping[str, str], *, form: str, limit: int, seed: int, put_back: bool
) -> str:
    """The words that ask for a comparison, whatever the machine."""
    words = ["contsym", "diff", old, new]
    for name, source in sorted(tasks.items()):
        if name not in BUNDLED_TASKS or source != "bundled":
            words += [f"--{name}", source] if name in FIRST else ["--task", f"{name}={source}"]
    words += ["--form", form] if form != DEFAULT_FORM else []
    words += ["--limit", str(limit)] if limit != LIMIT else []
    words += ["--seed", str(seed)] if seed else []
    words += [] if put_back else ["--no-put-back"]
    return shlex.join(words)


def check_folder(folder: Path, asked: str) -> None:
    """Raise SettingError for a folder that holds something else than a page of this `request`."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    from markupsafe import escape

    page = folder / REPORT
    # In the page's last section, before the machine's options.
    if not page.is_file() or f"<code>{escape(asked)} --device" not in page.read_text("utf-8", "replace"):
        raise SettingError(
            f"--to {folder}: is there already, and is not the page of this comparison; expected a new folder"
        )


def write_page(found: Diff, folder: Path) -> tuple[Path, Path]:
    """Write the page, its tables and figures, and the answers; gives the paths of the first two."""
    html, tables = write_report(make_page(found), folder)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ANSWER_COLUMNS)
    writer.writerows(map(shield, row) for row in found.answer_rows())
    write_file(folder / ANSWERS, out.getvalue())
    return html, tables


def name_of(found: Diff) -> str:
    """A name for the folder of the page: both checkpoints, and a hash of what was compared."""
    facts = [
        found.old.weights_sha256,
        found.new.weights_sha256,
        command(found),
        *(t.source for t in found.tasks),
    ]
    digest = hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    sides = "-".join(Path(side.title).name for side in (found.old, found.new))
    return f"{re.sub(r'[^A-Za-z0-9_.+-]', '_', sides)[:100].lstrip('.')}-{digest}"
