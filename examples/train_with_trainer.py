# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Fine-tune a SOC or SOC++ model with the `Trainer` of transformers, all of it or, with `--lora`, adapters of PEFT.

    python examples/train_with_trainer.py --model_name_or_path model --data_root clips --output_dir out \
        --learning_rate 1e-4 --num_train_epochs 10 --per_device_train_batch_size 2 --lora

`clips` is a folder as `transformers_soc.data.folder` describes it; without it, the clips are generated. Every option
of `TrainingArguments` may follow. The output folder gets a model for `from_pretrained`, with the adapters merged in.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import HfArgumentParser, Trainer, TrainerCallback, TrainingArguments

from transformers_soc import SocModel, SocProcessor
from transformers_soc.data.clips import ClipDataset
from transformers_soc.data.collator import SocDataCollator
from transformers_soc.data.folder import load_folder
from transformers_soc.data.moving_shapes import load_moving_shapes
from transformers_soc.data.transforms import Augmentation
from transformers_soc.memory import keep_freed_memory
from transformers_soc.metrics.evaluation import score_videos
from transformers_soc.metrics.segmentation import format_table, summarize

# The attention projections of the fusion, the decoder and the cluster, and those of the deformable attention.
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "value_proj", "output_proj"]


@dataclass
class ExampleArguments:
    model_name_or_path: str = field(metadata={"help": "A model with its processor."})
    data_root: str | None = field(default=None, metadata={"help": "A folder with the splits train and validation."})
    num_videos: int = field(default=1000, metadata={"help": "Of generated data; a tenth of it for validation."})
    window_size: int = field(default=8, metadata={"help": "Frames of a clip."})
    lora: bool = field(default=False, metadata={"help": "Train adapters of the attention layers alone."})
    lora_rank: int = field(default=8, metadata={"help": "Rank of the adapters."})


class NewEpoch(TrainerCallback):
    """Lets the training clips draw anew in each epoch, with any number of processes."""

    def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any) -> None:
        train_dataloader.dataset.set_epoch(int(state.epoch or 0))


def load_tables(args: ExampleArguments) -> tuple[Any, Any]:
    """The splits for training and for validation, in the common schema."""
    if args.data_root is not None:
        return load_folder(args.data_root, "train"), load_folder(args.data_root, "validation")
    sizes = {"train": args.num_videos, "validation": max(1, args.num_videos // 10)}
    train, validation = (load_moving_shapes(split, size) for split, size in sizes.items())
    return train, validation


def main(arguments: list[str] | None = None) -> None:
    parser = HfArgumentParser([ExampleArguments, TrainingArguments])  # type: ignore[list-item]
    args, training_args = parser.parse_args_into_dataclasses(arguments)
    training_args.remove_unused_columns = False  # the collator reads clips, not columns
    training_args.label_names = ["labels"]  # PEFT hides the model's own signature
    training_args.eval_do_concat_batches = False  # masks differ in size from batch to batch
    training_args.prediction_loss_only = True  # J and F follow below, at the original size of the frames
    if training_args.device.type == "cpu":
        keep_freed_memory()

    model: Any = SocModel.from_pretrained(args.model_name_or_path)
    processor = SocProcessor.from_pretrained(args.model_name_or_path)
    if args.lora:
        from peft import LoraConfig, get_peft_model

        rank = args.lora_rank
        model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LORA_TARGETS))
        model.print_trainable_parameters()
    train, validation = load_tables(args)
    policy = "soc" if args.data_root is not None else "whole"
    trainer = Trainer(
        model=model,
        args=training_args,
        data_collator=SocDataCollator(processor),
        train_dataset=ClipDataset(
            train, policy, args.window_size, augmentation=Augmentation(), seed=training_args.seed
        ),
        eval_dataset=ClipDataset(validation, policy, args.window_size),
        processing_class=processor,
        callbacks=[NewEpoch()],
    )
    trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)

    if args.lora:
        model = model.merge_and_unload()
    if trainer.is_world_process_zero():
        model.save_pretrained(Path(training_args.output_dir))
        processor.save_pretrained(training_args.output_dir)
        scores = [score for video in score_videos(model.eval(), processor, validation) for score in video]
        print(format_table(summarize(scores)))


if __name__ == "__main__":
    main()
