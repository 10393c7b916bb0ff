# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
A device "far" for machines that have none but the CPU. Its tensors lie in the CPU's memory, but to mix them with the
CPU's own is an error, and it has no float64. CUDA is less strict, and takes indices from the CPU; MPS has no float64.

It stays in the process that imports this module.
"""

from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class FarModule(backend_registration._DummyBackendModule):
    """What torch asks of a device's module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


backend_registration._setup_privateuseone_for_python_backend("far", backend_module=FarModule())
FAR = torch.device("far", 0)
USED_OPERATORS: set[str] = set()  # of those whose results are of the device


class FarTensor(torch.Tensor):
    """A tensor of the device; `near` holds its values."""

    near: torch.Tensor

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> "FarTensor":
        layout = {"strides": near.stride(), "storage_offset": near.storage_offset(), "dtype": near.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, near.size(), device=FAR, **layout)

    def __init__(self, near: torch.Tensor) -> None:
        self.near = near

    def tolist(self) -> Any:  # torch refuses this one method of a subclass
        return self.near.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


class FarDevice(TorchDispatchMode):
    """Where new tensors may be of the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


def near(value: Any) -> Any:
    return value.near if isinstance(value, FarTensor) else value


def compute(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Run an operator on the values; what comes out is of the device where what went in or was asked for is.

    Raises:
        RuntimeError: tensors of both devices went in, other than numbers.
        TypeError: float64 would come out.
    """
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
    given = [tensor for tensor in tensors if isinstance(tensor, FarTensor)]
    if given and function not in COPIES and any(t.ndim and not isinstance(t, FarTensor) for t in tensors):
        shapes = [f"{tuple(tensor.shape)} {tensor.device.type}" for tensor in tensors]
        raise RuntimeError(f"{function} got tensors of two devices: {', '.join(shapes)}")
    wanted = kwargs.get("device")
    if wanted is not None:
        kwargs = kwargs | {"device": torch.device("cpu"), "pin_memory": False}
    result = function(*tree_map(near, args), **tree_map(near, kwargs))
    if not (bool(given) if wanted is None else torch.device(wanted).type == FAR.type):
        return result
    USED_OPERATORS.add(str(function))
    known = {id(tensor.near): tensor for tensor in given}  # of an operator in place
    return tree_map(lambda value: known[id(value)] if id(value) in known else to_device(value), result)


def to_device(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype == torch.float64:
        raise TypeError("the device has no float64")
    return FarTensor(value)


def copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    near(target).copy_(near(source))
    return target


def make_empty(*args: Any, **kwargs: Any) -> torch.Tensor:
    return compute(torch.ops.aten.empty_strided.default, args, kwargs)


# What torch calls where a dispatch mode does not see it: to bring a list of indices to the device.
LIBRARY = torch.library.Library("aten", "IMPL")
LIBRARY.impl("empty_strided", make_empty, "PrivateUse1")
LIBRARY.impl("_copy_from", copy_from, "PrivateUse1")


def to_far(model: torch.nn.Module) -> torch.nn.Module:
    """Bring a model to the device; gradients arrive in `grad` of its parameters, which are no `nn.Parameter`."""
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = FarTensor(tensor.detach()).requires_grad_(tensor.requires_grad)
    return model
