# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Graphs for other runtimes: they answer as the model does for sizes that they were not recorded with, or refuse."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from conftest import tiny_processor
from models import TINY_SWIN, tiny_config, tiny_model

import transformers_soc_cli
from transformers_soc import SocExportedModel, SocModel, SocProcessor, VideoSwinBackbone, VideoSwinConfig
from transformers_soc.export import graphs, parts, symbolic
from transformers_soc.export.graphs import export_graphs
from transformers_soc.modeling_video_cluster import SocRandomWalkFusion

OUTPUTS = ("logits", "pred_boxes", "pred_masks")
# One layer of each kind: recording takes about as long as there are operations.
SMALL = {"backbone_config": TINY_SWIN | {"depths": (2, 1, 1, 1), "drop_path_rate": 0.0}}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A tiny SOC++ with windows of four frames, and its processor."""
    folder = tmp_path_factory.mktemp("source") / "tiny"
    tiny_model("soc++", **SMALL).save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(source, tmp_path_factory):
    """Its graphs in both formats, through the command with its check; what both record is recorded once."""
    folder, programs = tmp_path_factory.mktemp("graphs"), {}

    def record(part, original=graphs.record):
        key = (type(part.module), part.ranges.get("frames"))
        programs[key] = programs.get(key) or original(part)
        return programs[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "record", record)
        for name, options in {"onnx": [], "torch": ["--format", "torch", "--frames", "2"]}.items():
            assert transformers_soc_cli.main(["export", str(source), str(folder / name), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def onnx_folder(folders):
    return folders / "onnx"


@pytest.fixture(scope="module")
def model(source):
    return SocModel.from_pretrained(source).eval()


@pytest.fixture(scope="module")
def exported(onnx_folder):
    return SocExportedModel.from_pretrained(onnx_folder, num_threads=1)


@pytest.fixture(scope="module")
def programs(folders):
    return SocExportedModel.from_pretrained(folders / "torch")


def inputs_of(frames, height, width, expressions, tokens, videos=1):
    generator = torch.Generator().manual_seed(frames + height)
    words = torch.randint(3, 261, (expressions, tokens), generator=generator)
    mask = (torch.arange(tokens) < tokens - torch.arange(expressions)[:, None] % 3).long()
    return {
        "pixel_values_videos": torch.randn(videos, frames, 3, height, width, generator=generator),
        "input_ids": torch.where(mask.bool(), words, 1),
        "attention_mask": mask,
    }


def assert_same(found, expected):
    for name in OUTPUTS:
        error = (found[name] - expected[name]).abs().max() / expected[name].abs().max()
        assert error < 1e-4, f"{name}: {error}"


# Frames, height, width, sentences and tokens: all others than those of the recording.
SHAPES = {
    "small maps, one sentence": (5, 66, 70, 1, 3),
    "windows that divide the maps": (8, 96, 192, 2, 9),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_graphs_equal_the_model(model, exported, programs, format, shape):
    inputs = inputs_of(*shape)
    with torch.no_grad():
        expected = model(**inputs, best_query_only=True)
    found = (exported if format == "onnx" else programs)(**inputs)
    assert_same(found, expected)
    assert torch.equal(found.selected_queries, expected.selected_queries)


def test_fewer_frames_than_a_window_have_a_graph_of_their_own(model, programs):
    inputs = inputs_of(2, 97, 65, 4, 5)
    with torch.no_grad():
        assert_same(programs(**inputs), model(**inputs, best_query_only=True))


def test_padded_videos_and_features_that_are_asked_twice(model, exported):
    """Two videos of unequal length and size in one batch, and their features asked about the one and the other."""
    inputs = inputs_of(6, 80, 96, 3, 5, videos=2)
    mask = torch.ones(2, 6, 80, 96, dtype=torch.bool)
    mask[1, 5:], mask[1, :, 70:], mask[1, :, :, 90:] = False, False, False
    inputs["pixel_values_videos"] *= mask[:, :, None]
    inputs |= {"video_indices": torch.tensor([1, 0, 1])}
    with torch.no_grad():
        expected = model(**inputs, pixel_mask=mask, best_query_only=True)
    features = exported.get_video_features(inputs.pop("pixel_values_videos"), mask)
    assert_same(exported(**inputs, video_features=features), expected)
    last = {name: value[2:] for name, value in inputs.items()}
    found = exported(**last, video_features=features)
    assert_same(found, {name: expected[name][2:] for name in OUTPUTS})


def test_post_processing_reads_the_answer(exported, onnx_folder):
    processor = SocProcessor.from_pretrained(onnx_folder)
    processor.video_processor.size = {"shortest_edge": 66, "longest_edge": 100}
    frames = np.random.default_rng(0).integers(0, 255, (5, 90, 120, 3), dtype=np.uint8)
    inputs = processor(videos=[frames], text=["the dog"])
    (answer,) = processor.post_process_referring_video_segmentation(
        exported(**inputs), [(90, 120)], pixel_mask=inputs["pixel_mask"], video_indices=inputs["video_indices"]
    )
    assert answer["masks"].shape == (5, 90, 120)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((3, 80, 80, 1, 4), "hold for 5 to 65536 frames, but a video has 3: export the model with `--frames 3`"),
        ((5, 64, 80, 1, 4), "hold for height from 65 to 4096, but `pixel_values_videos` has 64"),
        ((5, 80, 80, 1, 33), "hold for tokens from 2 to 32, but `input_ids` has 33"),
    ],
)
def test_sizes_outside_the_manifest_are_refused(exported, shape, message):
    with pytest.raises(ValueError, match=message):
        exported(**inputs_of(*shape))


def test_manifest_says_what_the_graphs_are(source, folders):
    manifest = json.loads((folders / "torch" / "manifest.json").read_text())
    weights = hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest()
    assert manifest["weights_sha256"] == {"model.safetensors": weights}
    assert max(manifest["largest_difference"].values()) < 1e-4
    files = [graph["file"] for graph in manifest["graphs"]]
    assert files == ["vision.pt2", "vision_2.pt2", "text.pt2", "fusion.pt2"]
    vision, fixed, _, fusion = manifest["graphs"]
    assert vision["inputs"][0]["shape"] == [1, "frames", 3, "height", "width"]
    assert vision["ranges"]["frames"] == [5, 65536]
    assert fixed["inputs"][0]["shape"][1] == 2 and "frames" not in fixed["ranges"]
    assert [entry["name"] for entry in fusion["outputs"]] == [*OUTPUTS, "selected_queries"]


def test_bad_requests_are_refused_before_anything_is_written(source, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(FileExistsError, match="give a new or empty folder"):
        export_graphs(source, tmp_path / "full")
    with pytest.raises(ValueError, match="no graph for 5 frames alone: ask for 2 to 4"):
        export_graphs(source, tmp_path / "new", frames=[2, 5])
    with pytest.raises(FileNotFoundError, match="no folder"):
        export_graphs(tmp_path / "missing", tmp_path / "new")
    monkeypatch.setattr(graphs, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install transformers-soc\[export\]"):
        export_graphs(source, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_a_failed_check_leaves_nothing(source, onnx_folder, tmp_path, monkeypatch):
    """The graphs of another model do not pass for those of this one."""

    def write(part, name, folder, format):
        shutil.copy(onnx_folder / f"{name}.onnx", folder)
        entries = json.loads((onnx_folder / "manifest.json").read_text())["graphs"]
        return next(entry for entry in entries if entry["file"] == f"{name}.onnx")

    other = tmp_path / "other"
    changed = tiny_model("soc++", **SMALL)
    with torch.no_grad():
        for head in changed.class_heads:
            head.weight.mul_(1.1)
    changed.save_pretrained(other)
    tiny_processor().save_pretrained(other)
    monkeypatch.setattr(graphs, "_write_part", write)
    with pytest.raises(ValueError, match="The graphs differ from the model: logits"):
        export_graphs(other, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize("change", ["manifest", "version", "graph"])
def test_damaged_folders_are_refused(onnx_folder, tmp_path, change):
    folder = tmp_path / "graphs"
    shutil.copytree(onnx_folder, folder)
    manifest = folder / "manifest.json"
    if change == "manifest":
        manifest.write_text("{")
    elif change == "version":
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 7}))
    else:
        (folder / "text.onnx").unlink()
    message = {"manifest": "is damaged", "version": "has the version 7", "graph": "text.onnx' is missing"}[change]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        SocExportedModel.from_pretrained(folder)


@pytest.mark.parametrize("stem", ["patch", "conv3d"])
@pytest.mark.parametrize("sizes", [(9, 80, 112), (4, 97, 65), (3, 49, 100), (1, 96, 192)], ids=str)
def test_symbolic_backbone_equals_the_model(stem, sizes):
    """Maps above, at and below the window, along each axis."""
    torch.manual_seed(0)
    backbone = VideoSwinBackbone(VideoSwinConfig(**TINY_SWIN | {"stem": stem})).eval().requires_grad_(False)
    for parameter in backbone.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape))
    video = torch.randn(1, sizes[0], 3, *sizes[1:])
    found, expected = symbolic.swin_maps(backbone, video), backbone(video).feature_maps
    for own, other in zip(found, expected, strict=True):
        assert torch.allclose(own, other, atol=1e-4)


def test_random_walk_without_a_solve():
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(2, 3, 20, 32, generator=generator)
    frame = torch.randn(2, 3, 180, 32, generator=generator)
    mask = torch.rand(3, 180, generator=generator) < 0.8
    expected = SocRandomWalkFusion.random_walk(video, frame, mask)
    assert torch.allclose(parts.random_walk(video, frame, mask), expected, atol=1e-6, rtol=1e-6)


def test_frame_wise_backbones_have_one_graph():
    resnet = {"model_type": "timm_backbone", "backbone": "resnet18", "out_indices": [1, 2, 3, 4]}
    model = SocModel(tiny_config("soc", backbone_config=resnet))
    assert parts.vision_part(model, None).ranges["frames"] == (2, 65536)
    with pytest.raises(ValueError, match="one graph holds for any number"):
        graphs._fixed_frames(model, [4])
