"""Task files: what they say, what they refuse, and what they read."""

import json

import pytest

from contsym.data.schema import rows_of
from contsym.data.sources import load_task
from contsym.errors import ContsymError, DataError
from contsym.tasks.catalog import find_task, own_tasks
from contsym.tasks.schema import NLI_LABELS, read_task

HEAD = 'summary = "Yes or no."\nlabels = ["yes", "no"]\n'


def task(entries="", head=HEAD, folder=None):
    return read_task("mine", head + entries, "mine.toml", folder)


def rows(part, *names):
    return [tuple(row[name] for name in names) for row in rows_of(part)]


def test_the_own_tasks_begin_with_those_of_the_paper():
    names = list(own_tasks())
    assert names[:4] == ["mnli", "snli", "anli", "wikidata"]
    assert all(own_tasks()[name].labels == NLI_LABELS for name in names[:4])
    assert [name for name in names if own_tasks()[name].is_nli] == ["mnli", "snli", "anli", "sick"]
    assert find_task("dbpedia").inputs == "single"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('labels = ["a"]', ": labels a; expected two or more that differ"),
        ('labels = ["a", "A"]', ": labels a, A; expected two or more that differ"),
        ('labels = ["a", " b"]', ":2: labels"),
        ('labels = ["a", "b"]\ninputs = "triple"', ":3: inputs 'triple' is unknown; did you mean single?"),
        ('labels = ["a", "b"]\nshots = true', ":3: 'shots' is unknown; did you mean few_shot"),
        (
            'labels = ["a", "b"]\n[columns]\nsentence = "x"',
            "columns: sentence is no field; expected some of id, premise",
        ),
        ('labels = ["a", "b"]\n[columns]\ntext = "x"', 'columns: text does not go with inputs = "pair"'),
        (
            'labels = ["a", "b"]\n[written]\n1 = "c"',
            "written: '1' stands for 'c', which is none of the labels",
        ),
        ('labels = ["a", "b"]\nsymmetry = true', "symmetry goes with"),
        ("", "labels is missing; expected a list of two or more labels"),
    ],
)
def test_what_a_task_cannot_say(text, message):
    with pytest.raises(ContsymError) as raised:
        task(text, 'summary = "S"\n')
    assert str(raised.value).startswith("mine.toml") and message in str(raised.value)


def test_columns_labels_and_groups_of_a_csv_file(tmp_path):
    lines = [
        "who,first,second,answer,topic,skills",
        *(f"{i},P {i},H {i},{'Y' if i % 2 else 0},sea,a" for i in range(40)),
    ]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    mine = task(
        'source = "mine.csv"\n[columns]\nid = "who"\npremise = "first"\nhypothesis = "second"\nlabel = "answer"\n'
        'group = "topic"\n[written]\nY = "yes"\n0 = "no"\n',
        folder=tmp_path,
    )
    data = load_task(mine, mine.default_source)
    found = [
        row for part in data.parts.values() for row in rows(part, "id", "premise", "label", "group", "skill")
    ]
    assert sorted(found, key=lambda row: int(row[0]))[:2] == [
        ("0", "P 0", 1, "sea", "a"),
        ("1", "P 1", 0, "sea", "a"),
    ]
    assert data.labels == ("yes", "no") and data.task == "mine"


def test_single_texts_and_rows_that_are_left_out(tmp_path):
    lines = [
        f'{{"text": "T {i}", "label": "{"yes" if i % 2 else "no"}", "domain": "{"sea" if i % 4 else "air"}"}}'
        for i in range(80)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    mine = task('inputs = "single"\nsource = "mine.jsonl"\n[only]\ndomain = ["sea"]\n', folder=tmp_path)
    data = load_task(mine, mine.default_source)
    assert sum(data.rows.values()) == 60
    assert set(data.train["hypothesis"][:]) == {""}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "T", "label": "maybe"}', "label 'maybe' is unknown; expected yes or no"),
        ('{"text": " ", "label": "yes"}', "text is empty; expected a text"),
        (
            '{"premise": "T", "label": "yes"}',
            "column 'text' is missing; the row has premise, label; name it under [col",
        ),
    ],
)
def test_a_wrong_row_is_named_with_its_place(tmp_path, row, message):
    (tmp_path / "mine.jsonl").write_text(row + "\n")
    mine = task('inputs = "single"\nsource = "mine.jsonl"\n', folder=tmp_path)
    with pytest.raises(DataError, match=r"mine\.jsonl:1: ") as raised:
        load_task(mine, mine.default_source)
    assert message in str(raised.value)


def test_only_goes_by_the_columns_of_the_source_and_codes_are_as_written(tmp_path):
    rows = [{"text": f"T {i}", "queue": ["01", "02", "09"][i % 3]} for i in range(90)]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    entries = (
        'inputs = "single"\nsource = "mine.jsonl"\n[columns]\nlabel = "queue"\n[only]\nqueue = ["01", "02"]\n'
    )
    mine = task(entries + '[written]\n01 = "yes"\n02 = "no"\n', folder=tmp_path)
    assert sum(load_task(mine, mine.default_source).rows.values()) == 60
    wrong = task(entries.replace('label = "queue"', 'label = "queue"\ngroup = "topic"'), folder=tmp_path)
    with pytest.raises(
        DataError, match=r"mine\.jsonl:1: column 'topic', which the task names for group, is missing"
    ):
        load_task(wrong, wrong.default_source)


def test_a_task_without_a_source_says_how_to_give_one():
    with pytest.raises(
        DataError, match=r"task wordnet has no source of its own; give one: --task wordnet=PATH"
    ):
        load_task(find_task("wordnet"), find_task("wordnet").default_source)
