# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `referring-video-segmentation`: videos and sentences in, masks out."""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from transformers.pipelines.base import Pipeline
from transformers.utils import logging

from .video_io import is_frame, list_videos, resolve_source

SAMPLING = ("num_frames", "fps", "stride")
# Upper estimate of the activations of a full-size model in float32 with a Video-Swin backbone, per input pixel.
BYTES_PER_PIXEL = 1000
PROGRESS_FROM = 5  # sentences; for fewer a progress bar is shown only when asked for


class _Item(NamedTuple):
    """A video and what is asked of it; `single` tells a sentence from a list with one sentence."""

    video: Any
    texts: list[str]
    single: bool


def estimate_memory(frames: int, height: int, width: int, parameters: int) -> int:
    """Upper estimate, in bytes, of the memory for one pass over `frames` padded frames of height x width pixels."""
    return frames * height * width * BYTES_PER_PIXEL + 4 * parameters


def available_memory(device: torch.device) -> int | None:
    """Free memory of the device in bytes; None where it cannot be told."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            return None
    try:  # a container may have less than the machine
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        return min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        return free


class ReferringVideoSegmentationPipeline(Pipeline):
    """Find what sentences talk about in videos.

    ```python
    pipe = pipeline("referring-video-segmentation", model="path/to/checkpoint")
    answer = pipe("clip.mp4", "the dog on the left", fps=5)
    answer["masks"]  # (frames, height, width) bool
    ```

    One video with one sentence gives a dict, with a list of sentences a list of dicts; several videos give a list with
    one of these for each. The dicts are those of `SocProcessor.post_process_referring_video_segmentation`, with NumPy
    arrays for tensors. Each video is encoded once, whatever the number of sentences.
    """

    processor: Any
    model: Any

    _load_processor: Any = True
    _load_image_processor: Any = False
    _load_video_processor: Any = False
    _load_feature_extractor: Any = False
    _load_tokenizer: Any = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self.processor, "post_process_referring_video_segmentation"):
            raise ValueError("the pipeline needs a SocProcessor: pass processor=, or a folder that holds one as model")

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """Save the model and its processor to a folder that `pipeline(..., model=folder)` loads."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)

    def _sanitize_parameters(  # type: ignore[override]
        self,
        num_frames: int | None = None,
        fps: float | None = None,
        stride: int | None = None,
        allow_url: bool | None = None,
        threshold: float | None = None,
        mask_threshold: float | None = None,
        union_threshold: float | None = None,
        mode: str | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = {"num_frames": num_frames, "fps": fps, "stride": stride, "allow_url": allow_url}
        forward = {"union_threshold": union_threshold}
        postprocess = {"threshold": threshold, "mask_threshold": mask_threshold, "mode": mode, **forward}
        given = [
            {name: value for name, value in parameters.items() if value is not None}
            for parameters in (preprocess, forward, postprocess)
        ]
        return given[0], given[1], given[2]

    def __call__(  # type: ignore[override]
        self,
        video: Any,
        text: str | list[str] | None = None,
        *,
        batch_size: int | None = None,
        num_workers: int | None = None,
        progress: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Answer every sentence about every video.

        Args:
            video: one video in any form that `video_io.read_video` takes (a folder and a list of frames are one
                video); a list of videos; a dict `{"video": ..., "text": ...}` or a list of them, for pairs; or a
                generator or dataset of videos or dicts, which is read as the answers are asked for.
            text: a sentence or a list of sentences, asked of every video; not together with dicts that have a text.
            batch_size: videos that are encoded together, padded to one size, and sentences that are asked together.
            num_workers: taken and ignored: PyAV decodes with threads of its own.
            progress: whether to show a progress bar over the sentences; None: for long lists.
            kwargs: `num_frames`, `fps` or `stride` to sample frames, `allow_url` to fetch addresses; `threshold`,
                `mask_threshold`, `union_threshold` and `mode` of the post-processing. They replace those given when
                the pipeline was made.

        Returns:
            A dict, a list of dicts, or a list of these for several videos; an iterator for generators and datasets.

        Raises:
            TypeError: an unknown argument, something that is no video or no text.
            ValueError, OSError: a video that cannot be read, sentences that cannot be asked, or too little memory.
        """
        batch_size = batch_size or self._batch_size or 1
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        preprocess, forward, postprocess = self._sanitize_parameters(**kwargs)
        made_with = self._preprocess_params
        if any(name in preprocess for name in SAMPLING):
            made_with = {name: value for name, value in made_with.items() if name not in SAMPLING}
        parameters = (
            {**made_with, **preprocess},
            {**self._forward_params, **forward, "batch_size": batch_size},
            {**self._postprocess_params, **postprocess},
        )
        if _is_stream(video):
            return self._answers((_make_item(entry, text) for entry in _iterate(video)), parameters, progress)

        if isinstance(video, (list, tuple)) and len(video) > 0 and isinstance(video[0], Mapping):
            entries, several = list(video), True
        elif isinstance(video, Mapping):
            entries, several = [video], False
        else:
            entries = list_videos(video)
            several = not (len(entries) == 1 and entries[0] is video)
        items = [_make_item(entry, text) for entry in entries]
        total = sum(len(item.texts) for item in items)
        shown = total >= PROGRESS_FROM if progress is None else progress
        answers = list(self._answers(items, parameters, shown, total))
        return answers if several else answers[0]

    def _answers(
        self,
        items: Iterable[_Item],
        parameters: tuple[dict[str, Any], dict[str, Any], dict[str, Any]],
        progress: bool | None,
        total: int | None = None,
    ) -> Iterator[Any]:
        """The answers to the items, `batch_size` videos at a time."""
        preprocess, forward, postprocess = parameters
        pending = iter(items)
        with logging.tqdm(total=total, unit="sentence", disable=not progress) as bar:
            while group := list(islice(pending, forward["batch_size"])):
                inputs = self.preprocess(group, **preprocess)
                outputs = self.forward(inputs, bar=bar, **forward)
                yield from self.postprocess(outputs, **postprocess)

    def preprocess(  # type: ignore[override]
        self, input_: list[_Item], allow_url: bool = False, **sampling: Any
    ) -> dict[str, Any]:
        """Inputs of the model for some items, checked against the free memory before frames are decoded."""
        videos = [resolve_source(item.video, allow_url) for item in input_]
        sizes = [self.processor.video_processor.input_size(video, **sampling) for video in videos]
        self._check_memory(sizes)
        videos = [[video] if is_frame(video) else video for video in videos]
        texts = [item.texts for item in input_]
        inputs = self.processor(videos=videos, text=texts, return_metadata=True, **sampling)
        inputs["texts"] = texts
        inputs["single"] = [item.single for item in input_]
        return dict(inputs)

    def _check_memory(self, sizes: list[tuple[int, int, int]]) -> None:
        """Refuse videos of these (frames, height, width) that would not fit into memory when padded to one size."""
        frames, height, width = (max(sides) for sides in zip(*sizes, strict=True))
        needed = estimate_memory(len(sizes) * frames, height, width, self.model.num_parameters())
        free = available_memory(self.device)
        if free is not None and needed > free:
            count = f"{len(sizes)} videos of {frames}" if len(sizes) > 1 else f"{frames}"
            raise ValueError(
                f"{count} frames of {width}x{height} need about {needed / 1e9:.1f} GB of memory, but only "
                f"{free / 1e9:.1f} GB are free: take fewer frames with num_frames or fps"
            )

    def _forward(  # type: ignore[override]
        self,
        input_tensors: dict[str, Any],
        batch_size: int = 1,
        union_threshold: float | None = None,
        bar: Any = None,
    ) -> dict[str, Any]:
        """Encode the videos once and ask `batch_size` sentences at a time, which bounds the memory."""
        inputs = input_tensors
        features = self.model.get_video_features(inputs.pop("pixel_values_videos"), inputs["pixel_mask"])
        all_queries = union_threshold is not None or self.processor.union_threshold is not None
        outputs = []
        for start in range(0, len(inputs["input_ids"]), batch_size):
            rows = slice(start, start + batch_size)
            answer = self.model(
                video_features=features,
                input_ids=inputs["input_ids"][rows],
                attention_mask=inputs["attention_mask"][rows],
                video_indices=inputs["video_indices"][rows],
                best_query_only=not all_queries,
            )
            names = ("logits", "pred_boxes", "pred_masks", "selected_queries")
            outputs.append({"rows": rows, **{name: answer[name] for name in names if name in answer}})
            if bar is not None:
                bar.update(len(answer["logits"]))
        return {**inputs, "outputs": outputs}

    def postprocess(self, model_outputs: Any, **postprocess_parameters: Any) -> list[Any]:
        """One answer, or one list of answers, for each item."""
        texts = [text for group in model_outputs["texts"] for text in group]
        metadata = model_outputs["video_metadata"]
        results = []
        for output in model_outputs["outputs"]:
            rows = output.pop("rows")
            results += self.processor.post_process_referring_video_segmentation(
                SimpleNamespace(**output),
                target_sizes=[(known.height, known.width) for known in metadata],
                pixel_mask=model_outputs["pixel_mask"],
                video_indices=model_outputs["video_indices"][rows],
                expressions=texts[rows],
                video_metadata=metadata,
                **postprocess_parameters,
            )
        answers = iter([_to_numpy(result) for result in results])
        groups = [list(islice(answers, len(group))) for group in model_outputs["texts"]]
        return [group[0] if single else group for group, single in zip(groups, model_outputs["single"], strict=True)]


def _to_numpy(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in result.items()}


def _is_stream(video: Any) -> bool:
    """Whether `video` is a generator, dataset or other iterable that is no container of frames or videos."""
    if isinstance(video, (str, bytes, bytearray, memoryview, os.PathLike, Mapping, list, tuple)):
        return False
    if hasattr(video, "ndim") or hasattr(video, "read"):
        return False
    return hasattr(video, "__iter__") or (hasattr(video, "__getitem__") and hasattr(video, "__len__"))


def _iterate(stream: Any) -> Iterator[Any]:
    if hasattr(stream, "__iter__"):
        return iter(stream)
    return (stream[index] for index in range(len(stream)))


def _make_item(entry: Any, text: Any) -> _Item:
    """Check one input and the sentences that go with it."""
    video = entry
    if isinstance(entry, Mapping):
        unknown = set(entry) - {"video", "text"}
        if unknown or "video" not in entry:
            raise ValueError(f"an item has the keys {sorted(entry)}: give 'video' and 'text'")
        if "text" in entry and text is not None:
            raise ValueError("there is a text in the item and one in the call: pass only one of them")
        video, text = entry["video"], entry.get("text", text)
    if isinstance(video, (list, tuple)) and len(list_videos(video)) > 1:
        raise ValueError("an item holds several videos: give each video an item of its own")
    if text is None:
        raise ValueError("there is no text: pass a sentence, or a list of sentences")
    if not isinstance(text, (str, list, tuple)):
        raise TypeError(f"text is a {type(text).__name__}: pass a sentence, or a list of sentences")
    texts = [text] if isinstance(text, str) else list(text)
    if not texts:
        raise ValueError("the list of sentences is empty: pass at least one")
    return _Item(video, texts, isinstance(text, str))
