# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transformers_soc.data.submission import write_submission
from transformers_soc.metrics.predictions import (
    PredictionReader,
    compose_label_maps,
    davis_palette,
    write_label_maps,
)

FRAMES = ["00025", "00030", "00040"]
ROW = {"video_id": "dog", "frame_names": FRAMES, "num_frames": 3, "height": 6, "width": 9, "no_target": None}
NAME = "dog/0/00030.png"


def make_row(dataset: str = "mevis", expression: str = "0") -> dict:
    sample = f"{dataset}/validation/dog/{expression}"
    return ROW | {"dataset": dataset, "expression_id": expression, "sample_id": sample, "annotator": None}


MASKS = np.random.default_rng(0).random((3, 6, 9)) > 0.5


def write_folder(root: Path, masks: np.ndarray = MASKS) -> Path:
    folder = root / "dog/0"
    folder.mkdir(parents=True)
    for name, mask in zip(FRAMES, masks, strict=True):
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(folder / f"{name}.png")
    return root


def zip_folder(root: Path) -> Path:
    with zipfile.ZipFile(root.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in root.rglob("*"):
            archive.write(path, path.relative_to(root))
    return root.with_suffix(".zip")


@pytest.mark.parametrize("top", ["", "Annotations"])
@pytest.mark.parametrize("zipped", [False, True])
def test_folders_and_archives_with_and_without_a_top_folder(tmp_path: Path, top: str, zipped: bool):
    write_folder(tmp_path / "run" / top)
    before = sorted(tmp_path.rglob("*"))
    path = zip_folder(tmp_path / "run") if zipped else tmp_path / "run"
    with PredictionReader(path) as reader:
        masks = reader.read(make_row())
    assert masks.dtype == bool and np.array_equal(masks, MASKS)
    assert sorted(tmp_path.rglob("*")) == sorted({*before, path})


@pytest.mark.parametrize(
    ("benchmark", "dataset", "foreground"),
    [
        ("refer_youtube_vos", "ref_youtube_vos", 255),
        ("mevis", "mevis", 255),
        ("long_rvos", "long_rvos", 255),
        ("revos", "revos", 1),
    ],
)
def test_what_is_packed_is_read(tmp_path: Path, benchmark: str, dataset: str, foreground: int):
    rows = [make_row(dataset), make_row(dataset, "1")]
    masks = {rows[0]["sample_id"]: MASKS, rows[1]["sample_id"]: ~MASKS}
    write_submission(tmp_path / "out.zip", benchmark, rows, masks.items(), foreground=foreground)
    with PredictionReader(tmp_path / "out.zip") as reader:
        assert all(np.array_equal(reader.read(row), masks[row["sample_id"]]) for row in rows)


def test_images_of_any_mode_become_masks(tmp_path: Path):
    mask = MASKS[1].astype(np.uint8)
    ids = Image.fromarray(mask * np.uint8(3))
    ids.putpalette(davis_palette())
    swapped = Image.fromarray(1 - mask)
    swapped.putpalette([255, 255, 255, 0, 0, 0])
    gray = Image.fromarray(mask * np.uint8(255))
    images = [Image.fromarray(mask), ids, swapped, gray.convert("1"), gray.convert("RGB"), gray.convert("LA")]
    images.append(Image.fromarray(mask.astype(np.uint16) * np.uint16(256)))
    write_folder(tmp_path)
    for image in images:
        image.save(tmp_path / NAME)
        assert np.array_equal(PredictionReader(tmp_path).read(make_row())[1], MASKS[1]), image.mode


@pytest.mark.parametrize("zipped", [False, True])
def test_missing_masks_are_an_error_or_empty(tmp_path: Path, zipped: bool):
    write_folder(tmp_path / "run")
    (tmp_path / "run" / NAME).unlink()
    path = zip_folder(tmp_path / "run") if zipped else tmp_path / "run"
    with pytest.raises(FileNotFoundError, match=f"'{NAME}' is missing in '.*run"):
        PredictionReader(path).read(make_row())
    reader = PredictionReader(path, missing="empty")
    assert np.array_equal(reader.read(make_row()), MASKS * np.array([1, 0, 1], bool)[:, None, None])
    assert reader.num_missing == 1
    assert not reader.read(make_row(expression="1")).any() and reader.num_missing == 4


def test_another_size_is_an_error(tmp_path: Path):
    write_folder(tmp_path, np.zeros((3, 9, 6), bool))
    with pytest.raises(ValueError, match=r"'dog/0/00025.png' is 6x9, but the frames are 9x6"):
        PredictionReader(tmp_path, missing="empty").read(make_row())


@pytest.mark.parametrize("name", ["../dog/0/00030.png", "/dog/0/00030.png", "dog\\0\\00030.png", "./dog/0/00030.png"])
def test_unsafe_names_of_an_archive_are_refused(tmp_path: Path, name: str):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(ValueError, match="is an unsafe path"):
        PredictionReader(tmp_path / "bad.zip")


def test_rows_cannot_lead_out_of_the_folder(tmp_path: Path):
    write_folder(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"'../dog/0/00025.png' cannot be the name of a mask"):
        PredictionReader(tmp_path / "other").read(make_row() | {"video_id": "../dog"})


@pytest.mark.parametrize("zipped", [False, True])
def test_files_that_are_too_large_are_not_unpacked(tmp_path: Path, zipped: bool):
    write_folder(tmp_path / "run")
    (tmp_path / "run" / NAME).write_bytes((tmp_path / "run" / NAME).read_bytes() + bytes(100_000))
    path = zip_folder(tmp_path / "run") if zipped else tmp_path / "run"
    with pytest.raises(ValueError, match=f"'{NAME}' of .* has more than 65776 bytes"):
        PredictionReader(path).read(make_row())


def test_damaged_files_are_named(tmp_path: Path):
    write_folder(tmp_path / "run")
    path = zip_folder(tmp_path / "run")
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(NAME).header_offset
    data = bytearray(path.read_bytes())
    data[start + 30 + len(NAME) + 20] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"'{NAME}' of .* cannot be read"):
        PredictionReader(path).read(make_row())
    (tmp_path / "run" / NAME).write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=f"'{NAME}' of .* is no PNG file, or damaged"):
        PredictionReader(tmp_path / "run").read(make_row())


def test_wrong_arguments_are_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="does not exist: give a folder or a ZIP archive"):
        PredictionReader(tmp_path / "none")
    with pytest.raises(ValueError, match="missing must be 'raise' or 'empty', got 'skip'"):
        PredictionReader(tmp_path, missing="skip")
    with pytest.raises(ValueError, match="masks are named as the frames are"):
        PredictionReader(tmp_path).read(make_row() | {"num_frames": 20})


@pytest.mark.parametrize(
    ("scores", "label"),
    [((0.6, 0.7), 2), ((0.5, 0.5), 1), ((0.49, 0.3), 0), ((0.7, 0.6), 1), ((0.3, 0.5), 2), ((0.0, 0.0), 0)],
)
def test_the_highest_score_from_one_half_on_gives_the_label(scores: tuple[float, float], label: int):
    labels = compose_label_maps(np.array(scores, np.float32).reshape(2, 1, 1, 1))
    assert labels.dtype == np.uint8 and labels.shape == (1, 1, 1) and labels[0, 0, 0] == label


def test_labels_equal_the_largest_of_planes_with_a_ground_of_one_tenth():
    scores = np.random.default_rng(1).random((5, 3, 6, 9), np.float32)
    planes = np.concatenate([np.full((1, 3, 6, 9), 0.1, np.float32), np.where(scores < 0.5, 0, scores)])
    assert np.array_equal(compose_label_maps(iter(scores)), planes.argmax(0))
    with pytest.raises(ValueError, match="no scores"):
        compose_label_maps([])
    for pair in ([scores[0], scores[1, :2]], [scores[0, :2], scores[1]], scores[:2, 0]):
        with pytest.raises(ValueError, match=r"object . has scores of the shape"):
            compose_label_maps(pair)


def test_a_label_map_holds_255_objects():
    scores = np.linspace(0.5, 1, 256)[:, None, None, None]
    assert compose_label_maps(scores[:255]).item() == 255
    with pytest.raises(ValueError, match=r"object 256 .* at most 255"):
        compose_label_maps(scores)


def test_label_maps_are_written_and_read(tmp_path: Path):
    row = make_row("ref_davis17") | {"annotator": 2}
    labels = np.random.default_rng(2).integers(0, 6, (3, 6, 9)).astype(np.uint8)
    root = tmp_path / "run"
    write_label_maps(root, row, np.zeros_like(labels))
    paths = write_label_maps(root, row, labels)  # in their place
    assert [str(path.relative_to(root)) for path in paths] == [f"anno_2/dog/{name}.png" for name in FRAMES]
    assert sorted(path for path in root.rglob("*") if path.is_file()) == paths
    image = Image.open(paths[0])
    assert image.mode == "P" and image.getpalette() == davis_palette()
    for path in (root, zip_folder(root)):
        assert np.array_equal(PredictionReader(path).read_labels(row), labels)
    with pytest.raises(FileNotFoundError, match=r"'anno_3/dog/00025.png' is missing"):
        PredictionReader(root).read_labels(row | {"annotator": 3})


def test_label_maps_need_labels_and_an_annotator(tmp_path: Path):
    labels = np.zeros((3, 6, 9), np.uint8)
    with pytest.raises(ValueError, match="has no annotator"):
        write_label_maps(tmp_path, make_row(), labels)
    with pytest.raises(ValueError, match=r"the labels are bool \(3, 6, 9\), they must be uint8"):
        write_label_maps(tmp_path, make_row() | {"annotator": 0}, labels > 0)
    path = write_label_maps(tmp_path, make_row() | {"annotator": 0}, labels)[1]
    Image.new("RGB", (9, 6)).save(path)
    with pytest.raises(ValueError, match=r"'anno_0/dog/00030.png' has the mode RGB, which holds no labels"):
        PredictionReader(tmp_path).read_labels(make_row() | {"annotator": 0})


def test_palette_of_davis():
    colours = np.array(davis_palette()).reshape(256, 3)
    known = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    assert colours[:5].tolist() == [list(colour) for colour in known]
    assert colours[8].tolist() == [64, 0, 0] and colours[255].tolist() == [224, 224, 192]
    assert len({tuple(colour) for colour in colours}) == 256
