# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
RefCOCO, RefCOCO+ and RefCOCOg: sentences about objects in images of COCO, in a folder like this:

    train2014/COCO_train2014_000000000009.jpg           the images of all splits
    refcoco/instances_refcoco_train.json                one file per split, with one "image" per sentence, or
    refcoco/refs(unc).p, refcoco/instances.json         the original files; refs(umd).p for RefCOCOg

and `refcoco+` and `refcocog` beside `refcoco`. The folder may also lie in one that is called `coco`.
"""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from datasets import Dataset, IterableDataset
from pycocotools import mask as coco_mask
from transformers.utils import logging

from ..video_io import DEFAULT_LIMITS
from .pixels import rle_runs
from .tables import below, build_table, choose_split, numeric_order, read_json, require

logger = logging.get_logger(__name__)

# The name in the table, and who split the references, by the name of the folder.
VARIANTS = {"refcoco": ("refcoco", "unc"), "refcoco+": ("refcoco_plus", "unc"), "refcocog": ("refcocog", "umd")}
VALIDATION_NAMES = ("validation", "valid")
SPLITS = {
    "unc": {"train": (), "val": VALIDATION_NAMES, "testA": (), "testB": ()},
    "umd": {"train": (), "val": VALIDATION_NAMES, "test": ()},
}


def load_refcoco(
    root: str | Path,
    split: str,
    *,
    variant: str = "refcoco",
    as_video: bool = False,
    streaming: bool = False,
    num_proc: int | None = None,
    on_error: str = "raise",
) -> Dataset | IterableDataset:
    """
    The sentences of one split of RefCOCO, RefCOCO+ or RefCOCOg, in the common schema.

    Where both are there, the file of the split is read rather than the original ones. A sentence whose object is a
    crowd, or has no box within the image, is left out, as officially.

    Args:
        root: the folder that the module describes.
        split: "train", "val", "testA" or "testB"; of RefCOCOg "train", "val" or "test".
        variant: "refcoco", "refcoco+" or "refcocog".
        as_video: for training on pseudo-videos: the rows have no `image_id`, by which [`ClipDataset`] knows an image
            that stays a clip of one frame.
        streaming, num_proc, on_error: see `tables.build_table`.

    Returns:
        a row per sentence, sorted by image and sentence, with the mask as a run-length code. `expression_id` is the
        official `sent_id`, or the "image" of the sentence in the file of the split, which has no other; `image_id`,
        too, since the evaluation of COCO takes each sentence for an image.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a variant or split that does not exist, a file that is damaged or asks for code, a sentence about
            an unknown image or object.
    """
    if variant not in VARIANTS:
        raise ValueError(f"there is no variant {variant!r}; the variants are {', '.join(VARIANTS)}")
    dataset, version = VARIANTS[variant]
    split = choose_split(split, SPLITS[version])
    home = Path(root) / "coco" if (Path(root) / "coco").is_dir() else Path(root)
    converted = home / variant / f"instances_{variant}_{split}.json"
    refs, instances = home / variant / f"refs({version}).p", home / variant / "instances.json"
    if converted.exists():
        sources, items = [converted], list(_read_converted(converted))
    else:
        require(refs, f"the sentences (or {converted.name!r}, those of the split alone)")
        sources, items = [refs, instances], list(_read_originals(refs, instances, split))
    usable = [item for item in items if _is_usable(item)]
    if len(usable) < len(items):
        logger.warning(
            "%d of %d sentences of %s %s are left out: their object is a crowd or has no box within the image",
            len(items) - len(usable),
            len(items),
            variant,
            split,
        )
    usable.sort(key=lambda item: (numeric_order(item["video_id"]), numeric_order(item["expression_id"])))
    return build_table(
        _make_row,
        usable,
        split,
        streaming=streaming,
        num_proc=num_proc,
        on_error=on_error,
        sources=sources,
        dataset=dataset,
        version=version,
        split_name=split,
        images=str((home / "train2014").absolute()),
        as_video=as_video,
    )


# ---- the files


def _read_converted(path: Path) -> Iterator[dict[str, Any]]:
    """The sentences of the file of a split."""
    content = read_json(path, "the sentences of the split")
    try:
        annotations = {annotation["image_id"]: annotation for annotation in content["annotations"]}
        categories = {category["id"]: category["name"] for category in content.get("categories", ())}
        for image in content["images"]:
            annotation = annotations.get(image["id"])
            object_id = None if annotation is None else annotation.get("original_id", annotation["id"])
            yield _item(image["original_id"], image["id"], image["caption"], object_id, image, annotation, categories)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is not in the form of COCO ({error!r}); get the file anew") from error


def _read_originals(refs: Path, instances: Path, split: str) -> Iterator[dict[str, Any]]:
    """The sentences of a split in the original files."""
    content = read_json(instances, "the images and objects of COCO")
    references = read_references(refs)
    try:
        images = {image["id"]: image for image in content["images"]}
        annotations = {annotation["id"]: annotation for annotation in content["annotations"]}
        categories = {category["id"]: category["name"] for category in content.get("categories", ())}
        for reference in references:
            if reference["split"] != split:
                continue
            image, object_id = reference["image_id"], reference["ann_id"]
            found = images.get(image), annotations.get(object_id), categories
            for sentence in reference["sentences"]:
                yield _item(image, sentence["sent_id"], repair_text(sentence["sent"]), object_id, *found)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(refs)!r} or {instances.name!r} is not as released ({error!r}); get it anew") from error


class ReferenceUnpickler(pickle.Unpickler):
    """Reads lists, dicts, numbers and text; whatever else a pickle asks for is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ValueError(f"it asks for the code {module}.{name}, which is refused: sentences need none")


def read_references(path: Path) -> list[dict[str, Any]]:
    """
    The references of `refs(unc).p` or `refs(umd).p`, pickles of Python 2, without running what they may ask for.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, asks for code, or holds no list.
    """
    with require(path, "the references").open("rb") as file:
        try:
            references = ReferenceUnpickler(file, encoding="latin-1").load()
        except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, LookupError, ValueError) as error:
            raise ValueError(f"{str(path)!r} is no plain pickle of references: {error}; get the file anew") from error
    if not isinstance(references, list):
        raise ValueError(f"{str(path)!r} holds no list of references; get the file anew")
    return references


def repair_text(text: str) -> str:
    """Text whose UTF-8 bytes were taken for latin-1, as it was meant; other text as it is."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _item(
    video_id: int,
    expression_id: int,
    expression: str,
    object_id: int | None,
    image: Mapping[str, Any] | None,
    annotation: Mapping[str, Any] | None,
    categories: Mapping[int, str],
) -> dict[str, Any]:
    """What is known of a sentence; `image` and `annotation` are null where the file lacks them."""
    return {
        "video_id": str(video_id),
        "expression_id": str(expression_id),
        "expression": expression,
        "object_id": str(object_id),
        "image": image and {name: image[name] for name in ("file_name", "height", "width")},
        "annotation": annotation
        and {
            "segmentation": annotation["segmentation"],
            "bbox": annotation["bbox"],
            "crowd": bool(annotation.get("iscrowd")),
        },
        "category": annotation and categories.get(annotation["category_id"]),
    }


def _is_usable(item: Mapping[str, Any]) -> bool:
    """Whether the object is no crowd and its box, cut at the edges of the image, not empty."""
    if item["image"] is None or item["annotation"] is None:
        return True  # such a row is an error, not left out in silence
    x, y, width, height = item["annotation"]["bbox"]
    columns = min(x + width, item["image"]["width"]) - max(x, 0)
    rows = min(y + height, item["image"]["height"]) - max(y, 0)
    return not item["annotation"]["crowd"] and columns > 0 and rows > 0


# ---- the rows


def _make_row(
    item: Mapping[str, Any], dataset: str, version: str, split_name: str, images: str, as_video: bool
) -> dict[str, Any]:
    sample_id = f"{dataset}/{split_name}/{item['video_id']}/{item['expression_id']}"
    image, annotation = item["image"], item["annotation"]
    if image is None:
        raise ValueError(f"{sample_id}: the image {item['video_id']} is not in the file of annotations")
    if annotation is None:
        raise ValueError(f"{sample_id}: the object {item['object_id']} is not in the file of annotations")
    path = require(below(images, image["file_name"]), f"the image of {sample_id}")
    return {
        "dataset": dataset,
        "dataset_version": version,
        "split": split_name,
        "video_id": item["video_id"],
        "expression_id": item["expression_id"],
        "expression": item["expression"],
        "object_ids": [item["object_id"]],
        "category": item["category"],
        "no_target": False,
        "frames": [str(path)],
        "frame_names": [path.stem],
        "num_frames": 1,
        "height": image["height"],
        "width": image["width"],
        "mask_format": "rle",
        "mask_rles": [[_run_lengths(annotation["segmentation"], image["height"], image["width"], sample_id)]],
        "annotated_frame_indices": [0],
        "image_id": None if as_video else item["expression_id"],
        "sample_id": sample_id,
    }


def _run_lengths(segmentation: Any, height: int, width: int, sample_id: str) -> dict[str, Any]:
    """The code of a mask that is given as polygons, of which all parts count, or as run lengths."""
    DEFAULT_LIMITS.check_pixels(f"{sample_id}: the mask", height, width)
    if isinstance(segmentation, list):
        reach = 4 * max(height, width)  # pycocotools draws every point between two corners
        if not all(abs(place) <= reach for part in segmentation for place in part):
            raise ValueError(f"{sample_id}: the outline of the object lies far from the image")
        # pycocotools takes four numbers for a box, and two points enclose nothing.
        segmentation = [part for part in segmentation if len(part) >= 6]
    if not segmentation:
        raise ValueError(f"{sample_id}: the object has no outline")
    if isinstance(segmentation, list):
        code = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation.get("counts"), list):
        code = coco_mask.frPyObjects(segmentation, height, width)
    else:
        code = segmentation
    try:
        rle_runs(code, (height, width))
    except ValueError as error:
        raise ValueError(f"{sample_id}: the mask is corrupt: {error}") from error
    counts = code["counts"]
    return {"size": [height, width], "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts}


__all__ = ["ReferenceUnpickler", "load_refcoco", "read_references", "repair_text"]
