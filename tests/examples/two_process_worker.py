# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
What each of two processes does for the tests: gradients of its share of a batch, then the script.

Usage: two_process_worker.py MODEL OUTPUT
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from example_tools import DATA, FINETUNE, collate, gradient_model, gradients, load_script, make_clips
from safetensors.torch import save_file


def main(model: str, output: Path) -> None:
    finetune = load_script(FINETUNE)
    accelerator = Accelerator(cpu=True, kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    assert accelerator.num_processes == 2
    for case, shares in enumerate(make_clips()):
        wrapped = accelerator.prepare(finetune.LossOnly(gradient_model()))
        # Twice: a process that waits for gradients in vain is found out in the second pass.
        for _ in range(2):
            wrapped.zero_grad()
            loss, _ = wrapped(**collate(shares[accelerator.process_index]))
            accelerator.backward(loss)
        if accelerator.is_main_process:
            save_file(gradients(accelerator.unwrap_model(wrapped).model), output / f"gradients-{case}.safetensors")
    finetune.main([*DATA, "--model_name_or_path", model, "--output_dir", str(output / "run"), *sys.argv[3:]])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
