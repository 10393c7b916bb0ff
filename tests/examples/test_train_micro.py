# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The script that trained the bundled model, with steps of two clips."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from example_tools import EXAMPLES, load_script

from transformers_soc import SocModel, SocProcessor

SCRIPT = EXAMPLES / "train_soc_plus_micro.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the script with a small recipe in this process, into a folder of that name."""
    sys.modules[SCRIPT.stem] = script = load_script(SCRIPT)  # dataclasses look their module up
    tokenizer = script.build_tokenizer(num_clips=20)
    script.build_tokenizer = lambda: tokenizer
    small = {"clips": 2, "frames": (4,)}
    for name, stage in script.RECIPE.items():
        script.RECIPE[name] = replace(stage, **small, sentences=min(stage.sentences, 3))
    root = tmp_path_factory.mktemp("runs")

    def train(name, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [str(SCRIPT), "--output", str(root / name), "--log-every", "1", *arguments])
            script.main()
        return root / name

    yield train
    del sys.modules[SCRIPT.stem]


def steps(folder):
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [(line["stage"], line["step"]) for line in map(json.loads, lines)]


def test_all_stages_lead_to_a_model_that_loads_and_the_run_can_go_on(run):
    folder = run("plus", "--steps", *7 * ["1"])
    stages = ["stem", "attributes", "grounding", "joint", "refusal", "scores", "doubts"]
    assert steps(folder) == [(stage, 1) for stage in stages]
    model, processor = SocModel.from_pretrained(folder / "model"), SocProcessor.from_pretrained(folder / "model")
    assert model.config.early_fusion == "proxy" and processor.video_processor.size["shortest_edge"] == 80
    run("plus", "--steps", *"1111112")
    assert steps(folder)[-1] == ("doubts", 2)


@pytest.mark.parametrize("variant", ["soc", "no-cluster"])
def test_variants_start_from_the_weights_that_they_share_with_another_run(run, variant):
    source = run("plus", "--steps", *7 * ["1"])
    state = source / "state-scores.pt"
    folder = run(variant, "--variant", variant, "--shared-from", str(state), "--steps", *"0001000")
    assert steps(folder) == [("joint", 1)]
    model = SocModel.from_pretrained(folder / "model")
    assert model.config.video_cluster == (variant == "soc")
    known = torch.load(state, weights_only=True)["average"]
    for name in ("backbone.stem.embedding.conv2.weight", "decoder.query_embed.weight"):
        torch.testing.assert_close(model.state_dict()[name], known[name], atol=2e-3, rtol=0)
