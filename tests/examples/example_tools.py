# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the example scripts share: the scripts as modules, and a batch of clips."""

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from conftest import tiny_processor
from models import tiny_model
from PIL import Image

from transformers_soc import SocModel
from transformers_soc.data.collator import SocDataCollator
from transformers_soc.data.transforms import Clip

EXAMPLES = Path(__file__).parents[2] / "examples"
FINETUNE = EXAMPLES / "finetune_referring_video_segmentation.py"
EVALUATE = EXAMPLES / "evaluate_referring_video_segmentation.py"
# Small clips of a few frames, and one thread, so that numbers do not depend on the machine's load.
DATA = ["--data_options", json.dumps({"num_frames": 4, "height": 48, "width": 48, "num_expressions": 3}), "--cpu"]
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def load_script(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def write_clips(root: Path, *splits: str) -> None:
    """A folder for `load_folder`: two videos of three frames with three sentences each, one of them without target."""
    sentences: list[dict[str, Any]] = []
    for video in ("a", "b"):
        (root / "videos" / video).mkdir(parents=True)
        (root / "masks" / video).mkdir(parents=True)
        for index in range(3):
            labels = np.zeros((32, 48), np.uint8)
            labels[5:20, 10 + index : 30] = 1
            Image.fromarray(labels * 200).convert("RGB").save(root / "videos" / video / f"{index}.png")
            Image.fromarray(labels).save(root / "masks" / video / f"{index}.png")
        entry = {"video": video, "objects": [1], "kind": "static"}
        sentences += [entry | {"expression": "the box"}, entry | {"expression": "a bright box"}]
        sentences += [{"video": video, "objects": [], "kind": "none", "expression": "the dog"}]
    (root / "sentences.json").write_text(json.dumps(dict.fromkeys(splits, sentences)))


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of `log.jsonl`, without times."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    times = ("seconds_data", "seconds_forward", "seconds_backward", "clips_per_second")
    return [{name: value for name, value in line.items() if name not in times} for line in lines]


def make_clips() -> list[list[list[Clip]]]:
    """Clips for each of two processes, in two cases: unequal lengths and numbers, and a process without any target."""
    generator = np.random.default_rng(0)

    def clip(num_frames: int, expressions: int, empty: int) -> Clip:
        frames = generator.integers(0, 256, (num_frames, 64, 96, 3), dtype=np.uint8)
        masks = np.zeros((expressions, num_frames, 64, 96), bool)
        for row in range(empty, expressions):
            for index in range(num_frames):
                masks[row, index, 12 : 40 + row, 8 + 6 * index : 40 + 6 * index] = index != 1
        return Clip(frames, masks, [f"sentence {number}" for number in range(expressions)])

    return [[[clip(3, 2, 1)], [clip(5, 1, 0), clip(4, 2, 0)]], [[clip(2, 1, 1)], [clip(4, 2, 0), clip(3, 1, 0)]]]


def gradient_model() -> SocModel:
    return tiny_model("soc++").train()


def collate(clips: list[Clip]) -> dict[str, Any]:
    return SocDataCollator(tiny_processor(), do_resize=False)(clips)


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
