# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Time of the model, stage by stage, beside the matrix peak that the machine reaches in the same minute.

    python benchmarks/speed.py --size soc-swin-t --frames 8 --expressions 1 --dtype float32 --json speed.json

The first runs warm up and are not counted; figures are medians of the others. On a machine that others use, too,
`--clock process --threads 1` reads the processor time of one thread, of the model and of the matrix product alike.
A stage's share of the peak is its floating point operations (counted by torch on the plain form of the model) over its
time and the dtype's peak. The reference is the official code with its sampling operator in plain PyTorch, on two cores
that reached 248 GFLOP/s in float32; it is scaled by the float32 peak measured here.
"""

import argparse
import json
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matrix_peak import matrix_peak
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from transformers_soc import SocConfig, SocModel, bundled_checkpoint
from transformers_soc.configuration_soc import PRESETS

WORDS = 12  # tokens of a sentence
# Seconds of the official code for (size, frames, expressions) at 360x640 in float32, and the peak of that machine. The
# first and the last line of SOC stand for SOC++, too, which was not measured there and takes longer.
REFERENCE = {
    ("soc-swin-t", 8, 1): 26.5,
    ("soc-swin-t", 16, 1): 59.0,
    ("soc-swin-t", 32, 1): 116.5,
    ("socpp-swin-t", 16, 1): 61.0,
    ("soc-swin-t", 16, 4): 222.0,
    ("socpp-swin-t", 8, 1): 26.5,
    ("socpp-swin-t", 16, 4): 222.0,
}
REFERENCE_GFLOPS = 248.0
STAGES = {
    "stem": ["backbone.stem"],
    "backbone stage 1": ["backbone.stages.0"],
    "backbone stage 2": ["backbone.stages.1"],
    "backbone stage 3": ["backbone.stages.2"],
    "backbone stage 4": ["backbone.stages.3"],
    "projections": ["level_projections"],
    "text encoder": ["text_encoder"],
    "early fusion": [
        "early_fusion.vision_reads_words",
        "early_fusion.words_read_vision",
        "early_fusion.proxies_read_vision",
    ],
    "deformable encoder": ["encoder"],
    "deformable decoder": ["decoder"],
    "mask features": ["mask_head.pixel_decoder"],
    "video cluster": ["video_cluster"],
    "query fusion": ["query_fusion"],
    "mask head": ["mask_head"],
}


CLOCKS = {"wall": time.perf_counter, "process": time.process_time}


def matrix_peaks(args: argparse.Namespace) -> dict[str, float]:
    """GFLOP/s of the product of two square matrices of each dtype."""
    names = ("float32", "bfloat16")
    return {name: matrix_peak(getattr(torch, name), args.device, partial(clock, args)) for name in names}


def timed(function: Callable[[], Any], args: argparse.Namespace) -> float:
    """Seconds of one call."""
    start = clock(args)
    function()
    return clock(args) - start


def clock(args: argparse.Namespace) -> float:
    """Seconds of the chosen clock once the device's queue is empty."""
    if args.device.startswith("cuda"):
        torch.cuda.synchronize()
    return CLOCKS[args.clock]()


def machine(device: str) -> dict[str, Any]:
    """What the figures were measured on."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name()
    elif cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return {"name": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "system": platform.system()}


def build_model(size: str, device: str = "cpu") -> SocModel:
    """The bundled model for `soc-plus-micro`, else a preset with random weights, in eval mode."""
    if size == "soc-plus-micro":
        return SocModel.from_pretrained(bundled_checkpoint(size)).eval().to(device)
    torch.manual_seed(0)
    with torch.device(device):
        return SocModel(SocConfig.from_preset(size)).eval()


def build_inputs(model: SocModel, args: argparse.Namespace) -> dict[str, torch.Tensor]:
    """One random video and random sentences about it."""
    generator = torch.Generator().manual_seed(0)
    height, width = args.frame_size
    vocabulary = model.config.text_config.vocab_size
    words = torch.randint(3, vocabulary, (args.expressions, WORDS), generator=generator)
    return {
        "pixel_values_videos": torch.randn(1, args.frames, 3, height, width, generator=generator),
        "input_ids": words,
        "attention_mask": torch.ones_like(words),
    }


class StageMeter:
    """Adds up, per stage, how far a counter (seconds, operations) moves while the stage's modules run."""

    def __init__(self, model: SocModel, counter: Callable[[], float]):
        self.counter = counter
        self.totals: dict[str, float] = defaultdict(float)
        self.starts: dict[str, float] = {}
        self.handles: list[Any] = []
        modules = dict(model.named_modules())
        for stage, names in STAGES.items():
            for module in [modules[name] for name in names if name in modules]:
                self.handles.append(module.register_forward_pre_hook(partial(self._start, stage)))
                self.handles.append(module.register_forward_hook(partial(self._stop, stage)))

    def _start(self, stage: str, *_: Any) -> None:
        self.starts[stage] = self.counter()

    def _stop(self, stage: str, *_: Any) -> None:
        self.totals[stage] += self.counter() - self.starts[stage]

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def count_operations(model: SocModel, inputs: dict[str, torch.Tensor]) -> dict[str, float]:
    """GFLOP per stage and in all, of the plain form (that of training); the model loses its data."""
    with FlopCounterMode(display=False) as counter:
        meter = StageMeter(model, lambda: counter.get_total_flops() * 1e-9)
        # The text encoder looks into its mask, so it alone runs with data.
        with torch.no_grad():
            words = model.text_encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        with FakeTensorMode() as fake:
            for module in model.modules():
                for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
                    if tensor is not None:
                        setattr(module, name, fake.from_tensor(tensor))
            words = type(words)({name: fake.from_tensor(value) for name, value in words.items()})
            model.text_encoder.forward = lambda **_: words
            model(**{name: fake.from_tensor(value) for name, value in inputs.items()}, best_query_only=True)
    return dict(meter.totals) | {"total": counter.get_total_flops() * 1e-9}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Medians of the time in all and per stage, the peaks before and after, and the operations."""
    dtype = getattr(torch, args.dtype)
    model = build_model(args.size, args.device).to(dtype)
    if args.attention:
        model.set_attn_implementation(args.attention)
    inputs = {name: value.to(args.device) for name, value in build_inputs(model, args).items()}
    run = torch.compile(model) if args.compile else model
    call = partial(run, **inputs, best_query_only=True)
    peaks = [matrix_peaks(args)]
    totals, stages = [], defaultdict(list)
    with torch.inference_mode():
        first = [timed(call, args) for _ in range(args.warmup)]
        for _ in range(args.repeats):
            # Hooks would break a compiled graph into its modules.
            meter = None if args.compile else StageMeter(model, partial(clock, args))
            totals.append(timed(call, args))
            if meter is not None:
                meter.remove()
                for stage in STAGES:
                    stages[stage].append(meter.totals[stage])
    peaks.append(matrix_peaks(args))
    return {
        "seconds": statistics.median(totals),
        "all_seconds": totals,
        "warmup_seconds": first,
        "stages": {stage: statistics.median(values) for stage, values in stages.items()},
        "peaks": peaks,
        "gflop": count_operations(model, inputs),
    }


def report(args: argparse.Namespace) -> dict[str, Any]:
    """One record: what was run, where, how long it took and what share of the peak that is."""
    figures = measure(args)
    operations = figures["gflop"]
    peak = {name: statistics.mean(entry[name] for entry in figures["peaks"]) for name in figures["peaks"][0]}
    figures["peak"] = peak
    limit = peak["float32" if args.dtype == "float32" else "bfloat16"]
    figures["share_of_peak"] = operations["total"] / figures["seconds"] / limit
    figures["stage_share_of_peak"] = {
        stage: operations.get(stage, 0.0) / seconds / limit for stage, seconds in figures["stages"].items() if seconds
    }
    reference = REFERENCE.get((args.size, args.frames, args.expressions))
    if reference is not None and tuple(args.frame_size) == (360, 640) and args.device == "cpu":
        figures["scaled_reference_seconds"] = reference * REFERENCE_GFLOPS / peak["float32"]
        figures["times_faster"] = figures["scaled_reference_seconds"] / figures["seconds"]
    settings = {name: value for name, value in vars(args).items() if name not in ("json", "markdown")}
    return {"settings": settings, "machine": machine(args.device)} | figures


def markdown(record: dict[str, Any]) -> str:
    """The record as a heading, a line on the machine and a table of stages."""
    settings, peak = record["settings"], record["peak"]
    form = "compiled" if settings["compile"] else "eager"
    height, width = settings["frame_size"]
    lines = [
        f"### {settings['size']}, {settings['frames']} frames of {height}x{width}, {settings['expressions']} "
        f"expression(s), {settings['dtype']}, {form}, {settings['device']}",
        "",
        f"{record['machine']['name']}, {record['machine']['threads']} thread(s), {settings['clock']} time, "
        f"torch {record['machine']['torch']}; "
        f"4096 torch.mm: {peak['float32']:.0f} GFLOP/s float32, {peak['bfloat16']:.0f} bfloat16.",
        "",
        "| stage | seconds | GFLOP | share of peak |",
        "| --- | ---: | ---: | ---: |",
    ]
    for stage, seconds in record["stages"].items():
        share = record["stage_share_of_peak"].get(stage, 0.0)
        lines.append(f"| {stage} | {seconds:.3f} | {record['gflop'].get(stage, 0.0):.1f} | {share:.0%} |")
    lines.append(
        f"| **total** | **{record['seconds']:.3f}** | {record['gflop']['total']:.1f} | {record['share_of_peak']:.0%} |"
    )
    if settings["compile"] and record["warmup_seconds"]:
        lines += ["", f"The first call, which compiles, took {record['warmup_seconds'][0]:.0f} s."]
    if "times_faster" in record:
        reference = record["scaled_reference_seconds"]
        lines += ["", f"Scaled reference {reference:.1f} s: {record['times_faster']:.2f} times faster."]
    return "\n".join(lines) + "\n"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that name a model and a video, for this script and `memory.py`."""
    parser.add_argument("--size", choices=[*PRESETS, "soc-plus-micro"], default="soc-swin-t")
    parser.add_argument("--expressions", type=int, default=1)
    parser.add_argument("--frame-size", type=int, nargs=2, default=(360, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the records here")
    parser.add_argument("--markdown", type=Path, help="write the tables here instead of printing them")


def write(args: argparse.Namespace, records: Any, text: str) -> None:
    if args.json is not None:
        args.json.write_text(json.dumps(records, indent=2) + "\n")
    if args.markdown is not None:
        args.markdown.write_text(text)
    else:
        print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    add_model_arguments(parser)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--attention", choices=["eager", "sdpa"], help="default: what the model chooses")
    parser.add_argument("--compile", action="store_true", help="time the model under torch.compile")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    record = report(args)
    write(args, record, markdown(record))


if __name__ == "__main__":
    main()
