# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Long videos: frames and sentences in, in any order; the masks of all frames out, as a whole or clip by clip."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from transformers.utils import logging

from .memory import available_memory, check_memory
from .modeling_soc import SocModel, SocVideoFeatures
from .processing_soc import MODES as RESIZE_MODES
from .processing_soc import SocProcessor
from .video_io import VideoInfo, iter_video, list_frames, masks_to_rle, rle_to_masks, stack_frames

SESSION_MODES = ("exact", "clip")
MASK_FORMATS = ("rle", "numpy")
CLIP_FRAMES = 40
OVERLAP = 8
# Queries whose score in a clip lies this close to the best one's may carry the object on.
SCORE_MARGIN = 0.1
PROGRESS_FROM = 5  # sentences; for fewer a progress bar is shown only when asked for


def check_clips(mode: str, clip_frames: int, overlap: int) -> None:
    """Refuse a mode that does not exist, and clips that cannot overlap in this way."""
    if mode not in SESSION_MODES:
        raise ValueError(f"mode {mode!r} does not exist: use one of {', '.join(SESSION_MODES)}")
    if clip_frames < 1 or not 0 <= overlap < clip_frames:
        raise ValueError(
            f"clips of {clip_frames} frames cannot overlap by {overlap}: clip_frames must be at least 1 and overlap "
            "from 0 to clip_frames - 1"
        )


def ask(
    model: SocModel, features: SocVideoFeatures, inputs: Mapping[str, Any], batch_size: int, best_query_only: bool
) -> Iterator[tuple[slice, Any]]:
    """Ask sentences about encoded videos, `batch_size` at a time, which bounds the memory.

    Args:
        features: of `get_video_features`.
        inputs: `input_ids`, `attention_mask` and, for several videos, `video_indices` of the processor.

    Yields:
        the rows of `inputs` that were asked, and the outputs of the model for them.
    """
    names = [name for name in ("input_ids", "attention_mask", "video_indices") if name in inputs]
    for start in range(0, len(inputs["input_ids"]), batch_size):
        rows = slice(start, start + batch_size)
        tokens = {name: inputs[name][rows].to(model.device) for name in names}
        yield rows, model(video_features=features, best_query_only=best_query_only, **tokens)


def choose_query(scores: torch.Tensor, masks: torch.Tensor, previous: torch.Tensor) -> int:
    """The query that carries the object of the previous clip on.

    Of the queries whose score lies within SCORE_MARGIN of the best one's, the one whose masks have the largest
    intersection over union with the previous clip's, over all pixels of the frames that both clips have; of equals,
    as when the object was out of sight, the one with the highest score.

    Args:
        scores: (queries,) score of each query in the clip.
        masks: (frames, queries, h, w) bool, of the frames that both clips have.
        previous: (frames, h, w) bool, what the previous clip answered for these frames.
    """
    intersection = (masks & previous[:, None]).sum((0, 2, 3))
    union = (masks | previous[:, None]).sum((0, 2, 3))
    agreement = intersection / union.clamp(min=1)
    near = (scores >= scores.max() - SCORE_MARGIN).nonzero().flatten().tolist()
    return max(near, key=lambda query: (float(agreement[query]), float(scores[query])))


@dataclass
class _Expression:
    """A sentence and its answer, frame by frame as far as the video was answered.

    Attributes:
        masks: run-length codes.
        boxes, frame_scores, queries: x1, y1, x2, y2 in pixels, score, and chosen query.
        last_masks: (frames, h, w) bool, the chosen masks of the last clip at the model's own resolution.
    """

    text: str
    masks: list[dict[str, Any]] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    frame_scores: list[float] = field(default_factory=list)
    queries: list[int] = field(default_factory=list)
    last_masks: torch.Tensor | None = None

    def write(self, start: int, answer: dict[str, Any]) -> None:
        """Take the answer of the post-processing for the frames from `start` on, in place of an older one."""
        self.masks[start:] = masks_to_rle(answer["masks"].numpy())
        self.boxes[start:] = answer["boxes"].tolist()
        self.frame_scores[start:] = answer["frame_scores"].tolist()
        self.queries[start:] = [answer["query_index"]] * len(answer["masks"])


class SocVideoSession:
    """One video and the sentences about it, added in any order; the video is encoded once for all of them.

    ```python
    session = SocVideoSession(model, processor, mode="clip", clip_frames=40, overlap=8)
    session.add_video("long.mp4", fps=5)
    ball, dog = session.add_expressions(["the red ball", "the dog on the left"])
    for index, masks in session.masks():
        masks[dog]  # bool (height, width), at the size of the video
    ```

    Mode "exact" gives what one forward pass over all frames gives. The frames wait as uint8 at the size of the
    model's input; then the video's features are kept, so that sentences can be added after an answer, too.

    Mode "clip" answers overlapping clips one by one, and its memory does not grow with the video but for run-length
    codes. Frames are dropped when their clips are answered: all sentences must be there before. Frames from
    `add_frames` are answered as soon as a clip is complete and there are sentences, those of `add_video` are decoded
    when the masks are asked for. Each clip chooses its queries by itself, so:

    - A clip shares at least `overlap` frames with the one before, whose first half (and all before) is answered by
      the earlier clip and the rest by the later one: every frame is answered by a clip that has frames on both sides.
    - Clips start at multiples of the temporal window of Video-Swin wherever the step from clip to clip,
      `clip_frames - overlap`, is at least a window; the step is rounded down to whole windows and the overlap grows.
      The last clip is shifted back to have about `clip_frames` frames, too.
    - One object is kept over the clips by `choose_query`: among the queries of about the highest score that whose
      masks agree best with the last clip's in the overlap.
    - The score is the mean over all frames of the video, each with the query that answers it; whether there is no
      target is decided by it, for the whole video.

    What is left of the difference to mode "exact": attention, the video cluster and, in SOC++, proxies, running means
    and random walk see the frames of one clip, not of the whole video.

    Args:
        model: in eval mode.
        processor: of the model.
        mode: "exact" or "clip".
        clip_frames: frames of a clip.
        overlap: frames that two clips share, at least; None: 8, or half a clip where that is less.
        batch_size: sentences that are asked together.
        threshold: score below which a sentence has no target; None: the value saved with the processor.
        mask_threshold, union_threshold: as in `SocProcessor.post_process_referring_video_segmentation`; a union of
            queries exists in mode "exact" alone.
        resize_mode: its `mode`.

    Raises:
        ValueError: a value that does not exist or does not fit the others, or a model in training mode.
    """

    def __init__(
        self,
        model: SocModel,
        processor: SocProcessor,
        mode: Literal["exact", "clip"] = "exact",
        *,
        clip_frames: int = CLIP_FRAMES,
        overlap: int | None = None,
        batch_size: int = 1,
        threshold: float | None = None,
        mask_threshold: float = 0.5,
        union_threshold: float | None = None,
        resize_mode: str = RESIZE_MODES[0],
    ) -> None:
        overlap = min(OVERLAP, clip_frames // 2) if overlap is None else overlap
        check_clips(mode, clip_frames, overlap)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= mask_threshold <= 1:
            raise ValueError(f"mask_threshold is a probability in 0..1, got {mask_threshold}")
        if resize_mode not in RESIZE_MODES:
            raise ValueError(f"resize_mode {resize_mode!r} does not exist: use one of {', '.join(RESIZE_MODES)}")
        self.union_threshold = processor.union_threshold if union_threshold is None else union_threshold
        if mode == "clip" and self.union_threshold is not None:
            raise ValueError("union_threshold joins queries of a whole video: use mode='exact', or leave it out")
        if model.training:
            raise ValueError("the model is in training mode: call model.eval() first")
        self.model, self.processor, self.mode = model, processor, mode
        self.clip_frames, self.overlap, self.batch_size = clip_frames, overlap, batch_size
        self.threshold = processor.threshold if threshold is None else threshold
        self.mask_threshold, self.resize_mode = mask_threshold, resize_mode
        step = clip_frames - overlap
        backbone: Any = model.config.backbone_config
        window = backbone.window_size[0] if backbone.model_type == "soc_video_swin" else 1
        self._unit = window if step >= window else 1
        self._step = step // self._unit * self._unit

        self._parameters = model.num_parameters()
        self.num_frames = 0  # that were added
        self._expressions: list[_Expression] = []
        self._size = (0, 0)  # height and width of the frames as they were added
        self._dtype: np.dtype | None = None
        self._infos: list[VideoInfo | None] = []  # what is known of each piece of video
        self._sources: deque[Iterator[np.ndarray]] = deque()  # frames that were added and not read
        self._frames: deque[np.ndarray] = deque()  # frames that were read and may be needed, at the model's size
        self._offset = 0  # number of the first of these in the video
        self._clip: tuple[int, int] | None = None  # first frame of the last clip answered, and the one after it
        self._features: SocVideoFeatures | None = None  # of the whole video, in mode "exact"
        self._complete = False  # all frames were read: there can be no more
        self._working = False  # also after an error in the work, which leaves it half done

    def add_video(
        self,
        video: Any,
        *,
        num_frames: int | None = None,
        fps: float | None = None,
        stride: int | None = None,
        allow_url: bool = False,
    ) -> None:
        """Add the frames of a video, which are decoded only when they are needed.

        Args:
            video: as in `video_io.read_video`.
            num_frames, fps, stride: which frames, at most one of them; none: what is saved with the processor, else
                all.
            allow_url: fetch the video when it is an address.

        Raises:
            ValueError, OSError, TypeError: as `video_io.read_video`; frames of another size than those before, or
                more than the memory holds.
        """
        self._check_open()
        given = {"num_frames": num_frames, "fps": fps, "stride": stride}
        given = {name: value for name, value in given.items() if value is not None}
        sampling = self.processor.video_processor.resolve_sampling(given)
        info, frames = iter_video(video, allow_url=allow_url, **sampling)
        self._announce(len(info.frames_indices), (info.height, info.width), info)
        self._sources.append(map(self._prepare, frames))

    def add_frames(self, frames: Any) -> None:
        """Add frames to the end of the video; may be called for every single one.

        In mode "clip", clips that are complete are answered, if there are sentences.

        Args:
            frames: as in `video_io.read_video`: a list of PIL images, arrays or tensors, an array (frames, height,
                width, 3), or a folder of images.

        Raises:
            ValueError, OSError, TypeError: as `video_io.read_video`; frames of another size than those before, or
                more than the memory holds.
        """
        self._check_open()
        array = stack_frames(list_frames(frames))
        self._check_type(array.dtype)
        self._announce(len(array), (array.shape[1], array.shape[2]), None)
        held = deque(self._prepare(frame) for frame in array)
        self._sources.append(held.popleft() for _ in range(len(held)))
        if self.mode == "clip" and self._expressions:
            self._work(finish=False)

    def add_expressions(self, texts: str | Sequence[str]) -> list[int]:
        """Add one or several sentences and return their ids, which count from 0.

        Raises:
            ValueError, TypeError: sentences that cannot be asked; in mode "clip", frames that are gone.
        """
        if self._clip is not None:
            raise ValueError(
                "the frames of the clips answered so far are gone: add all sentences before, or use mode='exact'"
            )
        added = [texts] if isinstance(texts, str) else list(texts)
        self.processor(text=added)  # refuses what cannot be asked
        self._expressions += [_Expression(text) for text in added]
        return list(range(len(self._expressions) - len(added), len(self._expressions)))

    def masks(self, progress: bool | None = None) -> Iterator[tuple[int, dict[int, np.ndarray]]]:
        """Answer what is not answered yet, and give the masks frame by frame.

        After this, no frames can be added. Nothing is given before the whole video is answered, because it decides
        whether a sentence has a target.

        Args:
            progress: whether to show a bar, over frames in mode "clip" and over sentences in mode "exact"; None: for
                long work.

        Returns:
            an iterator of the number of each frame, from 0, and its masks, bool (height, width) at the size of the
            frames, by the ids of the sentences.

        Raises:
            ValueError: no frames or no sentences; a video that cannot be decoded.
        """
        self._check_askable()
        return self._iter_masks(progress)

    def _iter_masks(self, progress: bool | None) -> Iterator[tuple[int, dict[int, np.ndarray]]]:
        self._finish(progress)
        refused = [self._score(expression)[1] for expression in self._expressions]
        for index in range(self.num_frames):
            shown = {}
            for name, (expression, no_target) in enumerate(zip(self._expressions, refused, strict=True)):
                code = None if no_target else expression.masks[index]
                shown[name] = rle_to_masks([code], self._size)[0]
            yield index, shown

    def results(self, format: Literal["rle", "numpy"] = "rle", progress: bool | None = None) -> list[dict[str, Any]]:
        """Answer what is not answered yet, and give the answers as a list in the order of the ids.

        Args:
            format: of the masks: "rle", a list with the COCO run-length code of each frame, or "numpy", bool (frames,
                height, width).
            progress: as in `masks`.

        Returns:
            A dict per sentence: `id`, `expression`, `score`, `masks`, `boxes` (frames, 4) float32 x1, y1, x2, y2 in
            pixels, `frame_scores` (frames,) float32, `query_indices` (frames,) int64, the query that answers each
            frame, `no_target`, and `frame_indices` and `timestamps`, the place of each frame in the only video that
            was added, else its number and None. With `no_target` masks are empty and boxes zero.

        Raises:
            ValueError: a format that does not exist, and as in `masks`.
        """
        if format not in MASK_FORMATS:
            raise ValueError(f"format {format!r} does not exist: use one of {', '.join(MASK_FORMATS)}")
        self._check_askable()
        self._finish(progress)
        return [self._result(name, format) for name in range(len(self._expressions))]

    def _result(self, name: int, format: str) -> dict[str, Any]:
        """The answer to one sentence in the terms of `results`."""
        expression = self._expressions[name]
        score, no_target = self._score(expression)
        masks: Any = expression.masks
        boxes = np.asarray(expression.boxes, np.float32)
        if no_target:
            masks, boxes = masks_to_rle([np.zeros(self._size, bool)]) * self.num_frames, np.zeros_like(boxes)
        info = self._infos[0] if len(self._infos) == 1 else None
        places = list(range(self.num_frames)) if info is None else info.frames_indices[: self.num_frames]
        times = None if info is None or info.timestamps is None else info.timestamps[: self.num_frames]
        return {
            "id": name,
            "expression": expression.text,
            "score": score,
            "masks": rle_to_masks(masks) if format == "numpy" else masks,
            "boxes": boxes,
            "frame_scores": np.asarray(expression.frame_scores, np.float32),
            "query_indices": np.asarray(expression.queries),
            "no_target": no_target,
            "frame_indices": places,
            "timestamps": times,
        }

    def _score(self, expression: _Expression) -> tuple[float, bool]:
        """Score of a sentence over the whole video, and whether it has no target."""
        score = float(np.mean(expression.frame_scores))
        return score, self.threshold is not None and score < self.threshold

    def _check_open(self) -> None:
        self._check_whole()
        if self._complete:
            raise ValueError("the masks were asked for, which ended the video: start a new session for more frames")

    def _check_askable(self) -> None:
        self._check_whole()
        if not self.num_frames:
            raise ValueError("there are no frames: call add_video or add_frames first")
        if not self._expressions:
            raise ValueError("there are no sentences: call add_expressions first")

    def _check_whole(self) -> None:
        if self._working:
            raise ValueError("an error or an interruption has left this session half done: start a new one")

    def _announce(self, count: int, size: tuple[int, int], info: VideoInfo | None) -> None:
        """Note `count` further frames of this (height, width), or refuse them."""
        self._check_size(size)
        total = self.num_frames + count
        frames = total if self.mode == "exact" else min(total, self.clip_frames)
        _, height, width = self.processor.video_processor.input_size(np.empty((1, *size, 3), np.uint8), num_frames=1)
        check_memory([(frames, height, width)], self._parameters, available_memory(self.model.device))
        self._size, self.num_frames = size, total
        self._infos.append(info)

    def _check_size(self, size: tuple[int, ...]) -> None:
        if self.num_frames and size != self._size:
            raise ValueError(
                f"frames of different sizes in one video: the first are {self._size[1]}x{self._size[0]}, a later one "
                f"is {size[1]}x{size[0]}; resize them to one size"
            )

    def _check_type(self, dtype: np.dtype) -> None:
        if self._dtype not in (None, dtype):
            raise ValueError(f"the first frames are {self._dtype} and a later one {dtype}: give all frames one type")

    def _prepare(self, frame: np.ndarray) -> np.ndarray:
        """One frame (height, width, 3) at the size of the model's input, in its own type."""
        self._check_size(frame.shape[:2])
        self._check_type(frame.dtype)
        self._dtype = frame.dtype
        own = frame.copy()  # it may be a view of a whole video, or of a turned frame
        processor = self.processor.video_processor
        if not processor.do_resize:
            return own
        tensor = torch.from_numpy(own).permute(2, 0, 1)[None]
        resized = processor.resize(tensor, processor.size, resample=processor.resample)[0]
        # A resized float may leave 0..1 by a rounding error.
        resized = resized.clamp(0, 1) if resized.is_floating_point() else resized
        return resized.permute(1, 2, 0).contiguous().numpy()

    def _finish(self, progress: bool | None) -> None:
        """Read all frames and answer all sentences."""
        if self.mode == "clip":
            total, unit, long = self.num_frames - (self._clip[1] if self._clip else 0), "frame", self.clip_frames + 1
        else:
            total, unit, long = sum(not each.masks for each in self._expressions), "sentence", PROGRESS_FROM
        shown = total >= long if progress is None else progress
        with logging.tqdm(total=total, unit=unit, disable=not shown or not total) as bar:
            self._work(finish=True, bar=bar)

    @torch.no_grad()
    def _work(self, finish: bool, bar: Any = None) -> None:
        """Read the frames that were added, and answer all clips that are complete; with `finish` also the rest."""
        self._working = True
        while self._sources:
            for frame in self._sources[0]:
                self._frames.append(frame)
                start = 0 if self._clip is None else self._clip[0] + self._step
                stop = self._offset + len(self._frames)
                if self.mode == "clip" and stop == start + self.clip_frames:
                    self._answer_clip(start, stop, bar)
            self._sources.popleft()
        if finish:
            if not self._complete:
                self.num_frames = self._offset + len(self._frames)  # a damaged file has fewer than it announces
                self._complete = True
            if self.mode == "exact":
                self._answer_video(bar)
            elif self._clip is None or self._clip[1] < self.num_frames:
                self._answer_clip(self._last_start(), self.num_frames, bar)
            self._frames.clear()
        self._working = False

    def _last_start(self) -> int:
        """First frame of the last clip, which is as long as the others as far as windows allow."""
        if self._clip is None:
            return 0
        start = -(-(self.num_frames - self.clip_frames) // self._unit) * self._unit
        return min(start, self._clip[0] + self._step)

    def _answer_video(self, bar: Any) -> None:
        """Answer the sentences that have no answer, about all frames at once."""
        if self._features is None:
            self._features = self._encode(0, self.num_frames)
            self._frames.clear()
        best_only = self.union_threshold is None
        pending = [expression for expression in self._expressions if not expression.masks]
        for expression, outputs in self._ask(self._features, pending, best_only, bar):
            expression.write(0, self._post_process(outputs, self._features))

    def _answer_clip(self, start: int, stop: int, bar: Any) -> None:
        """Answer all sentences about the frames from `start` to before `stop`, and drop those that came before."""
        shared = 0 if self._clip is None else self._clip[1] - start
        first = (shared + 1) // 2  # frame of the clip from which on it answers
        features = self._encode(start, stop)
        for expression, outputs in self._ask(features, self._expressions, False):
            masks = outputs.pred_masks[0].sigmoid() > self.mask_threshold  # (frames, queries, h, w)
            previous = masks[:0, 0] if expression.last_masks is None else expression.last_masks
            scores = outputs.logits[0].float().sigmoid().nan_to_num(nan=0.0).mean(0).amax(-1)
            query = choose_query(scores, masks[:shared], previous[len(previous) - shared :])
            expression.last_masks = masks[:, query].clone()
            chosen = SimpleNamespace(
                logits=outputs.logits[:, first:],
                pred_boxes=outputs.pred_boxes[:, first:],
                pred_masks=outputs.pred_masks[:, first:, [query]],
                selected_queries=torch.tensor([query]),
            )
            expression.write(start + first, self._post_process(chosen, features))
        if bar is not None:
            bar.update(stop - start - shared)
        self._clip = (start, stop)
        while self._offset < start:
            self._frames.popleft()
            self._offset += 1

    def _encode(self, start: int, stop: int) -> SocVideoFeatures:
        """Features of the frames from `start` to before `stop`."""
        frames = np.stack(list(islice(self._frames, start - self._offset, stop - self._offset)))
        inputs = self.processor.video_processor(
            frames, do_resize=False, do_sample_frames=False, return_tensors="pt"
        ).to(self.model.device)
        return self.model.get_video_features(inputs["pixel_values_videos"], inputs["pixel_mask"])

    def _ask(
        self, features: SocVideoFeatures, expressions: Sequence[_Expression], best_only: bool, bar: Any = None
    ) -> Iterator[tuple[_Expression, SimpleNamespace]]:
        """Each sentence with the outputs for it, on its own."""
        if not expressions:
            return
        inputs = self.processor(text=[expression.text for expression in expressions])
        for rows, outputs in ask(self.model, features, inputs, self.batch_size, best_only):
            for row, expression in enumerate(expressions[rows]):
                names = ("logits", "pred_boxes", "pred_masks", "selected_queries")
                single = {name: outputs[name][row : row + 1] for name in names if name in outputs}
                yield expression, SimpleNamespace(**single)
                if bar is not None:
                    bar.update()

    def _post_process(self, outputs: Any, features: SocVideoFeatures) -> dict[str, Any]:
        """The answer of the processor for one sentence; no answer is refused yet."""
        frames = outputs.logits.shape[1]
        (answer,) = self.processor.post_process_referring_video_segmentation(
            outputs,
            [self._size],
            threshold=0.0,
            mask_threshold=self.mask_threshold,
            pixel_mask=features.pixel_mask[:, None].expand(-1, frames, -1, -1),
            union_threshold=self.union_threshold,
            mode=self.resize_mode,
        )
        return answer


__all__ = ["SocVideoSession"]
