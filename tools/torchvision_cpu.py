# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Start-up hook that lets a CUDA build of torchvision import beside a CPU build of torch.

Such a torchvision cannot load its native library, and then fails to register shape functions for operators that do
not exist. Declaring the two schemas just before torchvision is imported is enough for the parts that this project,
transformers and timm use. `make install` copies this file into the virtual environment when it is needed.
"""

import sys

# Named by the schema "torchvision::<name>"; both take boxes, scores and a threshold.
OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class _DeclareOperators:
    """Meta-path finder that finds nothing: it acts once, when torchvision is first looked up."""

    library: object = None  # the schemas live as long as this object

    def find_spec(self, name, path=None, target=None):
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        import torch

        if torch.version.cuda is None:
            library = _DeclareOperators.library = torch.library.Library("torchvision", "FRAGMENT")
            for operator in OPERATORS:
                if not hasattr(torch.ops.torchvision, operator):
                    library.define(operator + SIGNATURE)
        return None


sys.meta_path.insert(0, _DeclareOperators())
