# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
A model as graphs for other runtimes: ONNX, or programs of `torch.export`.

The folder holds a graph for each part of the model (`export.parts`), the files of the processor, and `manifest.json`,
which says what goes into each graph and comes out, and for which sizes it holds. `export.runner` answers with it.
"""

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.fx.experimental import _config

from ..modeling_soc import SocModel
from ..modeling_video_swin import VideoSwinBackbone
from ..outputs import beside
from ..processing_soc import SocProcessor
from .hub import check_model, find_model
from .parts import MIN_FRAMES, Part, fusion_part, recordable, text_part, vision_part

FORMATS = ("onnx", "torch")
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
OPSET = 20
TOLERANCE = 1e-3
SYMBOLIC: Any = _config

Report = Callable[[str], None]


def export_graphs(
    model: str | Path,
    output: str | Path,
    format: str = "onnx",
    frames: Sequence[int] = (),
    check: bool = True,
    report: Report = lambda message: None,
) -> dict[str, Any]:
    """
    Write a folder of graphs that `SocExportedModel` and other runtimes load.

    Args:
        model: folder with a model, its processor and tokenizer; or the name of a bundled checkpoint.
        output: new or empty folder; it appears complete or not at all.
        format: "onnx", or "torch" for programs of `torch.export`.
        frames: also make a vision graph for videos of each of these numbers of frames, which a temporal window covers.
            Longer videos always have one.
        check: compare the graphs with the model on sizes other than those they were recorded with.
        report: called with a line on each step.

    Returns:
        the content of `manifest.json`; with `check` under `largest_difference` that of each output, as a share of its
        largest value.

    Raises:
        FileNotFoundError: no such model, or it lacks a file.
        FileExistsError: `output` is not empty.
        ImportError: the packages of the extra `export` are missing.
        ValueError: a number of frames that needs no graph of its own, no model of this package, or graphs that differ
            from the model by more than 1e-3.
    """
    if format not in FORMATS:
        raise ValueError(f"The format {format!r} does not exist: use one of {', '.join(FORMATS)}.")
    check_packages(format)
    source, output = find_model(model), Path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise FileExistsError(f"'{output}' exists already: give a new or empty folder.")
    check_model(source)
    original = SocModel.from_pretrained(source, dtype=torch.float32).eval()
    processor = SocProcessor.from_pretrained(source)
    fixed = _fixed_frames(original, frames)
    output.parent.mkdir(parents=True, exist_ok=True)
    with beside(output) as temporary:
        folder = temporary / "new"
        folder.mkdir()
        processor.save_pretrained(folder)
        manifest = _describe(source, original, processor, format)
        for name, part in _parts(original, processor, fixed):
            report(f"recording {name}")
            manifest["graphs"].append(_write_part(part, name, folder, format))
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if check:
            report("checking")
            manifest["largest_difference"] = _check(folder, original, manifest)
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if output.exists():
            output.rmdir()
        os.replace(folder, output)
    return manifest


def check_packages(format: str) -> None:
    """Refuse a format whose packages are missing."""
    missing = [name for name in ONNX_PACKAGES if format == "onnx" and find_spec(name) is None]
    if missing:
        raise ImportError(
            f"ONNX needs {', '.join(missing)}: install the extra with `pip install transformers-soc[export]`."
        )


def _fixed_frames(model: SocModel, frames: Sequence[int]) -> list[int]:
    """The numbers of frames that get a graph of their own, in order."""
    if not frames:
        return []
    if not isinstance(model.backbone, VideoSwinBackbone):
        raise ValueError("The backbone reads frame by frame: one graph holds for any number, so ask for none.")
    covered = model.backbone.config.window_size[0]
    wrong = [count for count in frames if not MIN_FRAMES <= count <= covered]
    if wrong:
        raise ValueError(
            f"There is no graph for {wrong[0]} frames alone: ask for {MIN_FRAMES} to {covered}, longer videos always "
            "have one."
        )
    return sorted(set(frames))


def _parts(model: SocModel, processor: SocProcessor, fixed: list[int]) -> Iterator[tuple[str, Part]]:
    """Name and content of each graph."""
    plain = recordable(model)
    longest = int(processor.tokenizer.model_max_length)
    yield "vision", vision_part(plain, None)
    for frames in fixed:
        yield f"vision_{frames}", vision_part(plain, frames)
    yield "text", text_part(plain, longest)
    # The union of several queries needs the masks of all.
    yield "fusion", fusion_part(plain, longest, best_query_only=processor.union_threshold is None)


def _describe(source: Path, model: SocModel, processor: SocProcessor, format: str) -> dict[str, Any]:
    """The manifest without its graphs."""
    packages = ["transformers-soc", "torch", "transformers", *(ONNX_PACKAGES if format == "onnx" else ())]
    return {
        "version": MANIFEST_VERSION,
        "format": format,
        **({"opset": OPSET} if format == "onnx" else {}),
        "variant": "soc++" if model.config.early_fusion == "proxy" else "soc",
        "weights_sha256": {path.name: _sha256(path) for path in sorted(source.glob("*.safetensors"))},
        "packages": {name: version(name) for name in packages},
        "processor": {
            "class": type(processor).__name__,
            "size": dict(processor.video_processor.size),
            "threshold": processor.threshold,
            "union_threshold": processor.union_threshold,
        },
        "masks": "of the best query" if processor.union_threshold is None else "of all queries",
        "graphs": [],
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_part(part: Part, name: str, folder: Path, format: str) -> dict[str, Any]:
    """Record one part, write it, and return its entry of the manifest."""
    path = folder / f"{name}.{'onnx' if format == 'onnx' else 'pt2'}"
    with quiet():
        program = record(part)
        if format == "onnx":
            onnx_program: Any = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                verbose=False,
                # onnxscript 0.7 would join Clip and Max to a node without inputs; runtimes optimize when they load.
                optimize=False,
            )
            for node in onnx_program.model.graph.all_nodes():
                node.metadata_props.clear()  # the lines of code, and their paths, that it comes from
            onnx_program.save(path)
        else:
            torch.export.save(program, path)
    results = [node.meta["val"] for node in program.graph.output_node().args[0]]
    outputs = dict(zip(part.outputs, results, strict=True))
    return {
        "file": path.name,
        "part": name.partition("_")[0],
        "inputs": [_entry(name, tensor, part.axes[name], part) for name, tensor in part.inputs.items()],
        "outputs": [_entry(name, tensor, part.outputs[name], part) for name, tensor in outputs.items()],
        "ranges": {axis: list(limits) for axis, limits in part.ranges.items()},
    }


def _entry(name: str, tensor: torch.Tensor, axes: tuple[str, ...], part: Part) -> dict[str, Any]:
    """Name, number format and shape of an input or output: a number, or the name of an axis that may vary."""
    fixed = [isinstance(size, int) and axis not in part.ranges for axis, size in zip(axes, tensor.shape, strict=True)]
    shape = [size if known else axis for axis, size, known in zip(axes, tensor.shape, fixed, strict=True)]
    return {"name": name, "dtype": str(tensor.dtype).removeprefix("torch."), "shape": shape}


def record(part: Part) -> torch.export.ExportedProgram:
    """Record a part with axes of any size in its ranges."""
    sizes = {axis: torch.export.Dim(axis, min=low, max=high) for axis, (low, high) in part.ranges.items()}
    shapes = tuple(
        {index: sizes[axis] for index, axis in enumerate(part.axes[name]) if axis in sizes} for name in part.inputs
    )
    # Sizes of 1 and those above it are one case: a graph holds for a single sentence, window or frame, too.
    with torch.no_grad(), SYMBOLIC.patch(backed_size_oblivious=True):
        return torch.export.export(part.module, tuple(part.inputs.values()), dynamic_shapes=shapes, strict=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporters say to developers of torch off the screen."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch.__trace", "onnxscript", "onnx_ir")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check(folder: Path, model: SocModel, manifest: dict[str, Any]) -> dict[str, float]:
    """Largest difference between graphs and model for each output, as a share of the output's largest value."""
    from .runner import SocExportedModel

    exported = SocExportedModel.from_pretrained(folder)
    largest: dict[str, float] = {}
    for inputs in _probes(model, exported):
        with torch.no_grad():
            expected = model(**inputs, best_query_only=exported.best_query_only)
        found = exported(**inputs)
        for name in ("logits", "pred_boxes", "pred_masks"):
            share = (found[name] - expected[name]).abs().max() / expected[name].abs().max()
            largest[name] = max(largest.get(name, 0.0), share.item())
    wrong = [name for name, difference in largest.items() if not difference <= TOLERANCE]
    if wrong:
        raise ValueError(
            f"The graphs differ from the model: {wrong[0]} by {largest[wrong[0]]:.1e} of its largest value."
        )
    return largest


def _probes(model: SocModel, exported: Any) -> Iterator[dict[str, Any]]:
    """Videos and sentences of sizes other than those of the recording, for every vision graph."""
    generator = torch.Generator().manual_seed(0)
    text_config: Any = model.config.text_config
    vocabulary = text_config.vocab_size
    for number, (low, high) in enumerate(exported.frame_ranges):
        frames = low if low == high else low + 2
        height, width = (80, 142) if number % 2 else (97, 80)
        tokens = torch.randint(3, vocabulary, (1 + number % 2, 5 + number), generator=generator)
        yield {
            "pixel_values_videos": torch.randn(1, frames, 3, height, width, generator=generator),
            "input_ids": tokens,
            "attention_mask": torch.ones_like(tokens),
        }


__all__ = ["FORMATS", "MANIFEST", "export_graphs"]
