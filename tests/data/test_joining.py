"""Parts of a growing list as one dataset."""

import datasets
import pytest
from datasets import Dataset

from contsym.data.joining import Joined


def part(*numbers):
    return Dataset.from_dict({"n": list(numbers)})


def test_what_was_joined_is_not_joined_again(monkeypatch):
    a, b, c = part(1, 2), part(3), part(4, 5)
    counts, concatenate = [], datasets.concatenate_datasets
    monkeypatch.setattr(
        datasets, "concatenate_datasets", lambda parts: counts.append(len(parts)) or concatenate(parts)
    )
    joined = Joined()
    assert joined.of([a]) is a
    assert joined.of([a, b])["n"][:] == [1, 2, 3]
    assert joined.of([a, b]) is joined.of([a, b])
    assert joined.of([a, b, c])["n"][:] == [1, 2, 3, 4, 5]
    assert counts == [2, 2]


@pytest.mark.parametrize("others", [["b"], ["b", "a"], ["a"], ["a", "c"], ["a", "b", "c"]])
def test_another_list_is_joined_anew(others):
    parts = {"a": part(1, 2), "b": part(3), "c": part(4, 5)}
    joined = Joined()
    joined.of([parts["a"], parts["b"]])
    chosen = [parts[name] for name in others]
    assert joined.of(chosen)["n"][:] == [n for each in chosen for n in each["n"]]
