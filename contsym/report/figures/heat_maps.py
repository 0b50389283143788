"""Heat maps: accuracy matrices, and accuracy by relation."""

from __future__ import annotations

from typing import Any

from contsym.report.collect import title_of
from contsym.report.figures import style
from contsym.report.figures.style import Figure, View, plain
from contsym.report.measures import Measures
from contsym.report.placement import Placement
from contsym.report.table_formats import interval_text
from contsym.report.tables.layout import relation_tasks, relation_title, relations, row_names


def matrices(measures: Measures) -> Figure:
    collected = measures.collected
    n_rows = -(-len(collected.variants) // 2)
    height = 60 + n_rows * (80 + 34 * len(row_names(collected)))
    return Figure(
        "matrices",
        "Accuracy matrices as heat maps",
        "Accuracy on each task (columns) before any training and after each experience (rows), mean over "
        f"{collected.seeds_text}. A column that darkens from its own row down was forgotten.",
        [_matrices_view(measures, shots, n_rows, height) for shots in reversed(collected.shots)],
        select="shots",
        height=height,
    )


def _matrices_view(measures: Measures, shots: int, n_rows: int, height: int) -> View:
    import numpy as np

    collected = measures.collected
    variants = [v for v in collected.variants if collected.group(v, shots)]
    n_columns = min(2, len(collected.variants))
    grid = style.subplots(
        rows=n_rows,
        cols=n_columns,
        subplot_titles=[plain(v) for v in variants],
        shared_yaxes=True,
        horizontal_spacing=0.06,
        vertical_spacing=min(0.9 / n_rows, 70 / height),
    )
    for i, variant in enumerate(variants):
        per_seed = collected.values(variant, shots, lambda result: result.matrix)
        z = np.mean(per_seed, axis=0).round(4).tolist()
        x = [plain(title_of(task)) for task in collected.tasks]
        y = [plain(name) for name in row_names(collected)]
        heat = {
            "type": "heatmap",
            "z": z,
            "x": x,
            "y": y,
            "coloraxis": "coloraxis",
            "name": plain(variant),
            "hovertemplate": f"%{{x}}, %{{y}}: %{{z:.3f}}, n = {len(per_seed)}",
        }
        for trace in (heat, style.cell_numbers(x, y, z)):
            grid.add_trace(trace, row=i // n_columns + 1, col=i % n_columns + 1)

    def adapt(layout: dict[str, Any]) -> None:
        for name, axis in layout.items():
            if name.startswith("yaxis"):
                axis |= {"autorange": "reversed", "automargin": True}
        layout |= {"coloraxis": style.heat_axis(), "margin": {"l": 120, "r": 16, "t": 40, "b": 40}}

    return style.grid_view(measures.collected.shots_words(shots), grid, adapt)


def by_relation(measures: Measures) -> Figure:
    collected = measures.collected
    tasks = relation_tasks(collected)
    n_relations = max([1, *(len(relations(collected, task)) for task in tasks)])
    return Figure(
        "relations",
        "Accuracy by relation",
        f"Accuracy at the end by relation (its test {collected.units()} in brackets), mean over "
        f"{collected.seeds_text}; the commonest relation first.",
        [_relations_view(measures, task, shots) for task in tasks for shots in reversed(collected.shots)],
        select="shots",
        height=110 + 24 * n_relations,
    )


def _relations_view(measures: Measures, task: str, shots: int) -> View:
    names = relations(measures.collected, task)
    variants = [v for v in measures.collected.variants if measures.collected.group(v, shots)]
    parts = [measures.by_relation(v, shots, task) for v in variants]
    rows = [[part.get(name) for part in parts] for name in names]
    # Columns and rows are numbers, since shortened names may be equal.
    trace: style.Trace = {
        "type": "heatmap",
        "z": [[cell and round(cell.mean, 4) for cell in row] for row in rows],
        "x": list(range(len(variants))),
        "y": list(range(len(names))),
        "customdata": [
            [
                [plain(v), plain(relation_title(name)), interval_text(cell) if cell else ""]
                for v, cell in zip(variants, row, strict=True)
            ]
            for name, row in zip(names, rows, strict=True)
        ],
        "coloraxis": "coloraxis",
        "hovertemplate": "%{customdata[1]}<br>%{customdata[0]}: %{customdata[2]}<extra></extra>",
    }
    labels = [f"{plain(style.shortened(relation_title(name)))} ({n:,})" for name, n in names.items()]
    columns = {"tickvals": trace["x"], "ticktext": [plain(v) for v in variants], "side": "top"}
    ticks: dict[str, Any] = {"tickmode": "array", "automargin": True, "showgrid": False, "zeroline": False}
    layout = {
        # The numbers are points, around which Plotly would leave room.
        "xaxis": {**ticks, **columns, "range": [-0.5, len(variants) - 0.5]},
        "yaxis": {**ticks, "range": [len(names) - 0.5, -0.5], "tickvals": trace["y"], "ticktext": labels},
        "coloraxis": style.heat_axis(),
        "margin": {"l": 40, "r": 16, "t": 40, "b": 16},
    }
    numbers = style.cell_numbers(trace["x"], trace["y"], trace["z"])
    return View(f"{title_of(task)}, {measures.collected.shots_words(shots)}", [trace, numbers], layout)


PLACEMENTS = (Placement("matrices", matrices), Placement("relations", by_relation))
