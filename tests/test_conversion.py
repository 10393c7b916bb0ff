# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_tokenizer
from models import TINY_SWIN, TINY_TEXT
from transformers import AutoModel, AutoProcessor

from transformers_soc import SocConfig, VideoSwinBackbone, VideoSwinConfig
from transformers_soc.conversion import (
    config_from_original,
    convert_checkpoint,
    convert_state_dict,
    convert_video_swin_state_dict,
    load_checkpoint,
    read_original_config,
    to_original_state_dict,
)

KEY_LISTS = ["soc_swin_t", "soc_swin_s", "soc_swin_b", "soc_resnet50", "socpp_swin_t", "socpp_swin_b"]
SMALL_OFFICIAL = {
    "DeformTransformer": {"d_model": 128, "enc_layers": 1, "dec_layers": 2, "dim_feedforward": 32, "num_queries": 4},
    "VOC": {"input_dim": 128, "enc_layers": 1, "dec_layers": 1, "dim_feedforward": 32, "num_queries": 4},
}
SMALL_OFFICIAL["VOC"]["num_frame_queries"] = 4
SMALL_SWIN = {name: TINY_SWIN[name] for name in ("embed_dim", "depths", "num_heads")}


def small_config(variant: str = "soc", **official) -> SocConfig:
    return config_from_original(SMALL_OFFICIAL | official, variant=variant, backbone=SMALL_SWIN, text_config=TINY_TEXT)


def small_original(variant: str = "soc") -> tuple[SocConfig, dict[str, torch.Tensor]]:
    """A small random model under the official names."""
    config = small_config(variant)
    torch.manual_seed(0)
    return config, to_original_state_dict(AutoModel.from_config(config).state_dict(), config)


@pytest.mark.parity
@pytest.mark.parametrize("name", KEY_LISTS)
def test_full_size_key_lists_convert(name, parity_dir):
    """Every key of the official full-size models, on the meta device; also those of a published checkpoint."""
    listed = json.loads((parity_dir / "keys" / f"{name}.json").read_text())
    shapes = listed["shapes"] | listed["extra_in_published_checkpoints"]
    original = {}
    for key, shape in shapes.items():
        dtype = getattr(torch, shape[0]) if shape and isinstance(shape[0], str) else torch.float32
        original[key] = torch.empty([size for size in shape if isinstance(size, int)], dtype=dtype, device="meta")
    config = SocConfig.from_preset(name.replace("_", "-"))
    converted = convert_state_dict(original, config)
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    model.load_state_dict(converted, assign=True)
    pooler = 590_592 if listed["variant"] == "soc++" else 0  # never read there, so it is dropped
    assert sum(value.numel() for value in model.parameters()) == listed["parameters"] - pooler


@pytest.mark.parametrize("variant", ["soc", "soc++"])
def test_official_names_and_back(variant):
    config, original = small_original(variant)
    model = AutoModel.from_config(config)
    model.load_state_dict(convert_state_dict(original, config))
    again = to_original_state_dict(model.state_dict(), config)
    assert again.keys() == original.keys()
    assert all(torch.equal(again[name], value) for name, value in original.items())


def test_harmless_keys_are_dropped():
    config, original = small_original("soc++")
    original["text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    original["text_encoder.pooler.dense.weight"] = torch.zeros(32, 32)
    original["text_encoder.pooler.dense.bias"] = torch.zeros(32)
    original["backbone.0.body.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(36, 36)
    original["transformer.total_ops"] = torch.zeros(1)
    wrapped = {f"module.{name}": value for name, value in original.items()}
    AutoModel.from_config(config).load_state_dict(convert_state_dict(wrapped, config))


BROKEN = {
    "missing": (lambda state: state.pop("vlf.multihead_attn.in_proj_weight"), "missing keys: vlf.multihead_attn"),
    "unexpected": (lambda state: state.update({"voc.novel": torch.zeros(1)}), "unexpected keys: voc.novel"),
    "shape": (
        lambda state: state.update({"query_embed.weight": torch.zeros(5, 128)}),
        r"query_embed.weight \[5, 128\]",
    ),
    "other alias": (
        lambda state: state.update({"transformer.decoder.bbox_embed.0.layers.0.bias": torch.ones(128)}),
        "unexpected keys: transformer.decoder.bbox_embed.0.layers.0.bias",
    ),
}


@pytest.mark.parametrize("breaking, sentence", BROKEN.values(), ids=BROKEN)
def test_keys_that_do_not_fit_are_named(breaking, sentence):
    config, original = small_original()
    breaking(original)
    with pytest.raises(ValueError, match=sentence):
        convert_state_dict(original, config)


def test_original_values_reach_the_config():
    sections = {name: dict(value) for name, value in SMALL_OFFICIAL.items()}
    sections["DeformTransformer"] |= {"dec_n_points": 3, "enc_n_points": 2, "nheads": 4}
    config = config_from_original(
        sections | {"num_classes": 65, "rel_coord": False, "set_cost_dice": 7, "lr": "1e-4", "eval_short_size": 320},
        variant="soc++",
        backbone="video-swin-b",
        text_config=TINY_TEXT,
    )
    assert (config.encoder_n_points, config.decoder_n_points, config.encoder_attention_heads) == (2, 3, 4)
    assert (config.cluster_attention_heads, config.num_classes, config.dice_cost) == (8, 65, 7)
    assert not config.mask_relative_coordinates and config.official_match_order
    assert config.backbone_config.embed_dim == 128 and config.text_config.vocab_size == 261
    assert config.frame_scorer_ffn_dim == 32 and config.num_proxies == 20
    assert small_config("soc").inference_decoder_layer == 0
    assert small_config("soc++", use_proxymmf=False).early_fusion == "cross"


REFUSED_CONFIGS = {
    "unknown key": ({"novel": 1}, "unknown meaning: novel"),
    "unknown key in a section": ({"VOC": {"novel": 1}}, "unknown meaning: VOC.novel"),
    "no refinement": ({"with_box_refine": False}, "`with_box_refine` is False"),
    "two stages": ({"DeformTransformer": {"two_stage": True}}, "`DeformTransformer.two_stage` is True"),
    "widths": ({"VOC": {"input_dim": 128}}, "must be equal"),
    "queries": ({"VOC": {"num_queries": 10}}, "must be equal, got"),
}


@pytest.mark.parametrize("official, sentence", REFUSED_CONFIGS.values(), ids=REFUSED_CONFIGS)
def test_configs_that_cannot_run_are_refused(official, sentence):
    with pytest.raises(ValueError, match=sentence):
        config_from_original(official, variant="soc", backbone="video-swin-t", text_config={})


@pytest.mark.parametrize("changes", [{"variant": "soc+"}, {"backbone": "swin-t"}, {"backbone": {"novel": 1}}])
def test_unknown_variants_and_backbones_are_refused(changes):
    arguments = {"variant": "soc", "backbone": "video-swin-t", "text_config": {}} | changes
    with pytest.raises(ValueError, match=r"soc\+|swin-t|novel"):
        config_from_original({}, **arguments)


def write_checkpoint(path: Path, state: dict[str, torch.Tensor]) -> Path:
    """A checkpoint as the official trainer writes it: training state and a NumPy score beside the weights."""
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    training = {
        "epoch": 3,
        "total_epochs": 40,
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler_state_dict": torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2]).state_dict(),
        "grad_scaler_state_dict": torch.amp.GradScaler("cpu").state_dict(),
        "best_mAP": np.float64(0.5),
        "best_loss": 0.1,
    }
    torch.save({"model_state_dict": state} | training, path)
    return path


@pytest.fixture
def tokenizer_folder(tmp_path: Path) -> Path:
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.mark.parametrize("variant", ["soc", "soc++"])
def test_checkpoint_file_to_folder(variant, tmp_path, tokenizer_folder):
    config, original = small_original(variant)
    checkpoint = write_checkpoint(tmp_path / "best.pth.tar", original)
    yaml = tmp_path / "a2d.yaml"
    yaml.write_text("num_classes: {desc: classes, value: 65}\neval_short_size: {value: 320}\nlr:\n  value: 1e-4\n")
    lines = convert_checkpoint(
        checkpoint, tmp_path / "out", tokenizer=tokenizer_folder, original_config=yaml, text_config=TINY_TEXT
    )
    assert any("num_classes = 65, the checkpoint has 1: 1 is used" in line for line in lines)
    model, processor = AutoModel.from_pretrained(tmp_path / "out"), AutoProcessor.from_pretrained(tmp_path / "out")
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir() if "model" in path.name) == [".safetensors"]
    assert not processor.do_lower_case and processor.video_processor.size["shortest_edge"] == 320
    assert model.config.num_classes == 1 and model.config.backbone_config.embed_dim == 8
    again = to_original_state_dict(model.state_dict(), config)
    assert all(torch.equal(again[name], value) for name, value in original.items())
    assert list(tmp_path.glob(".out-*")) == []


class Payload:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_code_is_refused_and_not_run(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"model_state_dict": {"weight": torch.zeros(1)}, "extra": Payload(canary)}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="pickled code"):
        load_checkpoint(tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Payload(canary)))
    with pytest.raises(ValueError, match=r"pickled code|not a PyTorch checkpoint"):
        load_checkpoint(tmp_path / "plain.pth")
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken", pickle.dumps([1, 2])])
def test_files_that_are_no_checkpoints_are_refused(tmp_path, content):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a PyTorch checkpoint|holds no state dict"):
        load_checkpoint(path)


def test_conversion_leaves_nothing_half_written(tmp_path, tokenizer_folder):
    _, original = small_original()
    original.pop("lvf.multihead_attn.out_proj.bias")
    checkpoint = write_checkpoint(tmp_path / "best.pth", original)
    arguments = {"tokenizer": tokenizer_folder, "text_config": TINY_TEXT}
    with pytest.raises(ValueError, match=r"lvf.multihead_attn.out_proj.bias"):
        convert_checkpoint(checkpoint, tmp_path / "out", **arguments)
    with pytest.raises(ValueError, match=r"the keys of .* are those of soc"):
        convert_checkpoint(checkpoint, tmp_path / "out", variant="soc++", **arguments)
    with pytest.raises(FileNotFoundError, match="no checkpoint file"):
        convert_checkpoint(tmp_path / "none.pth", tmp_path / "out", **arguments)
    with pytest.raises(FileExistsError, match="exists already"):
        convert_checkpoint(checkpoint, tokenizer_folder, **arguments)
    assert not (tmp_path / "out").exists()


def test_other_files_are_no_official_configuration(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(ValueError, match="expected keys and values"):
        read_original_config(tmp_path / "list.yaml")


def kinetics_checkpoint(config: VideoSwinConfig) -> tuple[dict, VideoSwinBackbone]:
    """A backbone in the layout of the Video-Swin release: a head, a last norm, a patch embedding of two frames."""
    torch.manual_seed(0)
    backbone = VideoSwinBackbone(config)
    ours = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    official = to_original_state_dict(ours, SocConfig())
    state = {}
    for name, value in official.items():
        name = name.removeprefix("backbone.0.body.")
        if name.startswith("downsamples."):
            name = "layers." + name.removeprefix("downsamples.").replace(".", ".downsample.", 1)
        state[f"backbone.{name}"] = value
    patch = state["backbone.patch_embed.proj.weight"]
    state["backbone.patch_embed.proj.weight"] = torch.cat([0.25 * patch, 0.75 * patch], dim=2)
    state["backbone.norm.weight"] = torch.ones(64)
    state["backbone.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(36, 36, dtype=torch.long)
    state["cls_head.fc_cls.weight"] = torch.zeros(400, 64)
    return {"state_dict": state, "meta": {}}, backbone


def test_kinetics_checkpoint_sums_the_frames_of_a_patch():
    config = VideoSwinConfig(**TINY_SWIN)
    checkpoint, expected = kinetics_checkpoint(config)
    backbone = VideoSwinBackbone(config)
    backbone.load_state_dict(convert_video_swin_state_dict(checkpoint, config))
    for (name, value), (_, other) in zip(backbone.state_dict().items(), expected.state_dict().items(), strict=True):
        torch.testing.assert_close(value, other, msg=name)
    checkpoint["state_dict"].pop("backbone.layers.1.downsample.norm.weight")
    checkpoint["state_dict"]["backbone.novel"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"layers.1.downsample.norm.weight is missing.*novel is unexpected"):
        convert_video_swin_state_dict(checkpoint, config)
