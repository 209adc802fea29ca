"""safetensors files, read and written without NumPy, which PyTorch does not always come with."""

import ctypes
import json
import math
import os
import sys

import torch

DTYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U8": torch.uint8}


def read_tensors(path):
    """Every tensor of the file at `path`, by name: views of one buffer."""
    if sys.byteorder != "little":
        raise RuntimeError("safetensors files are little-endian, this machine is not")
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        begin = file.tell()
        data = bytearray(file.seek(0, os.SEEK_END) - begin)
        file.seek(begin)
        file.readinto(data)
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        shape = entry["shape"]
        flat = torch.frombuffer(
            data, dtype=DTYPES[entry["dtype"]], count=math.prod(shape), offset=entry["data_offsets"][0]
        )
        tensors[name] = flat.reshape(shape)
    return tensors


def write_tensors(path, tensors):
    """Writes float32 tensors by name."""
    header = {}
    blocks = []
    end = 0
    for name, tensor in tensors.items():
        flat = tensor.detach().to("cpu", torch.float32).contiguous()
        block = ctypes.string_at(flat.data_ptr(), flat.numel() * flat.element_size())
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + len(block)]}
        blocks.append(block)
        end += len(block)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for block in blocks:
            file.write(block)
