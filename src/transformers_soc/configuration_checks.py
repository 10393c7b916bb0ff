# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What the fields of a configuration may be: a file of a stranger neither fills the memory nor fetches anything."""

import re
import textwrap
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING
from transformers.activations import ACT2FN
from transformers.configuration_utils import PreTrainedConfig, SubConfigSpec

# Pattern of a field's name, and the smallest and largest number that it may hold, here and in the configurations of
# the parts; the first pattern that is found counts. Far beyond every known model, but no file of a stranger makes
# millions of modules.
LIMITS: list[tuple[str, float, float]] = [
    (r"eps$|drop", 0, 1),
    (r"^inference_decoder_layer$", -256, 256),
    (r"layer|depth", 0, 256),
    (r"heads$", 1, 2**16),
    (r"^hidden_size$", 1, 2**20),
    (r"^d_|_dim$|_channels$", 0, 2**20),
    (r"^vocab_size$", 1, 2**24),
    (r"queries|proxies|classes|labels", 0, 2**16),
    (r"^num_|_sizes?$|_embeddings$|initializer_range|ratio", 0, 2**24),
    (r"", -(2**31), 2**31),
]
MAX_ENTRIES = 1024  # of a list
MAX_NESTING = 16  # of lists and dicts
MAX_WINDOW_BYTES = 500 * 10**6  # of the tables of positions of all blocks of a Video-Swin
JSON_TYPES = (bool, int, float, str, list, dict)
DTYPES = ("bfloat16", "float16", "float32", "float64")
# Fields of other configurations that fetch something by a name in a file, or change a model from outside.
FOREIGN_FIELDS = frozenset(
    "backbone backbone_kwargs use_pretrained_backbone use_timm_backbone transformers_weights per_layer_config "
    "fusion_config".split()
)


def check_values(values: Mapping[str, Any], parents: tuple[str, ...] = ()) -> None:
    """
    Refuses numbers that no model has, and names that would be fetched from the Hub.

    Args:
        values: fields of a configuration, as a file holds them; dicts inside are checked like the whole.
        parents: names of the fields around them.

    Raises:
        ValueError: names the field.
    """
    for name, value in values.items():
        place = ".".join([*parents, str(name)])
        if name == "id2label" and value is not None and not _maps_numbers(value):
            raise ValueError(f"`{place}` must map numbers to labels.")
        if name in ("dtype", "torch_dtype") and isinstance(value, JSON_TYPES) and value not in DTYPES:
            raise ValueError(f"`{place}` must be one of {', '.join(DTYPES)}, got {shorten(value)}.")
        if isinstance(value, Mapping):
            if len(parents) >= MAX_NESTING:
                raise ValueError(f"`{place[:80]}` is nested more than {MAX_NESTING} levels deep.")
            check_values(value, (*parents, str(name)))
        elif isinstance(value, str):
            _check_name(str(name), place, value)
        else:
            _check_numbers(str(name), place, value)


def check_fields(config: Any, others: Mapping[str, Any]) -> None:
    """
    Checks the fields that a configuration has, and `others` that came with them and are about to be set.

    Raises:
        ValueError: names the field.
    """
    for name, value in others.items():
        if value and name in FOREIGN_FIELDS:
            raise ValueError(f"`{name}` is no field of {type(config).__name__}.")
        if name == "quantization_config" and isinstance(value, JSON_TYPES) and not isinstance(value, dict):
            raise ValueError(f"`{name}` must be a dict, got {shorten(value)}.")
        if name == "model_type" and not isinstance(value, str):
            raise ValueError(f"`{name}` must be a string, got {shorten(value)}.")
        known = getattr(type(config), name, None)
        settable = isinstance(known, property) and known.fset is not None
        if known is not None and not settable and name != "model_type":
            raise ValueError(f"`{name}` is no field of {type(config).__name__}, but a part of its class.")
    check_values({**vars(config), **others})


def _maps_numbers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(str(key).isdecimal() for key in value)


def _check_name(name: str, place: str, value: str) -> None:
    if "implementation" in place and "/" in value:
        raise ValueError(
            f"`{place}` names a kernel of the Hub, {shorten(value)}: a configuration cannot; call "
            "`set_attn_implementation` of the model."
        )
    if name == "hidden_act" and value not in ACT2FN:
        raise ValueError(f"`{place}` {shorten(value)} is no activation of transformers.")
    if name == "backbone" and ":" in value:
        raise ValueError(f"`{place}` {shorten(value)} names a place to fetch a model from: give the name of a model.")


def _check_numbers(name: str, place: str, value: Any, nesting: int = 0) -> None:
    if isinstance(value, (list, tuple)):
        if len(value) > MAX_ENTRIES or nesting > MAX_NESTING:
            raise ValueError(f"`{place}` is a list of more than {MAX_ENTRIES} entries, or of lists of lists.")
        for entry in value:
            if isinstance(entry, Mapping):
                check_values(entry, (place, *[""] * nesting))
            else:
                _check_numbers(name, place, entry, nesting + 1)
    elif isinstance(value, (int, float)):
        low, high = next((low, high) for pattern, low, high in LIMITS if re.search(pattern, name))
        if not low <= value <= high:  # nor NaN
            raise ValueError(f"`{place}` must lie in {low:,} to {high:,}, got {shorten(value)}.")


def shorten(value: Any) -> str:
    """A value of a file, or an error about it, in at most a line."""
    return textwrap.shorten(repr(value) if isinstance(value, str) else str(value), 200, placeholder="...")


def plain_errors(cls: Any) -> Any:
    """Makes a strict class raise a ValueError that names the field; errors of `strict` are none."""

    def wrap(method: Callable[..., None]) -> Callable[..., None]:
        @wraps(method)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                method(self, *args, **kwargs)
            except StrictDataclassError as error:
                raise ValueError(f"{cls.__name__}: {shorten(error.__cause__ or error)}") from None

        return wrapped

    cls.__setattr__, cls.__init__ = wrap(cls.__setattr__), wrap(cls.__init__)
    return cls


def build_part(part: SubConfigSpec, name: str, fields: dict[str, Any]) -> PreTrainedConfig:
    """The configuration of a part; what its class makes of wrong fields becomes a ValueError that names the part."""
    model_type = fields.get("model_type", part.model_type)
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise ValueError(f"`{name}.model_type` {shorten(model_type)} is no model type of transformers.")
    for field in fields:
        if callable(getattr(CONFIG_MAPPING[model_type], field, None)):
            raise ValueError(f"`{name}.{field}` is no field of a configuration.")
    try:
        return part.create_subconfig(name, {**fields, "model_type": model_type})[0]
    except (StrictDataclassError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"`{name}`: {shorten(error.__cause__ or error)}") from error


__all__ = ["MAX_WINDOW_BYTES", "build_part", "check_fields", "plain_errors", "shorten"]
