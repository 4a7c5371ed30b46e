"""Zips of arrays, as skops and NumPy write them: looked at before anything of them is read."""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import Any

import numpy as np

SCHEMA = "schema.json"  # of a skops file; everything else in it is an array
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def check_archive(data: bytes) -> None:
    """Refuse a zip of arrays (skops, npz) that would become more than it is.

    Raises
    ------
    ValueError
        If a part is compressed, lies over another one, is no array, or declares another size than
        it has; or if parts of a skops file stand for others that are larger.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("a part of it is compressed, as ser writes none")
        if sum(max(part.file_size, part.compress_size) for part in parts) > len(data):
            raise ValueError("its parts are larger than the file")
        for part in parts:
            if part.filename == SCHEMA:
                _count_nodes(json.loads(archive.read(part)), {})
            else:
                with archive.open(part) as array:
                    _check_array(array, part)


def _check_array(array: Any, part: zipfile.ZipInfo) -> None:
    shape, _, dtype = _HEADERS[np.lib.format.read_magic(array)](array)
    n_bytes = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or not dtype.itemsize or n_bytes != part.file_size - array.tell():
        raise ValueError(f"{part.filename} is not the array of {shape} {dtype} that it claims")


def _count_nodes(node: object, counts: dict[object, int]) -> int:
    """Mappings in a schema. What has an id is read once, and then stands for all that have it."""
    if isinstance(node, list):
        return sum(_count_nodes(inner, counts) for inner in node)
    if not isinstance(node, dict):
        return 0
    count = 1 + sum(_count_nodes(inner, counts) for inner in node.values())
    own = node.get("__id__")
    if own is not None and counts.setdefault(own, count) != count:
        raise ValueError("parts of it that have one id are not alike")
    if "file" in node and (not own or node["file"] != f"{own}.npy"):  # 0 is read each time
        raise ValueError("an array in it has another name than its id")
    return count
