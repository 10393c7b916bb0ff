# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Starts the Space with a stand-in for its models, which takes what is red for the target and does what it is told.

A first sentence of "wait 0.5" makes a job last so many seconds, and "raise MemoryError" makes it fail. The log says
when each job begins and ends.
"""

import builtins
import sys
import time
import types
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "spaces_demo"))


def answer(name: str, frames: np.ndarray, sentences: list[str], threshold: float) -> list[dict]:
    """The results of a pipeline."""
    print("begin", flush=True)
    command, _, value = sentences[0].partition(" ")
    if command == "wait":
        time.sleep(float(value))
    print("end", flush=True)
    if command == "raise":
        raise getattr(builtins, value)("a secret of the program")
    red = frames[..., 0] > 128
    found = {"masks": red, "score": 0.9, "no_target": False, "frame_scores": red.mean((1, 2)), "boxes": []}
    return [{"expression": sentence, **found} for sentence in sentences]


def main() -> None:
    sys.modules["segmenters"] = types.SimpleNamespace(  # type: ignore[assignment]
        answer=answer,
        check_sentences=lambda name, sentences: None,
        load_models=lambda models: None,
        saved_threshold=lambda name: 0.3,
    )
    import app
    import storage

    storage.SWEEP_EVERY = 0.5
    app.main()


if __name__ == "__main__":
    main()
