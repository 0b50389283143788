"""A run from Python ends in a model."""

import json
from pathlib import Path

import pytest

import contsym
from contsym.errors import ContsymError

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
    assert contsym.load_model(tmp_path / "copy").predict(pairs) == model.predict(pairs)
    with pytest.raises(ContsymError, match=r"seeds? 3"):
        run.model(seed=0)


def test_a_run_without_models_says_how_to_get_one(toy, tiny_encoder_folder, tmp_path):
    run = contsym.run("ncm", "wikidata_only", **options(toy, tiny_encoder_folder, tmp_path))
    with pytest.raises(ContsymError, match="has no saved model"):
        run.model()


def rows_of_test(toy):
    return [json.loads(line) for line in Path(toy["wikidata"], "test.jsonl").read_text("utf-8").splitlines()]
