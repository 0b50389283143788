"""The real MiniLM before and after NLI: what is known of its making is found."""

import pytest

from contsym.differences.run import diff


@pytest.mark.slow
def test_training_on_nli_is_seen_in_the_abilities_and_in_the_layers_that_were_trained():
    found = diff("minilm", "minilm-nli", limit=300, put_back=False)
    nli, symmetry = found.ability("mnli", "probe"), found.ability("wikidata", "probe")
    assert found.lost == [] and nli in found.gained and nli.change > 0.05
    assert abs(symmetry.change) < symmetry.least
    # The difference is to linear layers alone, and the head is new.
    weights = {part.name: part.weights for part in found.parts}
    assert weights["embeddings"] == 0 and all(0.05 < weights[f"layer {i}"] < 0.5 for i in range(1, 7))
    assert (found.old.head, found.new.head) == (None, "pair")
    assert found.ability("mnli", "own head").after > 0.65
    states = [part.cka_distance for part in found.parts[:7]]
    assert states == sorted(states) and states[0] == 0
