# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What the documents take for granted, in miniature: clips, data sets, and a checkpoint with random weights."""

import json
import shutil
from pathlib import Path

from miniature_mevis import make_mevis
from miniatures import MINIATURES
from models import OFFICIAL_CONFIG, random_checkpoint
from PIL import Image

from transformers_soc.data.moving_shapes import MovingShapesClip, render_clip
from transformers_soc.video_io import write_video

ROOT = Path(__file__).parents[2]
CLIP = {"num_frames": 12, "height": 64, "width": 96}
# Appended to commands, so that a page can show what a user would type and its test takes seconds.
SHORT_RUNS = {
    "train": "--max-train-steps 2 --num-workers 0 --cpu --short-side 64 --long-side 96 --num-train-videos 4 "
    "--num-validation-videos 2",
    "evaluate": "--cpu",
    "convert": "--text-config roberta-base",
}


def short_run(arguments: list[str]) -> list[str]:
    """Arguments of `transformers-soc` for small weights and few steps."""
    if not arguments or {"--help", "--all-options", "--dry-run"} & set(arguments):
        return arguments
    extra = SHORT_RUNS.get(arguments[0], "").split()
    if "--recipe" in arguments and "--model" not in arguments:
        extra += ["--model", "soc-swin-t"]  # a recipe's own is of full size and starts from weights that are not here
    return [*arguments, *extra]


def make_stand_ins(folder: Path) -> None:
    """
    Fill a folder for the code of the documents:

    - clip.mp4, videos (three of them, with sentences.json) and frames (a folder of images): generated clips;
    - clips: videos, masks and sentences as `load_folder` reads them;
    - data/NAME: a miniature of each benchmark;
    - checkpoint.pth, ref_youtube_vos.yaml and roberta-base: small random weights in the official layout with their
      configuration, and a tokenizer; soc-swin-t: the same converted;
    - examples: the scripts.
    """
    write_clips(folder)
    for name, miniature in MINIATURES.items():
        miniature.make(folder / "data" / name)
    make_mevis(folder / "data" / "mevis_v2", version="v2")
    made = folder / "made"
    made.mkdir()
    random_checkpoint(made)
    (made / "model").rename(folder / "soc-swin-t")
    (made / "official.pth").rename(folder / "checkpoint.pth")
    (made / "tokenizer").rename(folder / "roberta-base")
    shutil.copy(made / "text" / "config.json", folder / "roberta-base")
    shutil.rmtree(made)
    (folder / "ref_youtube_vos.yaml").write_text(json.dumps(OFFICIAL_CONFIG))
    (folder / "examples").symlink_to(ROOT / "examples")


def write_clips(folder: Path) -> None:
    """Video files, a folder of frames, and a folder of clips with masks."""
    clips = [render_clip("train", index, **CLIP) for index in range(3)]
    write_video(folder / "clip.mp4", clips[0].frames, 12)
    for name in ("frames", "videos", "clips/videos", "clips/masks"):
        (folder / name).mkdir(parents=True)
    for index, frame in enumerate(clips[0].frames[:6]):
        Image.fromarray(frame).save(folder / "frames" / f"{index:05d}.jpg")
    sentences = {}
    splits: dict[str, list[dict[str, object]]] = {"train": [], "validation": []}
    for number, clip in enumerate(clips):
        write_video(folder / "videos" / f"{number}.mp4", clip.frames, 12)
        sentences[f"{number}.mp4"] = [expression.text for expression in clip.expressions[:2]]
        splits["validation" if number == 2 else "train"] += write_annotated(folder / "clips", f"clip{number}", clip)
    (folder / "videos" / "sentences.json").write_text(json.dumps(sentences))
    (folder / "clips" / "sentences.json").write_text(json.dumps(splits))


def write_annotated(folder: Path, name: str, clip: MovingShapesClip) -> list[dict[str, object]]:
    """Write frames and masks of a clip below a folder, and return its entries of sentences.json."""
    for kind in ("videos", "masks"):
        (folder / kind / name).mkdir()
    for index, (frame, labels) in enumerate(zip(clip.frames, clip.label_map(), strict=True)):
        Image.fromarray(frame).save(folder / "videos" / name / f"{index:05d}.png")
        Image.fromarray(labels).save(folder / "masks" / name / f"{index:05d}.png")
    expression = clip.expressions[0]
    objects = [target + 1 for target in expression.targets]
    return [{"video": name, "expression": expression.text, "objects": objects, "kind": expression.kind}]
