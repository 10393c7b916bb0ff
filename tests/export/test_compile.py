# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""How many graphs `torch.compile` records for videos and sentences of many sizes."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from conftest import tiny_processor
from models import tiny_model
from torch._dynamo.testing import CompileCounter

PAD_SIZE = {"height": 48, "width": 64}
# frames, height and width of a video, and the sentences about it
CALLS = [
    (9, 48, 64, ["a dog", "the cat"]),
    (12, 40, 56, ["a dog", "the cat on the left", "it"]),
    (20, 30, 64, ["a dog that runs", "it", "the bird", "a cat"]),
    (11, 48, 36, ["the bird that flies away", "it", "a dog", "a cat", "a fish"]),
    (14, 41, 55, ["a small dog", "the cat"]),
]


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", ["soc", "soc++"])
@torch.no_grad()
def test_three_graphs_serve_all_videos_that_fit_into_one_pad_size(name):
    model, processor, graphs = tiny_model(name).double().eval(), tiny_processor(), CompileCounter()
    compiled = torch.compile(model, fullgraph=True, backend=graphs)
    generator = np.random.default_rng(0)
    for frames, height, width, sentences in CALLS:
        video = generator.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
        inputs = processor(videos=video, text=sentences, do_resize=False, pad_size=PAD_SIZE)
        inputs["pixel_values_videos"] = inputs["pixel_values_videos"].double()
        masks = compiled(**inputs).pred_masks
        with torch.enable_grad():  # the plain form, which is what a compiler sees
            expected = model(**inputs).pred_masks
        assert (masks - expected).abs().max() < 1e-9 * expected.abs().max()
    # One for the first sizes, one for any, and one for frames that fill the backbone's windows or do not.
    assert graphs.frame_count <= 3


@torch.no_grad()
def test_a_compiled_model_refuses_padded_frames_of_a_single_video():
    model, processor = tiny_model("soc").eval(), tiny_processor()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    inputs = processor(videos=np.zeros((3, 48, 64, 3), np.uint8), text=["a dog"], do_resize=False)
    inputs["pixel_mask"][0, 2] = False
    with pytest.raises(RuntimeError, match="only without padded frames"):
        compiled(**inputs)
