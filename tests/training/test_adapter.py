"""LoRA adapters in place of the encoder's weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from contsym.config import RunConfig
from contsym.errors import SettingError
from contsym.models.encoders.checkpoints import locate
from contsym.models.encoders.difference import adapt, merged_weights
from contsym.models.encoders.load import load as load_encoder
from contsym.models.encoders.pooled import NliClassifier
from contsym.sweeps.rerun_command import run_commands
from contsym.training.first_task import FirstTaskCache
from contsym.training.keys import first_task_key
from contsym.training.loop import SeedRun
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.reproduce import config_of
from contsym.training.run import run_seed
from contsym.training.trained import load
from tests.runs import toy_config, toy_run, without_time
from tests.strategy_settings import fast_and_slow

TEXTS = ["anna is near ben", "carl", "ben borders dora and anna"]
RANK = 2


@pytest.fixture
def run(toy, tiny_encoder_folder, tmp_path):
    def made(strategy="fine_tune", encoder=tiny_encoder_folder, **changes):
        given = toy_config(
            toy, encoder, tmp_path / "out", strategy, adapter=f"lora:{RANK}", shots=16, **changes
        )
        plan = prepare(given)
        return SeedRun(plan, [plan.training_part(task, 0) for task in plan.trained], 0, Silent())

    return made


def weights(run):
    return {name: p.detach().clone() for name, p in run.strategy.model.named_parameters()}


def trained(run):
    """The names of the weights that a run through all its experiences moves."""
    before = weights(run)
    while run.n_done < len(run.plan.tasks):
        run.train_next()
    after = weights(run)
    assert all(t.isfinite().all() for t in after.values())
    return {name for name, t in after.items() if not torch.equal(t, before[name])}


@pytest.mark.parametrize(
    ("folder", "head", "kept"),
    [
        ("tiny_encoder_folder", "none", ()),
        ("tiny_nli_folder", "nli", ("classifier",)),
        ("tiny_masked_lm_folder", "masked_lm", ("cls.predictions",)),
    ],
)
def test_nothing_changes_before_training_and_a_head_is_still_trained(folder, head, kept, request):
    encoder = load_encoder(locate(str(request.getfixturevalue(folder))), head=head)
    texts = [(text, text) for text in TEXTS] if isinstance(encoder, NliClassifier) else TEXTS
    if head == "masked_lm":
        texts = [*texts, f"anna {encoder.tokenizer.mask_token} ben"]
    before = encoder.encode(texts)
    adapt(encoder, RANK)
    assert torch.equal(encoder.encode(texts), before)
    taking = [name for name, p in encoder.transformer.named_parameters() if p.requires_grad]
    assert all("lora_" in name or name.startswith(kept) for name in taking)
    assert {name.partition(".lora_")[2][:1] for name in taking} >= {"A", "B"}
    assert not any("pooler" in name and "lora_" in name for name in taking)
    assert any(name.startswith(kept) for name in taking) == bool(kept)


def test_the_merged_weight_is_w_plus_b_a():
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.base_model = nn.ModuleDict({"linear": nn.Linear(2, 2, bias=False)})
            self.transformer = self

    one = One()
    linear = one.base_model["linear"]
    linear.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # `adapt` asks peft; what it makes is W x + B (A x), with one row of A and one column of B at rank 1.
    from peft.tuners.lora import LoraConfig, LoraModel

    LoraModel(one, LoraConfig(r=1, lora_alpha=1, target_modules=["linear"]), "default")
    layer = one.base_model["linear"]
    layer.lora_A["default"].weight.data = torch.tensor([[2.0, 3.0]])
    layer.lora_B["default"].weight.data = torch.tensor([[1.0], [-1.0]])
    ((name, weight),) = merged_weights(one).items()
    assert name == "base_model.linear.weight"
    assert torch.equal(weight, torch.tensor([[3.0, 3.0], [-2.0, -2.0]]))
    assert torch.equal(layer(torch.tensor([[1.0, 1.0]])), torch.tensor([[6.0, -4.0]]))


ADDED = ("", "+ewc", "+lwf", "+agem", "+replay", "+mas", "+derpp")


@pytest.mark.parametrize("addons", fast_and_slow(ADDED, ["", "+ewc", "+replay"], ["+lwf"]))
def test_only_the_adapter_and_the_head_move(addons, run):
    made = run(f"fine_tune{addons}", settings={"steps": "6"})
    moved = trained(made)
    assert all("lora_" in name or name.startswith("head.") for name in moved)
    assert {name.partition(".lora_")[2][:1] for name in moved} == {"A", "B", ""}
    # Each linear layer of the body but the pooler has rank * (rows + columns) of them.
    body = load_encoder(made.plan.encoder).transformer
    shapes = [
        m.weight.shape for n, m in body.named_modules() if isinstance(m, nn.Linear) and "pooler" not in n
    ]
    head = sum(p.numel() for p in made.strategy.model.head.parameters())
    assert made.cost().trained_parameters == RANK * sum(map(sum, shapes)) + head


def test_an_addon_holds_the_adapter_back(run):
    """A large strength of EWC moves it less than none: the add-on sees what is trained."""

    def distance(strength):
        made = run("fine_tune+ewc", settings={"steps": "12", "ewc_strength": strength})
        made.train_next()
        before = weights(made)
        made.train_next()
        return sum((t - before[n]).norm() ** 2 for n, t in weights(made).items() if "lora_" in n)

    assert distance("1e8") < distance("0") / 2


@pytest.mark.parametrize(
    "strategy",
    fast_and_slow(
        ["knn_fixed", "text_labels", "setfit", "protonet", "cloze", "nli_head"],
        ["knn_fixed", "setfit", "cloze"],
        [],
    ),
)
def test_strategies_that_train_the_encoder_train_an_adapter(strategy, run, toy):
    if strategy in toy["encoders"]:
        kept = {"cloze": "cls.", "nli_head": "classifier."}[strategy]
        moved = trained(run(strategy, toy["encoders"][strategy], settings={"steps": "3"}))
        assert all("lora_" in name or f"transformer.{kept}" in name for name in moved)
        assert {"lora_" in name for name in moved} == {True, False}
    else:
        moved = trained(run(strategy, settings={"steps": "3"}))
        assert moved
        assert all("lora_" in name for name in moved)


def test_a_shared_first_task_is_the_same_to_the_bit(toy, tiny_encoder_folder, tmp_path):
    cache = FirstTaskCache(tmp_path / "first_tasks")
    options = {"shots": 16, "settings": {"steps": "6"}}
    # fine_tune makes the state and finds it; its add-on finds it too.
    for strategy, caches in (("fine_tune", (None, cache, cache)), ("fine_tune+ewc", (None, cache))):
        alone, *shared = (
            toy_run(toy, tiny_encoder_folder, tmp_path, strategy, cache=each, adapter="lora:2", **options)
            for each in caches
        )
        for other in shared:
            assert without_time(other.result) == without_time(alone.result)
            assert all(torch.equal(t, alone.tensors[name]) for name, t in other.tensors.items())
    (state,) = cache.folder.iterdir()
    # A run without adapters has another.
    keys = [
        first_task_key(
            prepare(toy_config(toy, tiny_encoder_folder, tmp_path, "fine_tune", **more, **options)), 0
        )
        for more in ({"adapter": "lora:2"}, {})
    ]
    assert keys[0] == state.name != keys[1]


@pytest.mark.parametrize(
    ("strategy", "encoder", "changes"),
    [
        ("knn_fixed", "tiny_encoder_folder", {"protocol": "retrain", "pretrain": {"steps": "6"}}),
        ("nli_head", "tiny_nli_folder", {"protocol": "retrain"}),
        *(
            pytest.param(*case, marks=pytest.mark.night)
            for case in (
                ("fine_tune", "tiny_encoder_folder", {}),
                ("fine_tune", "tiny_nli_folder", {"protocol": "retrain"}),
                ("cloze", "tiny_masked_lm_folder", {}),
            )
        ),
    ],
)
def test_a_saved_model_has_merged_weights_and_answers_as_its_run(
    strategy, encoder, changes, request, toy, tmp_path
):
    from transformers import AutoModel

    models = []
    folder = request.getfixturevalue(encoder)
    plan = prepare(
        toy_config(toy, folder, tmp_path / "out", strategy, adapter=f"lora:{RANK}", shots=16, **changes)
    )
    result, *_ = run_seed(plan, 0, Silent(), on_end=models.append)
    (model,) = models
    saved = model.save(tmp_path / "saved")
    assert not (saved / "adapters").exists()
    again = load(saved)
    pairs = plan.tasks[1].test
    heads = ("own", "known") if changes.get("protocol") == "retrain" else ("own",)
    for head in heads:
        before, after = model.scores(pairs, head=head), again.scores(pairs, head=head)
        # (W + B A) x is added up in another order than W x + B (A x).
        torch.testing.assert_close(after.scores, before.scores, rtol=1e-4, atol=1e-4)
        assert after.best == before.best
    # The adapter has changed the encoder, and the known head answers from what it has become.
    texts = (
        [(text, text) for text in TEXTS] if isinstance(again.strategy.model.encoder, NliClassifier) else TEXTS
    )
    bare = SeedRun(replace(plan, config=replace(plan.config, adapter=None)), [], 0, Silent())
    assert not torch.allclose(
        again.strategy.model.encoder.encode(texts), bare.encoder.encode(texts), atol=1e-3
    )
    body = AutoModel.from_pretrained(saved)
    own = dict(again.strategy.model.encoder.transformer.base_model.named_parameters())
    assert all(torch.equal(t, own[name]) for name, t in body.named_parameters() if "pooler" not in name)
    (command,) = run_commands([result])
    assert "--adapter lora:2" in command
    assert config_of(result).adapter == "lora:2"


def test_sentence_transformers_reads_the_merged_weights(toy, tiny_encoder_folder, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    models = []
    plan = prepare(
        toy_config(toy, tiny_encoder_folder, tmp_path / "out", "knn_fixed", adapter="lora:2", shots=16)
    )
    run_seed(plan, 0, Silent(), on_end=models.append)
    folder = models[0].save(tmp_path / "saved")
    vectors = sentence_transformers.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    expected = models[0].strategy.model.encoder.encode(TEXTS)
    torch.testing.assert_close(torch.from_numpy(vectors), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            ({"adapter": given}, f"--adapter {given}: expected lora:RANK, as lora:16")
            for given in ("lora", "lora:0", "lora:x", "lora:", "lora:99999", "ia3:4")
        ),
        (
            {"strategy": "ridge"},
            "--adapter lora:4: strategy ridge trains nothing and leaves the encoder as it is; leave --adapter out",
        ),
        (
            {"strategy": "frozen_probe"},
            "--adapter lora:4: strategy frozen_probe trains linear head and leaves the encoder as it is; leave "
            "--adapter out",
        ),
        (
            {"strategy": "routed_adapters"},
            "--adapter lora:4: strategy routed_adapters has adapters of its own; leave --adapter out",
        ),
        (
            {"settings": {"freeze": "embeddings"}},
            "--adapter lora:4: adapters leave all weights as they are, so there are none for freeze=embeddings; leave "
            "one out",
        ),
    ],
)
def test_what_cannot_have_an_adapter_is_one_line(changes, message, toy, tiny_encoder_folder, tmp_path):
    with pytest.raises(SettingError) as caught:
        prepare(
            toy_config(
                toy,
                tiny_encoder_folder,
                tmp_path,
                **{"strategy": "fine_tune", "adapter": "lora:4", **changes},
            )
        )
    assert str(caught.value) == message


@pytest.mark.night
def test_minilm_learns_by_an_adapter(tmp_path):
    config = RunConfig(
        strategy="knn_fixed",
        scenario="mnli_then_wikidata",
        adapter="lora:16",
        shots=64,
        settings={"learning_rate": "1e-3"},
        output=tmp_path,
        curve=False,
        audit=False,
    )
    result, *_ = run_seed(prepare(config), 0, Silent())
    assert result.learned["wikidata"]
    # Six layers: four of 384 x 384, and two between 384 and 1536.
    assert result.cost.trained_parameters == 16 * 6 * (4 * (384 + 384) + 2 * (384 + 1536))
