"""Zips of arrays, as skops and NumPy write them: looked at before anything of them is read."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

SCHEMA = "schema.json"  # of a skops file; everything else in it is an array or a sparse matrix
SPARSE = ".npz"  # ending of a sparse matrix: a zip of the arrays that it is made of
MAX_SIDE = 2**31 - 1  # of a sparse matrix
_PARTS = {f"{name}.npy" for name in ("data", "indices", "indptr", "format", "shape", "_is_array")}
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
        it has; if parts of a skops file stand for others that are larger; or if the indices of a
        sparse matrix lie outside of it.
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
            elif part.filename.endswith(SPARSE):
                _check_sparse(archive.read(part), part.filename)
            else:
                with archive.open(part) as array:
                    _check_array(array, part)


def with_parts(data: bytes, changed: Mapping[str, bytes]) -> bytes:
    """A zip with other contents of some of its parts."""
    copied = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(copied, "w") as copy:
        for part in archive.infolist():
            copy.writestr(part, changed.get(part.filename) or archive.read(part))
    return copied.getvalue()


def with_plain_matrices(data: bytes) -> bytes:
    """A skops file whose sparse matrices are not compressed: their sizes can be looked at."""
    plain = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.endswith(SPARSE):
                with np.load(archive.open(name)) as arrays:
                    np.savez(matrix := io.BytesIO(), allow_pickle=False, **arrays)
                plain[name] = matrix.getvalue()
    return with_parts(data, plain) if plain else data


def _check_sparse(data: bytes, name: str) -> None:
    """A matrix of rows or of columns, whose numbers lie where its indices say, within its shape."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if not _PARTS.issuperset(archive.namelist()):
            raise ValueError(f"{name} is no sparse matrix of rows or of columns (CSR, CSC)")
    check_archive(data)
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        parts = dict(archive)
    values, indices, indptr = (parts[key] for key in ("data", "indices", "indptr"))
    sizes, kind = parts["shape"], parts["format"].item()
    if kind not in (b"csr", b"csc") or sizes.shape != (2,):
        raise ValueError(f"{name} is no sparse matrix of rows or of columns (CSR, CSC)")
    outer, inner = sizes if kind == b"csr" else sizes[::-1]
    is_whole = (
        indices.dtype == indptr.dtype in (np.int32, np.int64)
        and values.shape == indices.shape
        and values.dtype.kind in "bif"
        and indptr.shape == (outer + 1,)
        and indptr[0] == 0
        and (indptr[1:] >= indptr[:-1]).all()
        and indices.ndim == 1
        and indptr[-1] <= len(indices)
        and ((indices >= 0) & (indices < min(inner, MAX_SIDE))).all()
    )
    if not is_whole:
        raise ValueError(f"the indices of the sparse matrix {name} do not fit its shape")


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
    files = (f"{own}.npy", f"{own}{SPARSE}")
    if "file" in node and (not own or node["file"] not in files):  # 0 is read each time
        raise ValueError("an array in it has another name than its id")
    return count
