# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc info`: what a bug report needs."""

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from ..configuration_soc import PRESETS

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
    """Print the versions, the default device and the presets."""
    print(f"{'python':<17}{platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        try:
            print(f"{package:<17}{version(package)}")
        except PackageNotFoundError:
            print(f"{package:<17}not installed")
    print(f"{'device':<17}{_default_device()}")
    print(f"{'presets':<17}{', '.join(sorted(PRESETS))}")


def _default_device() -> str:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return f"cpu ({torch.get_num_threads()} threads)" if accelerator is None else str(accelerator)
