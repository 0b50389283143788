"""The greedy, balanced memory of GDumb."""

from collections import Counter

import pytest
import torch

from contsym.models.balanced import balanced


def fed(text, size, seed=0):
    """The memory after letters, each of the class of its letter, numbered by place."""
    new = [(letter, i) for i, letter in enumerate(text)]
    return balanced((), new, size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("text", "size", "counts"),
    [
        ("", 4, {}),
        # One class alone fills the memory; more of it are left out.
        ("aaaaaa", 4, {"a": 4}),
        # A new class takes places of the largest one, up to 4 / 2.
        ("aaaabbbb", 4, {"a": 2, "b": 2}),
        # A third class: 4 / 3 each, so a second one of c may come while it has 1 < 1.33, in the place of an a.
        ("aaaabbbbcc", 4, {"a": 1, "b": 1, "c": 2}),
        ("aaaabbbbcccc", 6, {"a": 2, "b": 2, "c": 2}),
        # A rare class keeps what it has.
        ("aaaab", 4, {"a": 3, "b": 1}),
        # More classes than places.
        ("abc", 2, {"b": 1, "c": 1}),
    ],
)
def test_counts_by_hand(text, size, counts):
    assert Counter(letter for letter, _ in fed(text, size)) == counts


def test_without_a_full_memory_all_stay_in_their_order():
    assert [i for _, i in fed("abcab", 9)] == [0, 1, 2, 3, 4]


def test_fed_in_two_parts_it_is_the_same():
    generator = torch.Generator().manual_seed(3)
    first = balanced([], [("a", i) for i in range(9)], 6, generator)
    both = balanced(first, [("b", i) for i in range(9)], 6, generator)
    assert both == balanced([], [(c, i) for c in "ab" for i in range(9)], 6, torch.Generator().manual_seed(3))


def test_a_random_one_of_the_largest_class_goes():
    gone = {
        ({0, 1, 2} - {i for letter, i in fed("aaab", 3, seed=seed) if letter == "a"}).pop()
        for seed in range(20)
    }
    assert gone == {0, 1, 2}
