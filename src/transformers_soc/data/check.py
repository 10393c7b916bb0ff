# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
What is there of a benchmark, what is missing, and whether its numbers are the official ones.

Files of expressions are read and folders listed; no frame is decoded. What the folders hold is described in the module
of each loader.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..video_io import IMAGE_SUFFIXES, probe_video
from . import a2d_sentences, jhmdb_sentences, long_rvos, mevis, refcoco, refer_davis, refer_youtube_vos, revos
from .meta_expressions import read_videos
from .official import OFFICIAL, Official
from .tables import ARCHIVES, below, image_size, read_csv, read_json

VIDEO_SUFFIX = ".mp4"

# Names of videos, or of other folders, with the stems of the files that they should hold.
Folders = Mapping[str, Iterable[str]]


@dataclass(frozen=True)
class Count:
    """How many videos, images or expressions (`item`) there are, and how many there should be, if that is known."""

    item: str
    found: int
    official: int | None

    @property
    def verdict(self) -> str:
        if self.official is None:
            return "no official figure known"
        return "as published" if self.found == self.official else "differs"


@dataclass(frozen=True)
class MissingFile:
    """A file or folder below the root, what it holds, where it comes from, and whether a split needs it."""

    path: str
    what: str
    source: str
    required: bool


@dataclass
class SplitReport:
    """What is known of one split; `problems` are sentences about files within folders that are there."""

    split: str
    present: list[str] = field(default_factory=list)
    missing: list[MissingFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        required = any(file.required for file in self.missing)
        return bool(self.counts) and not required and not self.problems


@dataclass
class BenchmarkReport:
    """What is known of all splits of a benchmark, and `counts` of them together."""

    benchmark: str
    title: str
    root: str
    splits: list[SplitReport]
    counts: list[Count]

    def to_dict(self) -> dict[str, Any]:
        """Content of a JSON file."""

        def counts(items: Iterable[Count]) -> list[dict[str, Any]]:
            return [vars(item) | {"verdict": item.verdict} for item in items]

        splits = [
            {
                "split": split.split,
                "complete": split.complete,
                "present": split.present,
                "missing": [vars(file) for file in split.missing],
                "problems": split.problems,
                "counts": counts(split.counts),
            }
            for split in self.splits
        ]
        named = {"benchmark": self.benchmark, "title": self.title, "root": self.root}
        return named | {"splits": splits, "counts": counts(self.counts)}


class Survey:
    """
    Looks for the files of one split below `root` and notes what it finds in `report`.

    Args:
        version: what the loader is told besides: the variant of RefCOCO, or the version of MeViS.
        deep: also open the header of each frame and mask.
    """

    def __init__(self, root: Path, split: str, version: str, official: Official, deep: bool) -> None:
        self.root = root
        self.version = version
        self.official = official
        self.deep = deep
        self.report = SplitReport(split)

    def look(self, name: str, what: str, source: str | None = None, required: bool = True) -> bool:
        """Note whether a file or folder is there."""
        path = self.root / name
        if path.exists():
            self.report.present.append(name)
            return True
        archives = [path.name + suffix for suffix in ARCHIVES if path.with_name(path.name + suffix).exists()]
        source = f"unpack {archives[0]!r}, which is there" if archives else source or self.official.source
        self.report.missing.append(MissingFile(name, what, source, required))
        return False

    def count(self, videos: int, expressions: int) -> None:
        """Note the numbers of the split."""
        split = self.report.split
        self.report.counts = [
            Count(self.official.unit, videos, self.official.videos.get(split)),
            Count("expressions", expressions, self.official.expressions.get(split)),
        ]

    def read_videos(self, name: str, what: str = "the expressions and frames of the videos") -> dict[str, Any]:
        """The videos of a file in the form of Ref-YouTube-VOS; empty where it is missing or damaged."""
        if not self.look(name, what):
            return {}
        try:
            return read_videos(self.root / name)
        except ValueError as error:
            self.report.problems.append(str(error))
            return {}

    def look_into(self, name: str, what: str, folders: Folders, suffix: str, source: str | None = None) -> None:
        """Note a folder, and which of these folders, and of the files that each should hold, are missing in it."""
        if not self.look(name, what, source):
            return
        absent, lost, images = [], [], []
        for folder, stems in folders.items():
            try:
                path = below(self.root / name, folder)
                present = set(os.listdir(path))
            except (OSError, ValueError):
                absent.append(folder)
                continue
            lost += [f"{folder}/{stem}{suffix}" for stem in stems if stem + suffix not in present]
            images += [path / file for file in sorted(present) if file.endswith(suffix)]
        self._note_lost(f"folders in {name!r}", absent, len(folders))
        self._note_lost(f"files in {name!r}", lost)
        if self.deep and suffix in IMAGE_SUFFIXES:
            self._note_sizes(self._open_files(images))

    def look_for_files(self, name: str, what: str, files: Sequence[str], source: str | None = None) -> None:
        """Note a folder, and which of these files are missing in it."""
        if not self.look(name, what, source):
            return
        present = set(os.listdir(self.root / name))
        self._note_lost(f"files in {name!r}", [file for file in files if file not in present], len(files))
        if self.deep:
            self._open_files([self.root / name / file for file in files if file in present])

    def _note_lost(self, what: str, names: Sequence[str], total: int | None = None) -> None:
        if names:
            share = f"{len(names)} of {total}" if total else str(len(names))
            self.report.problems.append(f"{share} {what} are missing, {names[0]!r} among them")

    def _open_files(self, paths: Iterable[Path]) -> dict[Path, set[tuple[int, int]]]:
        """Note the files whose header cannot be read, and return the sizes of the images of each folder."""
        bad: list[str] = []
        sizes: dict[Path, set[tuple[int, int]]] = {}
        for path in paths:
            try:
                if path.suffix == VIDEO_SUFFIX:
                    probe_video(path)
                else:
                    sizes.setdefault(path.parent, set()).add(image_size(str(path)))
            except (OSError, ValueError, SyntaxError):
                bad.append(str(path.relative_to(self.root)))
        if bad:
            self.report.problems.append(f"{len(bad)} files cannot be read, {bad[0]!r} among them: get them anew")
        return sizes

    def _note_sizes(self, sizes: Mapping[Path, set[tuple[int, int]]]) -> None:
        """Note videos whose frames differ in size."""
        mixed = [str(folder.relative_to(self.root)) for folder, found in sizes.items() if len(found) > 1]
        if mixed:
            self.report.problems.append(f"{len(mixed)} folders hold images of several sizes, {mixed[0]!r} among them")


def stems_of(videos: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the frames of each video of a meta file."""
    return {name: video["frames"] for name, video in videos.items()}


def count_expressions(videos: Mapping[str, Any]) -> int:
    """Expressions of a meta file."""
    return sum(len(video["expressions"]) for video in videos.values())


def _check_refer_youtube_vos(survey: Survey) -> None:
    split, folder = survey.report.split, refer_youtube_vos.FOLDERS[survey.report.split]
    videos = survey.read_videos(f"meta_expressions/{folder}/meta_expressions.json")
    hosted = "authors of later work host it again, since the official site removed it (ReferFormer, issues 6, 8, 20)"
    if split == "validation":
        what = "which videos of the validation file belong to the test set"
        survey.look(refer_youtube_vos.TEST_FILE, what, hosted, required=False)
        videos = refer_youtube_vos.leave_out_test(videos, survey.root)
    if videos:
        survey.count(len(videos), count_expressions(videos))
    survey.look_into(f"{folder}/JPEGImages", "the frames", stems_of(videos), ".jpg")
    entries = (entry for video in videos.values() for entry in video["expressions"].values())
    shown = (survey.root / folder / "Annotations").is_dir() and any("obj_id" in entry for entry in entries)
    if split == "train" or shown:
        survey.look_into(f"{folder}/Annotations", "the masks", stems_of(videos), ".png")
    if split == "train":
        survey.look(f"{folder}/meta.json", "the categories of the objects", hosted, required=False)


def _check_refer_davis(survey: Survey) -> None:
    split = survey.report.split
    folder = refer_davis.CONVERTED[split]
    meta = f"meta_expressions/{folder}/meta_expressions.json"
    if (survey.root / meta).exists():
        videos = survey.read_videos(meta)
        survey.count(len(videos), count_expressions(videos))
        survey.look_into(f"{folder}/JPEGImages", "the frames", stems_of(videos), ".jpg")
        survey.look_into(f"{folder}/Annotations", "the masks", stems_of(videos), ".png")
        return
    davis = "DAVIS 2017 at 480p, with the unsupervised annotations"
    listed = f"DAVIS/ImageSets/2017/{refer_davis.LISTS[split]}"
    names: list[str] = []
    if survey.look(listed, "the videos of the split", davis):
        names = (survey.root / listed).read_text(encoding="utf-8").split()
    frames, masks = "DAVIS/JPEGImages/480p", "DAVIS/Annotations_unsupervised/480p"
    folders = [survey.root / folder for folder in (frames, masks)]
    # No file lists the frames: those are known that have an image or a mask.
    stems = {
        name: sorted({path.stem for folder in folders for path in (folder / name).glob("*.*g")}) for name in names
    }
    survey.look_into(frames, "the frames", stems, ".jpg", davis)
    survey.look_into(masks, "the masks", stems, ".png", davis)
    survey.look("DAVIS/davis_semantics.json", "the categories of the objects", davis, required=False)
    texts = [(f"davis_text_annotations/{file}", encoding) for file, encoding in refer_davis.TEXTS]
    if all([survey.look(name, "expressions") for name, _ in texts]) and names:
        files = [_count_lines(survey.root / name, encoding) for name, encoding in texts]
        # The official conversion stops at the shortest of the files.
        survey.count(len(names), sum(len(files) * min(lines.get(name, 0) for lines in files) for name in names))


def _count_lines(path: Path, encoding: str) -> dict[str, int]:
    """Expressions of each video in a file of Ref-DAVIS17."""
    counts: dict[str, int] = {}
    for line in path.read_text(encoding=encoding, errors="replace").split("\n"):
        for name in line.split()[:1]:
            name = refer_davis.REPAIRS.get(name, name)
            counts[name] = counts.get(name, 0) + 1
    return counts


def _check_a2d_sentences(survey: Survey) -> None:
    actions = "the release of A2D, the Actor-Action Dataset"
    found = [
        survey.look(a2d_sentences.VIDEO_FILE, "the list of videos", actions),
        survey.look(a2d_sentences.EXPRESSION_FILE, "the sentences"),
        survey.look(a2d_sentences.MISSED_FILE, "the videos that are left out"),
    ]
    videos: list[str] = []
    if all(found):
        used = a2d_sentences.split_videos(survey.root, survey.report.split)
        expressions = a2d_sentences.split_expressions(survey.root, used)
        videos = sorted({video for video, _, _ in expressions})
        survey.count(len(used), len(expressions))
    files = [name + VIDEO_SUFFIX for name in videos]
    what = "the videos; some pages call the folder CLIPS320"
    survey.look_for_files(a2d_sentences.VIDEOS, what, files, actions)
    survey.look_into(a2d_sentences.MASKS, "the masks", dict.fromkeys(videos, ()), ".h5")


def _check_jhmdb_sentences(survey: Survey) -> None:
    jhmdb = "the release of JHMDB"
    videos: list[str] = []
    if survey.look(jhmdb_sentences.EXPRESSION_FILE, "the sentences"):
        rows = read_csv(survey.root / jhmdb_sentences.EXPRESSION_FILE, ("video_id", "query"), "the sentences")
        videos = [row[0] for row in rows]
        survey.count(len(set(videos)), len(rows))
    frames = survey.root / jhmdb_sentences.IMAGES
    actions = {path.name: path.parent.name for path in frames.glob("*/*") if path.is_dir()}
    # A video that no action has is named with a folder that cannot be there.
    places = [f"{actions.get(name, '*')}/{name}" for name in videos]
    survey.look_into(jhmdb_sentences.IMAGES, "the frames", {place: ["00001"] for place in places}, ".png", jhmdb)
    masks = {place: [Path(jhmdb_sentences.MASK_FILE).stem] for place in places}
    what = "the masks of people (puppet masks)"
    survey.look_into(jhmdb_sentences.MASKS, what, masks, Path(jhmdb_sentences.MASK_FILE).suffix, jhmdb)


def _check_mevis(survey: Survey) -> None:
    folder = mevis.FOLDERS[survey.report.split]
    names = [
        f"{place}/{name}"
        for place in (folder, f"meta_expressions/{folder}")
        for name in mevis.META_FILES[survey.version]
    ]
    meta = next((name for name in names if (survey.root / name).exists()), names[0])
    videos = survey.read_videos(meta)
    if videos:
        survey.count(len(videos), count_expressions(videos))
    survey.look_into(f"{folder}/JPEGImages", "the frames", stems_of(videos), ".jpg")
    if survey.report.split == "validation":
        return
    converted = f"{folder}/{mevis.MASK_SOURCES['png']}"
    other = f"; {converted!r} is there and can be loaded with mask_source='png'"
    source = survey.official.source + (other if (survey.root / converted).exists() else "")
    survey.look(f"{folder}/{mevis.MASK_SOURCES['mask_dict']}", "the masks", source)


def _check_refcoco(survey: Survey) -> None:
    split, version = survey.report.split, survey.version
    split_by = refcoco.VARIANTS[version][1]
    images = "coco/train2014" if (survey.root / "coco").is_dir() else "train2014"
    home = f"{Path(images).parent}/{version}".removeprefix("./")
    converted = f"{home}/instances_{version}_{split}.json"
    originals = (f"{home}/refs({split_by}).p", f"{home}/instances.json")
    if not any((survey.root / name).exists() for name in originals):
        form = f"made by convert_refexp_to_coco.py; or {originals[0]!r} and {originals[1]!r}, {survey.official.source}"
        found = survey.look(converted, "the sentences of the split", form)
    elif (survey.root / converted).exists():
        found = survey.look(converted, "the sentences of the split")
    else:
        found = all([survey.look(name, "the sentences, or objects") for name in originals])
    files: set[str] = set()
    if found:
        try:
            files, count = _read_refcoco(survey.root / home, survey.root / converted, split, split_by)
            survey.count(len(files), count)
        except (ValueError, KeyError, TypeError) as error:
            survey.report.problems.append(f"the files in {home!r} are not as released ({error}): get them anew")
    survey.look_for_files(images, "the images", sorted(files), "the images of COCO train2014")


def _read_refcoco(home: Path, converted: Path, split: str, split_by: str) -> tuple[set[str], int]:
    """Images and number of sentences of a split."""
    if converted.exists():
        images = read_json(converted, "the sentences")["images"]
        return {image["file_name"] for image in images}, len(images)
    names = {image["id"]: image["file_name"] for image in read_json(home / "instances.json", "the images")["images"]}
    references = [ref for ref in refcoco.read_references(home / f"refs({split_by}).p") if ref["split"] == split]
    return {names[ref["image_id"]] for ref in references}, sum(len(ref["sentences"]) for ref in references)


def _check_long_rvos(survey: Survey) -> None:
    folder = long_rvos.FOLDERS[survey.report.split]
    videos = survey.read_videos(f"{folder}/{long_rvos.META_FILE}")
    if videos:
        survey.count(len(videos), count_expressions(videos))
    survey.look_into(f"{folder}/JPEGImages", "the frames", stems_of(videos), ".jpg")
    masks = f"{folder}/Annotations"
    # An archive alone is a folder that was not unpacked.
    if survey.report.split == "test" and not any((survey.root / folder).glob("Annotations*")):
        survey.look(masks, "the masks, which not every release has", required=False)
        return
    entries = [(name, entry) for name, video in videos.items() for entry in video["expressions"].values()]
    # A frame without a file of masks does not show the object.
    survey.look_into(masks, "the masks", {f"{name}/{entry.get('obj_id')}": () for name, entry in entries}, ".png")


def _check_revos(survey: Survey) -> None:
    videos = survey.read_videos(revos.META_FILES[survey.report.split])
    if videos:
        survey.count(len(videos), count_expressions(videos))
    survey.look_into("JPEGImages", "the frames of both splits", stems_of(videos), ".jpg")
    survey.look("mask_dict.json", "the masks of both splits")
    survey.look("mask_dict_foreground.json", "the foreground, for the measure of robustness", required=False)


Check = Callable[[Survey], None]

# Splits and check of each benchmark; RefCOCO has the splits of the variant.
CHECKS: dict[str, tuple[Iterable[str], Check]] = {
    "a2d_sentences": (a2d_sentences.SUBSETS, _check_a2d_sentences),
    "jhmdb_sentences": (("test",), _check_jhmdb_sentences),
    "refer_youtube_vos": (refer_youtube_vos.SPLITS, _check_refer_youtube_vos),
    "refer_davis": (refer_davis.SPLITS, _check_refer_davis),
    "mevis": (mevis.SPLITS, _check_mevis),
    "refcoco": ((), _check_refcoco),
    "long_rvos": (long_rvos.SPLITS, _check_long_rvos),
    "revos": (revos.SPLITS, _check_revos),
}


def official_name(name: str, variant: str = "refcoco", version: str = "v1") -> str:
    """The key of `OFFICIAL` for a benchmark and the options that its loader has."""
    if name == "refcoco":
        return variant
    return "mevis v2" if (name, version) == ("mevis", "v2") else name


def check_benchmark(
    name: str, root: str | Path, *, variant: str = "refcoco", version: str = "v1", deep: bool = False
) -> BenchmarkReport:
    """
    Look for the files of a benchmark.

    Args:
        name: "a2d_sentences", "jhmdb_sentences", "refer_youtube_vos", "refer_davis", "mevis", "refcoco", "long_rvos"
            or "revos".
        root: the folder that its loader takes.
        variant: of RefCOCO: "refcoco", "refcoco+" or "refcocog".
        version: of MeViS: "v1" or "v2".
        deep: open the header of each frame, image of masks and video file.

    Returns:
        a report of each split. One is complete if its loader finds all that it needs; its numbers may yet differ from
        the official ones.

    Raises:
        FileNotFoundError: there is no folder `root`.
        ValueError: there is no such benchmark, variant or version.
    """
    for option, value, known in (
        ("benchmark", name, CHECKS),
        ("variant", variant, refcoco.VARIANTS),
        ("version", version, mevis.META_FILES),
    ):
        if value not in known:
            raise ValueError(f"there is no {option} {value!r}; there are {', '.join(known)}")
    if not Path(root).is_dir():
        raise FileNotFoundError(f"the folder {str(root)!r} does not exist: give the one that holds the benchmark")
    key = official_name(name, variant, version)
    splits, check = CHECKS[name]
    if name == "refcoco":
        splits = refcoco.SPLITS[refcoco.VARIANTS[variant][1]]
    reports = []
    for split in splits:
        survey = Survey(Path(root), split, variant if name == "refcoco" else version, OFFICIAL[key], deep)
        try:
            check(survey)
        except ValueError as error:
            survey.report.problems.append(str(error))
        reports.append(survey.report)
    return BenchmarkReport(key, OFFICIAL[key].title, str(root), reports, _sum_counts(name, Path(root), key, reports))


def _sum_counts(name: str, root: Path, key: str, reports: Sequence[SplitReport]) -> list[Count]:
    """The numbers of all splits together, where an official figure is known and no split is left out of it."""
    official = OFFICIAL[key]
    if not all(report.counts for report in reports):
        return []
    sums = [
        sum(counts) for counts in zip(*([item.found for item in report.counts] for report in reports), strict=True)
    ]
    if name == "a2d_sentences":
        sums = [len(a2d_sentences.video_rows(root)), len(a2d_sentences.expression_rows(root))]
    figures = [(official.unit, official.videos.get("all")), ("expressions", official.expressions.get("all"))]
    return [Count(item, found, figure) for (item, figure), found in zip(figures, sums, strict=True) if figure]


__all__ = ["BenchmarkReport", "Count", "MissingFile", "SplitReport", "check_benchmark", "official_name"]
