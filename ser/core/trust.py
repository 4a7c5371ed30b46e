"""Code from outside of ser that a file names: loaded only if the user trusts it by name.

A plug-in is a package of somebody's own, with a feature set or an estimator. What names no plug-in
(a function of Python's or scikit-learn's) is never trusted by name, only with `EVERYTHING`.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Sequence

from ser.core.errors import SerError

EVERYTHING = "*"
# Packages whose functions any file may name to do harm, and which nobody writes a plug-in in.
_NO_PLUGINS = sys.stdlib_module_names | {
    *("joblib", "mlflow", "numpy", "pandas", "scipy", "ser", "sklearn", "skops", "torch")
}


def is_trusted(name: str, trust: Sequence[str]) -> bool:
    """Whether a class or function is in a package or module that the user trusts.

    Parameters
    ----------
    name : str
        With its module.
    trust : sequence of str
        Packages and modules; or `EVERYTHING`.

    >>> is_trusted("mine.features.Loudness", ["mine"])
    True
    >>> is_trusted("os.system", ["os"])
    False
    """
    if EVERYTHING in trust:
        return True
    return is_plugin(name) and any(name.startswith(f"{package}.") for package in trust)


def is_plugin(name: str) -> bool:
    """Whether the name is of a package that may hold a plug-in."""
    return name.partition(".")[0] not in _NO_PLUGINS


def check_trusted(names: Sequence[str], trust: Sequence[str], *, file: object) -> None:
    """Refuse a file that names code which is not trusted.

    Raises
    ------
    SerError
        It lists that code, and says how to trust it.
    """
    refused = [name for name in names if not is_trusted(name, trust)]
    if not refused:
        return
    packages = sorted({name.partition(".")[0] for name in refused if is_plugin(name)})
    if all(map(is_plugin, refused)):
        options = " ".join(f"--trust {package}" for package in packages)
        listed = ", ".join(f'"{package}"' for package in packages)
        how = f"say {options} (in Python trust=[{listed}])"
    else:
        how = f'say --trust-everything (in Python trust=["{EVERYTHING}"])'
    raise SerError(
        f"{file} needs code that is not trusted: {', '.join(refused)}. It is neither ser's nor "
        "an estimator of scikit-learn's, and can do anything on this machine. Only if you know "
        f"it, and who made the model, {how}."
    )


def load_by_name(name: str) -> object:
    """The class or function of a name with its module.

    Raises
    ------
    SerError
        If there is no such module, or nothing of this name in it.
    """
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SerError(
            f"{name} cannot be imported ({error}): install the package that it is in, or put its "
            "folder into PYTHONPATH."
        ) from error
