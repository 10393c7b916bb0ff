# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Answers with exported graphs, in the terms of `SocModel`: the same processor and post-processing go with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..modeling_fusion import SocVideoFeatures
from ..modeling_soc import PADDED_LOGIT, SocModel, SocModelOutput
from .graphs import MANIFEST, MANIFEST_VERSION, check_packages

PADDING = {"logits": PADDED_LOGIT, "pred_masks": PADDED_LOGIT}  # of frames that are none; boxes have 0
Run = Callable[[list[torch.Tensor]], list[torch.Tensor]]


class Graph:
    """
    One graph of a folder.

    Args:
        entry: its entry in the manifest.
        run: takes its inputs in order and returns its outputs.
    """

    def __init__(self, entry: dict[str, Any], run: Run):
        self.inputs = [part["name"] for part in entry["inputs"]]
        self.outputs = [part["name"] for part in entry["outputs"]]
        self.shapes = {part["name"]: part["shape"] for part in entry["inputs"]}
        self.ranges: dict[str, list[int]] = entry["ranges"]
        self.run = run

    def frames(self) -> tuple[int, int]:
        """Fewest and most frames of a vision graph."""
        fixed = self.shapes["pixel_values_videos"][1]
        low, high = self.ranges["frames"] if fixed == "frames" else (fixed, fixed)
        return low, high

    def __call__(self, **tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs by name; inputs that the graph does not have are left out."""
        for name in self.inputs:
            for axis, size in zip(self.shapes[name], tensors[name].shape, strict=True):
                low, high = self.ranges.get(axis, [size, size])
                if not low <= size <= high:
                    raise ValueError(
                        f"The exported graphs hold for {axis} from {low} to {high}, but `{name}` has {size}."
                    )
        return dict(zip(self.outputs, self.run([tensors[name] for name in self.inputs]), strict=True))


class SocExportedModel:
    """
    A folder of `transformers-soc export`, in the place of a [`SocModel`] at inference.

    Videos run one after the other; the sentences about each run together.

    Args:
        graphs: vision graphs, one for each range of frames, and those of text and fusion, by their part.
        best_query_only: whether the masks are those of the best query alone.
    """

    def __init__(self, graphs: dict[str, list[Graph]], best_query_only: bool):
        self.vision = sorted(graphs["vision"], key=Graph.frames)
        (self.text,), (self.fusion,) = graphs["text"], graphs["fusion"]
        self.best_query_only = best_query_only

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, num_threads: int | None = None, providers: list[Any] | None = None
    ) -> "SocExportedModel":
        """
        Load a folder.

        Args:
            folder: of `transformers-soc export`. Load programs of torch only from those you trust.
            num_threads: of one operator in ONNX Runtime; None: as it chooses.
            providers: of ONNX Runtime; None: the CPU.

        Raises:
            FileNotFoundError: no such folder, or a graph is missing.
            ImportError: ONNX Runtime is missing.
            ValueError: the manifest is of another version, or damaged.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise FileNotFoundError(f"'{folder}' has no {MANIFEST}: give a folder of `transformers-soc export`.")
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            entries, kind, known = manifest["graphs"], manifest["format"], manifest["version"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"'{folder / MANIFEST}' is damaged: export the model anew.") from None
        if known != MANIFEST_VERSION:
            raise ValueError(f"'{folder / MANIFEST}' has the version {known}, this package reads {MANIFEST_VERSION}.")
        check_packages(kind)
        graphs: dict[str, list[Graph]] = {}
        for entry in entries:
            path = folder / entry["file"]
            if not path.is_file():
                raise FileNotFoundError(f"'{path}' is missing: export the model anew.")
            run = _onnx(path, num_threads, providers) if kind == "onnx" else _torch(path)
            graphs.setdefault(entry["part"], []).append(Graph(entry, run))
        return cls(graphs, manifest["masks"] == "of the best query")

    @property
    def frame_ranges(self) -> list[tuple[int, int]]:
        """Fewest and most frames of each vision graph."""
        return [graph.frames() for graph in self.vision]

    def get_video_features(
        self, pixel_values_videos: torch.Tensor, pixel_mask: torch.Tensor | None = None
    ) -> SocVideoFeatures:
        """As [`SocModel.get_video_features`].

        Raises:
            ValueError: no graph holds for so many frames, or for frames of this size.
        """
        videos, frames, _, height, width = pixel_values_videos.shape
        if pixel_mask is None:
            pixel_mask = torch.ones(videos, frames, height, width, dtype=torch.bool)
        real = pixel_mask.bool()
        frame_mask = real.flatten(2).any(2)
        lengths = frame_mask.sum(1).tolist()
        graphs = [self._vision_graph(length) for length in lengths]
        parts = [
            list(graph(pixel_values_videos=video[None, :length].float()).values())
            for graph, video, length in zip(graphs, pixel_values_videos, lengths, strict=True)
        ]
        fine_map, *levels = (join(list(maps), frames, 0.0) for maps in zip(*parts, strict=True))
        return SocVideoFeatures(
            fine_map=fine_map, level_maps=tuple(levels), pixel_mask=real.any(1), frame_mask=frame_mask
        )

    def _vision_graph(self, frames: int) -> Graph:
        for graph, (low, high) in zip(self.vision, self.frame_ranges, strict=True):
            if low <= frames <= high:
                return graph
        held = " and ".join(str(low) if low == high else f"{low} to {high}" for low, high in self.frame_ranges)
        raise ValueError(
            f"The exported graphs hold for {held} frames, but a video has {frames}: export the model with "
            f"`--frames {frames}` too, or take other frames."
        )

    def __call__(
        self,
        pixel_values_videos: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        video_indices: torch.Tensor | None = None,
        video_features: SocVideoFeatures | None = None,
    ) -> SocModelOutput:
        """
        As [`SocModel`] in evaluation.

        Returns:
            `logits`, `pred_boxes`, `pred_masks`, and `selected_queries` where `best_query_only`.

        Raises:
            ValueError: inputs are missing or contradict each other, or no graph holds for their sizes.
        """
        if input_ids is None:
            raise ValueError("`input_ids` are missing: a model of referring segmentation needs at least one sentence.")
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if video_features is None and pixel_values_videos is not None:
            video_features = self.get_video_features(pixel_values_videos, pixel_mask)
        elif video_features is None or pixel_values_videos is not None:
            raise ValueError("Give either `pixel_values_videos` or `video_features` from `get_video_features`.")
        videos = len(video_features.frame_mask)
        indices = SocModel._resolve_video_indices(video_indices, input_ids, videos)
        words = self.text(input_ids=input_ids, attention_mask=attention_mask)
        answers: list[Any] = [None] * len(indices)
        for video in indices.unique().tolist():
            rows = (indices == video).nonzero()[:, 0]
            own = {name: part[rows] for name, part in words.items()}
            found = self._ask(video_features, video, attention_mask[rows], own)
            for number, row in enumerate(rows.tolist()):
                answers[row] = {name: value[number : number + 1] for name, value in found.items()}
        frames = video_features.frame_mask.shape[1]
        fields: dict[str, Any] = {
            name: join([answer[name] for answer in answers], frames, PADDING.get(name, 0.0)) for name in answers[0]
        }
        return SocModelOutput(**fields)

    def _ask(
        self, features: SocVideoFeatures, video: int, attention_mask: torch.Tensor, words: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Predictions for sentences about one video, without its padded frames."""
        own, length = slice(video, video + 1), int(features.frame_mask[video].sum())
        maps = [level[own, :length] for level in (features.fine_map, *features.level_maps)]
        names = self.fusion.inputs[: len(maps)]
        return self.fusion(
            **dict(zip(names, maps, strict=True)),
            pixel_mask=features.pixel_mask[own],
            attention_mask=attention_mask,
            **words,
        )


def join(parts: list[torch.Tensor], frames: int, padding: float) -> torch.Tensor:
    """Joins tensors (1, own frames, ...), padded to so many frames, or (1,)."""
    if parts[0].ndim == 1:
        return torch.cat(parts)
    joined = parts[0].new_full((len(parts), frames, *parts[0].shape[2:]), padding)
    for target, part in zip(joined, parts, strict=True):
        target[: part.shape[1]] = part[0]
    return joined


def _onnx(path: Path, num_threads: int | None, providers: list[Any] | None) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    session = onnxruntime.InferenceSession(str(path), options, providers=providers or ["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        arrays = {name: tensor.cpu().contiguous().numpy() for name, tensor in zip(names, tensors, strict=True)}
        return [torch.from_numpy(array) for array in session.run(None, arrays)]

    return run


def _torch(path: Path) -> Run:
    module = torch.export.load(path).module()

    def run(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        with torch.no_grad():
            return list(module(*tensors))

    return run


__all__ = ["SocExportedModel"]
