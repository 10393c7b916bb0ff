# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc info`: what a bug report needs, what the package carries, and what a model is."""

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from transformers import AutoConfig

from .. import SocConfig, SocModel, SocProcessor
from ..configuration_soc import PRESETS
from .launch import shipped_files

PACKAGES = (
    "transformers-soc",
    "transformers",
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "datasets",
    "av",
    "numpy",
    "scipy",
    "pillow",
    "pycocotools",
)


def run(options: argparse.Namespace) -> None:
    """Print what is installed, and with `--model` a summary of that model.

    Raises:
        OSError: the model cannot be read.
        ValueError: it is no SOC model.
    """
    content: dict[str, Any] = {
        "python": f"{platform.python_version()} on {platform.platform()}",
        "packages": {package: _version(package) for package in PACKAGES},
        "device": _default_device(),
        "presets": sorted(PRESETS),
        "recipes": list(shipped_files("recipes")),
        "accelerate_configs": list(shipped_files("accelerate_configs")),
    }
    if options.model is not None:
        content["model"] = summarize_model(options.model)
    print(json.dumps(content, indent=2) if options.json else "\n".join(_lines(content)))


def summarize_model(name: str) -> dict[str, Any]:
    """Describe a checkpoint by its configuration and processor; its weights are not read.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no SOC model.
    """
    config = AutoConfig.from_pretrained(name)
    if not isinstance(config, SocConfig):
        raise ValueError(f"{name} is a model of the type {config.model_type!r}, not a SOC model.")
    with torch.device("meta"):
        model = SocModel(config)
    processor = SocProcessor.from_pretrained(name)
    return {
        "name": name,
        "variant": "soc++" if config.early_fusion == "proxy" else "soc",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "backbone": model.backbone.config.model_type,
        "text_encoder": model.text_encoder.config.model_type,
        "queries": config.num_queries,
        "classes": config.num_classes,
        "frame_size": dict(processor.video_processor.size),
        "longest_sentence": processor.tokenizer.model_max_length,
        "threshold": processor.threshold,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _default_device() -> str:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return f"cpu ({torch.get_num_threads()} threads)" if accelerator is None else str(accelerator)


def _lines(content: dict[str, Any]) -> list[str]:
    """The content as a table of two columns."""
    rows: dict[str, Any] = {}
    for name, value in content.items():
        rows |= value if isinstance(value, dict) else {name: value}
    return [f"{name.replace('_', ' '):<20}{_text(value)}" for name, value in rows.items()]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
