# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A miniature of RefCOCO, RefCOCO+ and RefCOCOg in the official layout: six images, and the oddities of the files."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from miniature_shapes import COLOURS, draw_video, save_jpeg

VARIANTS = {"refcoco": "unc", "refcoco+": "unc", "refcocog": "umd"}
# Id, width, height and split of each image; of RefCOCOg, testA and testB are test.
IMAGES = [
    (9, 64, 48, "train"),
    (110, 48, 64, "train"),
    (25, 64, 48, "train"),
    (1000, 64, 48, "val"),
    (581, 48, 64, "testA"),
    (20000, 64, 48, "testB"),
]
GRAY = 25
# Id of the annotation, image, rectangles x, y, width, height of its parts, and its colour.
OBJECTS = [
    (501, 9, [(4, 6, 16, 12)], "red"),
    (502, 9, [(30, 8, 8, 20), (46, 8, 10, 20)], "blue"),  # an outline of two parts
    (503, 110, [(30, 40, 18, 20)], "green"),  # its box goes beyond the image
    (504, 110, [(6, 6, 10, 10)], "yellow"),  # its box lies outside
    (505, 25, [(10, 10, 30, 20)], "red"),  # a crowd, as run lengths
    (506, 25, [(56, 0, 8, 10)], "blue"),  # in the corner, where a turn of the image may push it out
    (507, 1000, [(8, 20, 20, 12)], "green"),
    (508, 581, [(10, 30, 24, 12)], "yellow"),
    (509, 20000, [(20, 4, 12, 30)], "red"),
]
BOXES = {503: [30, 40, 30, 40], 504: [60, 70, 10, 10]}
CROWD = 505
# Sentences of each annotation, with their ids.
SENTENCES = {
    501: [(12, "red square Left of the blue ones"), (3, "the red café sign"), (10, "red square")],
    502: [(4, "both blue bars")],
    503: [(5, "green square at the edge"), (6, "the lower shape")],
    504: [(7, "yellow square")],
    505: [(8, "a crowd of red")],
    506: [(9, "blue bar in the corner")],
    507: [(13, "green bar")],
    508: [(14, "yellow bar")],
    509: [(15, "red pole")],
}
# Ids of the sentences of the split train in the order of the table: by image 9, 25, 110, and by number.
TRAIN = ["3", "4", "10", "12", "9", "5", "6"]


def make_refcoco(root: Path, *, converted: bool = False, originals: bool = True) -> None:
    """
    The folder `coco`, with the three variants.

    Args:
        converted: write `instances_<variant>_<split>.json`.
        originals: write the pickle of references and `instances.json`.
    """
    for image_id, width, height, _ in IMAGES:
        pixels = draw_video(image_id, 1, width, height, num_objects=0).frames[0].copy()
        for _, own, parts, colour in OBJECTS:
            for x, y, columns, rows in parts if own == image_id else []:
                pixels[y : y + rows, x : x + columns] = COLOURS[colour]
        pixels = pixels.mean(-1).astype(np.uint8) if image_id == GRAY else pixels
        save_jpeg(root / "train2014" / image_name(image_id), pixels)
    for variant, author in VARIANTS.items():
        folder = root / variant
        folder.mkdir(parents=True)
        if originals:
            (folder / f"refs({author}).p").write_bytes(python2_pickle(make_references(author)))
            (folder / "instances.json").write_text(json.dumps(make_instances()))
        for split in ("train", "val", "testA", "testB") if author == "unc" else ("train", "val", "test"):
            if converted:
                content = convert(make_references(author), make_instances(), split, variant)
                (folder / f"instances_{variant}_{split}.json").write_text(json.dumps(content))


def image_name(image_id: int) -> str:
    return f"COCO_train2014_{image_id:012d}.jpg"


def make_references(author: str) -> list[dict[str, Any]]:
    """Content of `refs(unc).p` or `refs(umd).p`, whose file names carry the id of the annotation."""
    splits = {image_id: split if author == "unc" else split.rstrip("AB") for image_id, _, _, split in IMAGES}
    return [
        {
            "ref_id": 70 + annotation_id,
            "ann_id": annotation_id,
            "category_id": 1,
            "image_id": image_id,
            "file_name": image_name(image_id).replace(".jpg", f"_{annotation_id}.jpg"),
            "split": splits[image_id],
            "sent_ids": [sentence_id for sentence_id, _ in SENTENCES[annotation_id]],
            "sentences": [
                {"sent_id": sentence_id, "sent": text, "raw": text, "tokens": text.split()}
                for sentence_id, text in SENTENCES[annotation_id]
            ],
        }
        for annotation_id, image_id, _, _ in OBJECTS
    ]


def make_instances() -> dict[str, Any]:
    """Content of `instances.json`."""
    sizes = {image_id: (height, width) for image_id, width, height, _ in IMAGES}
    return {
        "images": [
            {"id": image_id, "file_name": image_name(image_id), "height": height, "width": width}
            for image_id, (height, width) in sizes.items()
        ],
        "annotations": [
            {
                "id": annotation_id,
                "image_id": image_id,
                "category_id": 1,
                "iscrowd": int(annotation_id == CROWD),
                "area": sum(columns * rows for _, _, columns, rows in parts),
                "bbox": BOXES.get(annotation_id, list(enclosing_box(parts))),
                "segmentation": run_lengths(parts[0], *sizes[image_id])
                if annotation_id == CROWD
                else [[x, y, x + w, y, x + w, y + h, x, y + h] for x, y, w, h in parts],
            }
            for annotation_id, image_id, parts, _ in OBJECTS
        ],
        "categories": [{"id": 1, "name": "shape", "supercategory": "thing"}],
    }


def enclosing_box(parts: list[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    x, y = min(part[0] for part in parts), min(part[1] for part in parts)
    return x, y, max(part[0] + part[2] for part in parts) - x, max(part[1] + part[3] for part in parts) - y


def run_lengths(part: tuple[int, int, int, int], height: int, width: int) -> dict[str, Any]:
    """Run lengths of a rectangle, column by column, not compressed."""
    x, y, columns, rows = part
    counts = [x * height + y]
    for _ in range(columns):
        counts += [rows, height - rows]
    counts[-1] = height * width - sum(counts[:-1])
    return {"size": [height, width], "counts": counts}


def convert(references: list[dict[str, Any]], instances: dict[str, Any], split: str, variant: str) -> dict[str, Any]:
    """Content of the file of a split: an image and an annotation for each sentence, numbered from 1."""
    images = {image["id"]: image for image in instances["images"]}
    objects = {annotation["id"]: annotation for annotation in instances["annotations"]}
    pairs = [
        (reference, sentence)
        for reference in references
        if reference["split"] == split
        for sentence in reference["sentences"]
    ]
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": instances["categories"]}
    for number, (reference, sentence) in enumerate(pairs, start=1):
        original = {"id": number, "original_id": reference["image_id"], "dataset_name": variant}
        content["images"].append(images[reference["image_id"]] | original | {"caption": sentence["sent"]})
        own = {"id": number, "image_id": number, "original_id": reference["ann_id"]}
        content["annotations"].append(objects[reference["ann_id"]] | own)
    return content


def python2_pickle(value: Any) -> bytes:
    """A pickle of protocol 2 as Python 2 writes it, where text is a string of bytes."""
    return b"\x80\x02" + _pickled(value) + b"."


def _pickled(value: Any) -> bytes:
    if isinstance(value, str):
        data = value.encode("utf-8")
        return b"U" + bytes([len(data)]) + data
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_pickled, value)) + b"e"
    return b"}(" + b"".join(_pickled(name) + _pickled(item) for name, item in value.items()) + b"u"
