"""Sends stored results to MLflow, each once, whatever fails in between."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shlex
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from contsym.config import DEFAULT_OUTPUT
from contsym.errors import ContsymError, TrackingError
from contsym.files import clear_partial, to_json, write_file
from contsym.machine import changed_environment
from contsym.results.mlflow_records import Record, experiment_name
from contsym.results.tracking_failures import display_uri, reason_and_remedy
from contsym.results.tracking_parts import dataset_inputs, log_inputs, send_model
from contsym.results.tracking_view import page_of, set_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


SQLITE = "sqlite:///"
LOCK_SECONDS = 60
MAX_PARAM, MAX_TAG = 6000, 8000
"""MLflow's limits, in characters."""
TRACKED = "runs/{}/tracked/{}.json"
"""In an output folder: the mark of a result that was sent, by run and key."""
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # MLflow would print the run's address, password included, on the stdout of `run --json`.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Set while a store is used, unless the user has set them."""

STORES = ("sqlite", "postgresql", "mysql", "mssql", "file")
"""Schemes of MLflow's own stores; `+driver` may follow."""


def default_uri(output: Path) -> str:
    """The database in the output folder."""
    return f"{SQLITE}{output.resolve() / 'mlflow.db'}"


def resolve_uri(output: Path, uri: str | None) -> str:
    """This URI, or else that of MLFLOW_TRACKING_URI, or else default_uri; SQLite paths absolute."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or default_uri(output)
    return f"{SQLITE}{path}" if (path := _database(uri)) else uri


def is_local(uri: str) -> bool:
    """Whether the store is a database file, which needs no network."""
    return _database(uri) is not None


def ui_command(output: Path, uri: str, host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command and the complete environment that start MLflow's UI on a store.

    Raises TrackingError if the store does not exist, or is a server, which has its own UI.
    """
    shown = display_uri(uri)
    if _is_server(uri):
        raise TrackingError(f"{shown} is a server with a UI of its own: open it there")
    scheme, is_uri, _ = uri.partition("://")
    if is_uri and scheme.partition("+")[0] not in STORES:
        raise TrackingError(
            f"{shown} is not a store that MLflow knows; expected a folder, or {', '.join(STORES)}://..."
        )
    if path := _database(uri):
        if not path.is_file():
            raise TrackingError(
                f"{shown} is not there yet; contsym run makes it, or from stored results {_sync_command(output, uri)}"
            )
        with as_tracking_error("opening it", output, uri):
            _check_readable(path)
    elif (not is_uri or scheme == "file") and not Path(unquote(uri.removeprefix("file://"))).is_dir():
        raise TrackingError(
            f"{shown}: no such folder; expected a store of MLflow, as sqlite:///PATH or a folder"
        )
    # Artifacts that others send to this server go where contsym's artifacts are.
    artifacts = _artifact_location(output, uri)
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--workers", "1", "--artifacts-destination", artifacts]
    environment = {**ENVIRONMENT, **os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    if shown != uri:
        # ps shows arguments to all users of the machine, and the environment to its owner.
        return command, {**environment, "MLFLOW_BACKEND_STORE_URI": uri}
    return [*command, "--backend-store-uri", uri], environment


def ui_page(uri: str) -> str:
    """The address, after the host, at which the UI shows the latest runs; empty for its own start page."""
    path = _database(uri)
    return page_of(path) if path else ""


# -- Sending. --


def send_run(
    folder: Path,
    output: Path,
    uri: str,
    scenario: str,
    parent: Record,
    children: Mapping[Path, Record],
    view: str,
) -> None:
    """Send a run: the parent first, so that every child with a mark has a complete parent.

    `folder` has the run's record; the scenario names the experiment, which shows `view` first. `children` are the
    records of the results by their marks, the files that record where a result was sent.
    """
    from filelock import FileLock

    with (
        FileLock(folder / ".tracking.lock", timeout=LOCK_SECONDS),
        opened(output, uri) as client,
    ):
        experiment = experiment_id(client, output, uri, experiment_name(scenario))
        set_view(client, experiment, view)
        runs = runs_of(client, experiment, parent.tags["contsym.run"])
        known = runs.get((None, None))
        # Another output folder may have sent the same results; their means would be there twice.
        is_known = known is not None and known.info.status == parent.status and _has_tags(known, parent)
        parent_id = known.info.run_id if known and is_known else _send(client, experiment, known, parent)
        for mark, record in children.items():
            if is_sent(mark, uri, record.model is not None):
                continue
            record.tags["mlflow.parentRunId"] = parent_id
            run = runs.get((record.tags["contsym.seed"], record.tags["contsym.key"]))
            is_complete = run is not None and run.info.status == "FINISHED"
            run_id = run.info.run_id if run and is_complete else _send(client, experiment, run, record)
            model_id = send_model(client, experiment, run_id, record)
            mark.parent.mkdir(exist_ok=True)
            sent = {
                "uri": display_uri(uri),
                "run_id": run_id,
                "experiment_id": experiment,
                "model_id": model_id,
            }
            write_file(mark, to_json(sent))


def _has_tags(run: Run, record: Record) -> bool:
    tags = {name: value[:MAX_TAG] for name, value in record.tags.items()}
    return tags.items() <= dict(run.data.tags).items()


def _send(client: MlflowClient, experiment: str, run: Run | None, record: Record) -> str:
    """Fill a new or unfinished run and end it; returns its id."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(name, value[:MAX_PARAM]) for name, value in record.params.items()]
    tags = {name: value[:MAX_TAG] for name, value in record.tags.items()}
    run = run or client.create_run(experiment, record.started, tags, record.name)
    run_id = run.info.run_id
    metrics = [Metric(name, float(value), record.timestamp, step) for name, value, step in record.metrics]
    run_tags = [RunTag(name, value) for name, value in tags.items()]
    # MLflow takes at most 100 parameters, 100 tags or 1000 metrics in one call.
    for i in range(0, max(len(params), len(run_tags)), 100):
        part = slice(i, i + 100)
        client.log_batch(run_id, params=params[part], tags=run_tags[part], synchronous=True)
    for i in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[i : i + 1000], synchronous=True)
    log_inputs(client, run_id, dataset_inputs(record))
    for path in regular_files(record.files):
        client.log_artifact(run_id, str(path))
    for name, text in record.texts.items():
        client.log_text(run_id, text, name)
    if record.status == "RUNNING":
        client.update_run(run_id, record.status)
    else:
        client.set_terminated(run_id, record.status, record.ended)
    return run_id


def regular_files(paths: Sequence[Path]) -> list[Path]:
    """The files among these paths; links may lead to files of others."""
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def runs_of(client: MlflowClient, experiment: str, name: str) -> dict[tuple[str | None, str | None], Run]:
    """The MLflow runs of a stored run, by seed and key; the parent has neither."""
    query = f"tags.`contsym.run` = '{name}'"
    pages = [client.search_runs([experiment], query)]
    while token := pages[-1].token:
        pages.append(client.search_runs([experiment], query, page_token=token))
    tagged = [(run.data.tags, run) for page in pages for run in page]
    return {(tags.get("contsym.seed"), tags.get("contsym.key")): run for tags, run in tagged}


def experiment_id(client: MlflowClient, output: Path, uri: str, name: str) -> str:
    """The id of the experiment, which is made if it does not exist."""
    from mlflow.exceptions import MlflowException

    # A server decides itself where artifacts go; a database would say ./mlruns.
    location = None if _is_server(uri) else _artifact_location(output, uri, name)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, location)
        except MlflowException:
            # Another process may have made it in between.
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        number = experiment.experiment_id
        raise TrackingError(
            f"{display_uri(uri)}: the experiment {name} was deleted there; restore it (mlflow experiments restore "
            f"--experiment-id {number}) or remove it for good (mlflow gc), then {_sync_command(output, uri)}"
        )
    if is_local(uri) and experiment.artifact_location != location:
        # MLflow stores absolute paths and has no call that changes them.
        raise TrackingError(
            f"{display_uri(uri)} was moved, and MLflow would write to {experiment.artifact_location}; move this file "
            f"away, then {_sync_command(output, uri)} makes a new one"
        )
    return experiment.experiment_id


def sent_as(mark: Path, uri: str) -> str | None:
    """The MLflow run of a result that was sent completely to this URI, from its mark; else None."""
    if (path := _database(uri)) and not path.is_file():
        return None  # someone deleted the database
    sent = _read_mark(mark, uri)
    return str(sent["run_id"]) if sent else None


def is_sent(mark: Path, uri: str, has_model: bool) -> bool:
    """Whether a result was sent completely to this URI, with its model if it has one."""
    if sent_as(mark, uri) is None:
        return False
    sent = _read_mark(mark, uri)
    return not has_model or bool(sent and sent.get("model_id"))


def _read_mark(mark: Path, uri: str) -> dict[str, Any] | None:
    try:
        sent = json.loads(mark.read_text("utf-8"))
        return sent if sent["uri"] == display_uri(uri) and "run_id" in sent else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


# -- The store. --


@contextmanager
def opened(output: Path, uri: str) -> Iterator[MlflowClient]:
    """A client of the store; a database is made if it does not exist. MLflow is quiet and waits 20 s at most."""
    with _quiet_mlflow():
        yield _open(output, uri)


def probe(output: Path, uri: str) -> str:
    """The state of a store in words; makes nothing. A server gets one question, of at most 20 s.

    Raises TrackingError if the store cannot be used.
    """
    path = _database(uri)
    if path is not None and not path.is_file():
        return "not there yet; the first run makes it"
    with as_tracking_error("looking at it", output, uri):
        if path is not None:
            # MLflow itself would bring an old database up to date.
            _check_readable(path)
            return "a database"
        with _quiet_mlflow():
            from mlflow import MlflowClient

            MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    return "answers"


def answers(output: Path, uri: str) -> bool:
    """Whether the store can be opened and answers one question."""
    try:
        with as_tracking_error("looking at it", output, uri), opened(output, uri) as client:
            client.search_experiments(max_results=1)
    except TrackingError:
        return False
    return True


def _open(output: Path, uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    if path := _database(uri):
        make_database(path, output)
        _check_readable(path)
    return MlflowClient(tracking_uri=uri)


def make_database(path: Path, output: Path) -> None:
    """Make an MLflow database unless it exists; any number of processes may call this at once.

    The database is made under a temporary name and renamed: processes that open a fresh database together, or a kill
    while its tables are made, damage it for good. Marks of results that were sent to a deleted database of this name
    are deleted.
    """
    if path.is_file():
        return
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
        if path.is_file():
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        clear_partial(path.parent, older_than=0, of=path.name)
        for mark in output.glob(TRACKED.format("*", "*")):
            if json.dumps(f"{SQLITE}{path}", ensure_ascii=False) in mark.read_text("utf-8"):
                mark.unlink()
        partial = path.with_name(f".partial-{path.name}-{secrets.token_hex(4)}")
        # Not by a client: it keeps its connection, and SQLite refuses one whose file was renamed.
        SqlAlchemyStore(f"{SQLITE}{partial}", _artifact_location(output, f"{SQLITE}{path}")).engine.dispose()
        partial.rename(path)


def _check_readable(path: Path) -> None:
    """Raise sqlite3.DatabaseError if the file is not a database: MLflow tries for 100 s to open one.

    The file is opened for writing too, so that the unfinished transaction of a killed process is rolled back.
    """
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=5)) as db:
        if not db.execute("PRAGMA schema_version").fetchone()[0]:
            raise sqlite3.DatabaseError("file is not a database: it has no tables")


def _database(uri: str) -> Path | None:
    """The file of a SQLite URI."""
    name = uri.removeprefix(SQLITE).partition("?")[0]
    return Path(name).resolve() if uri.startswith(SQLITE) and name else None


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _artifact_location(output: Path, uri: str, experiment: str = "") -> str:
    """Beside the database, or in the output folder for other stores."""
    path = _database(uri)
    return ((path.parent if path else output.resolve()) / "artifacts" / experiment).as_uri()


@contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """Import mlflow with bounded waiting, and without its log, as a failure is one line of contsym."""
    with changed_environment({name: v for name, v in ENVIRONMENT.items() if name not in os.environ}):
        import mlflow  # noqa: F401 -- importing it sets its loggers up

        loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
        levels = [logger.level for logger in loggers]
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def as_tracking_error(action: str, output: Path, uri: str) -> Iterator[None]:
    """Turn every error of a store into a TrackingError."""
    try:
        yield
    except ContsymError:
        raise
    except Exception as error:  # a plug-in store may raise anything
        reason, remedy = reason_and_remedy(error, uri)
        raise TrackingError(
            f"MLflow store {display_uri(uri)}: {action} failed ({reason}); results are stored: "
            f"{remedy}, then {_sync_command(output, uri)}"
        ) from None


def _sync_command(output: Path, uri: str) -> str:
    words = ["contsym", "sync"]
    words += ["--output", str(output)] if str(output) != DEFAULT_OUTPUT else []
    words += ["--tracking-uri", display_uri(uri)] if uri != default_uri(output) else []
    return shlex.join(words)
