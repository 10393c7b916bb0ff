# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import importlib
import json
import subprocess
import sys

import torch
from conftest import gray_frames
from transformers import AutoBackbone, AutoModel, AutoProcessor, AutoVideoProcessor, pipeline

import transformers_soc
from transformers_soc import SocModel, SocProcessor, SocVideoProcessor, VideoSwinBackbone

OPTIONAL = ("datasets", "evaluate", "gradio", "timm", "av", "pycocotools", "peft", "yaml", "matplotlib", "h5py")
LIST_MODULES = """
import json, sys
import transformers
from transformers import AutoBackbone, AutoModel, AutoProcessor, PreTrainedModel, pipeline
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
from transformers.video_processing_utils import BaseVideoProcessor
before = set(sys.modules)
import transformers_soc
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_import_loads_no_optional_package():
    """In a process of its own: nothing optional beyond what transformers itself imports."""
    done = subprocess.run([sys.executable, "-c", LIST_MODULES], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert set(json.loads(done.stdout)).isdisjoint(OPTIONAL)


def test_importing_twice_is_harmless(recwarn):
    again = importlib.reload(transformers_soc)
    assert again.SocModel is SocModel
    assert not recwarn.list


def test_auto_classes_find_the_registered_ones(tiny_folder):
    model = AutoModel.from_pretrained(tiny_folder)
    assert isinstance(model, SocModel)
    assert isinstance(AutoProcessor.from_pretrained(tiny_folder), SocProcessor)
    assert isinstance(AutoVideoProcessor.from_pretrained(tiny_folder), SocVideoProcessor)
    assert isinstance(AutoBackbone.from_config(model.config.backbone_config), VideoSwinBackbone)


def test_task_runs_from_a_folder(tiny_folder):
    segment = pipeline("referring-video-segmentation", model=str(tiny_folder))
    answer = segment(gray_frames(3), "the dog")
    assert answer["masks"].shape == (3, 32, 48)


def test_device_map_and_dtype(tiny_folder):
    model = AutoModel.from_pretrained(tiny_folder, device_map={"": "cpu"}, dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
