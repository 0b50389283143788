"""The MLflow logger: what is read back is what was emitted, and no store stops a training."""

import logging
import math
import shutil

import pytest
import torch
from avalanche.evaluation.metric_results import AlternativeValues, MetricValue
from avalanche.evaluation.metrics import accuracy_metrics
from mlflow import MlflowClient

from contsym.avalanche import AccuracyMatrix, MLflowLogger, mlflow_logger
from contsym.results.tracking import default_uri
from tests.avalanche.bench import Recorder, benchmark, naive, seeded_losses

REFUSED = "http://127.0.0.1:9"
"""Nobody listens there, and a connection is refused at once."""


@pytest.fixture
def uri(tmp_path, mlflow_template):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return default_uri(tmp_path)


def history(uri, run_id, key):
    return [(each.step, each.value) for each in MlflowClient(uri).get_metric_history(run_id, key)]


def run_of(uri, logger):
    return MlflowClient(uri).get_run(logger.run_id)


def train(loggers, **options):
    """Two experiences of three steps; the training loss of each step, and the weights at the end."""
    matrix, bench = AccuracyMatrix(), benchmark([[0, 1, 1], [2, 3, 3]], n_train=12)
    strategy = naive(matrix, *accuracy_metrics(experience=True), loggers=loggers, **options)
    losses = seeded_losses(strategy)
    strategy.eval(bench.test_stream)
    for experience in bench.train_stream:
        strategy.train(experience)
        strategy.eval(bench.test_stream)
    return losses, torch.cat([p.detach().flatten() for p in strategy.model.parameters()])


def test_what_is_read_back_is_what_was_emitted(uri):
    log = Recorder()
    with MLflowLogger(uri, experiment="images", params={"seed": 0, "note [%]": "x" * 7000}) as logger:
        losses, _ = train([log, logger])
    run = run_of(uri, logger)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "Naive")
    assert set(run.data.metrics) == {*log.found, "loss/Exp000", "loss/Exp001"}
    for name, values in log.found.items():
        assert history(uri, logger.run_id, name) == [(x, float(value)) for x, value in values], name
    # Three steps per experience, counted from 1 in each.
    for task in (0, 1):
        expected = [(i + 1, loss) for i, loss in enumerate(losses[3 * task : 3 * task + 3])]
        assert history(uri, logger.run_id, f"loss/Exp00{task}") == expected
    params = run.data.params
    assert params.pop("note ___") == "x" * 6000
    assert {name: params[name] for name in ("strategy", "model", "device", "plugins", "seed")} == {
        "strategy": "Naive",
        "model": "Sequential",
        "device": "cpu",
        "plugins": "none",
        "seed": "0",
    }
    settings = {
        "learning_rate": "0.1",
        "momentum": "0.9",
        "batch_size": "4",
        "epochs": "1",
        "optimizer": "SGD",
    }
    assert {name: params[f"settings.{name}"] for name in settings} == settings


def test_a_function_is_sent_by_its_name_and_what_is_not_there_not_at_all():
    strategy = naive(criterion=torch.nn.functional.cross_entropy)
    assert mlflow_logger.hyper_parameters(strategy)["settings.criterion"] == "cross_entropy"
    strategy._criterion = strategy.optimizer = None
    found = mlflow_logger.hyper_parameters(strategy)
    assert not {"settings.criterion", "settings.optimizer"} & found.keys()


def test_names_and_values_that_mlflow_refuses(uri):
    names = {
        "a[1]": "a_1_",
        # Equal to the one before but for its signs; both must be told apart.
        "a(1)": "a_1_-0fd0",
        "/x//../y": "_/x/_/_/y",
        "é,%": "é__",
        "n" * 300: None,
    }
    image = AlternativeValues(torch.zeros(2, 2), 0.5)
    values = {
        "inf": math.inf,
        "image": torch.zeros(3, 3),
        "text": "no number",
        "best": image,
        "one": torch.ones(1),
    }
    with MLflowLogger(uri) as logger:
        logger.log_metrics([MetricValue(None, name, i, i) for i, name in enumerate(names)])
        logger.log_metrics([MetricValue(None, name, value, 0) for name, value in values.items()])
    found = run_of(uri, logger).data.metrics
    long = [key for key in found if key.startswith("nnn")]
    assert len(long) == 1 and len(long[0]) == 250
    for i, key in enumerate(names.values()):
        assert history(uri, logger.run_id, key or long[0]) == [(i, i)]
    assert set(found) - {*names.values(), *long} == {"inf", "best", "one"}
    assert math.isnan(found["inf"]) and (found["best"], found["one"]) == (0.5, 1.0)


def test_a_run_that_someone_else_started_is_continued_and_left_open(uri):
    client = MlflowClient(uri)
    run_id = client.create_run("0").info.run_id
    client.log_param(run_id, "device", "a name of my own")
    with MLflowLogger(uri, run_id=run_id) as logger:
        train([logger])
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert run.data.params["device"] == "a name of my own" and run.data.params["strategy"] == "Naive"
    assert len(history(uri, run_id, "loss/Exp001")) == 3
    assert [each.name for each in client.search_experiments()] == ["Default"]


def test_a_training_that_fails_is_marked(uri):
    logger = MLflowLogger(uri)

    with pytest.raises(ZeroDivisionError), logger:
        train([logger], criterion=lambda scores, labels: 1 / 0)
    assert run_of(uri, logger).info.status == "FAILED"


def test_a_server_that_is_down_costs_one_warning_and_no_value(uri, caplog, monkeypatch):
    tries = []
    usual = mlflow_logger.opened
    monkeypatch.setattr(mlflow_logger, "opened", lambda *given: tries.append(given) or usual(*given))
    undisturbed = train([Recorder()])
    logger = MLflowLogger("http://ada:secret@127.0.0.1:9")
    with caplog.at_level(logging.WARNING, "contsym"):
        losses, weights = train([logger])
    assert losses == undisturbed[0]
    assert torch.equal(weights, undisturbed[1])
    assert [record.getMessage() for record in caplog.records if record.name == "contsym"] == [
        "MLflow store http://***@127.0.0.1:9: sending failed (no answer); the training continues and the values wait "
        "in memory: start the server or correct the address before close(), which tries a last time"
    ]
    # After the first failure it is not tried again within a minute.
    assert len(tries) == 1
    logger.tracking_uri = uri
    logger.close()
    assert history(uri, logger.run_id, "loss/Exp001") == [(i + 1, loss) for i, loss in enumerate(losses[3:])]
    assert [step for step, _ in history(uri, logger.run_id, "accuracy/Exp000")] == [0, 1, 2]
    assert run_of(uri, logger).data.params["strategy"] == "Naive"
    assert run_of(uri, logger).info.status == "FINISHED"


def test_many_values_are_sent_in_parts_while_training(uri, monkeypatch):
    monkeypatch.setattr(mlflow_logger, "BATCH", 2)
    with MLflowLogger(uri) as logger:
        losses, _ = train([logger])
        assert len(history(uri, logger.run_id, "loss/Exp000")) == 3
    assert history(uri, logger.run_id, "loss/Exp000") == [(i + 1, loss) for i, loss in enumerate(losses[:3])]
