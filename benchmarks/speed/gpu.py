"""RoBERTa-Large on a GPU: tokens a second, the share of the card's measured peak, and what the time goes into.

The model has RoBERTa-Large's shape and random weights, which is enough for timing and needs no download. The peak
is measured, not looked up: the best of some multiplications of two 8192 x 8192 matrices in bfloat16. Counted
are 2 operations a weight of the layers and token forward, three times as many for a training step, and the
attention's own; padding is none, every text has 64 tokens. On a CPU, or with --smoke, a model of two layers
shows that everything runs.

Compared is bfloat16 with float32, for encoding and for a training step. Equal results: the two precisions'
pooled vectors of the same tokens differ by at most 0.05 of their length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from contsym.models.pooling import mean_pool
from speed.encode import difference
from speed.ratios import Comparison, Options, interleaved

TOLERANCE = 0.05
N_TOKENS = 64
N_TOP = 10
"""Operations of the profile that are shown."""


def measure(options: Options) -> list[Comparison]:
    device = torch.device(options.device)
    is_small = options.smoke or device.type == "cpu"
    batch, side = (4, 256) if is_small else (128, 8192)
    torch.manual_seed(0)
    model = roberta(is_small).to(device)
    tokens = torch.randint(10, model.config.vocab_size, (batch, N_TOKENS), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    mask = torch.ones_like(tokens)

    def vectors(is_half: bool) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=is_half):
            states = model(input_ids=tokens, attention_mask=mask).last_hidden_state
        return mean_pool(states.float(), mask)

    def encode(is_half: bool) -> Tensor:
        model.eval()
        with torch.inference_mode():
            return vectors(is_half)

    def step(is_half: bool) -> None:
        model.train()
        optimizer.zero_grad()
        vectors(is_half).square().mean().backward()
        optimizer.step()

    n_rounds = 1 if options.smoke else options.repeats
    differ = difference(encode(True), encode(False))
    peak = peak_flops(side, device)
    works: dict[str, tuple[Callable[[bool], object], int]] = {"encode": (encode, 1), "step": (step, 3)}
    found = []
    for name, (work, n_passes) in works.items():
        seconds, _ = interleaved(
            {
                "bf16": lambda work=work: (timed(lambda: work(True), device), None),
                "fp32": lambda work=work: (timed(lambda: work(False), device), None),
            },
            n_rounds,
        )
        best = min(seconds["bf16"])
        flops = n_passes * forward_flops(model.config, batch)
        found.append(
            Comparison(
                measure="gpu",
                name=f"{name}, {batch} texts of {N_TOKENS} tokens, bf16 / fp32",
                ours=seconds["bf16"],
                theirs=seconds["fp32"],
                agrees=differ <= TOLERANCE,
                agreement=f"vectors differ by {differ:.1e} of their length at most; allowed {TOLERANCE:g}",
                facts={
                    "tokens a second, bf16": round(tokens.numel() / best),
                    "share of the measured peak": f"{flops / best / peak:.1%} of {peak / 1e12:.2f} TFLOP/s",
                    "most time in": ", ".join(profile(lambda work=work: work(True), device)),
                },
            )
        )
    return found


def roberta(is_small: bool) -> Any:
    """RoBERTa-Large with random weights, or two narrow layers of it."""
    from transformers import RobertaConfig, RobertaModel

    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    large = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    }
    config = RobertaConfig(
        vocab_size=500 if is_small else 50265,
        max_position_embeddings=514,
        type_vocab_size=1,
        **(small if is_small else large),
    )
    model: nn.Module = RobertaModel(config, add_pooling_layer=False)
    return model


def forward_flops(config: Any, batch: int) -> int:
    """Multiplications and additions of one pass of the layers over (batch, N_TOKENS) tokens.

    A layer has 4 d^2 weights of attention and 2 d f of the feed-forward part; the scores and the weighted sum
    of the attention take N_TOKENS d multiplications a token each. Looking embeddings up takes none.
    """
    d, f = config.hidden_size, config.intermediate_size
    a_token = 2 * (4 * d * d + 2 * d * f) + 2 * 2 * N_TOKENS * d
    return batch * N_TOKENS * config.num_hidden_layers * a_token


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one of three calls in a row, by the device's own end."""
    _wait(device)
    began = time.perf_counter()
    for _ in range(3):
        work()
    _wait(device)
    return (time.perf_counter() - began) / 3


def peak_flops(side: int, device: torch.device) -> float:
    """The most operations a second of multiplying two square matrices in bfloat16."""
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    seconds = [timed(lambda: a @ a, device) for _ in range(10)]
    return 2 * side**3 / min(seconds)


def profile(work: Callable[[], object], device: torch.device) -> list[str]:
    """The operations that take most of the device's own time, with their shares."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorder

    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with recorder(activities=activities) as recorded:
        work()
        _wait(device)
    # On a GPU an operation's time is that of its kernels, which are in the list too.
    spent = {
        event.key: event.self_device_time_total if on_gpu else event.self_cpu_time_total
        for event in recorded.key_averages()
        if not on_gpu or event.device_type.name == "CUDA"
    }
    total = sum(spent.values())
    top = sorted(spent.items(), key=lambda item: -item[1])[:N_TOP]
    return [f"{name[:60]} {time / total:.0%}" for name, time in top]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
