"""A difference to an encoder's weights: hand-checked products, and what is refused."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from contsym.errors import EncoderError
from contsym.models.encoders.checkpoints import DIFFERENCE
from contsym.models.encoders.difference import add_difference, write_difference

UP, DOWN = torch.tensor([[1.0], [2.0], [0.5]]), torch.tensor([[3.0, 4.0]])
PRODUCT = torch.tensor([[3.0, 4.0], [6.0, 8.0], [1.5, 2.0]])


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), Conv1D(3, 2)
        nn.init.ones_(self.a.weight)
        nn.init.zeros_(self.b.weight)


def test_the_product_of_up_and_down_is_added(tmp_path):
    write_difference(tmp_path, {"a": (UP, DOWN)})
    layers = Layers()
    bias = layers.a.bias.clone()
    add_difference(layers, tmp_path)
    assert torch.equal(layers.a.weight, 1 + PRODUCT)
    assert torch.equal(layers.a.bias, bias)
    assert not layers.b.weight.any()
    # Rank 1 of 3 x 2 in half precision: 5 numbers of two bytes, and the file's own header.
    assert (tmp_path / DIFFERENCE).stat().st_size - 10 < 200


def test_a_layer_that_keeps_its_weights_the_other_way_round(tmp_path):
    write_difference(tmp_path, {"b": (UP, DOWN)})
    layers = Layers()
    add_difference(layers, tmp_path)
    assert torch.equal(layers.b.weight, PRODUCT.t())


def test_it_is_added_to_the_body_below_a_head(tmp_path):
    class Headed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base_model = Layers()

    write_difference(tmp_path, {"a": (UP, DOWN)})
    headed = Headed()
    add_difference(headed, tmp_path)
    assert torch.equal(headed.base_model.a.weight, 1 + PRODUCT)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"c.up": UP, "c.down": DOWN},
            "the encoder has no layer c; expected the encoder that it was trained from",
        ),
        (
            {"a.up": UP},
            "expected an up and a down matrix for each layer; make it again with contsym pretrain",
        ),
        (
            {"a.up": UP.t().contiguous(), "a.down": DOWN},
            "a has an up matrix of shape (1, 3) and a down matrix of shape (1, 2); expected a product of shape (3, 2)",
        ),
        ({"a.up": UP[:2].clone(), "a.down": DOWN}, "expected a product of shape (3, 2)"),
        ({"a.up": UP[:, 0].clone(), "a.down": DOWN}, "expected a product of shape (3, 2)"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, tensors, message):
    save_file(tensors, tmp_path / DIFFERENCE)
    with pytest.raises(EncoderError) as caught:
        add_difference(Layers(), tmp_path)
    assert str(caught.value).startswith(str(tmp_path / DIFFERENCE))
    assert str(caught.value).endswith(message)


def test_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / DIFFERENCE).write_bytes(b"\x80\x04pickle")
    with pytest.raises(EncoderError, match=r"cannot be read .*; make it again with contsym pretrain"):
        add_difference(Layers(), tmp_path)
