"""Files of people one does not know: what each was made to do, it does not do.

Over 400 lines: one attack after the other.
"""

import bz2
import csv
import gzip
import json
import lzma
import os
import pickle
import re
import shutil
from pathlib import Path

import pytest

from contsym.data import parquet, readers, text_files
from contsym.data.readers import read_rows
from contsym.data.sources import load_task
from contsym.data.sql import open_engine
from contsym.data.wikidata.manifest import read_manifest
from contsym.data.wikidata.relations import parse as parse_registry
from contsym.data.wikidata.relations import registry
from contsym.data.wikidata.triples import read_triples
from contsym.errors import ContsymError, DataError, EncoderError
from contsym.files import shield, unshield
from contsym.models.encoders import checkpoints
from contsym.models.encoders.checkpoints import CARD
from contsym.models.encoders.load import load
from contsym.results import store, tracking
from contsym.results.matrix_files import read_matrices
from contsym.results.mlflow_records import safe, seed_record
from contsym.results.predictions import read_aligned
from contsym.results.schema import SeedResult
from contsym.scenarios.schema import read_scenario
from contsym.sweeps.config import read_file
from contsym.sweeps.runs import read_run
from contsym.sweeps.tracking import child_record
from contsym.tasks.schema import read_task
from contsym.training import trained_file
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from contsym.training.trained import load as load_model
from tests.errors import message_of
from tests.runs import toy_config
from tests.stored_results import plain_result, seed_folder, store_predictions, store_run

DEEP = 10_000


# ---- pickles, and code in checkpoints and saved models ----


class _Evil:
    """Unpickling one makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def owned(tmp_path):
    """A folder that is there only once somebody's code has run; the pickle that makes it does work."""
    folder = tmp_path / "owned"
    pickle.loads(pickle.dumps(_Evil(folder)))
    assert folder.is_dir()
    folder.rmdir()
    return folder


@pytest.fixture(scope="module")
def saved_model(toy, tiny_encoder_folder, tmp_path_factory):
    """Saved by a run; a test changes a copy."""
    output, models = tmp_path_factory.mktemp("saved"), []
    config = toy_config(
        toy, tiny_encoder_folder, output, "knn_fixed", "wikidata_only", settings={"steps": "1"}
    )
    run_seed(prepare(config), 0, Silent(), on_end=models.append)
    return models[0].save(output / "model")


@pytest.mark.parametrize("name", ["model.safetensors", trained_file.TENSORS])
def test_pickled_tensors_of_a_saved_model_are_refused(name, saved_model, tmp_path, owned):
    folder = shutil.copytree(saved_model, tmp_path / "model")
    assert (folder / name).is_file()
    (folder / name).write_bytes(pickle.dumps(_Evil(owned)))
    assert str(folder) in message_of(load_model, folder)
    assert not owned.exists()


def test_a_plug_in_that_a_saved_model_names_is_not_run(saved_model, tmp_path, owned):
    folder = shutil.copytree(saved_model, tmp_path / "model")
    code = folder / "mine.py"
    code.write_text(f"import os\nos.mkdir({str(owned)!r})\n")
    card = json.loads((folder / CARD).read_text())
    card["strategy"] = "mine"
    card["plugin"] = {"kind": "strategy", "name": "mine", "origin": str(code), "sha256": "0" * 64}
    (folder / CARD).write_text(json.dumps(card))
    assert "mine" in message_of(load_model, folder)
    assert not owned.exists()


@pytest.fixture
def checkpoint(tiny_encoder_folder, tmp_path):
    return Path(shutil.copytree(tiny_encoder_folder, tmp_path / "checkpoint"))


def test_a_pickle_by_the_name_of_safetensors_is_not_unpickled(checkpoint, owned):
    (checkpoint / "model.safetensors").write_bytes(pickle.dumps(_Evil(owned)))
    with pytest.raises(EncoderError, match="transformers cannot load it"):
        load(checkpoints.locate(str(checkpoint)))
    assert not owned.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "state.pt", "model.ckpt", "training_args.bin"])
def test_pickles_beside_the_weights_are_not_looked_at(name, checkpoint, owned):
    (checkpoint / name).write_bytes(pickle.dumps(_Evil(owned)))
    assert load(checkpoints.locate(str(checkpoint))).dim == 32
    assert not owned.exists()


def test_pickled_weights_alone_are_no_encoder(checkpoint, owned):
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps(_Evil(owned)))
    assert "no *.safetensors; contsym loads no pickled weights" in message_of(
        checkpoints.locate, str(checkpoint)
    )
    assert not owned.exists()


def test_a_pickled_head_a_pickled_state_and_pickled_vectors_are_refused(tmp_path, owned):
    from contsym.models.encoders.nli_head import NLI_HEAD, read_head
    from contsym.report.projection import _vectors
    from contsym.training.first_task import STATE, TENSORS, FirstTaskCache

    evil = pickle.dumps(_Evil(owned))
    (tmp_path / NLI_HEAD).write_bytes(evil)
    assert "make it again with contsym pretrain" in message_of(read_head, tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / STATE).write_text("{}")
    (kept / TENSORS).write_bytes(evil)
    assert "a cached first task cannot be read" in message_of(FirstTaskCache(tmp_path)._read, "kept")
    assert "expected the vectors of a result" in message_of(_vectors, tmp_path / NLI_HEAD)
    assert not owned.exists()


@pytest.mark.parametrize("model_type", ["bert", "somebodys_own"])
def test_code_that_a_checkpoint_brings_does_not_run(model_type, checkpoint, owned):
    (checkpoint / "theirs.py").write_text(f"import os\nos.mkdir({str(owned)!r})\nclass Theirs: ...\n")
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {
        "model_type": model_type,
        "auto_map": dict.fromkeys(("AutoConfig", "AutoModel"), "theirs.Theirs"),
    }
    (checkpoint / "config.json").write_text(json.dumps(config))
    path = checkpoint / "tokenizer_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoTokenizer": ["theirs.Theirs", None]}})
    )
    if model_type == "bert":
        assert load(checkpoints.locate(str(checkpoint))).dim == 32
    else:
        message_of(lambda: load(checkpoints.locate(str(checkpoint))))
    assert not owned.exists()


# ---- bombs: small files that are large once read ----


def _read_triples(path, folder):
    with open_engine(folder) as con:
        read_triples(con, path, registry(), 0.5, folder)


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
@pytest.mark.parametrize("name", ["triples.tsv", "dump.json"])
def test_a_packed_file_is_unpacked_up_to_a_limit(ending, pack, name, tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MIN_UNPACKED", 1 << 20)
    path = tmp_path / f"{name}.{ending}"
    path.write_bytes(pack(b"Q1\tP26\tQ2\n" * 400_000))
    n_packed = path.stat().st_size
    assert message_of(_read_triples, path, tmp_path) == (
        f"{path}: unpacks to more than {max(1 << 20, 200 * n_packed):,} bytes out of {n_packed:,}; expected triples "
        "or labels; if they are, unpack the file first"
    )
    # Half a megabyte is no bomb, however small it is packed.
    if name == "triples.tsv":
        path.write_bytes(pack(b"Q1\tP26\tQ2\n" * 40_000))
        _read_triples(path, tmp_path)


@pytest.mark.night
def test_a_real_bomb_costs_neither_memory_nor_disk(tmp_path):
    """4 GB of one letter in 4 MB: no line of it is ever held."""
    from tests.fuzz.trial import peak_bytes

    path = tmp_path / "dump.json.gz"
    block = b"x" * (1 << 20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(4096):
            file.write(block)
    before = peak_bytes()
    assert f"{path}:1: more than {text_files.MAX_LINE:,} bytes; expected a shorter line" in message_of(
        _read_triples, path, tmp_path
    )
    assert peak_bytes() - before < 4 * text_files.MAX_LINE
    tsv = path.rename(tmp_path / "triples.tsv.gz")
    assert "unpacks to more than" in message_of(_read_triples, tsv, tmp_path)
    assert peak_bytes() - before < 4 * text_files.MAX_LINE
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) < 2 * tsv.stat().st_size


@pytest.mark.parametrize("ending", [".gz", ".zst", ".zip", ".bz2", ".xz", ".tar"])
def test_pairs_come_in_no_packed_format(ending, tmp_path):
    path = tmp_path / f"train.jsonl{ending}"
    path.write_bytes(b"\x1f\x8b")
    assert message_of(load_task, "mnli", str(path)).startswith(
        f"{path}: format {ending!r} is unknown; expected .jsonl, "
    )


def test_a_line_without_an_end_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_LINE", 1000)
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"premise": "' + "x" * 2000)
    assert (
        message_of(lambda: list(read_rows(path)))
        == f"{path}:1: more than 1,000 bytes; expected a shorter line"
    )


def _parquet(path, n, text, **options):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: pa.array([text]).dictionary_encode().take(pa.array([0] * n))
        for name in ("premise", "hypothesis")
    }
    columns["label"] = pa.array(["neutral"]).dictionary_encode().take(pa.array([0] * n))
    pq.write_table(pa.table(columns), path, **options)


def test_a_long_text_that_a_parquet_file_repeats_is_not_written_out(tmp_path):
    path = tmp_path / "pairs.parquet"
    _parquet(path, 4096, "x" * (1 << 20))
    assert path.stat().st_size < 1 << 20
    assert "8,589,963,264 bytes of text in 4,096 rows; expected at most 268,435,456" in message_of(
        lambda: list(read_rows(path))
    )


def test_a_parquet_file_of_more_rows_than_it_can_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MIN_ROWS", 1000)
    path = tmp_path / "pairs.parquet"
    _parquet(path, 2_000_000, "x", compression="zstd", data_page_size=1 << 30)
    limit = max(1000, 100 * path.stat().st_size)
    assert limit < 2_000_000
    assert message_of(lambda: list(read_rows(path))) == (
        f"{path}: 2,000,000 rows in so small a file; expected at most {limit:,}"
    )


def test_a_parquet_file_whose_row_group_unpacks_to_more_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_GROUP", 1 << 20)
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "pairs.parquet"
    texts = pa.array(["x" * 4000 + str(i) for i in range(1000)])
    table = pa.table({"premise": texts, "hypothesis": texts, "label": ["neutral"] * 1000})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 1 << 18
    assert re.search(
        r"row group 0 unpacks to [\d,]+ bytes; expected at most 1,048,576",
        message_of(lambda: list(read_rows(path))),
    )


# ---- deep nesting ----

DEEP_JSON = "[" * DEEP + "]" * DEEP
DEEP_TOML = f"summary = {DEEP_JSON}"


def test_deep_nesting_is_a_line_in_every_format(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(DEEP_JSON)
    assert (
        message_of(lambda: list(read_rows(path)))
        == f"{path}:1: not JSON (nested too deeply); expected one object per line"
    )
    for name, read in (
        ("result.json", store.read_result),
        ("manifest.json", read_manifest),
        ("run.json", read_run),
    ):
        (tmp_path / name).write_text(DEEP_JSON)
        assert "cannot be read (nested too deeply)" in message_of(read, tmp_path)
    (tmp_path / "config.json").write_text(DEEP_JSON)
    assert "not a JSON object" in message_of(checkpoints.read_config, tmp_path)
    toml = tmp_path / "x.toml"
    toml.write_text(DEEP_TOML)
    assert message_of(read_file, toml) == f"--config {toml}: not TOML (nested too deeply)"
    assert message_of(read_scenario, "x", DEEP_TOML, "x.toml") == "x.toml: not TOML (nested too deeply)"
    assert message_of(read_task, "x", DEEP_TOML, "x.toml") == "x.toml: not TOML (nested too deeply)"
    assert message_of(parse_registry, DEEP_TOML, "x.toml") == "x.toml: not TOML (nested too deeply)"


def test_a_key_of_many_parts_and_a_large_file_take_no_time():
    assert message_of(read_scenario, "x", "\n" + "a." * DEEP + "a = 1", "x.toml") == (
        "x.toml:2: 10,000 dots; expected at most 200 on a line"
    )
    assert message_of(read_scenario, "x", "#" * (1 << 20) + "\n", "x.toml") == (
        "x.toml: 1,048,577 characters; expected at most 1,048,576"
    )


# ---- paths that lead elsewhere ----


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", ".", "", "x\x00y", "-x" + "y" * 300])
def test_no_name_in_a_result_leads_out_of_its_folder(name, tmp_path):
    path = tmp_path / "result.json"
    for place, changes in (
        ("key", {"key": name}),
        ("tasks.0", {"tasks": [name, "wikidata"]}),
    ):
        path.write_text(json.dumps(plain_result(**changes)))
        assert message_of(store.read_result, path).startswith(
            f"{path}: {place} is {name!r}"[: len(f"{path}{place}") + 60]
        )


@pytest.mark.parametrize("name", ["../train.parquet", "/etc/passwd"])
def test_no_path_in_a_manifest_is_read(name, tmp_path):
    made = {
        "format": 1,
        "split": {"rule": "pair"},
        "forms": ["lexicalised"],
        "files": {name: {}, "test.parquet": {}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(made))
    assert message_of(read_manifest, tmp_path).endswith(
        f"{name!r}; expected 'train.parquet' or 'test.parquet'"
    )


def test_no_key_in_a_record_leads_out_of_its_folder(tmp_path):
    from tests.fuzz.readers import _a_record

    folder = tmp_path / "runs" / "x"
    folder.mkdir(parents=True)
    for field in ("key", "first_task"):
        made = _a_record()
        made["cells"][0][field] = "../../../elsewhere"
        (folder / "run.json").write_text(json.dumps(made))
        assert f"cells.0.{field} is '../../../elsewhere'" in message_of(read_run, folder)


def test_a_link_out_of_a_data_folder_is_not_followed(tmp_path):
    secret = tmp_path / "secret.jsonl"
    secret.write_text(json.dumps({"premise": "a", "hypothesis": "b", "label": "neutral"}) + "\n")
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(secret, folder / "train.jsonl")
    (folder / "test.jsonl").symlink_to(secret)
    assert message_of(load_task, "mnli", str(folder)) == (
        f"{folder}/test.jsonl: a link out of {folder}, to {secret}; give that path, or copy the data"
    )
    (folder / "test.jsonl").unlink()
    (folder / "test.jsonl").symlink_to(folder / "train.jsonl")
    (folder / "dev.jsonl").write_text(secret.read_text().replace('"a"', '"c"'))
    assert load_task("mnli", str(folder)).rows == {"train": 1, "validation": 1, "test": 1}


def test_a_snapshot_of_the_hubs_cache_is_links_to_its_own_store(tmp_path):
    blobs, snapshot = tmp_path / "d" / "blobs", tmp_path / "d" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for blob, premise in (("1", "a"), ("2", "c")):
        row = {"premise": premise, "hypothesis": "b", "label": "neutral"}
        (blobs / blob).write_text(json.dumps(row) + "\n")
    for part, blob in (("train", "1"), ("test", "1"), ("dev", "2")):
        (snapshot / f"{part}.jsonl").symlink_to(Path("..", "..", "blobs", blob))
    assert load_task("mnli", str(snapshot)).rows == {"train": 1, "validation": 1, "test": 1}


def test_mlflow_gets_what_contsym_wrote_and_nothing_that_was_put_beside_it(tmp_path):
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    run = store_run(tmp_path, "r", [0])
    folder = seed_folder(run, 0)
    (folder / "notes.txt").symlink_to(secret)
    (folder / "more.txt").write_text("mine")
    (folder / "label_vectors.safetensors").symlink_to(secret)
    files = child_record(read_run(run), folder, store.read_result(folder)).files
    assert [path.name for path in tracking.regular_files(files)] == ["predictions.csv", "result.json"]


# ---- names that are code somewhere else ----

EVIL_NAMES = (
    "<img src=x onerror=alert(1)>",
    "$(touch owned)",
    "`id`; rm -rf ~",
    "a' OR '1'='1",
    "=cmd|' /C calc'!A0",
)


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_a_label_or_kind_that_is_code_is_refused_with_its_line(name, tmp_path):
    path = tmp_path / "pairs.jsonl"
    row = {"premise": "a", "hypothesis": "b", "label": "neutral"}
    path.write_text(json.dumps({**row, "label": name}) + "\n")
    assert message_of(load_task, "wikidata", str(path)).startswith(
        f"{path}:1: label {name!r} is unknown; expected"
    )
    path.write_text(json.dumps({**row, "kind": name}) + "\n")
    assert message_of(load_task, "wikidata", str(path)).startswith(
        f"{path}:1: kind {name!r} is unknown; expected"
    )


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_names_become_plain_keys_and_plain_text_in_mlflow(name):
    result = plain_result(encoder=name)
    result["sources"]["mnli"]["name"] = name
    result["shortcuts"]["mnli"][name] = 0.2
    result["versions"][name] = "1"
    result["settings"][name] = name
    record = seed_record(SeedResult.model_validate(result))
    keys = [*record.params, *record.tags, *(key for key, _, _ in record.metrics)]
    assert all(re.fullmatch(r"[\w.\-/ ]+", key) for key in keys)
    assert record.params["encoder"] == name and record.params["source.mnli"] == name
    assert safe(name) != name


def test_a_query_of_mlflow_cannot_be_ended_by_a_runs_name(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(plain_result(run="x' OR tags.a = 'b")))
    assert "run is" in message_of(store.read_result, path)


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''+1", "'quoted", "P26/Q1/Q2", "", "'")


def test_ids_are_text_to_a_spreadsheet_and_are_read_back_as_they_were(tmp_path):
    rows = [{"task": "wikidata", "id": each, "label": "neutral", "row_0": "neutral"} for each in FORMULAS]
    folder = store_predictions(tmp_path / "seed-0", rows)
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        cells = [row["id"] for row in csv.DictReader(file)]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert read_aligned({"a": {0: folder}}, "wikidata")[1] == sorted(FORMULAS)


def test_shielding_loses_nothing():
    assert [unshield(shield(text)) for text in FORMULAS] == list(FORMULAS)
    assert len({shield(text) for text in FORMULAS}) == len(FORMULAS)


def test_tables_of_a_report_have_no_formulas():
    from contsym.report.table_formats import make_table, text_column, to_csv

    table = make_table("t", "t", [text_column("relation")], [["=HYPERLINK(1)"], ["a"]])
    assert to_csv(table) == "relation\n'=HYPERLINK(1)\na\n"


# ---- errors show what they quote, and no more ----


def test_an_error_cannot_give_orders_to_a_terminal(tmp_path):
    path = tmp_path / "matrix.csv"
    path.write_text("after,\x1b]0;owned\x07\x1b[2J\u202e\n")
    said = message_of(read_matrices, path)
    assert said.isprintable()
    assert "\\x1b" in said


def test_an_error_of_a_very_long_value_is_short(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"premise": "a", "hypothesis": "b", "label": "x" * 100_000}) + "\n")
    said = message_of(load_task, "mnli", str(path))
    assert len(said) < 2100 and said.endswith("expected entailment, neutral or contradiction")


def test_data_errors_are_errors():
    assert issubclass(DataError, ContsymError)
