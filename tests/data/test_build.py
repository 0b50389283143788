"""The output of a build: sentences checked by hand, forms and options, the manifest, and reading it back.

Over 400 lines: one build shows many of its options.
"""

import itertools
import json
import subprocess
import sys
import time
from collections import Counter

import pytest

from contsym.data.audit import audit
from contsym.data.schema import file_sha256
from contsym.data.sources import load_task
from contsym.data.wikidata.relations import registry
from contsym.errors import DataError, SettingError
from contsym.tasks.schema import NLI_LABELS
from tests.data.built import built, couples, triples_file

KIN = [
    *couples(30),
    *couples(30, "P40", "child"),
    *couples(30, "P3373", "sibling"),
    *couples(30, "P22", "father"),
]


def test_one_fact_of_each_kind_by_hand(tmp_path):
    """(Ada, spouse, Bob) entails its mirror; (Cid, child, Dan) means that Dan is a child of Cid."""
    facts = [("Ada", "P26", "Bob"), ("Cid", "P40", "Dan")]
    made = built(tmp_path, facts, bare=True, test_share=0.5, seed=_seed_with_both_parts(facts))
    found = {row["relation"]: row for row in made["rows"]}
    spouse, child = found["P26"], found["P40"]
    sentences = {"Ada is married to Bob", "Bob is married to Ada"}
    assert {spouse["premise"], spouse["hypothesis"]} == sentences
    assert (spouse["label"], spouse["kind"]) == ("entailment", "symmetric")
    assert (child["premise"], child["hypothesis"]) == ("Dan is a child of Cid", "Cid is a child of Dan")
    assert (child["label"], child["kind"]) == ("contradiction", "antisymmetric")
    assert (child["subject"], child["object"], child["phrasing"]) == ("Cid", "Dan", "[Y] is a child of [X]")
    assert child["id"] == f"P40/{child['subject_id']}/{child['object_id']}"
    assert child["delexicalised_premise"] == f"{child['object_id']} is a child of {child['subject_id']}"
    assert child["subject_id"].startswith("ent-")
    assert "Dan" not in child["delexicalised_premise"] + child["delexicalised_hypothesis"]


def _seed_with_both_parts(facts):
    """With two pairs, about every third seed puts one into each part."""
    import tempfile
    from pathlib import Path

    for seed in range(50):
        with tempfile.TemporaryDirectory() as folder:
            try:
                built(Path(folder), facts, bare=True, test_share=0.5, seed=seed)
                return seed
            except DataError:
                continue
    raise AssertionError("no seed puts one pair on each side")


def test_bare_has_one_phrasing_a_relation_and_the_default_several(tmp_path):
    bare = built(tmp_path, KIN, bare=True)
    assert {row["phrasing"] for row in bare["rows"] if row["relation"] == "P26"} == {
        registry().relations["P26"].phrasings[0]
    }
    made = built(tmp_path, KIN, out=tmp_path / "all")
    assert {row["phrasing"] for row in made["rows"] if row["relation"] == "P26"} == set(
        registry().relations["P26"].phrasings
    )
    assert all(row["phrasing"] == row["hypothesis_phrasing"] for row in made["rows"])


def test_paraphrase_gives_the_hypothesis_another_phrasing(tmp_path):
    rows = built(tmp_path, KIN, paraphrase=True)["rows"]
    assert rows
    assert all(row["phrasing"] != row["hypothesis_phrasing"] for row in rows)
    assert all(row["relation"] == row["hypothesis_relation"] for row in rows)


def test_paraphrase_keeps_to_the_phrasings_of_its_part(tmp_path):
    made = built(tmp_path, KIN, paraphrase=True, split="phrasing")
    columns = ("phrasing", "hypothesis_phrasing")
    phrasings = {
        part: {row[name] for row in made["rows"] if row["part"] == part for name in columns}
        for part in ("train", "test")
    }
    assert not phrasings["train"] & phrasings["test"]
    # Three phrasings: where one is held out, it is the only one of its part.
    assert any("have only one phrasing in their part" in warning for warning in made["warnings"])


def test_the_direction_of_a_symmetric_pair_gives_nothing_away(tmp_path):
    rows = built(tmp_path, couples(400) + couples(30, "P40", "child"))["rows"]
    first = Counter(row["subject"].endswith("a") for row in rows if row["relation"] == "P26")
    # Each is drawn with probability one half: 400 draws are within 5 standard deviations (50) of it.
    assert abs(first[True] - 200) < 50
    children = [row["subject"].endswith("a") for row in rows if row["relation"] == "P40"]
    assert children
    assert all(children)


def test_neutral_hypotheses_state_another_fact_of_one_of_the_entities(tmp_path):
    people = [f"p{i}" for i in range(40)]
    facts = [t for i, p in enumerate(people) for t in ((p, "P26", f"spouse of {i}"), (f"film {i}", "P57", p))]
    made = built(tmp_path, facts, neutral=True)
    neutral = [row for row in made["rows"] if row["label"] == "neutral"]
    # At most half as many as there are pairs; a person's other fact may be in the other part.
    assert 0 < len(neutral) <= sum(n // 2 for n in _pairs_by_part(made).values())
    stated = set(facts)
    for row in neutral:
        hypothesis = (row["hypothesis"], row["hypothesis_relation"])
        assert {row["relation"], row["hypothesis_relation"]} == {"P26", "P57"}, hypothesis
    # Each hypothesis is a fact that was given.
    by_id = {row["subject_id"]: row["subject"] for row in made["rows"]}
    by_id |= {row["object_id"]: row["object"] for row in made["rows"]}
    for row in neutral:
        s, o = by_id[row["hypothesis_subject_id"]], by_id[row["hypothesis_object_id"]]
        assert {(s, row["hypothesis_relation"], o), (o, row["hypothesis_relation"], s)} & stated


def test_distractors_keep_the_entities_and_swap_the_relation(tmp_path):
    facts = [
        *couples(40),
        *couples(40, "P737", "skipped"),
        *couples(40, "P57", "film"),
        *couples(40, "P1066", "student"),
    ]
    made = built(tmp_path, facts, distract=True)
    rows = [row for row in made["rows"] if row["label"] == "neutral"]
    assert rows
    for row in rows:
        assert {row["subject_id"], row["object_id"]} == {
            row["hypothesis_subject_id"],
            row["hypothesis_object_id"],
        }
        relations = registry().relations
        one, other = relations[row["relation"]], relations[row["hypothesis_relation"]]
        assert one.domain == other.domain and one.family != other.family


def _pairs_by_part(made):
    return Counter(row["part"] for row in made["rows"] if row["label"] != "neutral")


def test_neutral_that_the_data_do_not_allow_is_a_warning(tmp_path):
    made = built(tmp_path, KIN, neutral=True)
    assert "neutral" not in made["labels"]["train"]
    assert any(w.startswith("--neutral: the train part allows only 0 of") for w in made["warnings"])


def test_balance_and_the_most_pairs_of_a_relation(tmp_path):
    facts = [*couples(100), *couples(40, "P40", "child")]
    made = built(tmp_path, facts, balance=True)
    for counts in made["labels"].values():
        assert counts["entailment"] == counts["contradiction"]
    with pytest.raises(
        DataError, match=r"--balance: the train part would be empty, since it has pairs of one kind only"
    ):
        built(tmp_path, couples(40), balance=True, out=tmp_path / "one")
    assert not (tmp_path / "one").exists()
    few = built(tmp_path, facts, max_per_relation=25, out=tmp_path / "few")
    assert Counter(row["relation"] for row in few["rows"]) == {"P26": 25, "P40": 25}
    assert few["left_out"] == {"pairs above --max-per-relation": 90}


@pytest.mark.parametrize("form", ["lexicalised", "delexicalised"])
def test_one_form_leaves_the_other_out(form, tmp_path):
    made = built(tmp_path, KIN, form=form)
    other = {"lexicalised": "delexicalised_premise", "delexicalised": "premise"}[form]
    assert all(row[other] is None for row in made["rows"])
    assert made["forms"] == [form]
    wrong = "delexicalised" if form == "lexicalised" else "lexicalised"
    with pytest.raises(
        SettingError,
        match=f"--form {wrong}: .* was built {form} only; give --form {form}, or build it again with --form {wrong}",
    ):
        load_task("wikidata", str(tmp_path / "out"), wrong)


def test_ids_without_labels_can_be_built_delexicalised(tmp_path):
    facts = [(f"Q{2 * i}", r, f"Q{2 * i + 1}") for i, (_, r, _) in enumerate(KIN, 1)]
    rows = built(tmp_path, facts, form="delexicalised")["rows"]
    assert rows
    assert all(row["delexicalised_premise"].count("Q") == 2 for row in rows)


# -- manifest and loading --


def test_the_manifest_records_inputs_and_outputs(tmp_path):
    made = built(tmp_path, KIN, seed=3)
    path = tmp_path / "triples.tsv"
    assert made["inputs"]["triples"] == {
        "file": "triples.tsv",
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
        "format": "tsv",
        "lines": 120,
        "bad_lines": 0,
        "first_bad": "",
    }
    assert made["split"] == {
        "rule": "pair",
        "meaning": "all pairs of the same two entities on one side",
        "test_share": 0.2,
        "seed": 3,
    }
    assert made["registry"]["sha256"] == registry().sha256
    for relation, n in Counter(row["relation"] for row in made["rows"]).items():
        assert made["relations"][relation]["train"] + made["relations"][relation]["test"] == n
    stored = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    made.pop("rows")
    assert stored == made
    assert str(tmp_path) not in json.dumps(stored)


def test_a_built_data_set_loads_as_it_was_written(tmp_path):
    made = built(tmp_path, KIN, split="entity", neutral=True)
    data = load_task("wikidata", str(tmp_path / "out"), "lexicalised")
    rows = {row["id"]: row for row in made["rows"]}
    assert data.split == "entity"
    assert data.rows["test"] == sum(made["labels"]["test"].values())
    for pair in itertools.chain(*data.parts.values()):
        row = rows[pair["id"]]
        for name in ("premise", "hypothesis", "relation", "kind", "subject", "object"):
            assert pair[name] == row[name]
        assert NLI_LABELS[pair["label"]] == row["label"]


def test_both_forms_are_side_by_side_with_the_same_ids(tmp_path):
    built(tmp_path, KIN)
    data = load_task("wikidata", str(tmp_path / "out"), "both")
    names, opaque = data.train[0], data.train[1]
    assert opaque["id"] == names["id"] + "#delexicalised"
    assert opaque["premise"] == names["premise"].replace(names["subject"], opaque["subject"]).replace(
        names["object"], opaque["object"]
    )


def test_a_built_data_set_can_be_resplit(tmp_path):
    built(tmp_path, KIN)
    data = load_task("wikidata", str(tmp_path / "out"), "lexicalised", "relation")
    assert data.split == "relation"
    assert not set(data.train["relation"]) & set(data.test["relation"])
    # The rule it was built by needs no new split.
    same = load_task("wikidata", str(tmp_path / "out"), "lexicalised", "pair")
    assert same.fingerprint == load_task("wikidata", str(tmp_path / "out"), "lexicalised").fingerprint


def test_a_test_part_of_another_size_than_asked_for_is_a_warning(tmp_path):
    facts = [
        *couples(200),
        *couples(4, "P3373", "kin"),
        *couples(200, "P40", "child"),
        *couples(4, "P22", "dad"),
    ]
    made = built(tmp_path, facts, split="relation")
    # One small relation of each kind is held out: 8 of 408 pairs.
    assert "the test part is 2.0% of the pairs, not 20%: whole groups go to one side" in made["warnings"]


def test_it_is_no_mnli(tmp_path):
    built(tmp_path, KIN)
    with pytest.raises(DataError, match="these are relation pairs; give them as --wikidata"):
        load_task("mnli", str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "train.parquet",
            lambda raw: raw[:-1] + b"x",
            "train.parquet: not the file that manifest.json describes",
        ),
        ("manifest.json", lambda raw: raw[:-20], "manifest.json: cannot be read"),
        (
            "manifest.json",
            lambda raw: b"[]",
            "manifest.json: format list; this version reads format 1; expected a file that contsym wrote",
        ),
        (
            "manifest.json",
            lambda raw: raw.replace(b'"rule": "pair"', b'"rule": "x"'),
            "split.rule is 'x'; expected 'random', 'pair', 'entity', 'relation' or 'phrasing'",
        ),
        (
            "manifest.json",
            lambda raw: raw.replace(b'"lexicalised"', b'"plain"'),
            "forms.0 is 'plain'; expected 'lexicalised' or 'delexicalised'",
        ),
        (
            "manifest.json",
            lambda raw: raw.replace(b'"test.parquet"', b'"../x"'),
            "'../x'; expected 'train.parquet' or 'test.parquet'",
        ),
    ],
)
def test_a_changed_file_is_seen(name, change, message, tmp_path):
    built(tmp_path, KIN)
    path = tmp_path / "out" / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        load_task("wikidata", str(tmp_path / "out"))


def test_a_missing_part_is_one_line(tmp_path):
    built(tmp_path, KIN)
    (tmp_path / "out" / "test.parquet").unlink()
    with pytest.raises(DataError, match=r"test\.parquet: cannot be read"):
        load_task("wikidata", str(tmp_path / "out"))


# -- interruption --


def test_a_signal_that_a_library_lost_ends_it_at_the_next_step(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from contsym import machine
    from contsym.cli import cli

    monkeypatch.setattr(machine, "_asked", 15)
    line = ["data", "build", "--triples", str(triples_file(tmp_path, KIN)), "--to", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, line)
    assert (done.exit_code, done.stderr) == (143, "stopped; nothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["triples.tsv"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send to one process")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SIGINT", 130),
        *(pytest.param(*case, marks=pytest.mark.night) for case in (("SIGTERM", 143), ("SIGHUP", 129))),
    ],
)
def test_an_interrupted_build_leaves_nothing(name, code, tmp_path):
    process, output = _signalled(tmp_path, name)
    assert process.returncode == code, output
    assert output.splitlines()[-1] == "stopped; nothing was written"
    assert "Traceback" not in output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["triples.tsv"]


# tests/faults/test_faults.py kills a build too, at other moments.
@pytest.mark.night
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send to one process")
def test_a_killed_build_leaves_no_data_set(tmp_path):
    _signalled(tmp_path, "SIGKILL")
    # The remains of a killed build are hidden, and are not a dataset.
    left = [p for p in tmp_path.iterdir() if p.name != "triples.tsv"]
    assert [p.name.startswith(".partial-out-") for p in left] == [True]
    assert not (left[0] / "manifest.json").exists()
    assert built(tmp_path, tmp_path / "triples.tsv", form="lexicalised")["labels"]["test"]


def _signalled(tmp_path, name):
    """A build that received a signal while it was working, and its output."""
    import signal

    lines = [(f"a{i}", "P26" if i % 2 else "P40", f"b{i}") for i in range(400_000)]
    path = triples_file(tmp_path, lines)
    command = [
        sys.executable,
        "-m",
        "contsym",
        "data",
        "build",
        "--triples",
        str(path),
        "--to",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Only after the work has started, as its folder shows.
    started = time.monotonic()
    while not list(tmp_path.glob(".partial-out*/.engine-*/tables.db")):
        assert process.poll() is None and time.monotonic() - started < 120
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    _, output = process.communicate(timeout=60)
    return process, output


@pytest.mark.parametrize("rule", ["pair", "entity"])
def test_names_that_differ_as_no_reader_sees_are_one_entity(rule, tmp_path):
    """In case beyond ASCII, in spaces or in composed letters; the audit compares them so."""
    variants = [
        ("Wei\u00df {}", "Weiss {}"),
        ("San Marco {}", "San\u00a0Marco {}"),
        ("\u039d\u0399\u039a\u039f\u03a3 {}", "\u03bd\u03b9\u03ba\u03bf\u03c2 {}"),
    ]
    facts = []
    for i in range(90):
        first = variants[i % 3][i // 3 % 2].format(i // 6)
        facts.append((first, "P26", f"Partner {i // 6}"))
        facts.append((f"Parent {i // 6}", "P40", first))
    built(tmp_path, facts, split=rule, bare=True)
    data = load_task("wikidata", str(tmp_path / "out"))
    leaks = {leak.what: leak.n_rows for leak in audit(data).leaks}
    assert leaks["the same two entities"] == 0 and (rule == "pair" or leaks["one of the entities"] == 0)
