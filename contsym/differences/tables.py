"""The tables of a comparison's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contsym.differences.schema import Change, Checkpoint, Diff, Group
from contsym.differences.sentences import distance_text, signed
from contsym.report.table_formats import Cell, Column, Table, make_table, text_column
from contsym.report.tables.layout import relation_title
from contsym.results.metrics.stats import p_text

ACCURACIES = (
    Column("before", form="{:.3f}"),
    Column("after", form="{:.3f}"),
    Column("change", "change", ("", "low", "high")),
    Column("p, Holm-corrected", "p"),
    Column("least detectable change", "least", form="{:.3f}"),
)
TASK, MEASURE = text_column("task"), text_column("measure")


FLIPS = "lost: right, then wrong · won: wrong, then right · other: wrong in another way"


def all_tables(found: Diff) -> list[tuple[str, Table]]:
    """Every table that has rows, with the id of its section."""
    made = [
        ("abilities", abilities(found)),
        ("answers", flips(found)),
        ("answers", shares(found)),
        ("groups", groups(found)),
        ("groups", unchanged_groups(found)),
        ("where", parts(found)),
        ("where", tensors(found)),
        ("returned", returned(found)),
        ("provenance", checkpoints(found)),
        ("provenance", tasks(found)),
    ]
    return [(section, table) for section, table in made if table.rows]


def abilities(found: Diff) -> Table:
    majority = {task.name: task.majority for task in found.tasks}
    rows = ((a.task, a.measure, a.n, majority[a.task], *_changes(a)) for a in found.abilities)
    return make_table(
        "abilities",
        "Accuracy on the same pairs",
        (TASK, MEASURE, Column("pairs", "n"), Column("majority", form="{:.3f}"), *ACCURACIES),
        rows,
        "method: what a model that contsym run saved answers, as in its run. own head: what the checkpoint's NLI head "
        f"answers; training may leave it as it was. A probe (logistic regression) and k-NN ({found.k_votes} votes) "
        f"answer the pairs of each of {found.n_folds} folds after learning from the pairs outside it, in the same folds.",
        f"majority: the accuracy of the most frequent label alone. {drawn(found)}".strip(),
        "Change: NEW less OLD with its 95% interval, a paired bootstrap over the pairs. p: the larger of this test's and "
        "McNemar's exact one, corrected after Holm over all abilities; bold: below 0.05. The interval is not corrected, so "
        "it may leave out 0 where p is above 0.05. Least detectable change: what as many pairs would show in 80 of 100 "
        "repetitions (Connor 1987).",
    )


def drawn(found: Diff) -> str:
    """That the pairs are not all of the task, where they are not."""
    if not any(task.n == found.limit for task in found.tasks):
        return ""
    return f"Pairs: this command's own draw of at most {found.limit:,} per task, so the accuracies of a run may differ."


def flips(found: Diff) -> Table:
    columns = (
        *(TASK, MEASURE, Column("pairs", "n")),
        *(Column("lost"), Column("won"), Column("other")),
    )
    rows = (
        (a.task, a.measure, a.n, a.flips.lost, a.flips.won, a.flips.other) for a in found.abilities if a.flips
    )
    return make_table("flips", "Pairs whose answer changed", columns, rows, f"{FLIPS}.")


def shares(found: Diff) -> Table:
    columns = (
        *(TASK, MEASURE, text_column("label")),
        *(Column(title, form="{:.1%}") for title in ("true", "before", "after")),
    )
    rows = (
        (a.task, a.measure, share.label, share.true, share.before, share.after)
        for a in found.abilities
        for share in a.shares
    )
    return make_table(
        "label-shares",
        "How often each label is right, and is answered",
        columns,
        rows,
        "true: how often the label is right.",
        "A side whose share of a label grew far beyond the share that is right prefers that label.",
    )


def _changes(change: Change) -> Iterable[Cell | float | None]:
    if change.change is None or change.p is None:
        return change.before, change.after, None, None, None
    return (
        change.before,
        change.after,
        _interval_cell(change.change, change.low, change.high, change.is_shown),
        Cell(p_text(change.p), (change.p,), change.is_shown),
        change.least,
    )


def _interval_cell(value: float, low: float | None, high: float | None, is_shown: bool) -> Cell:
    return Cell(f"{signed(value)} [{signed(low)}, {signed(high)}]", (value, low, high), is_shown)


GROUPS = (TASK, MEASURE, text_column("column"), text_column("pairs of", "group"), Column("pairs", "n"))


def groups(found: Diff) -> Table:
    rows = (
        (a.task, a.measure, g.column, relation_title(g.name), g.n, *_changes(g))
        for a in found.abilities
        for g in ordered_groups(a.groups)
        if g.change
    )
    return make_table(
        "groups",
        "By relation, kind and skill: what changed",
        (*GROUPS, *ACCURACIES),
        rows,
        "The kinds first, then by the size of the change. p: corrected over the groups of one column of an ability, those "
        "that did not change among them.",
    )


def ordered_groups(groups: Iterable[Group]) -> list[Group]:
    """The kinds in one order for every ability, then relations and skills by the size of their change."""
    return sorted(
        groups, key=lambda g: (0, 0.0, g.name) if g.column == "kind" else (1, -abs(g.change or 0.0), "")
    )


def unchanged_groups(found: Diff) -> Table:
    rows = [
        (a.task, a.measure, g.column, relation_title(g.name), g.n, g.before, g.after)
        for a in found.abilities
        for g in a.groups
        if not g.change
    ]
    columns = (*GROUPS, Column("before", form="{:.3f}"), Column("after", form="{:.3f}"))
    return make_table(
        "groups-unchanged", f"{len(rows):,} groups without a change, or of one side alone", columns, rows
    )


def parts(found: Diff) -> Table:
    columns = (
        text_column("part"),
        Column("weights"),
        Column("1 - CKA", "cka_distance"),
        Column("cosine drift", "drift"),
        Column("neighbours lost", "neighbours_lost"),
    )
    rows = (
        (p.name, *map(_distance, (p.weights, p.cka_distance, p.drift, p.neighbours_lost)))
        for p in found.parts
    )
    what = "pairs of sentences" if found.reads == "pairs" else "sentences"
    return make_table(
        "parts",
        "How far each part moved",
        columns,
        rows,
        f"0: equal. Weights: length of the difference, as a share of OLD's length. The others: mean token states of "
        f"{found.n_texts:,} {what} after this part. 1 - CKA: linear (Kornblith et al. 2019). Neighbours lost: of the "
        f"{found.k_neighbours} nearest texts by cosine. vectors: after the pooling. head: the NLI head, with the pooler that "
        "a classifier reads.",
    )


def _distance(value: float | None) -> Cell | None:
    return None if value is None else Cell(distance_text(value), (value,))


def tensors(found: Diff) -> Table:
    rows = [
        (part.name, tensor.name, _distance(tensor.weights))
        for part in found.parts
        for tensor in part.tensors
        if tensor.weights != 0
    ]
    n_equal = sum(len(part.tensors) for part in found.parts) - len(rows)
    return make_table(
        "weights",
        "How far each matrix and vector of weights moved",
        (text_column("part"), text_column("name"), Column("distance", "weights")),
        rows,
        f"Length of the difference, as a share of OLD's length. {n_equal:,} more are equal.",
    )


def returned(found: Diff) -> Table:
    columns = (
        text_column("part of OLD"),
        TASK,
        MEASURE,
        Column("accuracy", form="{:.3f}"),
        Column("less NEW's", "returned", ("", "low", "high")),
        Column("of the loss returned", "share", form="{:.0%}"),
    )
    rows = (
        (
            t.part,
            r.task,
            r.measure,
            r.accuracy,
            _interval_cell(r.returned, r.low, r.high, r.is_shown),
            r.share,
        )
        for t in found.transplants
        for r in t.abilities
    )
    return make_table(
        "returned",
        "NEW with one part of OLD put back",
        columns,
        rows,
        "Only abilities that were lost. Brackets: 95% interval, not corrected over the parts; bold: it leaves out 0. Probes "
        "and k-NN learn afresh each time. A part that is put back alone works among NEW's other parts, so what does not "
        "return is no evidence that the part had no share.",
    )


def checkpoints(found: Diff) -> Table:
    facts: Sequence[tuple[str, str]] = (
        ("name", "name"),
        ("title", "title"),
        ("origin", "origin"),
        ("SHA-256 of the weights", "weights_sha256"),
        ("architecture", "architecture"),
        ("layers", "n_layers"),
        ("dimensions", "dim"),
        ("pooling", "pooling"),
        ("NLI head", "head"),
        ("labels of another head, which is not measured", "unused_labels"),
        ("method", "method"),
        ("trained on, as far as is known", "seen"),
    )
    rows = [(title, _fact(found.old, name), _fact(found.new, name)) for title, name in facts]
    columns = (text_column("fact"), text_column("OLD"), text_column("NEW"))
    return make_table("checkpoints", "Both checkpoints", columns, rows)


def _fact(side: Checkpoint, name: str) -> str:
    value = getattr(side, name)
    return (
        ", ".join(value) or ("unknown" if name == "seen" else "none")
        if isinstance(value, tuple)
        else str(value or "none")
    )


def tasks(found: Diff) -> Table:
    columns = (
        TASK,
        text_column("source"),
        Column("answered", "n"),
        Column("learned from by probes and k-NN", "n_learned"),
    )
    rows = ((t.name, t.source, t.n, t.n_learned) for t in found.tasks)
    return make_table("tasks", "Numbers of pairs", columns, rows)
