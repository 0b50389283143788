"""Which precision `auto` is, by the processor."""

import pytest
import torch

from contsym.models.encoders import device


@pytest.mark.parametrize(
    ("has_amx", "has_bf16", "is_amd", "expected"),
    [
        (True, True, False, "bf16"),
        (False, True, True, "bf16"),
        # Slower there than float32, as measured.
        (False, True, False, "fp32"),
        (False, False, True, "fp32"),
    ],
)
def test_auto_takes_bfloat16_where_it_is_faster(has_amx, has_bf16, is_amd, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    monkeypatch.setattr(device, "is_amd", lambda: is_amd)
    assert device.choose_precision("auto", "cpu") == expected
    assert device.choose_precision("fp32", "cpu") == "fp32"


def test_auto_asks_the_gpu_that_is_used(monkeypatch):
    asked = []

    def capability(which):
        asked.append(which)
        return (8, 0) if which == "cuda:1" else (7, 5)

    monkeypatch.setattr(torch.cuda, "get_device_capability", capability)
    found = [device.choose_precision("auto", name) for name in ("cuda:0", "cuda:1")]
    assert (found, asked) == (["fp32", "bf16"], ["cuda:0", "cuda:1"])
