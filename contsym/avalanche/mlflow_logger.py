"""Sends the loss, the metrics and the hyper-parameters of any Avalanche strategy to MLflow."""

from __future__ import annotations

import hashlib
import logging
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from avalanche.evaluation.metric_results import AlternativeValues, MetricValue
from avalanche.logging import BaseLogger
from torch import Tensor

from contsym.avalanche.experiences import name_of, task_of
from contsym.config import DEFAULT_OUTPUT
from contsym.results.mlflow_records import safe
from contsym.results.tracking import MAX_PARAM, experiment_id, opened, resolve_uri
from contsym.results.tracking_failures import display_uri, reason_and_remedy

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_KEY = 250
"""MLflow's limit, in characters."""

BATCH = 1000
"""The most metrics that MLflow takes in one call."""

SEND_SECONDS, FIRST_WAIT, LONGEST_WAIT = 30.0, 60.0, 3600.0
"""Time between two sendings while training, and between two tries of a store that failed."""

SETTINGS = {"lr": "learning_rate"}
"""contsym's names of an optimizer's settings, where they differ from torch's."""


class Sent(NamedTuple):
    """A metric on its way to MLflow."""

    key: str
    value: float | Tensor
    step: int
    timestamp: int
    """Milliseconds since 1970."""


class MLflowLogger(BaseLogger):
    """A logger for `EvaluationPlugin(..., loggers=[MLflowLogger()])`; Avalanche has none for MLflow.

    It sends to one MLflow run:

    - `loss/Exp000`, ...: the training loss of every step, at step = number of the step in its experience, from 1.
    - The scalar values of all metrics in the evaluator, at step = their x. contsym's own have the names of contsym's runs:
      `accuracy/Exp000`, `forgetting/Exp000`, `trajectory/...`. Signs that MLflow refuses become `_`; names that would then
      be equal, or are longer than 250 characters, end in a hash. Images and matrices are left out; infinity is sent as
      NaN.
    - Parameters: `strategy`, `model`, `device`, `plugins`, and `settings.*` for batch size, epochs and the optimizer's
      numbers; `params` adds to them. A run that has a parameter already keeps it.

    No model and nothing pickled is sent. The store is `tracking_uri`, or that of `mlflow.set_tracking_uri` or of
    MLFLOW_TRACKING_URI, or else `mlruns/mlflow.db`, which `contsym ui` shows. `run_id` continues a run, and leaves its
    end to whoever started it.

    Values are sent in batches: after each evaluation and experience, and every half minute. A store that fails stops no
    training: there is one warning, values wait in memory, and it is tried again after 1, 2, 4, ... minutes, for at most
    20 s each. `close()`, or leaving a `with` block, sends what is left and ends the run.

    >>> from contsym.avalanche import MLflowLogger
    >>> logger = MLflowLogger("http://127.0.0.1:5000", experiment="my benchmark", params={"seed": 0})
    >>> logger.run_id is None                  # made with the first values
    True
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        experiment: str = "avalanche",
        run_name: str | None = None,
        run_id: str | None = None,
        params: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self.tracking_uri, self.experiment = tracking_uri, experiment
        self.run_name, self.run_id = run_name, run_id
        self.params = dict(params or {})
        self._is_own_run = run_id is None
        self._params: dict[str, str] | None = None
        """What is to be sent; None before a strategy is seen."""
        self._are_params_sent = False
        self._waiting: list[Sent] = []
        self._n_old = 0
        """Of those waiting, the ones that were there at the last sending and are numbers."""
        self._keys: dict[str, str] = {}
        self._output = Path(DEFAULT_OUTPUT).resolve()
        self._uri = tracking_uri or ""
        """The store that was used last."""
        self._n_steps: dict[int, int] = {}
        self._last_sent = time.monotonic()
        self._next_try, self._wait = 0.0, FIRST_WAIT
        self._has_warned = False

    # -- Avalanche calls these. --

    def log_single_metric(self, name: str, value: object, x_plot: int) -> None:
        number = as_number(value)
        if number is not None:
            self._add(name, number, int(x_plot))

    def before_training(self, strategy, metric_values: Sequence[MetricValue]) -> None:
        self._begin(strategy)

    def before_eval(self, strategy, metric_values: Sequence[MetricValue]) -> None:
        self._begin(strategy)

    def after_training_iteration(self, strategy, metric_values: Sequence[MetricValue]) -> None:
        task = task_of(strategy.experience)
        self._n_steps[task] = self._n_steps.get(task, 0) + 1
        # A number only when it is sent: on a GPU each `float` would wait for the step.
        self._add(f"loss/{name_of(task)}", strategy.loss.detach(), self._n_steps[task])
        if len(self._waiting) - self._n_old >= BATCH or time.monotonic() - self._last_sent > SEND_SECONDS:
            self.flush()

    def after_training_exp(self, strategy, metric_values: Sequence[MetricValue]) -> None:
        self.flush()

    def after_eval(self, strategy, metric_values: Sequence[MetricValue]) -> None:
        self.flush()

    # -- Sending. --

    def flush(self) -> None:
        """Send what waits, unless a store that failed is not to be tried again yet."""
        self._last_sent = time.monotonic()
        new = self._waiting[self._n_old :]
        self._waiting[self._n_old :] = [each._replace(value=float(each.value)) for each in new]
        if time.monotonic() >= self._next_try:
            with self._survived():
                self._send(end=None)
        self._n_old = len(self._waiting)

    def close(self, status: str = "FINISHED") -> None:
        """Send what is left and end the run, unless it was given by `run_id`."""
        with self._survived():
            self._send(end=status)

    def __enter__(self) -> MLflowLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED")

    def _begin(self, strategy: Any) -> None:
        if self._params is None:
            given = {**hyper_parameters(strategy), **self.params}
            self._params = {key_of(name): str(value)[:MAX_PARAM] for name, value in given.items()}
            self.run_name = self.run_name or type(strategy).__name__

    def _add(self, name: str, value: float | Tensor, step: int) -> None:
        if name not in self._keys:
            key = key_of(name)
            self._keys[name] = key_of(name, is_hashed=True) if key in self._keys.values() else key
        self._waiting.append(Sent(self._keys[name], value, step, int(1000 * time.time())))

    def _send(self, end: str | None) -> None:
        self._uri = self._find_store()
        with opened(self._output, self._uri) as client:
            from mlflow.entities import Metric

            self._send_params(client)
            assert self.run_id
            while part := self._waiting[:BATCH]:
                metrics = [
                    Metric(key, finite(value), timestamp, step) for key, value, step, timestamp in part
                ]
                client.log_batch(self.run_id, metrics=metrics, synchronous=True)
                del self._waiting[:BATCH]
            if end and self._is_own_run:
                client.set_terminated(self.run_id, end)

    def _send_params(self, client: MlflowClient) -> None:
        """Make the run if there is none, and give it its parameters once."""
        from mlflow.entities import Param

        if self.run_id is None:
            experiment = experiment_id(client, self._output, self._uri, self.experiment)
            self.run_id = client.create_run(experiment, run_name=self.run_name).info.run_id
        if self._params and not self._are_params_sent:
            there = client.get_run(self.run_id).data.params
            params = [Param(name, value) for name, value in self._params.items() if name not in there]
            for i in range(0, len(params), 100):
                client.log_batch(self.run_id, params=params[i : i + 100], synchronous=True)
            self._are_params_sent = True

    def _find_store(self) -> str:
        uri, mlflow = self.tracking_uri, sys.modules.get("mlflow")
        # Where nobody has imported it, nobody has set its store; the import here must be a quiet one.
        if uri is None and mlflow and mlflow.is_tracking_uri_set():
            uri = mlflow.get_tracking_uri()
        return resolve_uri(self._output, uri)

    @contextmanager
    def _survived(self) -> Iterator[None]:
        """Inside, an error of the store costs one warning in all."""
        try:
            yield
            self._next_try, self._wait = 0.0, FIRST_WAIT
        except Exception as error:  # a plug-in store may raise anything
            self._next_try = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            if self._has_warned:
                return
            self._has_warned = True
            reason, remedy = reason_and_remedy(error, self._uri)
            # By the logging module, which no filter turns into an error.
            logging.getLogger("contsym").warning(
                "MLflow store %s: sending failed (%s); the training continues and the values wait in memory: %s before "
                "close(), which tries a last time",
                display_uri(self._uri),
                reason,
                remedy,
            )


def key_of(name: str, *, is_hashed: bool = False) -> str:
    """The name as a key that MLflow accepts: no sign, no empty part and no length that it refuses.

    >>> key_of("Top1_Acc[%]/../Exp000")
    'Top1_Acc___/_/Exp000'
    >>> key_of("a[1]", is_hashed=True)
    'a_1_-419b'
    """
    key = "/".join(map(safe, name.split("/")))
    if not is_hashed and len(key) <= MAX_KEY:
        return key
    mark = hashlib.sha256(name.encode()).hexdigest()[:4]
    return f"{key[: MAX_KEY - len(mark) - 1]}-{mark}"


def as_number(value: object) -> float | None:
    """The value of a metric as a number; None for an image, a text, a matrix.

    >>> import torch
    >>> as_number(torch.tensor([0.5])), as_number(3), as_number(torch.zeros(2, 2)), as_number("deep")
    (0.5, 3.0, None, None)
    """
    if isinstance(value, AlternativeValues):
        numbers = map(as_number, value.alternatives)
        return next((number for number in numbers if number is not None), None)
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.item() if math.prod(value.shape) == 1 else None
    return float(value) if isinstance(value, int | float) else None


def finite(value: float | Tensor) -> float:
    """The number, or NaN: MLflow would draw infinity as 1.8e308."""
    number = float(value)
    return number if math.isfinite(number) else math.nan


def hyper_parameters(strategy: Any) -> dict[str, object]:
    """What decides a strategy's training, as far as Avalanche's attributes say it."""
    optimizer = getattr(strategy, "optimizer", None)
    group = optimizer.param_groups[0] if optimizer is not None else {}
    numbers = {name: value for name, value in group.items() if isinstance(value, bool | int | float | tuple)}
    plugins = [type(plugin).__name__ for plugin in strategy.plugins]
    own = {"EvaluationPlugin", "PeriodicEval", "Clock"}
    found = {
        "strategy": type(strategy).__name__,
        "model": type(strategy.model).__name__,
        "device": strategy.device,
        "plugins": ", ".join(name for name in plugins if name not in own) or "none",
        "settings.batch_size": getattr(strategy, "train_mb_size", None),
        "settings.epochs": getattr(strategy, "train_epochs", None),
        "settings.criterion": kind_of(getattr(strategy, "_criterion", None)),
        "settings.optimizer": kind_of(optimizer),
        **{f"settings.{SETTINGS.get(name, name)}": value for name, value in numbers.items()},
    }
    return {name: value for name, value in found.items() if value is not None}


def kind_of(part: object) -> str | None:
    """The class of a part of a strategy, or the name of a function; None where there is no part.

    >>> kind_of(0.5), kind_of(len), kind_of(None)
    ('float', 'len', None)
    """
    return None if part is None else getattr(part, "__name__", type(part).__name__)
