"""Heat maps: accuracy matrices, and accuracy by relation."""

from __future__ import annotations

from contsym.report.collect import title_of
from contsym.report.figures.style import (
    Canvas,
    Figure,
    View,
    heat_axis,
    plain,
    shortened,
    subplots,
    traces_of,
    without_template,
)
from contsym.report.table_formats import interval_text
from contsym.report.tables.layout import kind_tasks, relation_title, relations, row_names


def matrices(canvas: Canvas) -> Figure:
    import numpy as np

    collected, views = canvas.collected, []
    tasks = [plain(title_of(task)) for task in collected.tasks]
    rows = [plain(name) for name in row_names(collected)]
    n_columns = min(2, len(collected.variants))
    n_rows = -(-len(collected.variants) // n_columns)
    height = 60 + n_rows * (80 + 34 * len(rows))
    for shots in reversed(collected.shots):
        present = [v for v in collected.variants if collected.group(v, shots)]
        # For its layout: titles and axes side by side.
        grid = subplots(
            rows=n_rows,
            cols=n_columns,
            subplot_titles=[plain(v) for v in present],
            shared_yaxes=True,
            horizontal_spacing=0.06,
            vertical_spacing=min(0.9 / n_rows, 70 / height),
        )
        for i, variant in enumerate(present):
            found = collected.values(variant, shots, lambda result: result.matrix)
            grid.add_trace(
                {
                    "type": "heatmap",
                    "z": np.mean(found, axis=0).round(4).tolist(),
                    "x": tasks,
                    "y": rows,
                    "coloraxis": "coloraxis",
                    "texttemplate": "%{z:.2f}",
                    "name": plain(variant),
                    "hovertemplate": f"%{{x}}, %{{y}}: %{{z:.3f}}, n = {len(found)}",
                },
                row=i // n_columns + 1,
                col=i % n_columns + 1,
            )
        layout = without_template(grid)
        for name, axis in layout.items():
            if name.startswith("yaxis"):
                axis |= {"autorange": "reversed", "automargin": True}
        layout |= {"coloraxis": heat_axis(), "margin": {"l": 120, "r": 16, "t": 40, "b": 40}}
        views.append(View(f"{shots:,} shots", traces_of(grid), layout))
    return Figure(
        "matrices",
        "Accuracy matrices as heat maps",
        "Accuracy on each task (columns) before any training and after each experience (rows), mean over "
        f"{collected.seeds_said}. A column that darkens from its own row down was forgotten.",
        tuple(views),
        select="shots",
        height=height,
        has_toggles=False,
    )


def by_relation(canvas: Canvas) -> Figure | None:
    collected, views, n_most = canvas.collected, [], 1
    for task in kind_tasks(collected):
        names = relations(canvas.measures, task)
        n_most = max(n_most, len(names))
        for shots in reversed(collected.shots):
            present = [v for v in collected.variants if collected.group(v, shots)]
            parts = {v: canvas.measures.by_relation(v, shots, task) for v in present}
            z = [
                [round(parts[v][name].accuracy.mean, 4) if name in parts[v] else None for v in present]
                for name in names
            ]
            said = [
                [interval_text(parts[v][name].accuracy) if name in parts[v] else "" for v in present]
                for name in names
            ]
            labels = [f"{plain(shortened(relation_title(name)))} ({n:,})" for name, n in names.items()]
            trace = {
                "type": "heatmap",
                "z": z,
                # By place: names that are cut short may be the same.
                "x": list(range(len(present))),
                "y": list(range(len(names))),
                "customdata": [
                    [
                        [plain(v), plain(relation_title(name)), text]
                        for v, text in zip(present, row, strict=True)
                    ]
                    for name, row in zip(names, said, strict=True)
                ],
                "coloraxis": "coloraxis",
                "texttemplate": "%{z:.2f}",
                "hovertemplate": "%{customdata[1]}<br>%{customdata[0]}: %{customdata[2]}<extra></extra>",
            }
            ticks = {"tickmode": "array", "automargin": True, "showgrid": False, "zeroline": False}
            layout = {
                "xaxis": {
                    **ticks,
                    "side": "top",
                    "tickvals": trace["x"],
                    "ticktext": [plain(v) for v in present],
                },
                "yaxis": {**ticks, "autorange": "reversed", "tickvals": trace["y"], "ticktext": labels},
                "coloraxis": heat_axis(),
                "margin": {"l": 40, "r": 16, "t": 40, "b": 16},
            }
            views.append(View(f"{title_of(task)}, {shots:,} shots", [trace], layout))
    if not views:
        return None
    return Figure(
        "relations",
        "Accuracy by relation",
        "Accuracy at the end by relation (its test pairs in brackets), mean over "
        f"{collected.seeds_said}; the commonest relation first.",
        tuple(views),
        select="shots",
        height=110 + 24 * n_most,
        has_toggles=False,
    )
