"""A run from Python ends in a model."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest
import torch
from datasets import Dataset

import contsym
from contsym.errors import ContsymError, SettingError
from contsym.training.trained import TrainedModel
from contsym.training.trained_file import task_of
from tests.errors import message_of

pytestmark = pytest.mark.usefixtures("untracked")


def options(toy, encoder, output):
    return {
        "output": output,
        "encoder": encoder,
        "wikidata": toy["wikidata"],
        "shots": 8,
        "protocol": "sequential",
    }


def test_a_model_is_loaded_by_its_run_and_saved_elsewhere(toy, tiny_encoder_folder, tmp_path):
    given = options(toy, tiny_encoder_folder, tmp_path / "out")
    run = contsym.run("ncm", "wikidata_only", seeds=[3], save_models=True, **given)
    model = run.model(seed=3)
    test = run.predictions("wikidata")
    pairs = [(row["premise"], row["hypothesis"]) for row in rows_of_test(toy)]
    assert model.predict(pairs) == test["after wikidata"].tolist()
    model.save(tmp_path / "copy")
    assert contsym.load_model(tmp_path / "copy", device=torch.device("cpu")).strategy.device == "cpu"
    copy = contsym.load_model(tmp_path / "copy")
    assert copy.predict(pairs) == copy.predict(pd.DataFrame(rows_of_test(toy))) == model.predict(pairs)
    with pytest.raises(SettingError, match="--precision 'bfloat16': did you mean bf16"):
        contsym.load_model(tmp_path / "copy", precision="bfloat16")
    with pytest.raises(ContsymError, match=r"seeds? 3"):
        run.model(seed=0)


def test_a_run_without_models_says_how_to_get_one(toy, tiny_encoder_folder, tmp_path):
    run = contsym.run("ncm", "wikidata_only", **options(toy, tiny_encoder_folder, tmp_path))
    with pytest.raises(ContsymError, match="has no saved model"):
        run.model()


def test_the_texts_of_a_table_are_its_rows_and_not_its_names():
    model = TrainedModel.__new__(TrainedModel)
    model.file = SimpleNamespace(inputs="single", task=task_of(("good", "bad"), "single"))
    columns = {"text": ["one", "two"], "relation": ["x", None]}
    frame = pd.DataFrame(columns).convert_dtypes()
    for given in (columns["text"], frame, Dataset.from_dict(columns), pa.table(columns)):
        assert model.dataset(given)["premise"][:] == ["one", "two"]
    for given in (columns, 5):
        expected = f"{type(given).__name__}; expected a list of texts, or a table of them"
        assert message_of(model.dataset, given) == expected


def test_the_file_of_a_plugin_may_stand_alone(tmp_path):
    (tmp_path / "contsym.json").write_text("{}")
    assert message_of(contsym.load_model, tmp_path, plugins="mine.py") == (
        "plug-in mine.py: cannot be read (No such file or directory); expected a .py or .toml file"
    )


def rows_of_test(toy):
    return [json.loads(line) for line in Path(toy["wikidata"], "test.jsonl").read_text("utf-8").splitlines()]
