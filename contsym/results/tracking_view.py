"""What MLflow's page of an experiment shows first: runs with measures as columns, and charts of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "contsym"
"""The name of the view in the page's address."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""The tag of an experiment in which MLflow looks for a shared view."""
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
"""Without it the page would ask whether the experiment is of generative AI."""
GROUPS = (("param", "variant"), ("param", "shots"), ("tag", "contsym.run"))
"""By these the runs are grouped, with means over the seeds; the cells of a sweep would be folded away else."""
SECTION = "contsym-measures"
MAX_TAG = 5000
"""MLflow's limit for tags of experiments, in characters."""


def view_of(columns: Sequence[str], measures: Sequence[str]) -> str:
    """The view as MLflow stores it, in JSON: columns of measures and parameters, a bar chart per measure.

    The first two measures are also drawn against each other.
    """
    charts: list[dict[str, Any]] = [_chart("BAR", i, metricKey=name) for i, name in enumerate(measures)]
    if len(measures) > 1:
        y, x = ({"key": name, "type": "METRIC"} for name in measures[:2])
        charts.insert(0, _chart("SCATTER", len(charts), xaxis=x, yaxis=y))
    keys = [{"mode": mode, "groupByData": name} for mode, name in GROUPS]
    shown = [f"metrics.`{name}`" for name in measures] + [f"params.`{name}`" for name in columns]
    state = {
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys},
        "useGroupedValuesInCharts": True,
        "selectedColumns": shown,
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": [{"uuid": SECTION, "name": "Measures", "display": True, "isReordered": True}],
        "isAccordionReordered": True,
    }
    return json.dumps(state, separators=(",", ":"))


def _chart(kind: str, i: int, **more: Any) -> dict[str, Any]:
    fixed = {"runsCountToCompare": 20, "metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    return {"type": kind, "uuid": f"{SECTION}-{i}", **fixed, **more}


def set_view(client: MlflowClient, experiment: str, view: str) -> None:
    """Store the view of an experiment, unless it is there."""
    from mlflow.exceptions import MlflowException

    tags = client.get_experiment(experiment).tags
    for name, value in ((VIEW_TAG, view), (KIND_TAG, KIND)):
        if tags.get(name) == value or len(value) > MAX_TAG:
            continue
        try:
            client.set_experiment_tag(experiment, name, value)
        except MlflowException:
            # Another process may have set it in between.
            if client.get_experiment(experiment).tags.get(name) != value:
                raise


def page_of(database: Path) -> str:
    """The part of the address, after the host, of the experiment with the latest run; empty where there is none.

    Asks the database itself, since importing MLflow takes seconds.
    """
    query = (
        "SELECT e.experiment_id FROM experiments e JOIN runs r ON r.experiment_id = e.experiment_id "
        "JOIN experiment_tags t ON t.experiment_id = e.experiment_id AND t.key = ? "
        "WHERE r.lifecycle_stage = 'active' ORDER BY r.start_time DESC LIMIT 1"
    )
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
            found = db.execute(query, (VIEW_TAG,)).fetchone()
    except (
        sqlite3.OperationalError
    ):  # a database of another version of MLflow, which the UI itself will refuse
        return ""
    query = f"workflowType=machine_learning&viewStateShareKey={VIEW}"
    return f"/#/experiments/{found[0]}/runs?{query}" if found else ""
