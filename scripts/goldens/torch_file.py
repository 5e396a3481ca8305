"""A small file of torch.save: the wrapped state dict of a module with parameters, views and three dtypes, beside data
that is no tensor. What its tensors hold stands in tests/core/weights/torch_archive_test.cpp."""

import collections
import pathlib

import torch

FILE = "torch_save.pt"


def write_torch_file(folder: pathlib.Path) -> None:
    base = torch.arange(24, dtype=torch.float32).view(4, 6) * 0.25 - 1
    state = collections.OrderedDict([
        ("linear.weight", torch.nn.Parameter(base.clone())), ("linear.bias", base[1].half()),
        ("turned", base.to(torch.bfloat16).t()), ("rows", base[1:3]), ("scalar", base[3, 2].clone())])
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    torch.save({"module": state, "iteration": 1000, "rate": 0.5, "seed": 2**70, "names": ["a", ("b", None, True)]},
               folder / FILE)
