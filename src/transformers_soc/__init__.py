# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""SOC and SOC++, referring video object segmentation for transformers; the import registers its classes."""

from transformers import AutoBackbone, AutoModel, AutoProcessor
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_soc import SocConfig, VideoSwinConfig
from .modeling_soc import SocModel, SocModelOutput, SocPreTrainedModel, SocVideoFeatures
from .modeling_video_swin import VideoSwinBackbone
from .pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline
from .processing_soc import SocProcessor
from .video_processing_soc import SocVideoProcessor

__version__ = "0.1.0"

TASK = "referring-video-segmentation"

# The configurations register themselves in their module.
AutoBackbone.register(VideoSwinConfig, VideoSwinBackbone, exist_ok=True)
AutoModel.register(SocConfig, SocModel, exist_ok=True)
AutoVideoProcessor.register(SocConfig, video_processor_classes={"torchvision": SocVideoProcessor}, exist_ok=True)
AutoProcessor.register(SocConfig, SocProcessor, exist_ok=True)
if TASK not in PIPELINE_REGISTRY.supported_tasks:
    PIPELINE_REGISTRY.register_pipeline(
        TASK, pipeline_class=ReferringVideoSegmentationPipeline, pt_model=AutoModel, type="multimodal"
    )

__all__ = [
    "ReferringVideoSegmentationPipeline",
    "SocConfig",
    "SocModel",
    "SocModelOutput",
    "SocPreTrainedModel",
    "SocProcessor",
    "SocVideoFeatures",
    "SocVideoProcessor",
    "VideoSwinBackbone",
    "VideoSwinConfig",
]
