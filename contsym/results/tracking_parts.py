"""What belongs to a run in MLflow beside its parameters and metrics: datasets and a trained model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contsym.results.mlflow_records import Record, safe

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

ADDED_BY_ANOTHER = "unique constraint|duplicate key|duplicate entry"
"""Messages of SQLite, PostgreSQL and MySQL where another process has added the same row first."""


def dataset_inputs(record: Record) -> list[DatasetInput]:
    """The data of a run, by task."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for task, source in record.sources.items():
        name, digest = source.name[:500], source.fingerprint[:36]
        profile = json.dumps(source.model_dump(include={"rows", "available"}))
        dataset = Dataset(name, digest, "contsym", json.dumps({"name": name}), None, profile)
        # One input for train and test: MLflow takes a name and digest once per run.
        context = InputTag("mlflow.data.context", "train, test")
        inputs.append(DatasetInput(dataset, [context, InputTag("task", task)]))
    return inputs


def log_inputs(client: MlflowClient, run_id: str, inputs: Sequence[DatasetInput]) -> None:
    """Log a run's datasets.

    MLflow adds datasets that it does not have. If another process adds one at the same moment, the whole call
    fails, and the next call finds that dataset; so each dataset costs at most one more call.
    """
    from mlflow.exceptions import MlflowException

    for n_left in range(len(inputs), -1, -1):
        try:
            if inputs:
                client.log_inputs(run_id, inputs)
            return
        except MlflowException as error:
            if not n_left or not re.search(ADDED_BY_ANOTHER, str(error), re.IGNORECASE):
                raise


def send_model(client: MlflowClient, experiment: str, run_id: str, record: Record) -> str | None:
    """Log the folder of a trained model as a logged model of its run; gives its id, None where there is no model.

    Not by a flavour: those of MLflow for PyTorch pickle. The artifacts are the folder as it is.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    if record.model is None:
        return None
    query = f"source_run_id = '{run_id}'"
    known = client.search_logged_models([experiment], filter_string=query)
    if ready := [each for each in known if each.status == LoggedModelStatus.READY]:
        return ready[0].model_id
    tags = {name: record.tags[name] for name in ("contsym.key", "contsym.run", "contsym.seed")}
    name = safe(record.name).replace(".", "_")
    model = client.create_logged_model(experiment, name, run_id, tags, record.params, "contsym")
    client.log_model_artifacts(model.model_id, str(record.model))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    return model.model_id
