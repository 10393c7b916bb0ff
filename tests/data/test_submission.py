# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from transformers_soc.data import submission
from transformers_soc.data.submission import LAYOUTS, check_submission, write_submission

FRAMES = {"dog": ["00025", "00030", "00040"], "cat": ["00000", "00005"]}
SIZES = {"dog": (6, 9), "cat": (5, 4)}


def make_table(benchmark: str = "mevis", pairs: str = "dog/0 dog/1 cat/0") -> list[dict]:
    """Rows of the common schema, as far as archives need them; names of another video are those of the dog."""
    rows = []
    for video, expression in (pair.rsplit("/", 1) for pair in pairs.split()):
        height, width = SIZES.get(video, SIZES["dog"])
        row = {"dataset": LAYOUTS[benchmark].dataset, "video_id": video, "expression_id": expression}
        row |= {"frame_names": FRAMES.get(video, FRAMES["dog"]), "height": height, "width": width, "no_target": None}
        rows.append(row | {"sample_id": f"{benchmark}/validation/{video}/{expression}"})
    return rows


def make_masks(rows: list[dict]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {row["sample_id"]: (len(row["frame_names"]), row["height"], row["width"]) for row in rows}
    return {name: generator.random(shape) > 0.5 for name, shape in shapes.items()}


def png(values: np.ndarray, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, format="PNG")
    return file.getvalue()


def files_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A valid archive of the table of MeViS."""
    write_submission(tmp_path / "good.zip", "mevis", make_table(), make_masks(make_table()).items())
    return tmp_path / "good.zip"


@pytest.mark.parametrize(
    ("benchmark", "first"),
    [
        ("refer_youtube_vos", "Annotations/cat/0/00000.png"),
        ("long_rvos", "Annotations/cat/0/00000.png"),
        ("mevis", "cat/0/00000.png"),
        ("revos", "cat/0/00000.png"),
    ],
)
def test_layout_of_each_benchmark(tmp_path: Path, benchmark: str, first: str):
    rows = make_table(benchmark)
    masks = make_masks(rows)
    report = write_submission(tmp_path / "out.zip", benchmark, Dataset.from_list(rows), masks.items())
    assert str(report) == "2 videos, 3 expressions (0 of them with empty masks), 8 frames" and not report.warnings
    files = files_of(tmp_path / "out.zip")
    assert list(files) == sorted(files) and len(files) == 8 and next(iter(files)) == first
    image = Image.open(io.BytesIO(files[f"{LAYOUTS[benchmark].top}dog/1/00040.png"]))
    assert image.mode == "L" and image.size == (9, 6)
    assert np.array_equal(np.asarray(image), masks[f"{benchmark}/validation/dog/1"][2] * np.uint8(255))
    assert check_submission(tmp_path / "out.zip", benchmark, rows) == report


def test_a_folder_is_checked_like_its_archive(archive: Path, tmp_path: Path):
    with zipfile.ZipFile(archive) as files:
        files.extractall(tmp_path / "folder")
    report = check_submission(tmp_path / "folder", "mevis", make_table())
    assert report == check_submission(archive, "mevis", make_table())
    (tmp_path / "folder/dog/2").mkdir()
    with pytest.raises(ValueError, match="'dog/2/' belongs to no frame"):
        check_submission(tmp_path / "folder", "mevis", make_table())


def test_equal_masks_give_equal_bytes_in_any_order(archive: Path, tmp_path: Path):
    masks = make_masks(make_table())
    write_submission(tmp_path / "again.zip", "mevis", make_table()[::-1], reversed(masks.items()))
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as files:
        assert {(info.date_time, info.create_system) for info in files.infolist()} == {((1980, 1, 1, 0, 0, 0), 3)}
    masks["mevis/validation/dog/0"][0, 0, 0] ^= True
    write_submission(tmp_path / "again.zip", "mevis", make_table(), masks.items())
    assert (tmp_path / "again.zip").read_bytes() != archive.read_bytes()


def test_masks_are_asked_for_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    order = []
    encode = submission._encode
    monkeypatch.setattr(submission, "_encode", lambda *args: order.append("frame") or encode(*args))
    masks = ((order.append(name) or name, clip) for name, clip in make_masks(make_table()).items())
    write_submission(tmp_path / "out.zip", "mevis", make_table(), masks)
    assert [len(name) > 5 for name in order] == [True] + 3 * [False] + [True] + 3 * [False] + [True] + 2 * [False]


DOG = "mevis/validation/dog/0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda masks: masks.pop(DOG), f"no masks for 1 rows of the table: {DOG}"),
        (lambda masks: masks.update(stranger=masks[DOG]), "'stranger' is not in the table"),
        (lambda masks: masks.update({DOG: masks[DOG][:2]}), r"dog/0: the masks are \(2, 6, 9\), .* \(3, 6, 9\)"),
        (lambda masks: masks.update({DOG: masks[DOG].swapaxes(1, 2)}), r"\(3, 9, 6\)"),
        (lambda masks: masks.update({DOG: masks[DOG].astype(np.uint8)}), "dog/0: the masks are uint8, not bool"),
    ],
)
def test_wrong_masks_leave_no_file(tmp_path: Path, change: Callable, message: str):
    masks = make_masks(make_table())
    change(masks)
    with pytest.raises(ValueError, match=message):
        write_submission(tmp_path / "out.zip", "mevis", make_table(), masks.items())
    assert not list(tmp_path.iterdir())


def test_masks_given_twice_and_an_interrupted_source_keep_the_old_archive(archive: Path):
    old = archive.read_bytes()
    masks = make_masks(make_table())

    def interrupted():
        yield from masks.items()
        raise KeyboardInterrupt

    with pytest.raises(ValueError, match="'mevis/validation/dog/0' is given twice"):
        write_submission(archive, "mevis", make_table(), [*masks.items(), (DOG, masks[DOG])])
    with pytest.raises(KeyboardInterrupt):
        write_submission(archive, "mevis", make_table(), interrupted())
    assert archive.read_bytes() == old and list(archive.parent.iterdir()) == [archive]


def test_an_archive_that_reads_back_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    encode = submission._encode
    monkeypatch.setattr(submission, "_encode", lambda mask, foreground: encode(~mask, foreground))
    with pytest.raises(ValueError, match=r"out.zip, read back, does not hold the masks"):
        write_submission(tmp_path / "out.zip", "mevis", make_table(), make_masks(make_table()).items())
    assert not list(tmp_path.iterdir())


def test_empty_masks_are_a_warning_or_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = make_table()
    rows[2]["no_target"] = True
    masks = {name: np.zeros_like(clip) for name, clip in make_masks(rows).items()}
    masks["mevis/validation/dog/1"][2, 5, 8] = True
    report = write_submission(tmp_path / "out.zip", "mevis", rows, masks.items())
    assert report.empty == (DOG,)
    assert report.warnings == (f"the masks of 1 expressions are all empty: {DOG}",)
    assert report.warnings[0] in caplog.text
    with pytest.raises(ValueError, match=f"/strict.zip' is no valid archive: the masks of {DOG} are all empty"):
        write_submission(tmp_path / "strict.zip", "mevis", rows, masks.items(), strict=True)
    with pytest.raises(ValueError, match=f"the masks of {DOG} are all empty"):
        check_submission(tmp_path / "out.zip", "mevis", rows, strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.zip"]


FIRST = "dog/0/00025.png"
MASK = np.zeros((6, 9), np.uint8)
MASK[2:4, 3:7] = 255


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: [files.pop(name) for name in list(files) if name[:3] == "cat"], "'cat/0/' is missing"),
        (lambda files: files.update({"bird/0/00000.png": b""}), "'bird/0/00000.png' belongs to no frame"),
        (lambda files: files.pop(FIRST), f"'{FIRST}' is missing$"),
        (lambda files: files.update({"dog/0/00000.png": files.pop(FIRST)}), f"'{FIRST}' is missing; 'dog/0/00000"),
        (lambda files: files.update({FIRST: png(MASK.T)}), f"'{FIRST}' is 6x9, but the frames are 9x6"),
        (lambda files: files.update({FIRST: png(MASK, "RGB")}), f"'{FIRST}' has the mode RGB"),
        (lambda files: files.update({FIRST: png(MASK, "1")}), f"'{FIRST}' has the mode 1"),
        (lambda files: files.update({FIRST: png(MASK // 2)}), f"'{FIRST}' holds 0, 127: the ground"),
        (lambda files: files.update({FIRST: png(MASK)[:50]}), f"'{FIRST}' of .* is no PNG file, or damaged"),
        (lambda files: files.update({"__MACOSX/dog/0": b""}), "'__MACOSX/dog/0' was added by a program"),
        (lambda files: files.update({"dog/.DS_Store": b""}), "'dog/.DS_Store' was added by a program"),
        (lambda files: files.update({"dog/00/00025.png": files.pop(FIRST)}), "'dog/00/00025.png' belongs to no"),
        (lambda files: files.update({"../dog": b""}), "'../dog' is an unsafe path"),
        (lambda files: files.update({"/dog": b""}), "'/dog' is an unsafe path"),
        (lambda files: files.update({"dog\\0": b""}), r"'dog\\\\0' is an unsafe path"),
        (lambda files: files.update({FIRST: png(MASK // 255)}), f"'{FIRST}' holds 0 and 1: multiply it by 255"),
        (lambda files: files.update({"Dog/0/00025.png": b""}), f"'Dog/0/00025.png' differs from '{FIRST}' in cap"),
    ],
)
def test_what_makes_an_archive_invalid(archive: Path, tmp_path: Path, change: Callable, message: str):
    files = files_of(archive)
    change(files)
    with pytest.raises(ValueError, match=message):
        check_submission(pack(tmp_path / "bad.zip", files), "mevis", make_table())


@pytest.mark.parametrize(("benchmark", "other"), [("mevis", "refer_youtube_vos"), ("refer_youtube_vos", "mevis")])
def test_the_top_folder_must_be_the_benchmarks(tmp_path: Path, benchmark: str, other: str):
    path = tmp_path / "out.zip"
    write_submission(path, benchmark, make_table(benchmark), make_masks(make_table(benchmark)).items())
    where = "in the folder 'Annotations/'" if LAYOUTS[other].top else "at the root"
    with pytest.raises(ValueError, match=f"no mask is where it belongs: the videos lie {where}"):
        check_submission(path, other, make_table(other))


def test_an_entry_that_comes_twice_is_refused(archive: Path):
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "a") as files:
        warnings.simplefilter("ignore")
        files.writestr(FIRST, png(MASK))
    with pytest.raises(ValueError, match=f"'{FIRST}' is in it 2 times"):
        check_submission(archive, "mevis", make_table())


def test_the_first_ten_problems_are_listed(tmp_path: Path):
    rows = make_table(pairs=" ".join(f"dog/{index}" for index in range(12)))
    files = {f"dog/{index}/{name}.png": png(MASK) for index in range(12) for name in FRAMES["dog"][1:]}
    with pytest.raises(ValueError) as error:
        check_submission(pack(tmp_path / "bad.zip", files), "mevis", rows)
    assert str(error.value).count("is missing") == 10 and str(error.value).endswith("; and more")


def test_palette_images_of_the_right_greys_are_a_warning(archive: Path, tmp_path: Path):
    files = files_of(archive) | {FIRST: png(MASK, "P")}
    report = check_submission(pack(tmp_path / "palette.zip", files), "mevis", make_table())
    assert report.warnings == (f"1 images have the mode P, servers expect L: {FIRST}",)
    image = Image.fromarray(MASK // 255)
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(tmp_path / "red.png")
    files[FIRST] = (tmp_path / "red.png").read_bytes()
    with pytest.raises(ValueError, match=f"'{FIRST}' holds 0, 38"):
        check_submission(pack(tmp_path / "palette.zip", files), "mevis", make_table())


def test_ids_that_differ_in_capitals_are_a_warning(tmp_path: Path):
    rows = make_table(pairs="dog/a Dog/b dog/A")
    report = write_submission(tmp_path / "out.zip", "mevis", rows, make_masks(rows).items())
    assert report.expressions == 3 and len(report.warnings) == 1
    assert "fall together on some systems: Dog and dog; dog/A and dog/a" in report.warnings[0]


def test_zeros_and_ones_are_an_option_of_revos_alone(tmp_path: Path):
    rows = make_table("revos", pairs="sub/dog_1/0 cat/0")
    masks = make_masks(rows)
    report = write_submission(tmp_path / "ones.zip", "revos", rows, masks.items(), foreground=1)
    image = Image.open(io.BytesIO(files_of(tmp_path / "ones.zip")["sub/dog_1/0/00025.png"]))
    assert np.array_equal(np.asarray(image), masks["revos/validation/sub/dog_1/0"][0])
    usual = write_submission(tmp_path / "usual.zip", "revos", rows, masks.items())
    assert usual.checksum == report.checksum
    with pytest.raises(ValueError, match="holds 0, 255: the ground must be 0 and the object 1"):
        check_submission(tmp_path / "usual.zip", "revos", rows, foreground=1)
    with pytest.raises(ValueError, match="the object must have the value 255 for 'mevis', got 1"):
        write_submission(tmp_path / "out.zip", "mevis", make_table(), [], foreground=1)


@pytest.mark.parametrize(
    ("benchmark", "pairs", "message"),
    [
        ("refer_davis", "dog/0", "no archive for 'refer_davis', only for refer_youtube_vos"),
        ("refer_youtube_vos", "dog/0", "dog/0 is of 'mevis', the archive for 'ref_youtube_vos'"),
        ("mevis", "dog/0 dog/0", "dog/0 is in the table twice"),
        ("mevis", "../0", "'../0' cannot be a folder of an archive"),
        ("mevis", "", "the table has no rows"),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, benchmark: str, pairs: str, message: str):
    with pytest.raises(ValueError, match=message):
        write_submission(tmp_path / "out.zip", benchmark, make_table("mevis", pairs), [])


def test_wrong_paths_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"give the path of a file that ends in .zip"):
        write_submission(tmp_path / "out", "mevis", make_table(), [])
    with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist"):
        write_submission(tmp_path / "none/out.zip", "mevis", make_table(), [])
    with pytest.raises(FileNotFoundError, match=r"'none.zip' does not exist"):
        check_submission("none.zip", "mevis", make_table())
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(ValueError, match="is no ZIP archive that can be read"):
        check_submission(tmp_path / "text.zip", "mevis", make_table())
