"""Models and datasets from a Hub on this machine: present, refused, moved, slow, interrupted, and from the cache.

Over 400 lines: one Hub on this machine answers all.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contsym.data import hub as data_hub
from contsym.data import hub_client
from contsym.data.shards import missing_shards
from contsym.data.sources import load_task
from contsym.errors import ContsymError, EncoderError
from contsym.models.encoders.checkpoints import locate
from contsym.results.schema import SeedResult
from contsym.tasks.catalog import find_task, own_tasks
from contsym.tasks.schema import NLI_LABELS
from contsym.training.plan import prepare
from contsym.training.reproduce import config_of
from contsym.training.run import record
from tests.command import contsym_here
from tests.data.hub_server import TOKEN, serving
from tests.runs import toy_config
from tests.stored_results import plain_result
from tests.strategy_settings import fast_and_slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub that huggingface_hub asks, and an empty cache."""
    import datasets

    with serving() as found:
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        point_at(monkeypatch, found.url)
        for function in (data_hub.resolve, data_hub._parts):
            function.cache_clear()
        yield found
    huggingface_hub.close_session()
    for function in (data_hub.resolve, data_hub._parts):
        function.cache_clear()


def point_at(monkeypatch, url):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for function in (data_hub.resolve, data_hub._parts):
        function.cache_clear()


def refusal(name, **options):
    with pytest.raises(EncoderError) as raised:
        locate(name, **options)
    assert TOKEN not in str(raised.value)
    return str(raised.value)


# -- encoders --


@pytest.fixture(scope="session")
def sharded_folder(tiny_encoder_folder, tmp_path_factory):
    """The tiny encoder in four files and an index."""
    from transformers import AutoModel

    folder = tmp_path_factory.mktemp("sharded")
    AutoModel.from_pretrained(tiny_encoder_folder).save_pretrained(folder, max_shard_size="20KB")
    for path in tiny_encoder_folder.glob("tokenizer*"):
        shutil.copy(path, folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


def test_an_encoder_is_fetched_once_and_named_with_its_commit(server, tiny_encoder_folder, monkeypatch):
    repository = server.model("ada/tiny", tiny_encoder_folder, **{"pytorch_model.bin": b"pickled"})
    first = locate("ada/tiny")
    assert (first.origin, first.commit) == ("Hub", repository.refs["main"])
    assert first.weights_sha256 == locate(str(tiny_encoder_folder)).weights_sha256
    assert not (first.folder / "pytorch_model.bin").exists()
    n = len(server.requests)
    offline(monkeypatch)
    again = locate("ada/tiny")
    assert (again.origin, again.commit, again.folder) == ("Hub cache", first.commit, first.folder)
    assert len(server.requests) == n


def test_a_revision_is_a_branch_or_a_commit(server, tiny_encoder_folder, sharded_folder):
    old = server.model("ada/tiny", tiny_encoder_folder).refs["main"]
    pinned = locate(f"ada/tiny@{old}")
    repository = server.model("ada/tiny", sharded_folder)
    assert locate("ada/tiny").commit == repository.refs["main"] != old
    assert locate(f"ada/tiny@{old}") == pinned.__class__(**{**pinned.__dict__, "origin": "Hub cache"})
    repository.refs["refs/pr/1"] = old
    assert locate("ada/tiny@refs/pr/1").commit == old


def test_a_misspelt_name_is_not_a_matter_of_the_network(server):
    assert refusal("sentence-transformers/all-MiniLM-L6-v3") == (
        "encoder 'sentence-transformers/all-MiniLM-L6-v3' is not here: the Hub has no model "
        "sentence-transformers/all-MiniLM-L6-v3, or it is private (401); check the name, and log in if it is "
        "private (`hf auth login`, or HF_TOKEN); did you mean minilm (sentence-transformers/all-MiniLM-L6-v2)?"
    )


def test_a_misspelt_name_with_a_token(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert refusal("ada/tny") == (
        "encoder 'ada/tny' is not here: the Hub has no model ada/tny, or it is private (404); check the name, "
        "and that your token has access to it"
    )


def test_a_token_that_is_not_valid(server, tiny_encoder_folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_anOldOne")
    server.model("ada/tiny", tiny_encoder_folder)
    message = refusal("ada/tiny")
    assert message.endswith(
        "does not accept your token (401); log in again (`hf auth login`), or unset HF_TOKEN"
    )
    assert "hf_anOldOne" not in message


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize("hides", [False, True])
def test_a_gated_model_names_the_page_with_its_terms(server, tiny_encoder_folder, monkeypatch, token, hides):
    monkeypatch.setenv("HF_TOKEN", token)
    repository = server.model("ada/tiny", tiny_encoder_folder)
    repository.gated, repository.hides_its_listing = True, hides
    assert refusal("ada/tiny") == (
        f"encoder 'ada/tiny' is not here: model ada/tiny is gated on the Hub; accept its terms at {server.url}/ada/tiny, "
        "and log in with that account (`hf auth login`, or HF_TOKEN)"
    )


def test_an_unknown_revision(server, tiny_encoder_folder):
    server.model("ada/tiny", tiny_encoder_folder)
    assert refusal("ada/tiny@v9") == (
        "encoder 'ada/tiny@v9' is not here: model ada/tiny has no revision 'v9' on the Hub; expected a branch, a tag "
        f"or a commit of {server.url}/ada/tiny"
    )


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (429, {"Retry-After": "120"}, "had too many requests from here (429); try again in 120 s, or name"),
        (503, {}, "the Hub fails at present (503); try again later, or name a folder"),
        (
            403,
            {"X-Error-Message": "Access to this resource is disabled."},
            "(403: Access to this resource is",
        ),
    ],
)
def test_the_hub_fails_or_refuses(server, status, headers, message):
    server.status, server.headers = status, headers
    assert message in refusal("ada/tiny")


def test_a_name_that_the_hub_cannot_have(server):
    assert refusal("ada/ti ny").endswith("'ada/ti ny' is not a name on the Hub; expected OWNER/NAME")


def test_a_login_page_in_place_of_the_hub(server):
    server.page = b"<html>Welcome to the hotel</html>"
    assert refusal("ada/tiny").endswith(
        f"the server at {server.url} is not the Hub; check HF_ENDPOINT, and whether your network asks for a login first"
    )


def test_a_model_that_was_renamed(server, tiny_encoder_folder):
    server.model("ada/tiny", tiny_encoder_folder)
    server.add("models", "ada/old", {}).moved_to = "ada/tiny"
    found = locate("ada/old")
    assert found.origin == "Hub, moved to ada/tiny"
    assert locate("ada/old").origin == "Hub cache"


def test_nobody_listens(server, monkeypatch):
    with socket.socket() as taken:
        # Bound, and listening to nobody: no other program gets the port meanwhile.
        taken.bind(("127.0.0.1", 0))
        point_at(monkeypatch, f"http://user:password@127.0.0.1:{taken.getsockname()[1]}")
        began = time.monotonic()
        message = refusal("ada/tiny")
        assert time.monotonic() - began < 5
    assert (
        "cannot be reached ([Errno 111] Connection refused); connect to the network once, or name" in message
    )
    assert "password" not in message


def test_a_server_that_never_answers(server, monkeypatch):
    monkeypatch.setattr(hub_client, "ANSWER_SECONDS", 1)
    server.delay = 30
    began = time.monotonic()
    assert "did not answer within 1 s; connect to the network, or raise the limit with HF_HUB_E" in refusal(
        "a/b"
    )
    assert time.monotonic() - began < 5


def test_the_user_may_give_the_hub_longer(server, tiny_encoder_folder, monkeypatch):
    monkeypatch.setattr(hub_client, "ANSWER_SECONDS", 0.1)
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "10")
    server.model("ada/tiny", tiny_encoder_folder)
    server.delay = 0.2
    assert locate("ada/tiny").origin == "Hub"


def test_offline_with_an_empty_cache(server, monkeypatch):
    offline(monkeypatch)
    assert refusal("ada/tiny") == (
        "encoder 'ada/tiny' is not here: HF_HUB_OFFLINE is set; unset it to fetch from the Hub once, or name a folder "
        "that has it"
    )
    assert not server.requests


def test_an_interrupted_download_resumes(server, tiny_encoder_folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    repository = server.model("ada/tiny", tiny_encoder_folder)
    repository.cut["model.safetensors"] = 1000
    assert locate("ada/tiny").weights_sha256 == locate(str(tiny_encoder_folder)).weights_sha256


def test_a_download_that_is_always_cut_off_leaves_nothing_that_counts(
    server, tiny_encoder_folder, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    repository = server.model("ada/tiny", tiny_encoder_folder)
    repository.cut["model.safetensors"] = 0
    repository.always_cut = True
    message = refusal("ada/tiny")
    assert "the download of model.safetensors broke off (" in message
    assert message.endswith("; run the same command again: it keeps complete files")
    repository.cut.clear()
    assert locate("ada/tiny").weights_sha256 == locate(str(tiny_encoder_folder)).weights_sha256


def test_a_cache_that_cannot_be_written_is_not_a_matter_of_the_network(
    server, tiny_encoder_folder, tmp_path, monkeypatch
):
    server.model("ada/tiny", tiny_encoder_folder)
    (tmp_path / "cache").write_text("a file where the folder should be")
    message = refusal("ada/tiny")
    assert f"the Hub cache {tmp_path / 'cache'} cannot be used (" in message
    assert message.endswith("; correct that, or set HF_HOME to a folder that you may write to")


def test_a_full_disk(server, tiny_encoder_folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.model("ada/tiny", tiny_encoder_folder)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    assert "cannot be used (No space left on device); make room there, or set HF_HOME" in refusal("ada/tiny")


def test_a_model_of_pickled_weights_is_not_fetched(server, tiny_encoder_folder):
    config = (tiny_encoder_folder / "config.json").read_bytes()
    server.add("models", "ada/old", {"config.json": config, "pytorch_model.bin": b"pickled"})
    assert (
        "encoder 'ada/old' has no *.safetensors on the Hub, only pytorch_model.bin; contsym loads no pick"
        in (refusal("ada/old"))
    )
    assert not any("/resolve/" in each for each in server.requests)


def test_a_shard_that_the_hub_has_lost(server, sharded_folder):
    repository = server.model("ada/tiny", sharded_folder)
    (name, *_) = (each for each in repository.commits[repository.refs["main"]] if each.startswith("model-"))
    repository.lost = {name}
    assert (
        f"the Hub lists {name} of model ada/tiny and does not have it (404); name another revision"
        in refusal("ada/tiny")
    )


def test_a_shard_that_was_never_uploaded(server, sharded_folder):
    files = {path.name: path.read_bytes() for path in sharded_folder.iterdir()}
    files = {name: content for name, content in files.items() if "-00002-of-" not in name}
    server.add("models", "ada/tiny", files)
    message = refusal("ada/tiny")
    assert message.startswith("encoder 'ada/tiny' is not whole on the Hub at commit ")
    assert "(1 file is missing: model-00002-of-0000" in message


@pytest.fixture
def half(server, sharded_folder, tmp_path):
    """A cache with one shard of several, as an interrupted download leaves it, and the Hub's whole model."""
    repository = server.model("ada/tiny", sharded_folder)
    commit = repository.refs["main"]
    cache = tmp_path / "cache" / "models--ada--tiny"
    shutil.copytree(sharded_folder, cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    for path in (cache / "snapshots" / commit).glob("model-*.safetensors"):
        if "-00001-" not in path.name:
            path.unlink()
    return cache / "snapshots" / commit


def test_the_rest_of_half_a_snapshot_is_fetched(half, server, sharded_folder):
    found = locate("ada/tiny")
    assert found.weights_sha256 == locate(str(sharded_folder)).weights_sha256
    fetched = [each for each in server.requests if each.startswith("GET") and "/resolve/" in each]
    assert fetched and all("/model-0000" in each for each in fetched)


def test_half_a_snapshot_and_no_network(half, monkeypatch):
    offline(monkeypatch)
    n = len(missing_shards(half))
    assert refusal("ada/tiny") == (
        "encoder 'ada/tiny' is not here: its copy in the Hub cache is not whole "
        f"({n} files are missing: {missing_shards(half)[0]}, {missing_shards(half)[1]}"
        f"{f' and {n - 2} more' if n > 2 else ''}); HF_HUB_OFFLINE is set; unset it to fetch from the Hub once, or "
        "name a folder that has it"
    )


@pytest.mark.parametrize("lost", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_another_program_left_out_is_fetched(server, tiny_encoder_folder, tmp_path, monkeypatch, lost):
    commit = server.model("ada/tiny", tiny_encoder_folder).refs["main"]
    cache = tmp_path / "cache" / "models--ada--tiny"
    shutil.copytree(tiny_encoder_folder, cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    (cache / "snapshots" / commit / lost).unlink()
    with monkeypatch.context() as without:
        without.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        what = "no *.safetensors" if lost.startswith("model") else f"no {lost.replace('izer.json', 'izer')}"
        assert f"its copy in the Hub cache is not whole ({what}); HF_HUB_OFFLINE" in refusal("ada/tiny")
    assert locate("ada/tiny").weights_sha256 == locate(str(tiny_encoder_folder)).weights_sha256


MODULES = b'[{"path": "", "type": "sentence_transformers.models.Transformer"}]'
"""A sentence-transformers encoder whose pooling is not declared."""


def test_what_transformers_does_not_fetch_is_fetched_too(server, tiny_encoder_folder, tmp_path, monkeypatch):
    """AutoModel ignores the pooling of a sentence encoder: without it, results would be wrong without an error."""
    commit = server.model("ada/tiny", tiny_encoder_folder, **{"modules.json": MODULES}).refs["main"]
    cache = tmp_path / "cache" / "models--ada--tiny"
    shutil.copytree(tiny_encoder_folder, cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    with monkeypatch.context() as without:
        without.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        assert locate("ada/tiny").origin == "Hub cache, not compared with the Hub"
    found = locate("ada/tiny")
    assert (found.origin, (found.folder / "modules.json").read_bytes()) == ("Hub", MODULES)


def test_a_cache_without_irrelevant_files_is_used_with_a_note(server, tiny_encoder_folder, monkeypatch):
    more = {"vocab.txt": b"", "onnx/config.json": b"{}", "1_Pooling/config.json": b"{}"}
    server.model("ada/tiny", tiny_encoder_folder, **more)
    found = locate("ada/tiny")
    assert not (found.folder / "onnx").exists()
    (found.folder / "vocab.txt").unlink()
    offline(monkeypatch)
    assert locate("ada/tiny").origin == "Hub cache, without vocab.txt"
    (found.folder / "1_Pooling/config.json").unlink()
    assert "its copy in the Hub cache is not whole (1 file is missing: 1_Pooling/config.json); HF_HUB" in (
        refusal("ada/tiny")
    )


def test_a_hub_that_lists_files_apart(server, tiny_encoder_folder):
    server.names_files = False
    server.model("ada/tiny", tiny_encoder_folder)
    assert locate("ada/tiny").origin == "Hub"


def test_a_truncated_file_in_the_cache_is_fetched_again(server, tiny_encoder_folder):
    server.model("ada/tiny", tiny_encoder_folder)
    path = locate("ada/tiny").folder / "model.safetensors"
    whole = path.read_bytes()
    path.resolve().write_bytes(whole[:100])
    assert locate("ada/tiny").weights_sha256 == locate(str(tiny_encoder_folder)).weights_sha256
    assert path.read_bytes() == whole


def test_a_folder_that_lacks_shards(half):
    lost = missing_shards(half)[0]
    with pytest.raises(EncoderError) as raised:
        locate(str(half))
    assert str(raised.value).startswith(f"{half}: the checkpoint is not whole; ")
    assert f"missing: {lost}, " in str(raised.value)


def test_a_folder_with_an_at_sign(tiny_encoder_folder, tmp_path):
    folder = tmp_path / "me@home"
    shutil.copytree(tiny_encoder_folder, folder)
    assert locate(str(folder)).origin == "folder"


def test_missing_shards_by_their_names(tmp_path):
    for name in ("train-00001-of-00003.parquet", "a-00002-of-00002.safetensors", "b-00000-of-00001.parquet"):
        (tmp_path / name).touch()
    assert missing_shards(tmp_path) == ["a-00001-of-00002.safetensors"]
    assert missing_shards(tmp_path, "*.parquet") == [
        "train-00000-of-00003.parquet",
        "train-00002-of-00003.parquet",
    ]
    (tmp_path / "a.safetensors").touch()
    assert missing_shards(tmp_path) == []


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "{"])
def test_an_invalid_index(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ContsymError, match=r"not an index of weights; expected an object with a weight_map$"):
        missing_shards(tmp_path)


def test_a_result_is_repeated_with_the_commit_that_it_had():
    stored = plain_result()
    weights = {**stored["encoder_weights"], "commit": "c" * 40}
    task = next(iter(stored["sources"]))
    source = {**stored["sources"][task], "name": f"hub:ada/pairs:one@{'d' * 40}"}
    changed = {
        **stored,
        "encoder": "ada/tiny@main",
        "encoder_weights": weights,
        "sources": {**stored["sources"], task: source},
        "asked": {"sources": {task: "hub:ada/pairs"}, "device": "cpu", "precision": "fp32", "audit": False},
    }
    config = config_of(SeedResult.model_validate(changed))
    assert config.encoder == f"ada/tiny@{'c' * 40}"
    assert config.sources == {task: f"hub:ada/pairs:one@{'d' * 40}"}


# -- datasets --


def parquet(labels, first=0):
    """Pairs as the bytes of a Parquet file."""
    numbers = range(first, first + len(labels))
    table = {
        "premise": [f"a{i} knows b{i}" for i in numbers],
        "hypothesis": [f"b{i} knows a{i}" for i in numbers],
        "label": labels,
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(table), sink)
    return sink.getvalue().to_pybytes()


MNLI_SPLITS = ("train", "validation_matched", "validation_mismatched")


def card(*configurations, names=("contradiction", "entailment", "neutral"), more=None, splits=MNLI_SPLITS):
    """A card as push_to_hub writes it: the files of each part, and the class names."""
    card = {
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": part, "path": f"{name}/{part}-*"} for part in splits],
                **(more or {}).get(name, {}),
            }
            for name in configurations
        ],
        "dataset_info": [
            {
                "config_name": name,
                "features": [
                    {"name": "premise", "dtype": "string"},
                    {"name": "hypothesis", "dtype": "string"},
                    {
                        "name": "label",
                        "dtype": {
                            "class_label": {"names": {str(i): each for i, each in enumerate(names or ())}}
                        },
                    },
                ],
            }
            for name in configurations
        ],
    }
    if not names:
        del card["dataset_info"]
    return f"---\n{json.dumps(card)}\n---\n# Pairs\n".encode()


def parts(name, labels, test=(0,)):
    return {
        f"{name}/train-00000-of-00001.parquet": parquet(labels),
        f"{name}/validation_matched-00000-of-00001.parquet": parquet(list(test), first=100),
        f"{name}/validation_mismatched-00000-of-00001.parquet": parquet([0], first=200),
    }


def labels_of(part):
    return [NLI_LABELS[label] for label in part["label"][:]]


def no_data(spec, task="mnli"):
    with pytest.raises(ContsymError) as raised:
        load_task(task, spec)
    assert TOKEN not in str(raised.value)
    return str(raised.value)


def test_the_cards_class_names_are_read_not_glues_order(server):
    repository = server.add(
        "datasets", "ada/pairs", {"README.md": card("default"), **parts("default", [0, 1, 2, -1])}
    )
    data = load_task("mnli", "hub:ada/pairs")
    assert data.source == f"hub:ada/pairs@{repository.refs['main']}"
    assert labels_of(data.train) == ["contradiction", "entailment", "neutral"]
    assert labels_of(data.test) == ["contradiction"]
    assert data.notes == ("train: 1 row without an agreed label is left out",)


def test_one_configuration_of_several_is_named_and_alone_fetched(server):
    files = {"README.md": card("one", "two"), **parts("one", [0, 0]), **parts("two", [1])}
    commit = server.add("datasets", "ada/pairs", files).refs["main"]
    assert no_data("hub:ada/pairs") == (
        "hub:ada/pairs has the configurations one, two; name one, as hub:ada/pairs:one"
    )
    assert no_data("hub:ada/pairs:tow") == ("hub:ada/pairs has no configuration 'tow'; did you mean two?")
    data = load_task("mnli", "hub:ada/pairs:two")
    assert data.source == f"hub:ada/pairs:two@{commit}"
    assert labels_of(data.train) == ["entailment"]
    assert not any("/one/" in each for each in server.requests)
    # What a result records gives the same again.
    assert load_task("mnli", data.source).fingerprint == data.fingerprint
    assert labels_of(load_task("mnli", "hub:ada/pairs:one@main").train) == ["contradiction", "contradiction"]


def test_the_declared_default_of_several_configurations_is_used_with_a_note(server):
    made = card("one", "two", more={"two": {"default": True}})
    commit = server.add(
        "datasets", "ada/pairs", {"README.md": made, **parts("one", [0, 0]), **parts("two", [1])}
    ).refs["main"]
    data = load_task("mnli", "hub:ada/pairs")
    assert data.source == f"hub:ada/pairs:two@{commit}"
    assert data.notes == ("hub:ada/pairs: configuration two, the default of one, two",)


def test_a_configuration_is_a_folder_of_its_own_format(server):
    """If the card does not list the files, those of all configurations are read."""
    made = {"configs": [{"config_name": name, "data_dir": name} for name in ("one", "two")]}
    files = {"README.md": f"---\n{json.dumps(made)}\n---\n".encode()}
    for name, label in (("one", "neutral"), ("two", "entailment")):
        row = json.dumps({"premise": "a", "hypothesis": name, "label": label}).encode() + b"\n"
        files |= {f"{name}/{part}.jsonl": row for part in ("train", "test")}
        files[f"{name}/validation.jsonl"] = row.replace(b'"a"', b'"b"')
    server.add("datasets", "ada/pairs", files)
    assert labels_of(load_task("mnli", "hub:ada/pairs:two").train) == ["entailment"]
    assert labels_of(load_task("mnli", "hub:ada/pairs:one").test) == ["neutral"]


def test_folders_of_parts_without_a_card_are_configurations(server):
    """As in the Hub's own conversion to Parquet; reading both folders together would mix them."""
    files = {f"{name}/train/0000.parquet": parquet([0] * n) for name, n in (("one", 20), ("two", 30))}
    server.add("datasets", "ada/pairs", files)
    assert "has the configurations one, two; name one" in no_data("hub:ada/pairs")
    assert sum(load_task("mnli", "hub:ada/pairs:two").rows.values()) == 30


@pytest.mark.parametrize("suffix", ["tsv", "csv"])
def test_tables_are_read_as_a_local_copy_is(server, tmp_path, suffix):
    """pandas would join rows at a bare quotation mark, and take NA and None for missing cells."""
    sign = {"tsv": "\t", "csv": ","}[suffix]
    open_mark = '"' if suffix == "tsv" else ""
    lines = [sign.join(("premise", "hypothesis", "label"))]
    for i in range(60):
        premise = "NA" if i == 3 else f"{open_mark if i in (5, 25) else ''}it rains {i}"
        lines.append(sign.join((premise, f"it pours {i}", "entailment")))
    text = ("\n".join(lines) + "\n").encode()
    server.add("datasets", "ada/pairs", {f"train.{suffix}": text})
    (tmp_path / f"pairs.{suffix}").write_bytes(text)
    local = load_task("mnli", str(tmp_path / f"pairs.{suffix}"))
    found = load_task("mnli", "hub:ada/pairs")
    assert (sum(found.rows.values()), found.fingerprint) == (60, local.fingerprint)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"sep": "|"}, "premise|hypothesis|label\n{}|x|neutral\n"),
        ({"names": ["premise", "hypothesis", "label"]}, "{},x,neutral\n"),
        ({"skiprows": 1}, "made by hand\npremise,hypothesis,label\n{},x,neutral\n"),
        ({"encoding": "latin-1"}, "premise,hypothesis,label\n{} \xe9,x,neutral\n"),
    ],
)
def test_what_the_card_says_of_a_table_stays(server, config, text):
    head, _, row = text.rstrip("\n").rpartition("\n")
    rows = "\n".join([*([head] if head else []), *(row.format(f"it rains {i}") for i in range(60))])
    made = {"configs": [{"config_name": "default", "data_files": "train.csv", **config}]}
    files = {"README.md": f"---\n{json.dumps(made)}\n---\n".encode(), "train.csv": rows.encode("latin-1")}
    server.add("datasets", "ada/pairs", files)
    assert sum(load_task("mnli", "hub:ada/pairs").rows.values()) == 60


def test_quoted_cells_of_a_table_with_tabs_are_unquoted(server):
    lines = ["premise\thypothesis\tlabel", *(f'"it rains, {i}"\t"it\npours {i}"\tneutral' for i in range(60))]
    server.add("datasets", "ada/pairs", {"train.tsv": ("\n".join(lines) + "\n").encode()})
    data = load_task("mnli", "hub:ada/pairs")
    texts = {text for part in data.parts.values() for text in part["premise"]}
    assert len(texts) == 60 and "it rains, 7" in texts


def test_class_names_of_a_card_go_with_a_table(server):
    rows = "".join(f"it rains {i},it pours {i},{i % 3}\n" for i in range(30))
    info = [
        {
            "name": "label",
            "dtype": {"class_label": {"names": {"0": "neutral", "1": "entailment", "2": "contradiction"}}},
        }
    ]
    texts = [{"name": name, "dtype": "string"} for name in ("premise", "hypothesis")]
    made = f"---\n{json.dumps({'dataset_info': {'features': [*texts, *info]}})}\n---\n".encode()
    table = f"premise,hypothesis,label\n{rows}".encode()
    server.add("datasets", "ada/pairs", {"README.md": made, "train.csv": table})
    data = load_task("mnli", "hub:ada/pairs")
    labels = {row["premise"]: NLI_LABELS[row["label"]] for part in data.parts.values() for row in part}
    assert (labels["it rains 0"], labels["it rains 1"]) == ("neutral", "entailment")


def test_a_table_of_other_columns_says_which(server):
    server.add("datasets", "ada/pairs", {"train.csv": b"s1;s2;y\n" + b"a;b;neutral\n" * 30})
    assert "column 'premise' is missing; the row has s1;s2;y; its columns are separated by ';'" in no_data(
        "hub:ada/pairs"
    )


def test_a_part_in_several_files(server):
    files = {
        **{f"data/train-0000{i}-of-00003.parquet": parquet([i], first=i) for i in range(3)},
        "data/test-00000-of-00001.parquet": parquet([2], first=9),
        "data/validation-00000-of-00001.parquet": parquet([2], first=99),
    }
    server.add("datasets", "ada/pairs", files)
    assert load_task("mnli", "hub:ada/pairs").rows == {"train": 3, "validation": 1, "test": 1}


def test_a_file_of_a_part_that_is_not_there(server):
    files = {f"data/train-0000{i}-of-00003.parquet": parquet([i], first=i) for i in range(3)}
    del files["data/train-00001-of-00003.parquet"]
    commit = server.add("datasets", "ada/pairs", files).refs["main"]
    assert no_data("hub:ada/pairs") == (
        f"hub:ada/pairs is incomplete at commit {commit[:12]}: data/train-00001-of-00003.parquet is missing; name "
        "another revision, or give a local copy as a path"
    )


def test_a_file_of_a_part_that_is_not_in_the_cache(server, monkeypatch):
    files = {f"data/train-0000{i}-of-00002.parquet": parquet([i], first=i) for i in range(2)}
    files["data/test-00000-of-00001.parquet"] = parquet([0], first=9)
    files["data/validation-00000-of-00001.parquet"] = parquet([0], first=99)
    repository = server.add("datasets", "ada/pairs", files)
    load_task("mnli", "hub:ada/pairs")
    cache = hub_client.Repository("dataset", "ada/pairs").cache / "snapshots" / repository.refs["main"]
    (cache / "data/train-00001-of-00002.parquet").unlink()
    offline(monkeypatch)
    assert no_data("hub:ada/pairs") == (
        "hub:ada/pairs cannot be loaded: its copy in the Hub cache is incomplete (data/train-00001-of-00002.parquet "
        "missing); HF_HUB_OFFLINE is set; unset it to fetch from the Hub once, or give a local copy as a path: --mnli PATH"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    data_hub.resolve.cache_clear()
    assert load_task("mnli", "hub:ada/pairs").rows == {"train": 2, "validation": 1, "test": 1}


def test_a_local_folder_that_lacks_a_file_of_a_part(tmp_path):
    (tmp_path / "train-00000-of-00002.parquet").write_bytes(parquet([0]))
    (tmp_path / "test.parquet").write_bytes(parquet([0]))
    assert no_data(str(tmp_path)) == (
        f"{tmp_path}: incomplete, train-00001-of-00002.parquet missing; copy or download all of its files"
    )


def test_parts_of_other_names_are_listed(server):
    files = {"train.jsonl": b"", "spare.jsonl": b""}
    row = b'{"premise": "a", "hypothesis": "b", "label": 0}\n'
    made = {"configs": [{"config_name": "default", "data_files": []}]}
    made["configs"][0]["data_files"] = [{"split": name[:-6], "path": name} for name in files]
    readme = f"---\n{json.dumps(made)}\n---\n".encode()
    server.add("datasets", "ada/pairs", {"README.md": readme, **dict.fromkeys(files, row)})
    assert no_data("hub:ada/pairs") == (
        "hub:ada/pairs has the splits train, spare; expected dev_matched or validation_matched or test or validation "
        "or dev for the test part: give a local copy whose files have these names"
    )


def test_splits_are_known_by_any_spelling_and_unused_ones_are_named(server):
    splits = ("train", "val", "test", "spare")
    files = {
        f"default/{name}-00000-of-00001.parquet": parquet([0, 1], first=10 * i)
        for i, name in enumerate(splits)
    }
    server.add("datasets", "ada/pairs", {"README.md": card("default", splits=splits), **files})
    data = load_task("mnli", "hub:ada/pairs")
    firsts = {part: pairs["premise"][0] for part, pairs in data.parts.items()}
    assert firsts == {"train": "a0 knows b0", "validation": "a10 knows b10", "test": "a20 knows b20"}
    assert data.notes == ("hub:ada/pairs: splits that are not used: spare",)


@pytest.mark.parametrize("column", ["split", "SemEval_set", "phase", "is_test"])
def test_a_column_of_parts_divides_a_single_split(server, column):
    marks = [i % 3 == 0 if column == "is_test" else ("test", "train", "train")[i % 3] for i in range(30)]
    rows = [
        {"premise": f"a{i}", "hypothesis": f"b{i}", "label": "neutral", column: mark, "set": [i]}
        for i, mark in enumerate(marks)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    server.add("datasets", "ada/pairs", {"README.md": b"# Pairs\n", "train.jsonl": lines})
    data = load_task("mnli", "hub:ada/pairs")
    assert sorted(data.test["premise"], key=lambda text: int(text[1:])) == [f"a{i}" for i in range(0, 30, 3)]
    assert data.notes[0] == f"the parts are those of column {column!r}: train 20, test 10"


def test_a_data_set_that_is_a_program(server):
    server.add("datasets", "ada/pairs", {"pairs.py": b"raise SystemExit('run')", "README.md": b"# Pairs\n"})
    assert no_data("hub:ada/pairs") == (
        "hub:ada/pairs has a loading script (pairs.py) and no data files, and contsym runs no foreign code; try "
        "hub:ada/pairs@refs/convert/parquet, or give a local copy as a path"
    )


@pytest.mark.parametrize("path", ["/etc/passwd", "https://example.org/x.csv", "../../x.csv"])
def test_a_card_that_names_files_elsewhere(server, path):
    made = f"---\nconfigs:\n- config_name: default\n  data_files: {path}\n---\n".encode()
    server.add("datasets", "ada/pairs", {"README.md": made, "train.csv": b"x"})
    assert f"the card names '{path}', outside of the dataset" in no_data("hub:ada/pairs")


@pytest.mark.parametrize("text", ["configs: 1", "configs: [1]", "configs: [{config_name: a", "- a"])
def test_a_card_that_cannot_be_read(server, text):
    server.add("datasets", "ada/pairs", {"README.md": f"---\n{text}\n---\n".encode(), **parts("data", [0])})
    assert "hub:ada/pairs: the card at commit " in no_data("hub:ada/pairs")


def test_data_from_a_warm_cache_offline_and_with_a_dead_hub(server, monkeypatch):
    commit = server.add(
        "datasets", "ada/pairs", {"README.md": card("default"), **parts("default", [0, 1])}
    ).refs["main"]
    data = load_task("mnli", "hub:ada/pairs")
    offline(monkeypatch)
    again = load_task("mnli", "hub:ada/pairs")
    assert (again.source, again.fingerprint) == (data.source, data.fingerprint)
    assert again.notes == (f"hub:ada/pairs: commit {commit[:12]} of the Hub cache (HF_HUB_OFFLINE is set)",)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    server.status = 503
    data_hub.resolve.cache_clear()
    (note,) = load_task("mnli", "hub:ada/pairs").notes
    assert note.endswith("of the Hub cache (the Hub fails at present (503))")
    n = len(server.requests)
    assert load_task("mnli", data.source).notes == ()
    assert len(server.requests) == n


def test_a_branch_that_has_moved_is_read_anew_and_a_commit_is_not(server):
    old = server.add("datasets", "ada/pairs", parts("data", [0, 1])).refs["main"]
    before = load_task("mnli", "hub:ada/pairs")
    server.add("datasets", "ada/pairs", parts("data", [2, 1]))
    for function in (data_hub.resolve, data_hub._parts):
        function.cache_clear()
    assert load_task("mnli", "hub:ada/pairs").fingerprint != before.fingerprint
    assert load_task("mnli", f"hub:ada/pairs@{old}").fingerprint == before.fingerprint


def test_several_data_sets_are_one_source(server):
    commits = [
        server.add("datasets", f"ada/{name}", parts("data", labels)).refs["main"]
        for name, labels in (("one", [0]), ("two", [1, 1]))
    ]
    data = load_task("mnli", "hub:ada/one+ada/two")
    assert data.source == f"hub:ada/one@{commits[0]}+ada/two@{commits[1]}"
    assert load_task("mnli", data.source).fingerprint == data.fingerprint
    assert labels_of(data.train) == ["entailment", "neutral", "neutral"]


def test_refusals_of_data_sets(server, monkeypatch):
    assert no_data("hub:ada/pairs") == (
        "hub:ada/pairs cannot be loaded: the Hub has no dataset ada/pairs, or it is private (401); check the name, and log "
        "in if it is private (`hf auth login`, or HF_TOKEN), or give a local copy as a path: --mnli PATH"
    )
    server.add("datasets", "ada/pairs", parts("data", [0])).gated = True
    assert f"is gated on the Hub; accept its terms at {server.url}/datasets/ada/pairs" in no_data(
        "hub:ada/pairs"
    )
    assert "dataset ada/pairs has no revision 'v9' on the Hub" in no_data("hub:ada/pairs@v9")
    assert "'hub ada' is not a Hub dataset; expected hub:OWNER/NAME, with" in no_data("hub:hub ada")


# -- a run, and the command --


def test_a_record_names_the_commits_of_encoder_and_data(server, tiny_encoder_folder, tmp_path, monkeypatch):
    server.model("ada/tiny", tiny_encoder_folder)
    server.add("datasets", "ada/pairs", {"README.md": card("default"), **parts("default", [0, 1, 2] * 8)})
    commits = {name: each.refs["main"] for (_, name), each in server.repositories.items()}
    for origin in ("Hub", "Hub cache"):
        config = toy_config({"mnli": "hub:ada/pairs"}, "ada/tiny", tmp_path, "ncm", "mnli_only")
        made = record(prepare(config), 0, datetime.now(UTC), [24])
        files = locate(str(tiny_encoder_folder))
        weights = {
            "sha256": files.weights_sha256,
            "text_files_sha256": files.text_files_sha256,
            "origin": origin,
        }
        assert made.encoder_weights.model_dump() == {**weights, "commit": commits["ada/tiny"]}
        assert made.sources["mnli"].name == f"hub:ada/pairs@{commits['ada/pairs']}"
        again = config_of(made)
        assert again.encoder == f"ada/tiny@{commits['ada/tiny']}"
        assert again.sources == {"mnli": f"hub:ada/pairs@{commits['ada/pairs']}"}
        offline(monkeypatch)


def command(folder, server, *words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "contsym", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **environment,
        },
    )


def test_data_by_name_from_the_command(server, tmp_path):
    commit = server.add("datasets", "ada/pairs", {"README.md": card("default"), **parts("default", [0, 1])})
    done = contsym_here("data", "stats", "hub:ada/pairs", "--task", "mnli", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["source"] == f"hub:ada/pairs@{commit.refs['main']}"


def test_a_misspelt_encoder_is_one_line_and_exit_code_2(server, tmp_path):
    words = ("run", "--strategy", "ncm", "--scenario", "mnli_only", "--encoder", "ada/tny")
    # In a process of its own: what the libraries say counts too.
    done = command(tmp_path, server, *words, HF_TOKEN=TOKEN)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "the Hub has no model ada/tny, or it is private (404)" in done.stderr
    assert TOKEN not in done.stderr


# -- contsym's own tasks, by their names --

HUB_TASKS = {
    # The columns and the splits of the real datasets.
    "mnli": (("premise", "hypothesis", "label"), ("train", "validation_matched", "validation_mismatched")),
    "snli": (("premise", "hypothesis", "label"), ("train", "validation", "test")),
    "anli": (
        ("premise", "hypothesis", "label"),
        [f"{part}_r{n}" for part in ("train", "dev", "test") for n in (1, 2, 3)],
    ),
    "rte": (("sentence1", "sentence2", "label"), ("train", "validation")),
    "qnli": (("question", "sentence", "label"), ("train", "validation")),
    "mrpc": (("sentence1", "sentence2", "label"), ("train", "validation", "test")),
    "sick": (("sentence_A", "sentence_B", "label"), ("train", "validation", "test")),
    "sst2": (("sentence", "label"), ("train", "validation")),
    "agnews": (("text", "label"), ("train", "test")),
    "amazon": (("text", "label"), ("train", "validation", "test")),
    "dbpedia": (("content", "label"), ("train", "test")),
    "yelp": (("text", "label"), ("train", "test")),
    "yahoo": (("question_title", "topic"), ("train", "test")),
    "fewrel": (("tokens", "relation"), ("train_wiki", "val_wiki", "val_nyt")),
}


def test_every_task_of_the_hub_is_tried():
    assert {*HUB_TASKS} == {name for name, task in own_tasks().items() if task.source.startswith("hub:")}


@pytest.mark.parametrize(
    "name", fast_and_slow(HUB_TASKS, ["mnli", "anli", "rte", "sst2", "yahoo", "fewrel"], [])
)
def test_a_task_is_loaded_by_its_name_at_its_commit(server, name):
    """Each row names its label; of FewRel the labels are ids, and a text is a list of words."""
    (*texts, label), splits = HUB_TASKS[name]
    task = find_task(name)
    named, _, revision = task.source.removeprefix("hub:").partition("@")
    repository, _, configuration = named.partition(":")
    ids = {written: label for written, label in task.written.items() if written.startswith("P")}
    answers = [*ids] if ids else [*range(len(task.labels))]
    folder, files = configuration or "default", {}
    is_commit = len(revision) == 40
    for split in splits:
        table = {label: [each for each in answers for _ in range(4)]}
        for text in texts:
            made = [f"{split} {text} {i} of {each}" for each in answers for i in range(4)]
            table[text] = [each.split() for each in made] if text == "tokens" else made
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(table), sink)
        # The branch of converted files has a folder for each split, and no card.
        path = f"{split}-00000-of-00001.parquet" if is_commit else f"{split}/0000.parquet"
        for one in {folder, "another"} if configuration else {folder}:
            files[f"{one}/{path}"] = sink.getvalue().to_pybytes()
    if is_commit:
        files["README.md"] = card(
            *sorted({each.partition("/")[0] for each in files}), splits=splits, names=None
        )
    hub = server.add("datasets", repository, files, "main" if is_commit else revision)
    if is_commit:
        hub.commits[revision] = files
    data = load_task(name, "hub")
    assert data.source == f"hub:{named}@{revision if is_commit else hub.refs[revision]}"
    n_parts = len(splits) / 3 if name == "anli" else 1
    if name == "fewrel":  # one part, which is divided
        assert sum(data.rows.values()) == len(answers) * 4
    else:
        assert data.rows["test"] == len(answers) * 4 * n_parts
    for part in data.parts.values():
        for row in part:
            number = (row["premise"] or row["hypothesis"]).rpartition(" of ")[2]
            assert data.labels[row["label"]] == (ids[number] if ids else task.labels[int(number)])


def test_a_commit_that_is_gone_is_one_line(server):
    server.add("datasets", "fancyzhx/ag_news", {"data/train.csv": b"text,label\na,0\n"})
    assert no_data("hub", "agnews").startswith("hub:fancyzhx/ag_news cannot be loaded: ")
