# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Archives of predicted masks as the benchmarks' servers and evaluation programs expect them: for each frame of each
expression a grey PNG of the frame's size and name, 0 = ground, 255 = object, in

    Annotations/<video>/<expression>/<frame>.png     Ref-YouTube-VOS, Long-RVOS
    <video>/<expression>/<frame>.png                 MeViS, ReVOS
"""

import hashlib
import io
import os
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers.utils import logging

from ..video_io import replacing

logger = logging.get_logger(__name__)

MAX_PROBLEMS = 10  # that an error lists
TIME_STAMP = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP archive can hold
COLUMNS = ["dataset", "video_id", "expression_id", "sample_id", "frame_names", "height", "width", "no_target"]


@dataclass(frozen=True)
class Layout:
    """
    What the archives of one benchmark look like.

    Args:
        dataset: value of the column `dataset`.
        top: folder of the videos, with a slash; "" where they lie at the root.
        foregrounds: values that may mean the object.
    """

    dataset: str
    top: str
    foregrounds: tuple[int, ...] = (255,)


LAYOUTS = {
    "refer_youtube_vos": Layout("ref_youtube_vos", "Annotations/"),
    "mevis": Layout("mevis", ""),
    "long_rvos": Layout("long_rvos", "Annotations/"),
    # The evaluation program of ReVOS means 0 and 1 when it compares values, though its authors write 0 and 255.
    "revos": Layout("revos", "", (255, 1)),
}


@dataclass(frozen=True)
class SubmissionReport:
    """
    What a valid archive holds.

    Args:
        videos, expressions, frames: their numbers.
        empty: sample ids whose masks are all empty, without those of which the table says that they have no target.
        warnings: what is allowed but doubtful, in sentences.
        checksum: of the masks, SHA-256; the same for equal masks however they are stored.
    """

    videos: int
    expressions: int
    frames: int
    empty: tuple[str, ...]
    warnings: tuple[str, ...]
    checksum: str

    def __str__(self) -> str:
        return (
            f"{self.videos} videos, {self.expressions} expressions ({len(self.empty)} of them with empty masks), "
            f"{self.frames} frames"
        )


@dataclass(frozen=True)
class _Expression:
    """A row of the table, as far as an archive shows it."""

    sample_id: str
    video_id: str
    folder: str
    frame_names: list[str]
    size: tuple[int, int]
    no_target: bool

    def entries(self) -> list[str]:
        """Names in the archive, in the order of the frames."""
        return [f"{self.folder}/{name}.png" for name in self.frame_names]


def write_submission(
    path: str | Path,
    benchmark: str,
    table: Any,
    masks: Iterable[tuple[str, np.ndarray]],
    *,
    strict: bool = False,
    foreground: int = 255,
) -> SubmissionReport:
    """
    Write the archive of a split, which appears under its name only when it has been read back and found valid.

    Equal masks give equal bytes, in whatever order they come. Beside the archive, a file of its size is needed for a
    while; no more than one expression's masks are held in memory.

    Args:
        path: of the ZIP archive.
        benchmark: a key of `LAYOUTS`.
        table: all rows of the split in the common schema: a `datasets` table or a list.
        masks: a pair (sample_id, bool masks (frames, height, width)) for each row, in any order.
        strict: an expression whose masks are all empty is an error, not a warning.
        foreground: value of the object: 255, or for "revos" also 1.

    Raises:
        FileNotFoundError: the folder of `path` does not exist.
        ValueError: an unknown benchmark, masks that are missing, given twice, unknown or of another type or size, or
            an archive that `check_submission` refuses.
    """
    path = Path(path)
    if path.suffix.lower() != ".zip" or path.is_dir():
        raise ValueError(f"{str(path)!r} cannot be the archive: give the path of a file that ends in .zip")
    layout = _choose_layout(benchmark, foreground)
    expressions = _list_expressions(table, layout)
    with replacing(path) as temporary, tempfile.TemporaryFile(dir=temporary.parent) as spool:
        places, digests = _spool(spool, expressions, masks, foreground)
        _pack(temporary, spool, places)
        report = _check(temporary, path, layout, expressions, foreground, strict)
        if report.checksum != _checksum(digests):
            raise ValueError(f"{path.name}, read back, does not hold the masks that were given: check the disk")
    return report


def check_submission(
    path: str | Path, benchmark: str, table: Any, *, strict: bool = False, foreground: int = 255
) -> SubmissionReport:
    """
    Check an archive, or a folder that holds what the archive would, against the split that it answers.

    Every file is read: there must be one PNG for each frame of each expression and nothing else, of the mode L (or P
    with the same grey values, which gives a warning), of the size of the frame, with no values but 0 and `foreground`.

    Args:
        path: of a ZIP archive or of a folder.
        benchmark, table, strict, foreground: as in `write_submission`.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the archive is not valid; up to ten of its problems are listed by name.
    """
    layout = _choose_layout(benchmark, foreground)
    return _check(Path(path), Path(path), layout, _list_expressions(table, layout), foreground, strict)


def _choose_layout(benchmark: str, foreground: int) -> Layout:
    if benchmark not in LAYOUTS:
        raise ValueError(
            f"there is no archive for {benchmark!r}, only for {', '.join(LAYOUTS)}: score it locally instead"
        )
    layout = LAYOUTS[benchmark]
    if foreground not in layout.foregrounds:
        values = " or ".join(map(str, layout.foregrounds))
        raise ValueError(f"the object must have the value {values} for {benchmark!r}, got {foreground}")
    return layout


def _list_expressions(table: Any, layout: Layout) -> list[_Expression]:
    """The checked rows of a table, by folder."""
    expressions: dict[str, _Expression] = {}
    rows: Iterable[Mapping[str, Any]] = table.select_columns(COLUMNS) if hasattr(table, "select_columns") else table
    for row in rows:
        name = row["sample_id"]
        if row["dataset"] != layout.dataset:
            raise ValueError(f"{name} is of {row['dataset']!r}, the archive for {layout.dataset!r}: give its table")
        folder = f"{layout.top}{row['video_id']}/{row['expression_id']}"
        if is_unsafe(folder):
            raise ValueError(f"{name}: {folder!r} cannot be a folder of an archive")
        if folder in expressions:
            raise ValueError(f"{name} is in the table twice: give each expression once")
        size = (row["height"], row["width"])
        no_target = bool(row.get("no_target"))
        expressions[folder] = _Expression(name, row["video_id"], folder, row["frame_names"], size, no_target)
    if not expressions:
        raise ValueError("the table has no rows: give all expressions of the split")
    return [expressions[folder] for folder in sorted(expressions)]


def is_unsafe(name: str) -> bool:
    """Whether a name inside an archive is absolute, leads out of it, or has other separators than slashes."""
    return "\\" in name or ":" in name.split("/")[0] or any(part in ("", ".", "..") for part in name.split("/"))


def _spool(
    spool: Any, expressions: Sequence[_Expression], masks: Iterable[tuple[str, np.ndarray]], foreground: int
) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """
    Append the PNG files of all masks to a file; returns their starts and lengths by name, and SHA-256 of the masks by
    folder.
    """
    known = {expression.sample_id: expression for expression in expressions}
    places: dict[str, tuple[int, int]] = {}
    digests: dict[str, str] = {}
    for sample_id, clip in masks:
        if sample_id not in known:
            raise ValueError(f"{sample_id!r} is not in the table: give masks for its rows only")
        expression = known[sample_id]
        if expression.folder in digests:
            raise ValueError(f"{sample_id!r} is given twice: give masks for each row once")
        clip = np.asarray(clip)
        shape = (len(expression.frame_names), *expression.size)
        if clip.dtype != bool:
            raise ValueError(f"{sample_id}: the masks are {clip.dtype}, not bool: compare them with a threshold first")
        if clip.shape != shape:
            raise ValueError(f"{sample_id}: the masks are {clip.shape}, but the frames are {shape}: resize the scores")
        digest = hashlib.sha256()
        for name, mask in zip(expression.entries(), clip, strict=True):
            data = _encode(mask, foreground)
            places[name] = (spool.tell(), len(data))
            spool.write(data)
            digest.update(np.packbits(mask).tobytes())
        digests[expression.folder] = digest.hexdigest()
    missing = [sample_id for sample_id, expression in known.items() if expression.folder not in digests]
    if missing:
        raise ValueError(_listing(f"there are no masks for {len(missing)} rows of the table", missing))
    return places, digests


def _encode(mask: np.ndarray, foreground: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(foreground)).save(file, format="PNG")
    return file.getvalue()


def _checksum(digests: Mapping[str, str]) -> str:
    """One digest for those of all folders."""
    return hashlib.sha256("\n".join(f"{digests[folder]} {folder}" for folder in sorted(digests)).encode()).hexdigest()


def _pack(path: Path, spool: Any, places: Mapping[str, tuple[int, int]]) -> None:
    """Write the PNG files by name; they are compressed already, so that they are stored as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(places):
            start, length = places[name]
            spool.seek(start)
            info = zipfile.ZipInfo(name, TIME_STAMP)
            info.create_system = 3  # Unix on every system, so that the bytes are equal
            info.external_attr = 0o644 << 16
            archive.writestr(info, spool.read(length))


class MaskFiles:
    """
    The files of a folder or of a ZIP archive, by their names inside it. Nothing is unpacked to the disk.

    Args:
        path: of the folder or archive.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the file is no archive, or holds names that are unsafe or come twice.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._archive: zipfile.ZipFile | None = None
        if self.path.is_dir():
            return
        if not self.path.exists():
            raise FileNotFoundError(f"{str(path)!r} does not exist: give a folder or a ZIP archive of masks")
        try:
            self._archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(f"{str(path)!r} is no ZIP archive that can be read ({error}): make it anew") from error
        counts = Counter(self._archive.namelist())
        problems = [f"{name!r} is an unsafe path" for name in counts if is_unsafe(name.removesuffix("/"))]
        problems += [f"{name!r} is in it {count} times" for name, count in counts.items() if count > 1]
        if problems:
            self.close()
            raise ValueError(_listing(f"{str(path)!r} cannot be used", problems))

    def __enter__(self) -> "MaskFiles":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()

    def names(self) -> list[str]:
        """Names of all files, and of folders that are listed or empty with a slash at the end."""
        if self._archive is not None:
            return self._archive.namelist()
        names = []
        for folder, folders, files in os.walk(self.path):
            place = Path(folder).relative_to(self.path)
            names += [(place / name).as_posix() for name in files]
            if not folders and not files and place.parts:
                names.append(f"{place.as_posix()}/")
        return names

    def has_folder(self, name: str) -> bool:
        if self._archive is None:
            return (self.path / name).is_dir()
        return any(entry.startswith(f"{name}/") for entry in self._archive.namelist())

    def read(self, name: str, limit: int) -> bytes:
        """
        The bytes of a file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file has more bytes than `limit`, or is damaged.
        """
        try:
            with self._open(name) as file:
                data = file.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            # Archives that are encrypted, or compressed in an unknown way, give a RuntimeError.
            raise ValueError(f"{name!r} of {str(self.path)!r} cannot be read ({error}): make it anew") from error
        if len(data) > limit:
            raise ValueError(f"{name!r} of {str(self.path)!r} has more than {limit} bytes: too much for one mask")
        return data

    def _open(self, name: str) -> Any:
        if self._archive is None:
            return open(self.path / name, "rb")
        try:
            return self._archive.open(name)
        except KeyError:
            raise FileNotFoundError(f"{name!r} is not in {str(self.path)!r}") from None

    def read_png(self, name: str, size: tuple[int, int]) -> Image.Image:
        """
        A decoded PNG file.

        Args:
            size: (height, width) that it must have; nothing is resized.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no PNG file, is damaged, or of another size.
        """
        height, width = size
        data = self.read(name, 4 * height * (width + 1) + 2**16)  # as large as uncompressed colours, and some text
        try:
            image = Image.open(io.BytesIO(data), formats=["PNG"])
            found = (image.height, image.width)
            if found == size:
                image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{name!r} of {str(self.path)!r} is no PNG file, or damaged: make it anew") from error
        if found != size:
            raise ValueError(f"{name!r} is {found[1]}x{found[0]}, but the frames are {width}x{height}")
        return image


def _check(
    path: Path, target: Path, layout: Layout, expressions: Sequence[_Expression], foreground: int, strict: bool
) -> SubmissionReport:
    """Check the archive at `path`, which errors call `target`."""
    digests: dict[str, str] = {}
    empty: list[str] = []
    palettes: list[str] = []
    with MaskFiles(path) as files:
        problems = _misplaced(files.names(), layout, expressions)
        if not problems:
            for expression in expressions:
                digests[expression.folder], seen = _check_masks(files, expression, foreground, problems, palettes)
                if not seen and not expression.no_target:
                    empty.append(expression.sample_id)
                if len(problems) > MAX_PROBLEMS:
                    break
    if strict:
        problems += [f"the masks of {name} are all empty" for name in empty]
    if problems:
        raise ValueError(_listing(f"{str(target)!r} is no valid archive", problems))
    notes = _warnings(expressions, empty, palettes)
    for note in notes:
        logger.warning("%s", note)
    videos = {expression.video_id for expression in expressions}
    frames = sum(len(expression.frame_names) for expression in expressions)
    return SubmissionReport(len(videos), len(expressions), frames, tuple(empty), notes, _checksum(digests))


def _misplaced(names: Sequence[str], layout: Layout, expressions: Sequence[_Expression]) -> list[str]:
    """What is missing from an archive and what does not belong there, in sentences."""
    expected = {name for expression in expressions for name in expression.entries()}
    found = set(names)
    if not expected & found:
        first = min(expected)
        where = f"in the folder {layout.top!r}" if layout.top else "at the root"
        others = ", ".join(repr(name) for name in sorted(found)[:3]) or "nothing"
        return [f"no mask is where it belongs: the videos lie {where}, as in {first!r}; there is {others}"]
    problems = []
    for expression in expressions:
        missing = [name for name in expression.entries() if name not in found]
        if len(missing) == len(expression.frame_names):
            problems.append(f"{expression.folder + '/'!r} is missing, the folder of {expression.sample_id}")
        else:
            problems += [f"{name!r} is missing" for name in missing]
    folders = {f"{path}/" for expression in expressions for path in _with_parents(expression.folder)}
    strays = sorted(found - expected - folders)
    if strays:
        cases = {name.casefold(): name for name in expected}
        problems += [_stray(name, cases) for name in strays]
    return problems


def _with_parents(folder: str) -> list[str]:
    parts = folder.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _stray(name: str, cases: Mapping[str, str]) -> str:
    """Why a name does not belong into an archive; `cases` are the names that do, by their small letters."""
    parts = name.split("/")
    if "__MACOSX" in parts or any(part.startswith(".") for part in parts):
        return f"{name!r} was added by a program: remove it"
    if name.casefold() in cases:
        return f"{name!r} differs from {cases[name.casefold()]!r} in capitals"
    return f"{name!r} belongs to no frame of the split: remove it"


def _check_masks(
    files: MaskFiles, expression: _Expression, foreground: int, problems: list[str], palettes: list[str]
) -> tuple[str, bool]:
    """The digest of an expression's masks and whether one is not empty; appends problems, and names of the mode P."""
    digest = hashlib.sha256()
    seen = False
    for name in expression.entries():
        try:
            mask, mode = _read_answer(files, name, expression.size, foreground)
        except ValueError as error:
            problems.append(str(error))
            continue
        digest.update(np.packbits(mask).tobytes())
        seen |= bool(mask.any())
        if mode == "P":
            palettes.append(name)
    return digest.hexdigest(), seen


def _read_answer(files: MaskFiles, name: str, size: tuple[int, int], foreground: int) -> tuple[np.ndarray, str]:
    """A mask (height, width) bool that is stored as servers read it, and the mode of its image."""
    image = files.read_png(name, size)
    if image.mode not in ("L", "P"):
        raise ValueError(f"{name!r} has the mode {image.mode}: save it as a grey image of the mode L")
    values = np.asarray(image.convert("L"))
    mask = values == foreground
    if not np.all(mask | (values == 0)):
        found = np.unique(values)
        if foreground == 255 and found.max() == 1:
            raise ValueError(f"{name!r} holds 0 and 1: multiply it by 255, servers may see nothing in it")
        raise ValueError(
            f"{name!r} holds {', '.join(map(str, found[:4]))}{', ...' if len(found) > 4 else ''}: the ground must be "
            f"0 and the object {foreground}"
        )
    return mask, image.mode


def _warnings(expressions: Sequence[_Expression], empty: Sequence[str], palettes: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if empty:
        notes.append(_listing(f"the masks of {len(empty)} expressions are all empty", empty))
    if palettes:
        notes.append(_listing(f"{len(palettes)} images have the mode P, servers expect L", palettes))
    names: dict[str, set[str]] = {}
    for expression in expressions:
        for name in _with_parents(expression.folder):
            names.setdefault(name.casefold(), set()).add(name)
    same = [" and ".join(sorted(group)) for group in names.values() if len(group) > 1]
    if same:
        notes.append(_listing("folders that differ in capitals alone fall together on some systems", same))
    return tuple(notes)


def _listing(what: str, names: Sequence[str]) -> str:
    """A sentence with the first of the names."""
    return f"{what}: {'; '.join(names[:MAX_PROBLEMS])}{'; and more' if len(names) > MAX_PROBLEMS else ''}"


__all__ = ["LAYOUTS", "Layout", "MaskFiles", "SubmissionReport", "check_submission", "is_unsafe", "write_submission"]
