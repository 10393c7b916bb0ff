# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Recipes of the released checkpoints, the arguments that they stand for, and configurations of Accelerate."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from conftest import save_tiny_model
from example_tools import EXAMPLES, FINETUNE, load_script, write_clips
from models import TINY_TEXT, tiny_config
from test_conversion import kinetics_checkpoint
from transformers import AutoConfig, AutoModel

from transformers_soc import SocConfig, VideoSwinConfig

finetune = load_script(FINETUNE)
RECIPES = EXAMPLES / "recipes"
JOINT = ["refcoco", "refcoco+", "refcocog", "refer_youtube_vos"]
# Data sets; learning rates of the model, the backbone and the text encoder; epochs with a drop, its factor, epochs in
# all; clips per process, their frames, the short side, whether the text encoder is frozen; the preset, if not trained.
TABLE: dict[str, tuple[Any, ...]] = {
    "soc_a2d_from_scratch_swin_t": ("a2d_sentences", 5e-5, 5e-6, 5e-6, [15], 0.2, 40, 2, 8, 320, True, "soc-swin-t"),
    "soc_ytb_from_scratch_swin_t": (
        "refer_youtube_vos",
        1e-4,
        1e-5,
        5e-5,
        [20],
        0.1,
        30,
        1,
        8,
        360,
        True,
        "soc-swin-t",
    ),
    "soc_pretrain_swin_t": (JOINT[:3], 1e-4, 1e-5, 5e-6, [15, 20], 0.1, 30, 8, 1, 360, False, "soc-swin-t"),
    "soc_pretrain_swin_b": (JOINT[:3], 1e-4, 1e-5, 5e-6, [15, 20], 0.1, 30, 8, 1, 360, False, "soc-swin-b"),
    "soc_ytb_with_pretrain_swin_t": ("refer_youtube_vos", 1e-4, 1e-5, 5e-5, [10], 0.1, 20, 1, 8, 360, True, None),
    "soc_ytb_with_pretrain_swin_b": ("refer_youtube_vos", 1e-4, 1e-5, 5e-5, [10], 0.1, 20, 1, 8, 360, True, None),
    "soc_a2d_with_pretrain_swin_t": ("a2d_sentences", 5e-5, 5e-6, 5e-6, [20], 0.2, 20, 1, 8, 320, True, None),
    "soc_a2d_with_pretrain_swin_b": ("a2d_sentences", 5e-5, 5e-6, 5e-6, [20], 0.2, 20, 1, 8, 320, True, None),
    "soc_ytb_joint_train_swin_t": (JOINT, 1e-4, 1e-5, 5e-6, [20], 0.1, 30, 1, 8, 360, False, "soc-swin-t"),
    "soc_ytb_joint_train_swin_b": (JOINT, 1e-4, 1e-5, 5e-6, [20], 0.1, 30, 1, 8, 360, False, "soc-swin-b"),
    "socpp_a2d_swin_t": ("a2d_sentences", 1e-4, 5e-6, 5e-6, [20], 0.2, 40, 2, 8, 320, True, "socpp-swin-t"),
    "socpp_ytb_swin_t": ("refer_youtube_vos", 1e-4, 1e-5, 1e-5, [20], 0.1, 30, 1, 8, 360, False, "socpp-swin-t"),
    "socpp_mevis_swin_t": ("mevis", 2e-5, 2e-6, 2e-6, [20], 0.1, 30, 1, 8, 360, True, "socpp-swin-t"),
}


def parse(recipe: Path | str, *explicit: str) -> Namespace:
    arguments = ["--recipe", str(recipe), "--data_root", "data", "--output_dir", "out", *explicit]
    return finetune.parse_args(arguments)


def write_recipe(folder: Path, text: str) -> Path:
    (folder / "own.yaml").write_text(text)
    return folder / "own.yaml"


def test_every_recipe_is_in_the_table():
    assert {path.stem for path in RECIPES.iterdir()} == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_recipes_have_the_released_settings(name: str):
    data, *numbers, preset = TABLE[name]
    args = parse(RECIPES / f"{name}.yaml", *([] if preset else ["--model_name_or_path", "pretrained"]))
    assert args.dataset == ([data] if isinstance(data, str) else data) and args.train_split == "train"
    rates = [args.learning_rate, args.backbone_learning_rate, args.text_learning_rate]
    epochs = [args.lr_drop_epochs, args.lr_gamma, args.num_train_epochs]
    sizes = [args.per_device_train_batch_size, args.window_size, args.short_side]
    assert [*rates, *epochs, *sizes, args.freeze_text_encoder] == numbers
    assert (args.preset, args.new_class_heads) == (preset, preset is None)
    assert args.long_side == {320: 576, 360: 640}[args.short_side]
    weights = {"t": "swin_tiny_patch244_window877_kinetics400_1k", "b": "swin_base_patch244_window877_kinetics400_22k"}
    assert args.backbone_weights == (Path(weights[name[-1]] + ".pth") if preset else None)
    assert args.text_weights == args.tokenizer_name == ("roberta-base" if preset else None)
    assert args.flip_probability == (0.5 if "soc_pretrain" in name else 0.3085) and args.flip_words == "official"
    assert (args.lr_schedule, args.weight_decay, args.max_grad_norm, args.seed) == ("step", 1e-4, 0.1, 42)
    assert (args.expressions_per_clip, args.mixed_precision, args.clip_policy) == (1, "no", "soc")
    assert args.images_as_videos == (data is JOINT)
    assert args.data_options == ({"version": "v1"} if data == "mevis" else {})


def test_explicit_arguments_win():
    recipe = RECIPES / "soc_ytb_joint_train_swin_t.yaml"
    explicit = ["--learning_rate", "3", "--dataset", "mevis", "--no-images_as_videos", "--lr_drop_epochs", "4", "5"]
    for args in (
        parse(recipe, *explicit),
        finetune.parse_args([*explicit, "--data_root=d", "--output_dir=o", f"--recipe={recipe}"]),
    ):
        assert (args.learning_rate, args.dataset, args.images_as_videos) == (3, ["mevis"], False)
        assert (args.lr_drop_epochs, args.backbone_learning_rate, args.preset) == ([4, 5], 1e-5, "soc-swin-t")


def test_an_explicit_model_replaces_that_of_the_recipe():
    args = parse(RECIPES / "soc_ytb_from_scratch_swin_t.yaml", "--model_name_or_path", "own")
    assert (args.model_name_or_path, args.preset, args.backbone_weights, args.text_weights) == (
        "own",
        None,
        None,
        None,
    )
    assert args.freeze_text_encoder


def test_values_of_every_kind(tmp_path: Path):
    text = "preset: soc-swin-t\ntokenizer_name: t\nlearning_rate: 1e-3\nlr_drop_epochs: []\ncpu: true\n"
    args = parse(write_recipe(tmp_path, text + "data_options: {num_frames: 4}\ngradient_checkpointing: false\n"))
    assert (args.learning_rate, args.lr_drop_epochs, args.cpu, args.gradient_checkpointing) == (1e-3, [], True, False)
    assert args.data_options == {"num_frames": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1.0", "own.yaml': there is no argument 'learning_rat'"),
        ("learning: 1.0", "own.yaml': there is no argument 'learning'"),
        ("- 1", "own.yaml' is no recipe"),
        ("cpu: [", "own.yaml' is not valid YAML"),
        ("dataset: [imagenet]", "invalid choice: 'imagenet'"),
    ],
)
def test_bad_recipes(text: str, message: str, tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        parse(write_recipe(tmp_path, text))
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "nowhere.yaml"], "there is no recipe 'nowhere.yaml'"),
        (["--rec", "nowhere.yaml", "--preset", "p", "--tokenizer_name", "t"], "unrecognized arguments"),
        (["--dataset", "mevis", "revos", "--preset", "p"], "--dataset mevis revos needs --data_root"),
        (["--dataset", "mevis", "revos", "refcoco", "--data_root", "a", "b"], "one for each of mevis, revos, refcoco"),
        (
            ["--dataset", "mevis", "moving_shapes", "--data_root", "a", "--data_options", '{"a": 1}'],
            "a single --dataset",
        ),
        (["--model_name_or_path", "m", "--text_weights", "t"], "are for a new model"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: list[str], message: str, capsys):
    with pytest.raises(SystemExit):
        finetune.parse_args([*arguments, "--output_dir", "out"])
    assert message in capsys.readouterr().err


def test_tables_of_several_data_sets_are_joined(tmp_path: Path):
    for name in ("a", "b"):
        write_clips(tmp_path / name, "train")
    model = ["--model_name_or_path", "m", "--output_dir", "out"]
    data = ["--dataset", "folder", "moving_shapes", "folder", "--data_root", str(tmp_path / "a"), str(tmp_path / "b")]
    table = finetune.load_table(finetune.parse_args([*data, *model]), "train", 1)
    names = table["dataset"][:]
    assert names[:6] == names[-6:] == ["folder"] * 6 and set(names[6:-6]) == {"moving_shapes"}
    folders = [Path(row["frames"][0]).parents[2].name for row in table if row["dataset"] == "folder"]
    assert folders == ["a"] * 6 + ["b"] * 6


def test_benchmarks_get_their_folders_and_options(monkeypatch: pytest.MonkeyPatch):
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(finetune, "load_benchmark", lambda *call, **options: calls.append((*call, options)))
    monkeypatch.setattr(finetune.datasets, "concatenate_datasets", lambda tables: None)
    finetune.load_table(parse(RECIPES / "soc_ytb_joint_train_swin_t.yaml"), "train", 0)
    as_video = {"as_video": True}
    options = [as_video, as_video, as_video, {}]
    assert calls == [(name, Path("data"), "train", own) for name, own in zip(JOINT, options, strict=True)]
    calls.clear()
    finetune.load_table(parse(RECIPES / "socpp_mevis_swin_t.yaml"), "validation_u", 0)
    finetune.load_table(parse(RECIPES / "soc_pretrain_swin_t.yaml"), "val", 0)
    assert calls == [("mevis", Path("data"), "validation_u", {"version": "v1"})] + [
        (name, Path("data"), "val", {}) for name in JOINT[:3]
    ]


@pytest.mark.parametrize("variant", ["soc", "soc++"])
def test_parts_of_a_new_model_are_loaded(variant: str, tmp_path: Path):
    save_tiny_model(tmp_path / "processor")
    config: SocConfig = tiny_config(variant)
    config.save_pretrained(tmp_path / "config")
    checkpoint, backbone = kinetics_checkpoint(VideoSwinConfig(**config.backbone_config.to_dict()))
    torch.save(checkpoint, tmp_path / "swin.pth")
    text = AutoModel.from_config(AutoConfig.for_model(**TINY_TEXT))
    text.save_pretrained(tmp_path / "text")
    arguments = ["--config_name", tmp_path / "config", "--processor_name", tmp_path / "processor", "--output_dir", "o"]
    arguments += ["--backbone_weights", tmp_path / "swin.pth", "--text_weights", tmp_path / "text"]
    model, _ = finetune.load_model(finetune.parse_args([str(argument) for argument in arguments]))
    for own, expected in ((model.backbone, backbone), (model.text_encoder, text)):
        weights = own.state_dict()
        assert weights and all(torch.equal(value, expected.state_dict()[name]) for name, value in weights.items())


def test_class_heads_start_anew(tmp_path: Path):
    save_tiny_model(tmp_path)
    arguments = ["--model_name_or_path", str(tmp_path), "--output_dir", "out"]
    kept, _ = finetune.load_model(finetune.parse_args(arguments))
    new, _ = finetune.load_model(finetune.parse_args([*arguments, "--new_class_heads"]))
    differ = {name for name, value in new.state_dict().items() if not torch.equal(value, kept.state_dict()[name])}
    assert differ == {name for name in new.state_dict() if name.startswith("class_heads.")}
    assert all(torch.equal(head.bias, torch.full((1,), finetune.CLASS_PRIOR_BIAS)) for head in new.class_heads)


@pytest.mark.parametrize(
    ("name", "kind", "processes"),
    [
        ("cpu", "NO", 1),
        ("one_gpu", "NO", 1),
        ("many_gpus", "MULTI_GPU", 8),
        ("fsdp", "FSDP", 8),
        ("deepspeed", "DEEPSPEED", 8),
        ("several_nodes", "MULTI_GPU", 16),
    ],
)
def test_configurations_of_accelerate(name: str, kind: str, processes: int):
    config = load_config_from_file(str(EXAMPLES / "accelerate_configs" / f"{name}.yaml"))
    assert (config.distributed_type.value, config.num_processes, config.use_cpu) == (kind, processes, name == "cpu")
    assert config.num_machines == (2 if name == "several_nodes" else 1)
