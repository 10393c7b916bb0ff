# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json

import pytest
from models import TINY_SIZES, tiny_config
from transformers import AutoConfig

from transformers_soc import SocConfig, VideoSwinConfig
from transformers_soc.configuration_soc import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = SocConfig.from_preset(name)
    again = SocConfig.from_dict(json.loads(config.to_json_string(use_diff=False)))
    assert json.loads(again.to_json_string(use_diff=False)) == json.loads(config.to_json_string(use_diff=False))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_keep_the_fields_of_small_models_off(name):
    config = SocConfig.from_preset(name)
    assert (config.frame_scorer_ffn_dim, config.mask_decoder_round_widths) == (2048, False)
    assert getattr(config.backbone_config, "stem", "patch") == "patch"
    assert (config.threshold, config.union_threshold) == (None, None)


def test_presets_differ_where_the_papers_do():
    soc, plus = SocConfig.from_preset("soc-swin-t"), SocConfig.from_preset("socpp-swin-t")
    assert (soc.early_fusion, soc.frame_weighting, soc.query_fusion) == ("cross", False, "residual")
    assert (plus.early_fusion, plus.frame_weighting, plus.query_fusion) == ("proxy", True, "random_walk")
    assert soc.inference_decoder_layer == 0 and plus.official_match_order
    assert SocConfig.from_preset("soc-swin-b", num_classes=65).num_classes == 65


def test_save_and_load_through_auto_config(tmp_path):
    config = tiny_config("soc++", threshold=0.4)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, SocConfig) and isinstance(loaded.backbone_config, VideoSwinConfig)
    assert loaded.threshold == 0.4 and loaded.backbone_config.stem == "patch"


REFUSED = {
    "preset": (lambda: SocConfig.from_preset("soc-swin-x"), "'soc-swin-x' is not a preset"),
    "width": (lambda: SocConfig(d_model=100), "multiple of 32"),
    "mask widths": (lambda: SocConfig(d_model=64), "mask_decoder_round_widths"),
    "heads": (lambda: tiny_config(cluster_attention_heads=5), "`cluster_attention_heads` .5. must divide"),
    "fusion": (lambda: tiny_config(early_fusion="late"), "`early_fusion` must be one of"),
    "no cluster, but a fusion": (lambda: tiny_config(video_cluster=False), "`query_fusion` is 'none' exactly where"),
    "cluster, but no fusion": (lambda: tiny_config(query_fusion="none"), "`query_fusion` is 'none' exactly where"),
    "weights without a cluster": (
        lambda: tiny_config("soc++", video_cluster=False, query_fusion="none"),
        "needs `video_cluster=True`",
    ),
    "layer": (lambda: tiny_config(inference_decoder_layer=2), "does not exist: there are 2"),
    "threshold": (lambda: tiny_config(threshold=1.5), "must lie in 0 to 1"),
    "size": (lambda: tiny_config(num_queries=0), "`num_queries` must be at least 1"),
    "stages": (lambda: SocConfig(backbone_config={"model_type": "soc_video_swin"}), "four maps"),
    "stem": (lambda: VideoSwinConfig(stem="conv2d"), "'patch' or 'conv3d'"),
    "depths of the stem": (lambda: VideoSwinConfig(stem="conv3d", stem_depths=(1,)), "two numbers"),
    "blocks without convolutions": (lambda: VideoSwinConfig(stem_depths=(0, 1)), "belongs to the stem 'conv3d'"),
    "swin heads": (lambda: VideoSwinConfig(num_heads=(3, 6, 12, 7)), "must divide its width 768"),
    "swin stages": (lambda: VideoSwinConfig(depths=(2, 2)), "same stages"),
    "window": (lambda: VideoSwinConfig(window_size=(8, 7)), "frames, rows, columns"),
}


@pytest.mark.parametrize("build, sentence", REFUSED.values(), ids=REFUSED)
def test_impossible_combinations_are_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_types_are_checked():
    with pytest.raises(Exception, match="d_model"):
        SocConfig(**(TINY_SIZES | {"d_model": "wide"}))
