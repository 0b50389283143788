"""What a person sees of a dataset in the terminal: its manifest, its counts, its audit, its pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from contsym.commands.views.tables import Lines, add_numbers, grid, plain_table, shown
from contsym.data.audit import Audit, Overview
from contsym.data.schema import TaskData
from contsym.data.shortcuts import SHORTCUTS
from contsym.data.wikidata.sentences import Made

SHORT_KINDS = {"symmetric": "symm.", "antisymmetric": "antisymm."}
"""Titles for columns of a terminal 80 characters wide."""
MAX_RELATIONS = 40
"""The largest number of rows in a table of relations; the others are counted."""


def manifest_report(manifest: Mapping[str, Any], folder: str) -> Lines:
    """The relations of a built dataset, the pairs left out and why, and the next command."""
    parts: list[RenderableType] = [_relations(manifest), _facts(manifest)]
    parts += [shown(f"! {warning}", style="yellow") for warning in manifest["warnings"]]
    if skipped := manifest["skipped_properties"]:
        n = sum(entry["triples"] for entry in skipped.values())
        names = ", ".join(list(skipped)[:8]) + (", …" if len(skipped) > 8 else "")
        text = f"{n:,} triples of {len(skipped):,} properties without a registered kind ({names})"
        parts.append(shown(f"skipped: {text}"))
        for property_, entry in skipped.items():
            if entry["reason"] != "not in the registry":
                parts.append(shown(f"  {property_} ({entry['triples']:,}) {entry['reason']}", style="dim"))
    parts.append(Text(f"next: contsym data audit {folder}"))
    return Lines(*parts)


def sentences_report(made: Made, out: str) -> Lines:
    """The pairs of each relation, and the sentences left out and why."""
    labels = sorted(made.labels)
    table = plain_table("Relations", "relation")
    add_numbers(table, *labels, no_wrap=False)
    for relation, counts in made.relations.items():
        table.add_row(shown(relation), *(f"{counts.get(label, 0):,}" for label in labels))
    rows = [("pairs", _label_counts(made.labels))]
    rows += [("left out", f"{n:,} {reason}") for reason, n in made.left_out.items()]
    return Lines(table, _rows(rows), Text(f"next: contsym data show {out} --task fewrel_pairs"))


def _relations(manifest: Mapping[str, Any]) -> Table:
    table = plain_table("Relations", "relation")
    table.add_column("", overflow="fold", max_width=16)
    table.add_column("kind", no_wrap=True)
    add_numbers(table, "triples", "mirrored", "train", "test")
    relations = sorted(manifest["relations"].items(), key=lambda item: -item[1]["pairs"])
    for key, entry in relations[:MAX_RELATIONS]:
        table.add_row(
            shown(key),
            shown(entry["name"]),
            SHORT_KINDS[entry["kind"]],
            f"{entry['triples']:,}",
            f"{entry['mirrored_share']:.1%}",
            f"{entry['train']:,}",
            f"{entry['test']:,}",
        )
    if len(relations) > MAX_RELATIONS:
        table.add_row("…", f"{len(relations) - MAX_RELATIONS} more")
    return table


def _facts(manifest: Mapping[str, Any]) -> Table:
    split = manifest["split"]
    share = f"(test share {split['test_share']:g}, seed {split['seed']})"
    rows = [(part, _label_counts(labels)) for part, labels in manifest["labels"].items()]
    rows += [
        ("split", f"{split['rule']}: {split['meaning']} {share}"),
        ("forms", " and ".join(manifest["forms"])),
    ]
    for name, entry in manifest["inputs"].items():
        rows.append((name, f"{entry['file']}: {entry['lines']:,} lines, SHA-256 {entry['sha256'][:12]}"))
    rows += [("left out", f"{n:,} {reason}") for reason, n in manifest["left_out"].items()]
    return _rows(rows)


def _rows(rows: Sequence[tuple[str, str]]) -> Table:
    table = grid()
    for name, text in rows:
        table.add_row(shown(name), shown(text))
    return table


def _label_counts(labels: Mapping[str, int], examples: str = "pairs") -> str:
    return f"{sum(labels.values()):,} {examples}: " + ", ".join(
        f"{n:,} {label}" for label, n in labels.items()
    )


def task_report(data: TaskData) -> Lines:
    """The counts of labels and relations of a task without a manifest."""
    rows = [("source", data.source), ("fingerprint", data.fingerprint[:12])]
    relations: dict[str, Counter[str]] = {}
    for part, pairs in data.parts.items():
        labels = Counter(data.labels[label] for label in pairs["label"][:])
        rows.append((part, _label_counts(dict(sorted(labels.items())), data.spec.examples)))
        relations[part] = Counter(relation for relation in pairs["relation"][:] if relation)
    lines = _rows([*rows, *(("note", note) for note in data.notes)])
    total = sum(relations.values(), Counter[str]())
    if not total:
        return Lines(lines)
    table = plain_table("Relations", "relation")
    add_numbers(table, *relations, no_wrap=False)
    names = sorted(total, key=lambda name: -total[name])
    for name in names[:MAX_RELATIONS]:
        table.add_row(shown(name), *(f"{counts[name]:,}" for counts in relations.values()))
    if len(names) > MAX_RELATIONS:
        table.add_row(f"… {len(names) - MAX_RELATIONS} more")
    return Lines(lines, table)


def audit_report(audit: Audit) -> Lines:
    """Everything the audit found, with examples."""
    leaks = plain_table(f"Test data that share something with training: {audit.source}")
    leaks.add_column("shared", overflow="fold")
    add_numbers(leaks, "test rows", "")
    leaks.add_column("as", overflow="fold", max_width=30)
    for leak in audit.leaks:
        promise = " (forbidden)" if leak.promised and leak.n_rows else ""
        if leak.share is None:
            leaks.add_row(leak.what, "–", "–", "not looked for")
            continue
        examples = shown(_examples(leak.examples))
        leaks.add_row(leak.what + promise, f"{leak.n_rows:,}", f"{leak.share:.1%}", examples)
    of = f"on the {audit.rows['test']:,} test rows, trained on {audit.n_trained_on:,}"
    scores = plain_table(f"Accuracy of shortcuts {of}", "shortcut")
    add_numbers(scores, "accuracy")
    scores.add_column("sees")
    top, _ = audit.best_shortcut
    for name, score in audit.shortcuts.items():
        scores.add_row(title_of(name), f"{score:.3f}", SHORTCUTS[name], style="bold" if name == top else "")
    rows = []
    for part, labels in audit.labels.items():
        total = sum(labels.values())
        rows.append((f"{part} labels", ", ".join(f"{label} {n / total:.1%}" for label, n in labels.items())))
    for problem in audit.problems:
        rows.append(("doubtful", f"{problem.n_rows:,} × {problem.what}, as {_examples(problem.examples)}"))
    if audit.small_relations:
        names = [f"{name} ({n})" for name, n in audit.small_relations.items()]
        more = f", … {len(names) - 8} more" if len(names) > 8 else ""
        rows.append(("few pairs", f"{len(names)} relations have fewer than 10: {', '.join(names[:8])}{more}"))
    if missed := audit.not_looked_for:
        rows.append(("not looked for", f"{', '.join(missed)}: the data do not name them (docs/data.md)"))
    rows += [("not checked", reason) for reason in audit.unchecked]
    return Lines(leaks, scores, _rows(rows))


def audit_lines(audits: Sequence[Overview]) -> Lines:
    """The short table before a run."""
    table = plain_table("Before training", "task", "the test part shares with training", "best shortcut")
    for audit in audits:
        shares = [
            f"{leak.what} {f'{leak.share:.0%}' if leak.share >= 0.01 else leak.n_rows}"
            for leak in audit.leaks
            if leak.share is not None and leak.n_rows
        ]
        found = ", ".join(shares) or "nothing"
        if missed := audit.not_looked_for:
            found += f"; not looked for: {', '.join(missed)}"
        name, score = audit.best_shortcut
        table.add_row(audit.task, Text(found), f"{title_of(name)} {score:.3f}")
    return Lines(table)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Lines:
    """Pairs one below the other, as a person reads them."""
    lines: list[RenderableType] = []
    for row in rows:
        relation = f" · {row['relation']}" if row["relation"] else ""
        lines += [
            shown(f"{row['part']} · {row['id']} · {row['label']}{relation}", style="dim"),
            shown(f"  {row['premise']}"),
            *([shown(f"  {row['hypothesis']}")] if row["hypothesis"] else []),
        ]
    return Lines(*lines)


def title_of(shortcut: str) -> str:
    """A shortcut's name in words.

    >>> title_of("bag_of_words")
    'bag of words'
    """
    return shortcut.replace("_", " ")


def _examples(examples: Sequence[str]) -> str:
    return "; ".join(examples) or "-"
