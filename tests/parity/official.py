# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Reference tensors of the official code, and a run of our model that names its intermediates as they do."""

import hashlib
import json
import math
import os
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from transformers_soc import SocConfig, SocModel
from transformers_soc.conversion import config_from_original, convert_state_dict
from transformers_soc.modeling_attention import word_positions

CASES = ["soc_t2_small", "soc_r50", "soc_a2d", "soc_vocwin", "socpp_small", "socpp_a2d"]
PARITY_DIR = os.environ.get("SOC_PARITY_DIR")

needs_parity = pytest.mark.skipif(
    not PARITY_DIR or not Path(PARITY_DIR).is_dir(), reason="SOC_PARITY_DIR does not name the reference tensors"
)

# Intermediates that nothing later reads, so that our model does not compute them.
NEVER_READ = {
    "soc": {"eval.lang_fused.0", "eval.lang_fused.1"},
    "soc++": {"eval.text.pooler_output", "eval.text.sentence_feature"},
}


def recipe(key: str, shape: list[int]) -> np.ndarray:
    """Weights that a fixture describes by a counter-based random stream instead of storing them."""
    raw = np.random.Philox(key=zlib.crc32(key.encode())).random_raw(math.prod(shape))
    uniform = ((raw >> np.uint64(40)).astype(np.float64) / 2**24).reshape(shape)
    if key.endswith("running_var"):
        values = 0.5 + uniform
    elif key.endswith("running_mean") or (len(shape) == 1 and key.endswith("bias")):
        values = (uniform - 0.5) * 0.4
    elif len(shape) == 1:
        values = 0.25 + 0.25 * uniform if ".bn3." in key else 0.8 + 0.4 * uniform
    else:
        values = (uniform - 0.5) * math.sqrt(24 / math.prod(shape[1:]))
    return values.astype(np.float32)


def without_dropout(config: SocConfig) -> SocConfig:
    """Sets every dropout and drop-path rate of the model, its backbone and its text encoder to 0."""
    for part in (config, config.backbone_config, config.text_config):
        for name in part.to_dict():
            if "dropout" in name or "drop_path" in name or name == "attention_probs_dropout_prob":
                if getattr(part, name) is not None:
                    setattr(part, name, 0.0)
    return config


class Case:
    """One fixture: its tensors, the official state dict, and our configuration of it."""

    def __init__(self, name: str):
        root = Path(PARITY_DIR or ".")
        self.meta: dict[str, Any] = json.loads((root / f"{name}.json").read_text())
        tensors = load_file(root / f"{name}.safetensors")
        self.tensors = {key: value for key, value in tensors.items() if not key.startswith("weights.")}
        self.state_dict = {
            key.removeprefix("weights."): value.float() if value.is_floating_point() else value
            for key, value in tensors.items()
            if key.startswith("weights.")
        }
        digest = hashlib.sha256()
        for key in sorted(self.meta["recipe_keys"]):
            values = recipe(key, self.meta["recipe_keys"][key])
            digest.update(values.tobytes())
            self.state_dict[key] = torch.from_numpy(values)
        assert not self.meta["recipe_keys"] or digest.hexdigest() == self.meta["recipe_sha256"]
        self.variant = self.meta["variant"]

    def config(self) -> SocConfig:
        config = config_from_original(
            self.meta["official_config"],
            variant=self.variant,
            backbone=self.meta["backbone"],
            text_config=self.meta["text_config"],
        )
        return without_dropout(config)

    def model(self) -> SocModel:
        config = self.config()
        model = SocModel(config)
        model.load_state_dict(convert_state_dict(self.state_dict, config))
        return model

    def inputs(self) -> dict[str, torch.Tensor]:
        inputs = {
            "pixel_values_videos": self.tensors["input.pixel_values"].float()[None],
            "pixel_mask": self.tensors["input.pixel_mask"][None],
            "input_ids": self.tensors["input.input_ids"],
            "attention_mask": self.tensors["input.attention_mask"],
        }
        if self.meta["valid_indices"]:
            inputs["annotated_frame_indices"] = torch.tensor(self.meta["valid_indices"])
        return inputs

    def labels(self) -> list[dict[str, torch.Tensor]]:
        label = {
            "masks": self.tensors["target.masks"][:, 0].bool(),
            "visible": self.tensors["target.visible"].bool(),
            "boxes": self.tensors["target.boxes"][:, 0],
            "class_labels": self.tensors["target.labels"][0],
        }
        return [label]


@cache
def load_case(name: str) -> Case:
    return Case(name)


class Recorder:
    """Keeps what modules returned during a forward, under the fixture's names and shapes (one clip, one sentence)."""

    def __init__(self, model: SocModel):
        self.model = model
        self.calls: dict[str, list[tuple[Any, Any]]] = {}
        for name, module in model.named_modules():
            module.register_forward_hook(self._hook(name))

    def _hook(self, name: str):
        def keep(module, arguments, output):
            self.calls.setdefault(name, []).append((arguments, output))

        return keep

    def output(self, name: str, call: int = -1) -> Any:
        return self.calls[name][call][1]

    def forward(self, **inputs) -> Any:
        self.calls.clear()
        return self.model(**inputs)

    def front(self, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Everything up to the decoder; the same in both modes."""
        found = {}
        for index, stage in enumerate(self.output("backbone").feature_maps):
            found[f"backbone.stage{index}"] = stage.flatten(0, -4)
        text = self.output("text_encoder")
        found["text.last_hidden_state"] = text.last_hidden_state
        found["text.word_features"] = self.output("text_projection", 0)
        if self.model.config.uses_pooled_sentence:
            found["text.pooler_output"] = text.pooler_output
            found["text.sentence_feature"] = self.output("text_projection", 1)
        found["text.position"] = word_positions(attention_mask.bool(), self.model.config.d_model)
        (_, _, geometry), fused = self.calls["early_fusion"][-1]
        for index, level in enumerate(self.output("level_projections")):
            found[f"input_proj.{index}"] = level[0]
            height, width = level.shape[-2:]
            masks = ~geometry.masks[index].view(1, height, width)
            found[f"level_padding_mask.{index}"] = masks.expand(level.shape[1], -1, -1)
            found[f"level_position.{index}"] = geometry.positions[index].mT.unflatten(2, (height, width))
            found[f"fused.{index}"] = fused.levels[index][0].mT.unflatten(2, (height, width))
        found["lang_fused.2"] = self.output("early_fusion.words_read_vision")
        if self.model.config.early_fusion == "proxy":
            for index, ((proxies, *_), message) in enumerate(self.calls["early_fusion.proxies_read_vision"]):
                found[f"proxy_message.{index}"] = message[0]
                found[f"proxies.{index}"] = (proxies + message)[0]
        found["text_contrast"] = fused.text_features
        for index in range(self.model.config.encoder_layers):
            found[f"encoder_layer.{index}"] = self.output(f"encoder.layers.{index}")[0]
        states = self.output("decoder")
        found["decoder_target"] = states.states[0][0]
        found["init_reference"] = states.init_reference[0]
        found["inter_references"] = states.references[:, 0]
        found["decoder_hidden"] = states.hidden[:, 0]
        found["mask_features"] = self.output("mask_head.pixel_decoder")
        return found

    def clusters(self) -> dict[str, torch.Tensor]:
        """Frame scores, clusters and fused queries of the levels that were computed."""
        found = {}
        if self.model.config.frame_weighting:
            name = "video_cluster.frame_weighting"
            (hidden, sentence, frame_mask, first), total = self.calls[name][-1]
            found["frame_score.total"] = total[:, 0]
            found["frame_score.visibility"] = self.output(f"{name}.visibility")[:, 0]
            found["frame_score.variance"] = self.output(f"{name}.variation")[:, 0]
            weighting = self.model.video_cluster.frame_weighting
            found["frame_score.matching"] = weighting._match(hidden, sentence, frame_mask)[first:, 0]
            weighting.official_match_order = False
            found["frame_score.matching_true_order"] = weighting._match(hidden, sentence, frame_mask)[first:, 0]
            weighting.official_match_order = True
            found["random_walk"] = self.calls["query_fusion.attention"][-1][0][1]
        last = self.model.config.cluster_encoder_layers - 1
        frames, queries = self.output("decoder").hidden.shape[2:4]
        encoded = self.output(f"video_cluster.encoder_layers.{last}")
        found["frame_query_encoded"] = encoded.unflatten(1, (frames, queries))
        found["cluster"] = self.output("video_cluster")[:, 0]
        found["fused_queries"] = self.output("query_fusion")[:, 0]
        return found


def heads(outputs: Any, recorder: Recorder, call: int = -1) -> dict[str, torch.Tensor]:
    """Predictions of one decoder layer, from the main or an auxiliary output."""
    level = outputs if isinstance(outputs, dict) else dict(outputs)
    return {
        "logits_all": level["logits"][0],
        "boxes_all": level["pred_boxes"][0],
        "masks_all": level["pred_masks"][0],
        "dynamic_params_all": recorder.output("mask_head.controller", call)[0],
    }


def main_output(outputs: Any) -> dict[str, torch.Tensor]:
    return {
        "pred_logits": outputs.logits[0],
        "pred_boxes": outputs.pred_boxes[0],
        "pred_masks": outputs.pred_masks[0],
        "pred_cluster": outputs.video_queries[0],
    }


def run_train(case: Case, model: SocModel | None = None) -> dict[str, torch.Tensor]:
    """All intermediates of train mode."""
    model = (case.model() if model is None else model).train()
    recorder = Recorder(model)
    outputs = recorder.forward(**case.inputs())
    found = recorder.front(case.inputs()["attention_mask"]) | recorder.clusters() | main_output(outputs)
    levels = [*outputs.auxiliary_outputs, outputs]
    per_level = [heads(level, recorder, call) for call, level in enumerate(levels)]
    found |= {name: torch.stack([level[name] for level in per_level]) for name in per_level[0]}
    return {name: value.detach() for name, value in found.items()}


@torch.no_grad()
def run_eval(case: Case, model: SocModel | None = None) -> dict[str, torch.Tensor]:
    """
    All intermediates of eval mode. The official SOC adds the last clusters to every decoder layer, so each layer is
    made the one that answers in turn.
    """
    model = (case.model() if model is None else model).eval()
    recorder = Recorder(model)
    official_layer = model.config.inference_decoder_layer
    per_level = []
    for layer in range(model.config.decoder_layers if case.variant == "soc" else 0):
        model.config.inference_decoder_layer = layer
        outputs = recorder.forward(**case.inputs())
        per_level.append(heads(outputs, recorder) | {"fused_queries": recorder.output("query_fusion")[0, 0]})
    model.config.inference_decoder_layer = official_layer
    outputs = recorder.forward(**case.inputs())
    found = recorder.front(case.inputs()["attention_mask"]) | recorder.clusters() | main_output(outputs)
    names = per_level[0] if per_level else ()
    return found | {name: torch.stack([level[name] for level in per_level]) for name in names}


def relative_error(ours: torch.Tensor, reference: torch.Tensor) -> float:
    """Largest difference over the largest absolute value of the reference; inf where shapes differ."""
    if ours.shape != reference.shape:
        return math.inf
    difference = (ours.double() - reference.double()).abs().max()
    return float(difference / reference.double().abs().max().clamp(min=1e-12))
