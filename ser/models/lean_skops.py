"""skops, imported without PyTorch and Dask."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

# Modules of scikit-learn that import them, for arrays that ser has none of.
_ADAPTERS = [f"sklearn.externals.array_api_compat.{name}" for name in ("dask", "torch")]


def skops_io() -> ModuleType:
    """The module `skops.io`.

    To list scikit-learn's estimators skops imports all of its packages, and with them PyTorch and
    Dask where they are installed: 1.4 s of CPU time and 190 MB, of 1.8 s and 400 MB. So these
    imports fail while skops is imported, as they do on a machine without the two (None among the
    modules is Python's own way to say so); later ones succeed.
    """
    import scipy.special  # noqa: F401  skops looks for its functions in module after module: 0.1 s

    modules: dict[str, Any] = sys.modules
    barred = [name for name in _ADAPTERS if modules.setdefault(name, None) is None]
    try:
        return import_module("skops.io")
    finally:
        for name in barred:
            modules.pop(name, None)
