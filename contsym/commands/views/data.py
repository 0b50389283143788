"""What a person sees of a data set in the terminal: what was built, what is in it, what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from contsym.commands.views.tables import grid, plain_table, shown
from contsym.data.audit import Audit, Overview
from contsym.data.schema import LABELS, TaskData
from contsym.data.shortcuts import SHORTCUTS

SHORT_KINDS = {"symmetric": "symm.", "antisymmetric": "antisymm."}
"""Column titles that leave room for figures in 80 columns."""
MOST_RELATIONS = 40
"""Lines of a table of relations; the rest are counted."""


def manifest_report(manifest: Mapping[str, Any], folder: str) -> Group:
    """The relations of a built data set, what was left out and why, and what to do next."""
    parts: list[RenderableType] = [_relations(manifest), _facts(manifest)]
    parts += [shown(f"! {warning}", style="yellow") for warning in manifest["warnings"]]
    skipped = manifest["skipped_properties"]
    if skipped:
        n = sum(entry["triples"] for entry in skipped.values())
        names = ", ".join(list(skipped)[:8]) + (", …" if len(skipped) > 8 else "")
        parts.append(
            shown(
                f"skipped: {n:,} triples of {len(skipped):,} properties without a registered kind ({names})"
            )
        )
        for property_, entry in skipped.items():
            if entry["reason"] != "not in the registry":
                parts.append(shown(f"  {property_} ({entry['triples']:,}) {entry['reason']}", style="dim"))
    parts.append(Text(f"look at it with: contsym data audit {folder}"))
    return Group(*parts)


def _relations(manifest: Mapping[str, Any]) -> Table:
    table = plain_table("Relations")
    table.add_column("relation", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column("kind", no_wrap=True)
    for title in ("triples", "mirrored", "train", "test"):
        table.add_column(title, justify="right", no_wrap=True)
    found = sorted(manifest["relations"].items(), key=lambda item: -item[1]["pairs"])
    for key, entry in found[:MOST_RELATIONS]:
        counts = (f"{entry[name]:,}" for name in ("train", "test"))
        table.add_row(
            shown(key),
            shown(entry["name"]),
            SHORT_KINDS[entry["kind"]],
            f"{entry['triples']:,}",
            f"{entry['mirrored_share']:.1%}",
            *counts,
        )
    if len(found) > MOST_RELATIONS:
        table.add_row("…", f"{len(found) - MOST_RELATIONS} more")
    return table


def _facts(manifest: Mapping[str, Any]) -> Table:
    split = manifest["split"]
    lines = grid()
    for part, labels in manifest["labels"].items():
        lines.add_row(
            shown(part),
            shown(
                f"{sum(labels.values()):,} pairs: "
                + ", ".join(f"{n:,} {label}" for label, n in labels.items())
            ),
        )
    lines.add_row(
        "split",
        shown(
            f"{split['rule']}: {split['meaning']} (test share {split['test_share']:g}, seed {split['seed']})"
        ),
    )
    lines.add_row("forms", shown(" and ".join(manifest["forms"])))
    for name, entry in manifest["inputs"].items():
        lines.add_row(
            shown(name), shown(f"{entry['file']}: {entry['lines']:,} lines, SHA-256 {entry['sha256'][:12]}")
        )
    for reason, n in manifest["left_out"].items():
        lines.add_row("left out", shown(f"{n:,} {reason}"))
    return lines


def task_report(data: TaskData) -> Group:
    """Counts of labels and relations of a task that has no manifest."""
    import collections

    parts: dict[str, collections.Counter[str]] = {}
    lines = grid()
    lines.add_row("source", shown(data.source))
    lines.add_row("fingerprint", data.fingerprint[:12])
    for part, pairs in (("train", data.train), ("test", data.test)):
        labels = collections.Counter(LABELS[label] for label in pairs["label"][:])
        lines.add_row(
            part,
            f"{len(pairs):,} pairs: " + ", ".join(f"{n:,} {label}" for label, n in sorted(labels.items())),
        )
        parts[part] = collections.Counter(relation for relation in pairs["relation"][:] if relation)
    for note in data.notes:
        lines.add_row("note", shown(note))
    names = sorted(
        parts["train"] | parts["test"], key=lambda name: -parts["train"][name] - parts["test"][name]
    )
    if not names:
        return Group(lines)
    table = plain_table("Relations", "relation")
    for title in parts:
        table.add_column(title, justify="right")
    for name in names[:MOST_RELATIONS]:
        table.add_row(shown(name), *(f"{counts[name]:,}" for counts in parts.values()))
    if len(names) > MOST_RELATIONS:
        table.add_row(f"… {len(names) - MOST_RELATIONS} more")
    return Group(lines, table)


def audit_report(audit: Audit) -> Group:
    """Everything the audit found, with examples."""
    leaks = plain_table(escape(f"Test pairs that share something with training: {audit.source}"))
    leaks.add_column("shared", no_wrap=True)
    leaks.add_column("test pairs", justify="right", no_wrap=True)
    leaks.add_column("", justify="right", no_wrap=True)
    # A bound, or a long example would take the room of the other columns.
    leaks.add_column("as", overflow="ellipsis", no_wrap=True, max_width=30)
    for leak in audit.leaks:
        promise = " (forbidden)" if leak.promised and leak.n_rows else ""
        leaks.add_row(leak.what + promise, f"{leak.n_rows:,}", f"{leak.share:.1%}", shown(_as(leak.examples)))
    n = audit.n_trained_on
    scores = plain_table(
        f"What shortcuts score on the {audit.rows['test']:,} test pairs, trained on {n:,}", "shortcut"
    )
    scores.add_column("accuracy", justify="right", no_wrap=True)
    scores.add_column("sees")
    top, _ = audit.best_shortcut
    for name, score in audit.shortcuts.items():
        scores.add_row(title_of(name), f"{score:.3f}", SHORTCUTS[name], style="bold" if name == top else "")
    lines = grid()
    for part, labels in audit.labels.items():
        total = sum(labels.values())
        lines.add_row(f"{part} labels", ", ".join(f"{label} {n / total:.1%}" for label, n in labels.items()))
    for problem in audit.problems:
        lines.add_row("doubtful", shown(f"{problem.n_rows:,} × {problem.what}, as {_as(problem.examples)}"))
    if audit.small_relations:
        names = [f"{name} ({n})" for name, n in audit.small_relations.items()]
        more = f", … {len(names) - 8} more" if len(names) > 8 else ""
        lines.add_row(
            "few pairs", shown(f"{len(names)} relations have fewer than 10: {', '.join(names[:8])}{more}")
        )
    for reason in audit.unchecked:
        lines.add_row("not checked", Text(reason))
    return Group(leaks, scores, lines)


def audit_lines(audits: Sequence[Overview]) -> Group:
    """The short table that stands before a run."""
    table = plain_table("Before training", "task", "test pairs that share … with training", "best shortcut")
    for audit in audits:
        shares = [f"{leak.what} {leak.share:.0%}" if leak.share >= 0.01 else f"{leak.what} {leak.n_rows}"
                  for leak in audit.leaks if leak.n_rows]  # fmt: skip
        name, score = audit.best_shortcut
        table.add_row(audit.task, Text(", ".join(shares) or "nothing"), f"{title_of(name)} {score:.3f}")
    return Group(table)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Group:
    """Pairs one below the other, as a person reads them."""
    lines: list[RenderableType] = []
    for row in rows:
        relation = f" · {row['relation']}" if row["relation"] else ""
        lines += [
            shown(f"{row['part']} · {row['id']} · {row['label']}{relation}", style="dim"),
            shown(f"  {row['premise']}"),
            shown(f"  {row['hypothesis']}"),
        ]
    return Group(*lines)


def title_of(shortcut: str) -> str:
    """A shortcut's name in words.

    >>> title_of("bag_of_words")
    'bag of words'
    """
    return shortcut.replace("_", " ")


def _as(examples: Sequence[str]) -> str:
    return "; ".join(examples) or "-"
