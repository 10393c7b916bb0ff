# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The models of the operator's list, all loaded when the Space starts."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

try:  # on ZeroGPU it must be imported before torch
    import spaces
except ImportError:
    spaces = None

import torch
from settings import BUNDLED
from transformers import Pipeline, pipeline

import transformers_soc

GPU_SECONDS = 60
DEFAULT_THRESHOLD = 0.3

LOADED: dict[str, Pipeline] = {}


def load_models(models: Mapping[str, str]) -> None:
    """Load every model, so that a wrong entry stops the start and no visitor waits.

    Raises:
        OSError, ValueError: a folder or Hub id that holds no model of this package.
    """
    task: Any = transformers_soc.TASK  # the annotations of `pipeline` know the library's own tasks only
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name, source in models.items():
        folder = transformers_soc.bundled_checkpoint(source) if source == BUNDLED else source
        LOADED[name] = pipeline(task, model=folder, device=device)


def saved_threshold(name: str) -> float:
    """The score below which this model refuses a sentence, as saved with it."""
    threshold = getattr(LOADED[name].processor, "threshold", None)
    return DEFAULT_THRESHOLD if threshold is None else round(float(threshold), 2)


def check_sentences(name: str, sentences: list[str]) -> None:
    """Refuse what is no text, and what is longer than the text encoder of this model reads.

    Raises:
        ValueError: names the sentence as an expression, counted from 0.
    """
    LOADED[name].processor(text=sentences)


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run the function on a GPU lent by ZeroGPU, where there is one."""
    return function if spaces is None else spaces.GPU(duration=GPU_SECONDS)(function)


@on_gpu
def answer(name: str, frames: np.ndarray, sentences: list[str], threshold: float) -> list[dict[str, Any]]:
    """The pipeline's results, one dict for each sentence, about frames (frames, height, width, 3) uint8."""
    return LOADED[name](frames, sentences, threshold=threshold, progress=False)
