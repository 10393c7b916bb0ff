# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `referring-video-segmentation`: videos and sentences in, masks out."""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from transformers.pipelines.base import Pipeline
from transformers.utils import logging

from .memory import available_memory, check_memory
from .session import PROGRESS_FROM, SocVideoSession, ask
from .video_io import is_frame, list_videos, resolve_source

SAMPLING = ("num_frames", "fps", "stride")
SESSION = ("mode", "clip_frames", "overlap")


class _Item(NamedTuple):
    """A video and what is asked of it; `single` tells a sentence from a list with one sentence."""

    video: Any
    texts: list[str]
    single: bool


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

    With `mode="clip"` long videos are answered clip by clip, with dicts as of `SocVideoSession.results("numpy")`.
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
        resize_mode: str | None = None,
        mode: str | None = None,
        clip_frames: int | None = None,
        overlap: int | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = {"num_frames": num_frames, "fps": fps, "stride": stride, "allow_url": allow_url}
        forward = {
            "union_threshold": union_threshold,
            "mode": mode,
            "clip_frames": clip_frames,
            "overlap": overlap,
        }
        postprocess = {
            "threshold": threshold,
            "mask_threshold": mask_threshold,
            "resize_mode": resize_mode,
            "union_threshold": union_threshold,
        }
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
                `mask_threshold`, `union_threshold` and `resize_mode` (its `mode`) of the post-processing; `mode`,
                "exact" by default or "clip", `clip_frames` and `overlap` of `SocVideoSession`. They replace those
                given when the pipeline was made.

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
        mode = {**self._forward_params, **forward}.get("mode", "exact")
        if mode == "exact" and ("clip_frames" in forward or "overlap" in forward):
            raise ValueError("clip_frames and overlap belong to mode='clip': pass it too")
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
        answers = list(self._answers(items, parameters, progress, total))
        return answers if several else answers[0]

    def _answers(
        self,
        items: Iterable[_Item],
        parameters: tuple[dict[str, Any], dict[str, Any], dict[str, Any]],
        progress: bool | None,
        total: int | None = None,
    ) -> Iterator[Any]:
        """The answers to the items, `batch_size` videos at a time, or in mode "clip" one by one."""
        preprocess, forward, postprocess = parameters
        session = {name: forward[name] for name in SESSION if name in forward}
        if session.get("mode", "exact") != "exact":
            session |= {**postprocess, "batch_size": forward["batch_size"]}
            yield from (self._answer_in_session(item, session, preprocess, progress) for item in items)
            return
        forward = {name: value for name, value in forward.items() if name not in session}
        pending = iter(items)
        shown = (total or 0) >= PROGRESS_FROM if progress is None else progress
        with logging.tqdm(total=total, unit="sentence", disable=not shown) as bar:
            while group := list(islice(pending, forward["batch_size"])):
                inputs = self.preprocess(group, **preprocess)
                outputs = self.forward(inputs, bar=bar, **forward)
                yield from self.postprocess(outputs, **postprocess)

    def _answer_in_session(
        self, item: _Item, settings: dict[str, Any], preprocess: dict[str, Any], progress: bool | None
    ) -> Any:
        """The answer, or list of answers, to one item by a `SocVideoSession` with these settings."""
        session = SocVideoSession(self.model, self.processor, **settings)
        session.add_expressions(item.texts)
        session.add_video(item.video, **preprocess)
        results = session.results("numpy", progress)
        return results[0] if item.single else results

    def preprocess(  # type: ignore[override]
        self, input_: list[_Item], allow_url: bool = False, **sampling: Any
    ) -> dict[str, Any]:
        """Inputs of the model for some items, checked against the free memory before frames are decoded."""
        videos = [resolve_source(item.video, allow_url) for item in input_]
        sizes = [self.processor.video_processor.input_size(video, **sampling) for video in videos]
        check_memory(sizes, self.model.num_parameters(), available_memory(self.device))
        videos = [[video] if is_frame(video) else video for video in videos]
        texts = [item.texts for item in input_]
        inputs = self.processor(videos=videos, text=texts, return_metadata=True, **sampling)
        inputs["texts"] = texts
        inputs["single"] = [item.single for item in input_]
        return dict(inputs)

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
        names = ("logits", "pred_boxes", "pred_masks", "selected_queries")
        outputs = []
        for rows, answer in ask(self.model, features, inputs, batch_size, not all_queries):
            outputs.append({"rows": rows, **{name: answer[name] for name in names if name in answer}})
            if bar is not None:
                bar.update(len(answer["logits"]))
        return {**inputs, "outputs": outputs}

    def postprocess(self, model_outputs: Any, **postprocess_parameters: Any) -> list[Any]:
        """One answer, or one list of answers, for each item."""
        if "resize_mode" in postprocess_parameters:
            postprocess_parameters["mode"] = postprocess_parameters.pop("resize_mode")
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


__all__ = ["ReferringVideoSegmentationPipeline"]
