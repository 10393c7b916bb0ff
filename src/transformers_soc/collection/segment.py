# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Answer all sentences of a collection, in this process or with workers of Ray Data.

Both ways run the same code for a video. What travels to the workers of Ray are row numbers and sentences; a worker
opens its videos itself, one at a time, and writes each answer to the output folder before it takes the next. So memory
does not grow with the videos. When a worker is lost, Ray gives its rows to a new one, which skips what is finished.
"""

import logging
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import torch
from tqdm.auto import tqdm
from transformers import AutoConfig, pipeline

from .. import TASK, bundled_checkpoint
from ..metrics.runs import model_stamp
from ..session import CLIP_FRAMES, check_clips
from ..video_io import sample_indices
from .results import MAX_ATTEMPTS, ResultFolder, VideoFiles, sentences_digest
from .source import CollectionSource, open_source, read_rows

# What a video or its sentences can be to blame for; any other error ends the run.
VIDEO_ERRORS = (OSError, ValueError, TypeError, MemoryError, torch.OutOfMemoryError)
# Rows that one task of Ray takes: many enough to be cheap, few enough that the last tasks end together.
ROWS_PER_TASK = 16
TASKS_PER_WORKER = 8
# Settings that are arguments of the pipeline's call.
ANSWER_SETTINGS = ("num_frames", "fps", "stride", "threshold", "mode", "clip_frames", "overlap")


@dataclass(frozen=True)
class CollectionSettings:
    """
    How videos are answered.

    Attributes:
        model: folder or id of a checkpoint; None: the bundled one.
        dtype: number format of the model, as for `pipeline`.
        num_frames, fps, stride: which frames are taken, see `video_io.sample_indices`; at most one. None: all.
        threshold: score below which a sentence has no target; None: the value saved with the model.
        mode, clip_frames, overlap: all frames at once ("exact") or clip by clip ("clip"), see `SocVideoSession`.
        device: "cpu", "cuda" or another name of torch; None: a GPU where there is one.
        num_threads: of torch in each worker; None: the cores of this machine, shared by the workers. Masks are equal
            bit by bit only where the number is.
    """

    model: str | None = None
    dtype: str = "auto"
    num_frames: int | None = None
    fps: float | None = None
    stride: int | None = None
    threshold: float | None = None
    mode: str = "exact"
    clip_frames: int | None = None
    overlap: int | None = None
    device: str | None = None
    num_threads: int | None = None

    def call_arguments(self) -> dict[str, Any]:
        """Arguments of a call of the pipeline."""
        values = {name: getattr(self, name) for name in ANSWER_SETTINGS}
        return {name: value for name, value in values.items() if value is not None}

    def recorded(self) -> dict[str, Any]:
        """What the answers in a folder have in common."""
        values = {name: getattr(self, name) for name in ("model", "dtype", *ANSWER_SETTINGS)}
        return values | {"model_files": model_stamp(self.model or bundled_checkpoint())}


@dataclass(frozen=True)
class CollectionSummary:
    """Videos of the collection that are done, that have failed, and that this run has finished either way."""

    num_done: int
    num_failed: int
    num_new: int


@dataclass(frozen=True)
class _Row:
    """A row of the source without its video."""

    index: int
    sample_id: str
    sentences: list[str]


class VideoSegmenter:
    """
    Holds the model and answers videos; a worker makes one. A subclass may answer in another way.

    Args:
        settings: with the device of the worker.
    """

    def __init__(self, settings: CollectionSettings) -> None:
        task: Any = TASK  # the annotations of `pipeline` know the library's own tasks only
        model = settings.model or bundled_checkpoint()
        self.arguments = settings.call_arguments()
        self.pipeline = pipeline(task, model=model, device=settings.device, dtype=settings.dtype)

    def __call__(self, video: str | bytes, sentences: list[str]) -> list[dict[str, Any]]:
        """Results of the pipeline for a path or the bytes of a video, one for each sentence."""
        return self.pipeline(video, sentences, progress=False, **self.arguments)


class CollectionWorker:
    """Answers rows of a source one by one and writes the answers to the output folder."""

    def __init__(
        self, source: CollectionSource, output: Path, settings: CollectionSettings, segmenter: type[VideoSegmenter]
    ) -> None:
        if settings.num_threads is not None:
            torch.set_num_threads(settings.num_threads)
        self.source = source
        self.files = VideoFiles(output)
        self.segment = segmenter(settings)

    def __call__(self, batch: Any) -> dict[str, list[str]]:
        """Answer the rows of a `pyarrow.Table`, the form that Ray Data gives, and return the names of the samples."""
        rows = [_Row(**row) for row in batch.to_pylist()]
        for row in rows:
            self.answer(row)
        return {"sample_id": [row.sample_id for row in rows]}

    def answer(self, row: _Row) -> None:
        """Answer one row, or record why that fails."""
        if self.files.is_finished(row.sample_id):
            return
        attempts = self.files.num_attempts(row.sample_id)
        if attempts >= MAX_ATTEMPTS:
            error = f"the process that answers it ended without an error {attempts} times: try a shorter video"
            self.files.write_failure(row.sample_id, row.sentences, error)
            return
        self.files.note_attempts(row.sample_id, attempts + 1)
        try:
            video = self.source.video(row.index)
            results = self.segment(video, row.sentences)
        except VIDEO_ERRORS as error:
            message = " ".join(str(error).split()) or type(error).__name__
            self.files.write_failure(row.sample_id, row.sentences, message)
        else:
            path = video if isinstance(video, str) else None
            self.files.write_results(row.sample_id, path, row.sentences, results)


def segment_collection(
    source: str | os.PathLike | datasets.Dataset,
    output: str | os.PathLike,
    settings: CollectionSettings | None = None,
    *,
    num_workers: int = 0,
    address: str | None = None,
    gpus_per_worker: float = 1.0,
    retry_failed: bool = False,
    progress: bool = True,
    segmenter: type[VideoSegmenter] = VideoSegmenter,
) -> CollectionSummary:
    """
    Answer all sentences about all videos of a collection, and write the answers to Parquet shards.

    A second run with the same folder goes on where the first stopped. A video that cannot be answered is recorded as
    failed, and so is one that ended its worker three times; without Ray it ends the run itself, and the next run
    counts on. `collection.source` describes the sources, `collection.results` the output.

    Args:
        source: a folder, a Parquet file or a `datasets.Dataset`.
        output: a new folder, or that of a former run.
        settings: model, frames and device.
        num_workers: processes of Ray, each with the model; 0: answer in this process, without Ray.
        address: of a Ray cluster that runs already, or "auto"; None: that of `ray.init`, or else
            a new one on this machine.
        gpus_per_worker: share of a GPU that each worker takes on "cuda".
        retry_failed: try the videos again that have failed.
        progress: show a progress bar over the videos.
        segmenter: class that answers a video; an object of it is made in each worker.

    Raises:
        OSError, ValueError: a source or model that cannot be read, rows without what they need, an output folder that
            holds something else, or more workers than the cluster has room for.
        ImportError: workers are asked for and Ray is not installed.
    """
    if address is not None and num_workers < 1:
        raise ValueError("the address of a cluster is given, but no workers: say how many with num_workers")
    if num_workers:
        _import_ray_data()
    settings = _checked(settings or CollectionSettings())
    rows_source = open_source(source)
    rows = read_rows(rows_source)
    folder = ResultFolder(Path(output).absolute())
    with folder.opened(settings.recorded()):
        if retry_failed:
            folder.forget_failures()
        pending = _pending_rows(rows, folder)
        worker_arguments = (rows_source, folder.root, settings, segmenter)
        if num_workers:
            finished = _answer_with_ray(pending, worker_arguments, num_workers, address, gpus_per_worker)
        else:
            finished = _answer_here(pending, worker_arguments)
        try:
            with closing(finished):
                bar = tqdm(
                    finished, total=len(rows), initial=len(rows) - len(pending), unit="video", disable=not progress
                )
                for sample_id in bar:
                    folder.report(sample_id)
        except (KeyboardInterrupt, OSError):  # the user's or the disk's doing, not that of a video
            folder.files.withdraw_attempts()
            raise
    names = {sample_id for sample_id, _ in rows}
    return CollectionSummary(len(names & set(folder.done)), len(names & set(folder.failures())), len(pending))


def _checked(settings: CollectionSettings) -> CollectionSettings:
    """Settings that mean the same in another process; what no video can be answered with is refused here."""
    sample_indices(settings.num_frames or 1, num_frames=settings.num_frames, fps=settings.fps, stride=settings.stride)
    check_clips(settings.mode, settings.clip_frames or CLIP_FRAMES, settings.overlap or 0)
    if settings.model is not None and os.path.isdir(settings.model):
        settings = replace(settings, model=os.path.abspath(settings.model))
    AutoConfig.from_pretrained(settings.model or bundled_checkpoint())
    return settings


def _pending_rows(rows: Sequence[tuple[str, list[str]]], folder: ResultFolder) -> list[_Row]:
    """Rows that are neither done nor failed."""
    known = folder.failures() | folder.done
    pending = []
    for index, (sample_id, sentences) in enumerate(rows):
        if sample_id not in known:
            pending.append(_Row(index, sample_id, sentences))
        elif known[sample_id]["sentences_digest"] != sentences_digest(sentences):
            raise ValueError(
                f"{sample_id!r} was answered for other sentences in {str(folder.root)!r}: give another folder, or the "
                "new sentences a sample_id of their own"
            )
    return pending


def _answer_here(pending: Sequence[_Row], worker_arguments: tuple) -> Generator[str, None, None]:
    """Answer the rows in this process, and yield the samples as they are finished."""
    if not pending:
        return
    worker = CollectionWorker(*worker_arguments)
    for row in pending:
        worker.answer(row)
        yield row.sample_id


def _answer_with_ray(
    pending: Sequence[_Row], worker_arguments: tuple, num_workers: int, address: str | None, gpus_per_worker: float
) -> Generator[str, None, None]:
    """Answer the rows with an actor pool of Ray Data, and yield the samples as they are finished."""
    ray_data = _import_ray_data()
    if not pending:
        return
    source, root, settings, segmenter = worker_arguments
    num_threads = settings.num_threads or (1 if address else max(1, (os.cpu_count() or 1) // num_workers))
    with _ray_cluster(address, num_workers * num_threads) as room:
        device = settings.device or ("cuda" if room.get("GPU") else "cpu")
        settings = replace(settings, device=device, num_threads=num_threads)
        needs = {"CPU": 1, "GPU": gpus_per_worker} if device.startswith("cuda") else {"CPU": num_threads, "GPU": 0}
        _check_room(room, needs, num_workers)
        num_tasks = min(len(pending), max(TASKS_PER_WORKER * num_workers, len(pending) // ROWS_PER_TASK))
        # Ray Data starts an actor that died anew, with the model, and repeats its task.
        answered = ray_data.from_items([asdict(row) for row in pending], override_num_blocks=num_tasks).map_batches(
            CollectionWorker,
            fn_constructor_args=(source, root, settings, segmenter),
            compute=ray_data.ActorPoolStrategy(size=num_workers),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=needs["CPU"],
            num_gpus=needs["GPU"],
        )
        for row in answered.iter_rows():
            yield row["sample_id"]


def _check_room(room: Mapping[str, float], needs: Mapping[str, float], num_workers: int) -> None:
    """Refuse workers that Ray would wait for without end."""
    for name, need in needs.items():
        if num_workers * need > room.get(name, 0):
            raise ValueError(
                f"{num_workers} workers need {num_workers * need:g} {name}s, but the cluster has "
                f"{room.get(name, 0):g}: take fewer workers, or another device"
            )


def _import_ray_data() -> Any:
    """The module `ray.data`, silent and without reports to its makers."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray.data
    except ImportError as error:
        raise ImportError(
            "Workers need Ray: install it with `pip install 'transformers-soc[distributed]'`, or run in one process."
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a long video is no sign of a fault
    return ray.data


@contextmanager
def _ray_cluster(address: str | None, num_cpus: int) -> Iterator[dict[str, float]]:
    """Resources of the cluster at the address, or of one on this machine that ends with the block."""
    import ray

    if ray.is_initialized():
        yield ray.cluster_resources()
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        # At least this many, whatever the machine has: the user chose workers and threads.
        cores = max(num_cpus, os.cpu_count() or 1)
        ray.init("local", num_cpus=cores, include_dashboard=False, **quiet)
    else:
        ray.init(address, **quiet)
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


__all__ = ["CollectionSettings", "CollectionSummary", "CollectionWorker", "VideoSegmenter", "segment_collection"]
