# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Processor of SOC and SOC++: pairs videos with sentences, and turns model outputs into masks."""

import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional
from transformers.image_processing_utils import BatchFeature
from transformers.image_transforms import center_to_corners_format
from transformers.processing_utils import ProcessingKwargs, ProcessorMixin, Unpack
from transformers.video_utils import VideoMetadata

from .video_io import list_videos
from .video_processing_soc import SocVideoProcessorKwargs

MODES = ("logits_to_original", "padded_threshold_nearest")
LARGE_LOGIT = 1e4  # as certain as a query or pixel can be
Size = tuple[int, int]


class SocProcessorKwargs(ProcessingKwargs, total=False):
    videos_kwargs: SocVideoProcessorKwargs  # type: ignore[misc]


class SocProcessor(ProcessorMixin):
    """Video processor and tokenizer of SOC in one, with the post-processing of the model's outputs.

    Args:
        video_processor (`SocVideoProcessor`): prepares the videos.
        tokenizer: of the text encoder.
        do_lower_case: lower-case the expressions and collapse white space, as the official training does; False: take
            them as they are, as the official inference scripts do.
        threshold: score below which the answer is "no target"; None: nothing is refused.
        union_threshold: score from which further queries join the mask of the best one; None: only the best one.
    """

    valid_processor_kwargs: Any = SocProcessorKwargs
    text_kwargs = {"padding": True, "return_tensors": "pt"}
    videos_kwargs = {"return_tensors": "pt"}

    def __init__(
        self,
        video_processor: Any = None,
        tokenizer: Any = None,
        do_lower_case: bool = True,
        threshold: float | None = None,
        union_threshold: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.do_lower_case = do_lower_case
        self.threshold = threshold
        self.union_threshold = union_threshold
        super().__init__(video_processor, tokenizer, **kwargs)

    @property
    def model_input_names(self) -> list[str]:
        return [*self.video_processor.model_input_names, *self.tokenizer.model_input_names, "video_indices"]

    def __call__(
        self,
        videos: Any = None,
        text: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        video_indices: Sequence[int] | torch.Tensor | None = None,
        allow_url: bool | None = None,
        **kwargs: Unpack[SocProcessorKwargs],
    ) -> BatchFeature:
        """Prepare videos, expressions, or both, for [`SocModel`].

        Args:
            videos: one video or several, see `SocVideoProcessor`.
            text: an expression; a list of expressions, all about the only video or one for each video; or a list of
                lists, the expressions of each video.
            video_indices: (expressions,) which video each expression of a plain list is about.
            allow_url: fetch videos that are http(s) addresses.
            kwargs: of the video processor (`num_frames`, `fps`, `stride`, ...) and the tokenizer; `return_tensors` is
                "pt" unless given.

        Returns:
            `pixel_values_videos` (videos, frames, 3, height, width), `pixel_mask` (videos, frames, height, width),
            `input_ids` and `attention_mask` (expressions, tokens) and `video_indices` (expressions,), as far as they
            follow from what was given; with `return_metadata=True` also `video_metadata`, a list.

        Raises:
            ValueError: no or blank expressions, what is no text, an expression that is too long for the tokenizer,
                expressions that do not go with the videos; and what `video_io.read_video` raises.

        Warns:
            UserWarning: an expression was cut by `truncation=True`.
        """
        if videos is None and text is None:
            raise ValueError("there is nothing to process: pass videos, text or both")
        merged = self._merge_kwargs(tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)
        # The tokenizer has a stride too, for cutting texts; here it is always the video's.
        merged["text_kwargs"].pop("stride", None)
        if "stride" not in kwargs and "stride" not in (kwargs.get("videos_kwargs") or {}):
            merged["videos_kwargs"].pop("stride", None)

        items = None if videos is None else list_videos(videos)
        data: dict[str, Any] = {}
        if text is not None:
            expressions, indices = _pair(text, None if items is None else len(items), video_indices)
            data.update(self._tokenize(expressions, merged["text_kwargs"]))
            if indices is not None:
                data["video_indices"] = torch.tensor(indices, dtype=torch.long)
        elif video_indices is not None:
            raise ValueError("video_indices belong to expressions: pass text too")
        if items is not None:
            data.update(self.video_processor(items, allow_url=bool(allow_url), **merged["videos_kwargs"]))
        return BatchFeature(
            data,
            tensor_type=merged["text_kwargs"].get("return_tensors"),
            skip_tensor_conversion=self.skip_tensor_conversion,
        )

    def _tokenize(self, expressions: list[str], text_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Clean, check and tokenize expressions."""
        if self.do_lower_case:
            expressions = [" ".join(expression.lower().split()) for expression in expressions]
        for index, expression in enumerate(expressions):
            _check_expression(index, expression)
        # All calls tokenize alike: padding and truncation are set in the tokenizer, which threads may share.
        encoded = self.tokenizer(expressions, **text_kwargs)
        limit = self.tokenizer.model_max_length
        if len(encoded["input_ids"][0]) > limit:
            lengths = [int(torch.as_tensor(mask).sum()) for mask in encoded["attention_mask"]]
            index = lengths.index(max(lengths))
            raise ValueError(
                f"expression {index} has {lengths[index]} tokens, but the text encoder reads at most {limit}: shorten "
                "it, or pass truncation=True"
            )
        for index, encoding in enumerate(encoded.encodings or ()):
            if encoding.overflowing:
                warnings.warn(f"expression {index} was cut to {len(encoding.ids)} tokens", stacklevel=3)
        return dict(encoded)

    def post_process_referring_video_segmentation(
        self,
        outputs: Any,
        target_sizes: Sequence[Size] | torch.Tensor | None = None,
        threshold: float | None = None,
        mask_threshold: float = 0.5,
        *,
        pixel_mask: torch.Tensor | None = None,
        video_indices: Sequence[int] | torch.Tensor | None = None,
        expressions: Sequence[str] | None = None,
        video_metadata: Sequence[VideoMetadata] | None = None,
        union_threshold: float | None = None,
        mode: str = "logits_to_original",
        return_probabilities: bool = False,
    ) -> list[dict[str, Any]]:
        """Choose a query per expression and turn its mask logits into masks of the video's own size.

        The query with the highest score answers for all frames; the score is the sigmoid of its class logit, averaged
        over the real frames (with several classes: of the best class). Full-size masks are made frame by frame.

        Args:
            outputs: of [`SocModel`] in eval mode.
            target_sizes: the original (height, width) of each video; None: the unpadded size of the model's input.
            threshold: answer "no target" below this score; None: the value saved with the processor, and where none is
                saved nothing is refused.
            mask_threshold: a pixel belongs to the target when its probability is higher.
            pixel_mask: (videos, frames, height, width) as given to the model. Without it, videos count as unpadded and
                the model's input as four times the size of the mask logits.
            video_indices: (expressions,) the video of each expression; None: one to one, or all about the only video.
            expressions: the sentences, for the results.
            video_metadata: of each video as the video processor returns it, for indices and times of the frames.
            union_threshold: also take every other query that scores at least this, and the union of their masks, for
                sentences about several objects; needs outputs with the masks of all queries. None: the value saved
                with the processor.
            mode: "logits_to_original" resizes the logits straight to the original size and thresholds there, as the
                official inference scripts do; where the model's input was padded, to the padded size times the scale,
                and crops. "padded_threshold_nearest" thresholds at the padded input size, crops, and resizes the mask
                by nearest neighbour, as the official evaluation does.
            return_probabilities: also give `probabilities`, (frames, height, width) float32, of the chosen query's
                pixels at the original size, whether or not the answer is "no target"; not with a `union_threshold` or
                the mode "padded_threshold_nearest".

        Returns:
            A dict per expression, tensors on the CPU; frames are the real ones, without padding:

            - `expression`: the sentence, None when it was not given;
            - `score`: float, time-averaged score of the chosen query;
            - `masks`: (frames, height, width) bool;
            - `boxes`: (frames, 4) x1, y1, x2, y2 in pixels; of the masks with `union_threshold`, else as predicted;
            - `frame_scores`: (frames,) score of the chosen query in each frame;
            - `query_index`: int, the chosen query;
            - `no_target`: bool; if True, masks are False and boxes zero;
            - `frame_indices`, `timestamps`: lists with the place of each frame in the video and its time in seconds,
              None where unknown.

        Raises:
            ValueError: a mode or threshold that does not exist, arguments that do not fit together.

        Warns:
            UserWarning: the outputs hold NaN, which then counts as nothing found, or infinity.
        """
        if not 0 <= mask_threshold <= 1:
            raise ValueError(f"mask_threshold is a probability in 0..1, got {mask_threshold}")
        threshold = self.threshold if threshold is None else threshold
        union_threshold = self.union_threshold if union_threshold is None else union_threshold
        if return_probabilities and (union_threshold is not None or mode != "logits_to_original"):
            raise ValueError("return_probabilities needs mode='logits_to_original' and no union_threshold")

        outputs = _finite(outputs)
        geometries = self._geometries(
            outputs, target_sizes, pixel_mask, video_indices, expressions, video_metadata, mode
        )
        results = []
        for row, (video, geometry) in enumerate(geometries):
            answer = self._answer(outputs, row, geometry, mask_threshold, threshold, union_threshold)
            if return_probabilities:
                logits = outputs.pred_masks[row, : geometry.num_frames]
                selected = getattr(outputs, "selected_queries", None)
                chosen = logits[:, [answer["query_index"] if selected is None else 0]]
                answer["probabilities"] = torch.cat([geometry.enlarge(frame).sigmoid() for frame in chosen]).cpu()
            answer["expression"] = None if expressions is None else expressions[row]
            frames = len(answer["masks"])
            answer.update(_frame_places(None if video_metadata is None else video_metadata[video], frames))
            results.append(answer)
        return results

    def post_process_candidates(
        self,
        outputs: Any,
        target_sizes: Sequence[Size] | torch.Tensor | None = None,
        mask_threshold: float = 0.5,
        *,
        pixel_mask: torch.Tensor | None = None,
        video_indices: Sequence[int] | torch.Tensor | None = None,
        mode: str = "padded_threshold_nearest",
    ) -> list[dict[str, torch.Tensor]]:
        """The masks of all queries with their scores, which the A2D protocol ranks as detections.

        Args:
            as in `post_process_referring_video_segmentation`; `outputs` must hold the masks of all queries.

        Returns:
            A dict per expression, tensors on the CPU: `scores` (frames, queries), the sigmoid of the first class, and
            `masks` (frames, queries, height, width) bool.
        """
        if getattr(outputs, "selected_queries", None) is not None:
            raise ValueError("candidates need the masks of all queries: call the model without best_query_only")
        outputs = _finite(outputs)
        geometries = self._geometries(outputs, target_sizes, pixel_mask, video_indices, None, None, mode)
        results = []
        for row, (_, geometry) in enumerate(geometries):
            logits = outputs.pred_masks[row, : geometry.num_frames]
            masks = torch.stack([geometry.resize(frame, mask_threshold) for frame in logits]).bool()
            scores = outputs.logits[row, : geometry.num_frames, :, 0].float().sigmoid()
            results.append({"scores": scores.cpu(), "masks": masks.cpu()})
        return results

    @staticmethod
    def _geometries(
        outputs: Any,
        target_sizes: Sequence[Size] | torch.Tensor | None,
        pixel_mask: torch.Tensor | None,
        video_indices: Sequence[int] | torch.Tensor | None,
        expressions: Sequence[str] | None,
        video_metadata: Sequence[VideoMetadata] | None,
        mode: str,
    ) -> list[tuple[int, "_Geometry"]]:
        """The video of each expression and its sizes; refuses arguments that do not fit together."""
        if mode not in MODES:
            raise ValueError(f"mode {mode!r} does not exist: use one of {', '.join(MODES)}")
        num_expressions = len(outputs.logits)
        for name, values in {"expressions": expressions, "video_indices": video_indices}.items():
            if values is not None and len(values) != num_expressions:
                raise ValueError(f"{name} has {len(values)} entries for the outputs of {num_expressions} expressions")
        per_video = {"target_sizes": target_sizes, "pixel_mask": pixel_mask, "video_metadata": video_metadata}
        counts = {name: len(values) for name, values in per_video.items() if values is not None}
        if len(set(counts.values())) > 1:
            raise ValueError(f"these must have one entry per video, but differ: {counts}")
        num_videos = next(iter(counts.values()), None)
        indices = _resolve_indices(num_expressions, num_videos, video_indices)

        return [
            (
                video,
                _Geometry(
                    outputs,
                    None if pixel_mask is None else pixel_mask[video],
                    None if target_sizes is None else target_sizes[video],
                    mode,
                ),
            )
            for video in indices
        ]

    @staticmethod
    def _answer(
        outputs: Any,
        row: int,
        geometry: "_Geometry",
        mask_threshold: float,
        threshold: float | None,
        union_threshold: float | None,
    ) -> dict[str, Any]:
        """Scores, masks and boxes of one expression."""
        frames = geometry.num_frames
        probabilities = outputs.logits[row, :frames].float().sigmoid()  # (frames, queries, classes)
        scores, classes = probabilities.mean(0).max(-1)
        selected = getattr(outputs, "selected_queries", None)
        query = int(scores.argmax()) if selected is None else int(selected[row])
        score = float(scores[query])
        no_target = threshold is not None and score < threshold

        logits = outputs.pred_masks[row, :frames]
        chosen = torch.zeros_like(scores, dtype=torch.bool)
        chosen[query] = True
        if union_threshold is not None:
            chosen |= scores >= union_threshold
        if selected is None:
            logits = logits[:, chosen]
        elif int(chosen.sum()) > 1:
            raise ValueError("union_threshold needs the masks of all queries: call the model without best_query_only")

        masks = torch.zeros(frames, *geometry.target, dtype=torch.bool)
        boxes = torch.zeros(frames, 4)
        if not no_target:
            for index in range(frames):
                masks[index] = geometry.resize(logits[index], mask_threshold).any(0).cpu()
            boxes = geometry.pixel_boxes(outputs.pred_boxes[row, :frames, query])
            if union_threshold is not None:
                boxes = enclosing_boxes(masks)
        return {
            "score": score,
            "masks": masks,
            "boxes": boxes,
            "frame_scores": probabilities[:, query, classes[query]].cpu(),
            "query_index": query,
            "no_target": no_target,
        }


class _Geometry:
    """Sizes of one video on its way through the model, and the resizing of its mask logits.

    Args:
        outputs: of the model; only shapes are read.
        pixel_mask: (frames, height, width) of the video; None: no padding.
        target: original (height, width); None: the unpadded size.
        mode: one of MODES.
    """

    def __init__(self, outputs: Any, pixel_mask: torch.Tensor | None, target: Any, mode: str) -> None:
        self.mode = mode
        self.num_frames = outputs.logits.shape[1]
        self.padded: Size = (4 * outputs.pred_masks.shape[-2], 4 * outputs.pred_masks.shape[-1])
        self.valid = self.padded
        if pixel_mask is not None:
            real = pixel_mask.bool()
            self.padded = (real.shape[1], real.shape[2])
            self.valid = (int(real.any(2).any(0).sum()), int(real.any(1).any(0).sum()))
            # With an annotated frame the outputs have one frame, whatever the length of the clip.
            if self.num_frames == len(real):
                self.num_frames = int(real.flatten(1).any(1).sum())
            elif self.num_frames != 1:
                raise ValueError(
                    f"the outputs have {self.num_frames} frames and pixel_mask {len(real)}: pass the pixel_mask that "
                    "the model got"
                )
        self.target: Size = self.valid if target is None else (int(target[0]), int(target[1]))

    def resize(self, logits: torch.Tensor, mask_threshold: float) -> torch.Tensor:
        """Masks (queries, height, width) of the target size from logits (queries, h, w) of one frame."""
        if self.mode == "padded_threshold_nearest":
            masks = self._interpolate(logits, self.padded).sigmoid() > mask_threshold
            masks = masks[:, : self.valid[0], : self.valid[1]]
            return functional.interpolate(masks[None].float(), size=self.target, mode="nearest")[0] > 0.5
        return self.enlarge(logits).sigmoid() > mask_threshold

    def enlarge(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (queries, height, width) of the target size from logits (queries, h, w) of one frame."""
        scaled = tuple(
            round(padded * target / valid)
            for padded, target, valid in zip(self.padded, self.target, self.valid, strict=True)
        )
        return self._interpolate(logits, scaled)[:, : self.target[0], : self.target[1]]

    @staticmethod
    def _interpolate(logits: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
        return functional.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0]

    def pixel_boxes(self, boxes: torch.Tensor) -> torch.Tensor:
        """Boxes (frames, 4) x1, y1, x2, y2 in pixels from centre and size relative to the unpadded frame."""
        height, width = self.target
        corners: Any = center_to_corners_format(boxes.float().cpu())  # type: ignore[arg-type]
        return corners * torch.tensor([width, height, width, height])


def enclosing_boxes(masks: torch.Tensor) -> torch.Tensor:
    """Boxes (frames, 4) x1, y1, x2, y2 around masks (frames, height, width); zeros where a mask is empty."""
    boxes = torch.zeros(len(masks), 4)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        if len(rows):
            box[:] = torch.stack([columns[0, 0], rows[0, 0], columns[-1, 0] + 1, rows[-1, 0] + 1])
    return boxes


def _pair(
    text: Any, num_videos: int | None, video_indices: Sequence[int] | torch.Tensor | None
) -> tuple[list[str], list[int] | None]:
    """All expressions in one list, and the video of each where that is known."""
    texts = [text] if isinstance(text, str) else list(text)
    if all(isinstance(item, (list, tuple)) for item in texts) and texts:
        if video_indices is not None:
            raise ValueError("a list of expressions per video and video_indices exclude each other: pass one of them")
        if num_videos not in (None, len(texts)):
            raise ValueError(f"text has lists of expressions for {len(texts)} videos, but there are {num_videos}")
        video_indices = [video for video, group in enumerate(texts) for _ in group]
        texts = [expression for group in texts for expression in group]
        num_videos = None  # checked
    if not texts:
        raise ValueError("there are no expressions: pass at least one")
    for index, expression in enumerate(texts):
        if not isinstance(expression, str):
            raise TypeError(f"expression {index} is a {type(expression).__name__}: give strings, or lists of strings")
    if num_videos is None and video_indices is None:
        return texts, None
    return texts, _resolve_indices(len(texts), num_videos, video_indices)


def _check_expression(index: int, expression: str) -> None:
    """Refuses what is no text; markup, emoji and other languages are text."""
    if not expression.strip():
        raise ValueError(f"expression {index} is empty: give at least one word")
    if not any(character.isprintable() and not character.isspace() for character in expression):
        raise ValueError(f"expression {index} holds no character that can be seen: give at least one word")
    try:
        expression.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expression {index} is no valid text: its character {error.start} is half of a pair; decode it anew"
        ) from None


def _finite(outputs: Any) -> Any:
    """The outputs with numbers for what is none, and a warning where there was such; NaN is "nothing here"."""
    nothing = {"logits": -LARGE_LOGIT, "pred_masks": -LARGE_LOGIT, "pred_boxes": 0.0}
    broken = [name for name in nothing if not getattr(outputs, name).isfinite().all()]
    if not broken:
        return outputs
    warnings.warn(
        f"the outputs of the model hold NaN or infinity in {', '.join(broken)}, and NaN is taken for nothing found: "
        "check the weights, or use another dtype",
        stacklevel=3,
    )
    repaired = {
        name: getattr(outputs, name).nan_to_num(nan=value, posinf=LARGE_LOGIT, neginf=-LARGE_LOGIT)
        for name, value in nothing.items()
    }
    return SimpleNamespace(**repaired, selected_queries=getattr(outputs, "selected_queries", None))


def _resolve_indices(
    num_expressions: int, num_videos: int | None, video_indices: Sequence[int] | torch.Tensor | None
) -> list[int]:
    """The video of each expression: as given, else one to one, else all about the only video."""
    if video_indices is not None:
        indices = [int(index) for index in video_indices]
        if len(indices) != num_expressions:
            raise ValueError(f"video_indices has {len(indices)} entries for {num_expressions} expressions")
        if min(indices) < 0 or (num_videos is not None and max(indices) >= num_videos):
            raise ValueError(
                f"video_indices must be 0 to {(num_videos or 0) - 1}, the number of videos, got {indices}"
            )
        return indices
    if num_videos in (None, num_expressions):
        return list(range(num_expressions))
    if num_videos == 1:
        return [0] * num_expressions
    raise ValueError(
        f"{num_expressions} expressions cannot be paired with {num_videos} videos: pass one for each video, a list of "
        "lists, or video_indices"
    )


def _frame_places(metadata: VideoMetadata | None, frames: int) -> dict[str, list | None]:
    """Index and time in the video of each of the `frames` answered for, as far as the metadata tell."""
    if metadata is None or metadata.frames_indices is None or len(metadata.frames_indices) != frames:
        return {"frame_indices": None, "timestamps": None}
    try:
        timestamps = list(metadata.timestamps)
    except ValueError:  # no frame rate
        timestamps = None
    return {"frame_indices": [int(index) for index in metadata.frames_indices], "timestamps": timestamps}
