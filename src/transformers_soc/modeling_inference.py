# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
What inference does differently from training: where that is decided, how large its pieces are, and its products.

Training, compilation and export take the plain form of each module. Without autograd a module may work through its
rows in pieces that stay in the cache, and in place; the results agree within rounding.
"""

from collections.abc import Callable

import torch
from torch import nn
from transformers.activations import GELUActivation

# Bytes of the widest intermediate of one piece: a share of the cache on a CPU, enough to fill other devices.
PIECE_BYTES = {"cpu": 4 * 2**20}
OTHER_PIECE_BYTES = 256 * 2**20
# With fewer rows, reading the weights would cost more than the product itself.
MIN_PIECE_ROWS = 1024
# Encoder tokens (of all expressions and frames) that the model holds at a time.
CHUNK_TOKENS = {"cpu": 8192}
OTHER_CHUNK_TOKENS = 2**18
RELU = nn.ReLU()
# Activations that oneDNN joins to a product: its name and its algorithm.
FUSED_ACTIVATIONS = {type(None): ("none", ""), nn.ReLU: ("relu", ""), GELUActivation: ("gelu", "none")}


def is_recorded() -> bool:
    """Whether somebody records a graph: `torch.compile`, export or tracing."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def works_in_pieces(module: nn.Module) -> bool:
    """Whether a module takes its inference form: no training, no autograd, nobody who records a graph."""
    return not (module.training or torch.is_grad_enabled() or is_recorded())


def piece_rows(width: int, like: torch.Tensor) -> int:
    """Rows of a piece whose widest intermediate has `width` values of the dtype of `like` per row."""
    limit = PIECE_BYTES.get(like.device.type, OTHER_PIECE_BYTES)
    return max(MIN_PIECE_ROWS, limit // (width * like.element_size()))


def chunk_size(count: int, tokens: int, device: torch.device) -> int:
    """How many of `count` frames or expressions with `tokens` encoder tokens each make one chunk."""
    limit = CHUNK_TOKENS.get(device.type, OTHER_CHUNK_TOKENS)
    return min(count, max(1, limit // max(1, tokens)))


def map_rows(
    rows: torch.Tensor, width: int, function: Callable[[torch.Tensor], torch.Tensor], out: torch.Tensor | None = None
) -> torch.Tensor:
    """
    Applies a function to pieces of rows.

    Args:
        rows: (rows, channels).
        width: values per row of the function's widest intermediate.
        function: maps (any rows, channels) to (the same rows, channels), each row on its own.
        out: where the results go, of the shape of `rows`; `rows` itself works in place. Default: a new tensor.
    """
    out = torch.empty_like(rows) if out is None else out
    size = piece_rows(width, rows)
    for source, target in zip(rows.split(size), out.split(size), strict=True):
        target.copy_(function(source))
    return out


def linear(layer: nn.Module, inputs: torch.Tensor, activation: nn.Module | None = None) -> torch.Tensor:
    """
    A linear layer and an activation after it.

    In inference on a CPU both are one oneDNN product, which spares the activation its own pass over memory.
    """
    if type(activation) in FUSED_ACTIVATIONS and _is_fused(layer, inputs):
        name, algorithm = FUSED_ACTIVATIONS[type(activation)]
        return torch.ops.mkldnn._linear_pointwise(inputs, layer.weight, layer.bias, name, [], algorithm)
    outputs = layer(inputs)
    return outputs if activation is None else activation(outputs)


def _is_fused(layer: nn.Module, inputs: torch.Tensor) -> bool:
    """Whether oneDNN may stand in: inference, a layer that nobody has wrapped, a dtype that the CPU computes."""
    if not works_in_pieces(layer) or type(layer) is not nn.Linear or "forward" in vars(layer):
        return False
    if layer._forward_hooks or layer._forward_pre_hooks:
        return False
    weight = layer.weight
    plain = type(weight) is nn.Parameter and weight.is_cpu and weight.dtype == inputs.dtype
    if not plain or torch.is_autocast_enabled("cpu") or not torch.backends.mkldnn.is_available():
        return False
    return inputs.dtype == torch.float32 or (
        inputs.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


__all__ = ["RELU", "is_recorded", "linear", "map_rows", "works_in_pieces"]
