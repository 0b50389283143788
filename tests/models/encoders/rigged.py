"""A language model whose answer is known."""

import shutil

import torch
from transformers import AutoTokenizer, GPT2LMHeadModel


def rigged(folder, out, word, weight):
    """A GPT-2 whose logits are `weight` for one word and 0 for all others, whatever it reads."""
    shutil.copytree(folder, out)
    model = GPT2LMHeadModel.from_pretrained(folder)
    token = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(word)
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.zero_()
        model.transformer.ln_f.bias[0] = 1.0
        model.transformer.wte.weight[:, 0] = 0.0
        model.transformer.wte.weight[token, 0] = weight
    model.save_pretrained(out)
    return out
