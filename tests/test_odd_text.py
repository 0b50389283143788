"""Text that breaks programs, on its way from a file to a vector, a page and a key."""

import csv
import json

import pytest

from contsym.data.sources import load_task
from contsym.errors import ContsymError
from contsym.results.mlflow_records import safe

TEXTS = {
    "100,000 characters": "word " * 20_000,
    "one word of 100,000": "x" * 100_000,
    "only emoji": "👩‍👩‍👧‍👦🎉🇪🇸",
    "right to left": "שלום עולם مرحبا",
    "an override of direction": "\u202etxet\u202c",
    "zero-width": "\u200b\u200d\u2060\ufeff",
    "control characters": "a\x01\x07\x08\x0c\x1b[2J\x7fb",
    "NUL": "a\x00b",
    "combining": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "private use and unassigned": "\ue000\U0010ffff\u0378",
    "line separators": "a\u2028b\u2029c\x85d",
}
REFUSED = {
    "nothing": ("", "premise is empty; expected a sentence"),
    "only space": (" \t\u00a0\u3000\n", "premise is empty; expected a sentence"),
    "half a surrogate pair": ("a\ud800b", "premise has half a surrogate pair; expected Unicode text"),
}
every_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())


def rows(text):
    return [
        {"id": str(i), "premise": f"{text}{i}", "hypothesis": text, "label": "neutral"} for i in range(20)
    ]


def write(path, found):
    """The rows in the format that the path's ending names."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(found), path)
    return str(path)


@every_text
@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_text_is_read_as_it_is(text, ending, tmp_path):
    loaded = load_task("mnli", write(tmp_path / f"pairs{ending}", rows(text)))
    found = [*loaded.train["hypothesis"], *loaded.test["hypothesis"]]
    assert set(found) == {text.strip()}
    assert loaded.fingerprint == load_task("mnli", str(tmp_path / f"pairs{ending}")).fingerprint


@every_text
def test_tab_separated_text_is_read_unless_it_has_ends_of_lines(text, tmp_path):
    path = tmp_path / "pairs.tsv"
    lines = ["premise\thypothesis\tlabel", *(f"{row['premise']}\t{text}\tneutral" for row in rows(text))]
    path.write_bytes("\n".join(lines).encode())
    loaded = load_task("mnli", str(path))
    assert set(loaded.train["hypothesis"]) == {text.strip()}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_encoded_is_refused_with_its_line(text, message, tmp_path):
    path = tmp_path / "pairs.jsonl"
    good = {"premise": "a", "hypothesis": "b", "label": "neutral"}
    path.write_text(json.dumps(good) + "\n" + json.dumps({**good, "premise": text}) + "\n")
    with pytest.raises(ContsymError) as error:
        load_task("mnli", str(path))
    assert str(error.value) == f"{path}:2: {message}"


@pytest.mark.parametrize("form", ["lexicalised", "delexicalised", "both"])
def test_a_name_that_cannot_be_encoded_is_refused_with_its_line_in_every_form(form, tmp_path):
    path = tmp_path / "pairs.jsonl"
    pair = {"premise": "\ud800 borders oslo", "hypothesis": "oslo borders \ud800", "label": "entailment"}
    path.write_text(json.dumps({**pair, "relation": "borders", "subject": "\ud800", "object": "oslo"}) + "\n")
    with pytest.raises(ContsymError) as error:
        load_task("wikidata", str(path), form=form)
    assert str(error.value) == f"{path}:1: premise has half a surrogate pair; expected Unicode text"


def test_every_text_has_a_finite_vector_and_the_same_one_whatever_is_encoded_beside_it(tiny_encoder_folder):
    import torch

    from contsym.models.encoders import checkpoints
    from contsym.models.encoders.load import load

    encoder = load(checkpoints.locate(str(tiny_encoder_folder)))
    texts = ["", *TEXTS.values()]
    vectors = encoder.encode(texts)
    assert vectors.shape == (len(texts), encoder.dim)
    assert torch.isfinite(vectors).all()
    # Batches of other lengths add up in another order.
    for text, vector in zip(texts, vectors, strict=True):
        torch.testing.assert_close(encoder.encode([text])[0], vector, rtol=1e-4, atol=1e-5)
    # A pair of long texts once took more than 8 GB.
    pairs = encoder.encode([(text, text) for text in texts])
    assert torch.isfinite(pairs).all()


def test_what_is_cut_off_a_long_text_is_nothing_that_the_encoder_would_see(tiny_encoder_folder):
    import torch

    from contsym.models.encoders import checkpoints
    from contsym.models.encoders.load import load
    from contsym.models.encoders.pooled import CHARACTERS_A_TOKEN

    encoder = load(checkpoints.locate(str(tiny_encoder_folder)))
    text = "lisbon borders madrid and " * 400
    assert len(text) > CHARACTERS_A_TOKEN * encoder.max_length
    whole = encoder.tokenizer([text], truncation=True, max_length=encoder.max_length, return_tensors="pt")
    assert torch.equal(encoder.tokenize([text])["input_ids"], whole["input_ids"])


@every_text
def test_a_key_of_mlflow_and_json_in_a_page_hold_it(text):
    import re

    from contsym.report.render import script_json

    assert re.fullmatch(r"[\w.\- ]+", safe(text))
    written = script_json([text])
    assert json.loads(written) == [text] and "<" not in written and written.isascii()


@every_text
def test_the_terminal_is_given_no_order(text):
    from contsym.commands.views.tables import shown

    plain = shown(text).plain
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in plain)
    assert shown("Łódź is in Polska").plain == "Łódź is in Polska"
