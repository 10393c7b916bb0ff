# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""SOC and SOC++, referring video object segmentation for transformers; the import registers its classes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoBackbone, AutoModel, AutoProcessor
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_soc import SocConfig, VideoSwinConfig
from .modeling_soc import SocModel, SocModelOutput, SocPreTrainedModel, SocVideoFeatures
from .modeling_video_swin import VideoSwinBackbone
from .pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline
from .processing_soc import SocProcessor
from .session import SocVideoSession
from .video_processing_soc import SocVideoProcessor

if TYPE_CHECKING:
    from .export.runner import SocExportedModel

__version__ = "0.1.0"

TASK = "referring-video-segmentation"
DEFAULT_CHECKPOINT = "soc-plus-micro"


def bundled_checkpoint(name: str = DEFAULT_CHECKPOINT) -> str:
    """
    Folder of a checkpoint that the package carries, for `from_pretrained`.

    Raises:
        ValueError: the package has no checkpoint of this name.
    """
    folder = Path(__file__).parent / "checkpoints"
    known = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if name not in known:
        raise ValueError(f"'{name}' is not bundled with the package; {', '.join(known)} is.")
    return str(folder / name)


def __getattr__(name: str) -> Any:
    """Names whose modules few programs need are imported when asked for."""
    if name == "SocExportedModel":
        from .export.runner import SocExportedModel

        return SocExportedModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# The configurations register themselves in their module.
AutoBackbone.register(VideoSwinConfig, VideoSwinBackbone, exist_ok=True)
AutoModel.register(SocConfig, SocModel, exist_ok=True)
AutoVideoProcessor.register(SocConfig, video_processor_classes={"torchvision": SocVideoProcessor}, exist_ok=True)
AutoProcessor.register(SocConfig, SocProcessor, exist_ok=True)
if TASK not in PIPELINE_REGISTRY.supported_tasks:
    PIPELINE_REGISTRY.register_pipeline(
        TASK,
        pipeline_class=ReferringVideoSegmentationPipeline,
        pt_model=AutoModel,
        default={"model": (bundled_checkpoint(), "main")},
        type="multimodal",
    )

__all__ = [
    "ReferringVideoSegmentationPipeline",
    "SocConfig",
    "SocExportedModel",
    "SocModel",
    "SocModelOutput",
    "SocPreTrainedModel",
    "SocProcessor",
    "SocVideoFeatures",
    "SocVideoProcessor",
    "SocVideoSession",
    "VideoSwinBackbone",
    "VideoSwinConfig",
    "bundled_checkpoint",
]
