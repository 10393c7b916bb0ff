# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""How each benchmark asks a model: which frames go through it together, what counts as its answer, how masks grow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..data.transforms import centered_window


@dataclass(frozen=True)
class Protocol:
    """
    Args:
        answer: "masks", those of the query with the highest score over the clip; "label_maps", one map of all objects
            of an annotator, composed from their probabilities; or "candidates", the masks of all queries in the
            annotated frame, with their scores.
        metrics: family of figures, a key of `evaluation.SUMMARIES`.
        clips: "whole": all frames at once; "consecutive": runs of `clip_length` frames, each with its own choice of
            the query; "interleaved": every n-th frame, so that no part is longer than `clip_length`; "centered":
            `clip_length` frames around the annotated one, the edges repeated.
        clip_length: frames of one pass; None with "whole".
        mode: how mask logits become masks, see `SocProcessor.post_process_referring_video_segmentation`.
        do_lower_case: whether expressions are cleaned as in training; the official inference scripts do not.
        source: where the protocol comes from.
    """

    answer: str
    metrics: str
    clips: str
    clip_length: int | None
    mode: str
    do_lower_case: bool
    source: str

    @property
    def name(self) -> str:
        """The protocol in a few words, as tables of results print it."""
        return self.clips if self.clip_length is None else f"{self.clips} clips of {self.clip_length}"

    def clip_indices(self, num_frames: int, annotated: Sequence[int]) -> list[list[int]]:
        """Frames of each pass of a video; together, and without repeated edges, all that are answered for."""
        length = self.clip_length or num_frames
        if self.clips == "centered":
            return [centered_window(frame, num_frames, length) for frame in annotated]
        parts = -(-num_frames // length)
        if self.clips == "interleaved":
            return [list(range(start, num_frames, parts)) for start in range(parts)]
        return [list(range(start, min(start + length, num_frames))) for start in range(0, num_frames, length)]


_INFERENCE: dict[str, Any] = {
    "clips": "whole",
    "clip_length": None,
    "mode": "logits_to_original",
    "do_lower_case": False,
}
_TRAINER: dict[str, Any] = {
    "clips": "centered",
    "clip_length": 8,
    "mode": "padded_threshold_nearest",
    "do_lower_case": True,
}

# The official ones, by the names of `load_benchmark`.
PROTOCOLS: dict[str, Protocol] = {
    "refer_youtube_vos": Protocol("masks", "expressions", source="official infer_refytb.py", **_INFERENCE),
    "refer_davis": Protocol(
        "label_maps",
        "davis",
        source="official infer_davis.py, DAVIS 2017 unsupervised",
        **(_INFERENCE | {"clips": "consecutive", "clip_length": 36}),
    ),
    "a2d_sentences": Protocol("candidates", "instances", source="official evaluate_a2d_sentences", **_TRAINER),
    "jhmdb_sentences": Protocol("candidates", "instances", source="official evaluate_a2d_sentences", **_TRAINER),
    "mevis": Protocol("masks", "expressions", source="official infer_mevis.py, MeViS eval_mevis.py", **_INFERENCE),
    "long_rvos": Protocol("masks", "expressions", source="Long-RVOS evaluation", **_INFERENCE),
    "revos": Protocol("masks", "revos", source="ReVOS eval_revos.py", **_INFERENCE),
    **{
        name: Protocol("candidates", "instances", source="single images", **(_TRAINER | {"clip_length": 1}))
        for name in ("refcoco", "refcoco+", "refcocog")
    },
    **{
        name: Protocol("masks", "expressions", source="all frames", **(_INFERENCE | {"do_lower_case": True}))
        for name in ("moving_shapes", "folder")
    },
}

__all__ = ["PROTOCOLS", "Protocol"]
