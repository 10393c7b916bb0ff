# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Weights of strangers: no pickled code runs, and what is damaged or does not fit is named before it costs memory."""

import json
import pickle
import random
import shutil
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from limits import Payload, limited_memory
from models import byte_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from transformers_soc import SocModel
from transformers_soc.conversion import convert_checkpoint, load_checkpoint
from transformers_soc.modeling_soc import CheckpointError

Header = dict[str, Any]
WEIGHTS = "model.safetensors"
EXAMPLE = Path(__file__).parents[1] / "examples/finetune_referring_video_segmentation.py"


def split_file(data: bytes) -> tuple[Header, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join_file(header: Header, values: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


# Each takes a header, the values and a source of chance, and gives a file.
def change_length(header: Header, values: bytes, chance: random.Random) -> bytes:
    data = join_file(header, values)
    (length,) = struct.unpack("<Q", data[:8])
    wrong = chance.choice([0, 1, length - 1, length + 1, length + 10**4, 10**8, 2**31, 2**63, 2**64 - 1])
    return struct.pack("<Q", wrong) + data[8:]


def truncate(header: Header, values: bytes, chance: random.Random) -> bytes:
    data = join_file(header, values)
    return data[: chance.randrange(len(data))]


def append(header: Header, values: bytes, chance: random.Random) -> bytes:
    return join_file(header, values + bytes(chance.randrange(1, 10**5)))


def pick(header: Header, chance: random.Random) -> Header:
    return header[chance.choice([name for name in header if name != "__metadata__"])]


def move(header: Header, values: bytes, chance: random.Random) -> bytes:
    """One tensor overlaps its neighbour, or leaves a hole."""
    entry, step = pick(header, chance), chance.choice([-(2**40), -64, -4, 4, 64, 2**40, 2**62])
    moved = chance.choice([(step, step), (step, 0), (0, step)])
    entry["data_offsets"] = [offset + by for offset, by in zip(entry["data_offsets"], moved, strict=True)]
    return join_file(header, values)


def change_dtype(header: Header, values: bytes, chance: random.Random) -> bytes:
    pick(header, chance)["dtype"] = chance.choice(
        ["F64", "F16", "BF16", "BOOL", "I8", "U64", "F8_E4M3", "EVIL", "", 7]
    )
    return join_file(header, values)


def change_shape(header: Header, values: bytes, chance: random.Random) -> bytes:
    entry = pick(header, chance)
    wrong = [[], [0], [-1], [2**32, 2**32], [2**63], [1.5], "shape", None, [*entry["shape"], 2], [*entry["shape"], 1]]
    entry["shape"] = chance.choice(wrong)
    return join_file(header, values)


def lose(header: Header, values: bytes, chance: random.Random) -> bytes:
    """The header is whole and true, but the last tensor is not there."""
    last = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][1])
    start = header.pop(last)["data_offsets"][0]
    return join_file(header, values[:start])


def rename(header: Header, values: bytes, chance: random.Random) -> bytes:
    name = chance.choice([name for name in header if name != "__metadata__"])
    header[chance.choice(["", "../../evil", "__class__", "\u0000", name.upper()])] = header.pop(name)
    return join_file(header, values)


def put_number(header: Header, values: bytes, chance: random.Random) -> bytes:
    """A value that is no number, in a tensor of floats."""
    start, end = pick(header, chance)["data_offsets"]
    place = chance.randrange(start, end, 4)
    wrong = struct.pack("<f", chance.choice([float("nan"), float("inf"), float("-inf")]))
    return join_file(header, values[:place] + wrong + values[place + 4 :])


def damage_header(header: Header, values: bytes, chance: random.Random) -> bytes:
    data = bytearray(join_file(header, values))
    for _ in range(chance.randrange(1, 64)):
        data[chance.randrange(8, 20_000)] ^= 1 << chance.randrange(8)
    return bytes(data)


def replace_file(header: Header, values: bytes, chance: random.Random) -> bytes:
    others = [b"", b"{}", b"\x00" * 8, b"PK\x03\x04" + values[:1000], pickle.dumps(Payload(Path("/nowhere/canary")))]
    return chance.choice([*others, join_file({}, b""), join_file({}, values), join_file([], b"")])  # type: ignore[arg-type]


DAMAGES: list[Callable[[Header, bytes, random.Random], bytes]] = [
    change_length, truncate, append, move, change_dtype, change_shape, lose, rename, put_number, damage_header,
    replace_file,
]  # fmt: skip


@pytest.mark.stress
def test_damaged_weights_are_refused(own_folder, amount):
    """Quickly, within twice the memory of the file and some for the model, and with the folder named."""
    data, chance, counts, slowest = (own_folder / WEIGHTS).read_bytes(), random.Random(0), Counter(), 0.0
    for number in range(amount(22, 330)):
        damage = DAMAGES[number % len(DAMAGES)]
        (own_folder / WEIGHTS).write_bytes(damage(*split_file(data), chance))
        start = time.process_time()
        with limited_memory(60), pytest.raises(CheckpointError, match=r"The weights in '.*folder'") as caught:
            SocModel.from_pretrained(own_folder)
        slowest = max(slowest, time.process_time() - start)
        counts[str(caught.value).partition("folder' ")[2][:20]] += 1
    print(dict(counts), f"slowest {slowest:.2f} s")
    assert slowest < 2 and len(counts) >= 3


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


BIAS = "class_heads.0.bias"
UNFIT: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = {
    "missing": (lambda weights: weights.pop(BIAS), f"missing: {BIAS}. With"),
    "shape": (
        lambda weights: weights.update({BIAS: torch.zeros(3)}),
        rf"of other shapes: {BIAS} \[3\] instead of \[1\]",
    ),
    "NaN": (lambda weights: weights[BIAS].fill_(torch.nan), f"are not finite in {BIAS}:"),
    "infinite": (lambda weights: weights[BIAS].fill_(torch.inf), f"are not finite in {BIAS}:"),
    "empty": (lambda weights: weights.clear(), "missing: backbone.* more. With"),
}


@pytest.mark.parametrize(("change", "sentence"), UNFIT.values(), ids=UNFIT)
def test_weights_that_do_not_fit_are_named(own_folder, change, sentence):
    change_weights(own_folder, change)
    for load in (SocModel.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(CheckpointError, match=sentence):
            load(own_folder)


def test_weights_may_be_left_out_on_purpose(own_folder):
    change_weights(own_folder, UNFIT["missing"][0])
    change_weights(own_folder, lambda weights: weights.update({"class_heads.1.bias": torch.zeros(3)}))
    model = SocModel.from_pretrained(own_folder, ignore_mismatched_sizes=True)
    assert model.class_heads[0].bias.isfinite().all() and model.class_heads[1].bias.shape == (1,)
    change_weights(own_folder, lambda weights: weights.update({"class_heads.1.bias": torch.zeros(1)}))
    _, report = SocModel.from_pretrained(own_folder, output_loading_info=True)
    assert set(report["missing_keys"]) == {BIAS}


def test_large_numbers_are_finite(own_folder):
    """Although their sum is not."""
    name = "text_encoder.embeddings.word_embeddings.weight"
    change_weights(own_folder, lambda weights: weights[name].fill_(3e38))
    assert SocModel.from_pretrained(own_folder).state_dict()[name].max() == torch.tensor(3e38)


def test_a_large_configuration_around_few_weights_costs_no_memory(own_folder):
    """Tensors that a file lacks are named before they are made: here layers of 268 MB."""
    config = json.loads((own_folder / "config.json").read_text()) | {"encoder_ffn_dim": 2**20}
    (own_folder / "config.json").write_text(json.dumps(config))
    with (
        limited_memory(60),
        pytest.raises(CheckpointError, match=r"linear1.weight \[64, 64\] instead of \[1048576, 64\]"),
    ):
        SocModel.from_pretrained(own_folder)


INDICES = {
    "outside": {"weight_map": {BIAS: "../../../../../../../../etc/passwd"}, "metadata": {}},
    "missing file": {"weight_map": {BIAS: "none.safetensors"}, "metadata": {}},
    "no map": {"metadata": {}},
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_hostile_lists_of_shards_are_refused(own_folder, index):
    (own_folder / WEIGHTS).unlink()
    (own_folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises((ValueError, OSError)):
        SocModel.from_pretrained(own_folder)


PICKLES: dict[str, Callable[[Any, Path], None]] = {
    "archive": lambda content, path: torch.save(content, path),
    "old": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    "plain": lambda content, path: path.write_bytes(pickle.dumps(content)) and None,
    "protocol 0": lambda content, path: path.write_bytes(pickle.dumps(content, protocol=0)) and None,
}


@pytest.mark.parametrize("write", PICKLES.values(), ids=PICKLES)
@pytest.mark.parametrize("key", ["model_state_dict", "optimizer_state_dict", "weight"])
def test_pickled_code_of_an_official_checkpoint_is_not_run(tmp_path, write, key):
    canary = tmp_path / "canary"
    write({"model_state_dict": {"weight": torch.zeros(1)}, key: Payload(canary)}, tmp_path / "evil.pth")
    byte_tokenizer(32).save_pretrained(tmp_path / "tokenizer")
    with pytest.raises(ValueError, match=r"pickled code|not a PyTorch checkpoint"):
        convert_checkpoint(tmp_path / "evil.pth", tmp_path / "out", tokenizer=tmp_path / "tokenizer")
    assert not canary.exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("write", PICKLES.values(), ids=PICKLES)
def test_pickled_weights_of_a_folder_are_not_read(own_folder, write):
    canary = own_folder / "canary"
    (own_folder / WEIGHTS).unlink()
    write({BIAS: Payload(canary)}, own_folder / "pytorch_model.bin")
    for load in (SocModel.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(OSError, match="safetensors"):
            load(own_folder)
    with pytest.raises(pickle.UnpicklingError):  # asked for, they are read, but not run
        SocModel.from_pretrained(own_folder, use_safetensors=False)
    shutil.copy(own_folder / "pytorch_model.bin", own_folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="damaged or incomplete"):
        SocModel.from_pretrained(own_folder)
    assert not canary.exists()


@pytest.mark.stress
def test_damaged_official_checkpoints_are_refused(tmp_path, amount):
    """Or read as what they then say; and no file of a few kilobytes takes 100 MB."""
    weights = {f"layer.{index}.weight": torch.full((8, 8), float(index)) for index in range(20)}
    chance, refused, tries = random.Random(0), 0, amount(100, 5000)
    for number in range(tries):
        path = tmp_path / "file.pth"
        torch.save({"model_state_dict": weights}, path, _use_new_zipfile_serialization=number % 2 == 0)
        data = bytearray(path.read_bytes())
        for _ in range(chance.randrange(1, 16)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        try:
            with limited_memory(100):
                assert all(isinstance(value, torch.Tensor) for value in load_checkpoint(path).values())
        except ValueError as error:
            assert "file.pth" in str(error)
            refused += 1
    print(f"{refused} of {tries} refused")
    assert refused > tries / 2


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def load_script() -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    specification = spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    assert specification is not None and specification.loader is not None
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_pickled_code_of_a_resumed_folder_is_not_run(tmp_path, accelerator):
    """Every file of the folder in turn, and files that accelerate would read for others."""
    script, folder, canary = load_script(), tmp_path / "checkpoint-1", tmp_path / "canary"
    model = torch.nn.Linear(2, 2)
    accelerator.prepare(model, torch.optim.AdamW(model.parameters()))
    accelerator.save_state(str(folder))
    (folder / script.STATE_FILE).write_text('{"step": 1}')
    assert script.load_checkpoint(accelerator, folder, None) == {"step": 1}
    extra = ["custom_checkpoint_0.pkl", "scaler.pt", "sampler.bin", "dl_state_dict.bin", "pytorch_model.bin"]
    for name in sorted({path.name for path in folder.iterdir()} | set(extra)):
        shutil.copytree(folder, tmp_path / "evil")
        torch.save({"state": Payload(canary)}, tmp_path / "evil" / name)
        try:
            script.load_checkpoint(accelerator, tmp_path / "evil", None)
        except Exception as error:
            print(name, type(error).__name__)
        assert not canary.exists(), name
        shutil.rmtree(tmp_path / "evil")
