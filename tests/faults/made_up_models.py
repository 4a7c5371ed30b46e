"""Models as somebody would make them up: real ones with numbers, names and parts put wrong."""

import io
import json
import struct
import time
import zipfile
from contextlib import suppress

import numpy as np
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from ser.core.errors import SerError
from ser.features.notebook import NotebookFeatures
from ser.models.trained import PIPELINE_FILE, TrainedModel, load_model, save_model

FEATURES = NotebookFeatures(n_mels=0, n_mfcc=6, chroma=False)
X = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
Y = np.array(list("abc") * 20)
CLASSIFIERS = {
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(3, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=2, random_state=0),
    "histogram_boosting": HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2),
    "kd_tree": KNeighborsClassifier(algorithm="kd_tree", leaf_size=5),
    "ball_tree": KNeighborsClassifier(algorithm="ball_tree", leaf_size=5, p=3),
    "brute": KNeighborsClassifier(algorithm="brute"),
    "svm": SVC(probability=True, random_state=0),
    "sparse": make_pipeline(
        KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), KNeighborsClassifier()
    ),
    "mlp": MLPClassifier((4,), max_iter=2, random_state=0),
}
EXTREMES = (0, -1, 1, 2, 10**9, -(10**9), 2**63 - 1, 1e300, float("nan"), None, True, "x", [])


def saved(classifier, folder):
    """Save a model of a classifier, fitted on 60 clips; return its pipeline."""
    pipeline = Pipeline([("scale", StandardScaler()), ("classifier", classifier)]).fit(X, Y)
    save_model(TrainedModel(pipeline, FEATURES, False), folder)
    return pipeline


def parts(folder):
    """Name -> content of the parts of a model's skops file."""
    return unpacked((folder / PIPELINE_FILE).read_bytes())


def write(folder, content, method=zipfile.ZIP_STORED):
    (folder / PIPELINE_FILE).write_bytes(packed(content, method))


def unpacked(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def array(data):
    return np.load(io.BytesIO(data), allow_pickle=False)


def written(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def nodes(schema):
    """All mappings of a schema."""
    if isinstance(schema, dict):
        yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from nodes(inner)


def attribute(folder, name):
    """The first node of a model that is an attribute of this name, and its schema."""
    schema = json.loads(parts(folder)["schema.json"])
    for node in nodes(schema):
        if isinstance(node.get("content"), dict) and name in node["content"]:
            return node["content"][name], schema
    raise LookupError(name)


def change_array(folder, name, change):
    """Put another array for the attribute of this name: what `change` makes of it."""
    node, _ = attribute(folder, name)
    content = parts(folder)
    content[node["file"]] = written(change(array(content[node["file"]])))
    write(folder, content)


def mutate(content, rng):
    """One thing put wrong, at random."""
    content = dict(content)
    schema = json.loads(content["schema.json"])
    matrices = {name: unpacked(data) for name, data in content.items() if name.endswith(".npz")}
    content |= {
        f"{name}/{part}": data for name in matrices for part, data in matrices[name].items()
    }
    arrays = [name for name in content if name.endswith(".npy")]
    kind = rng.integers(8)
    if kind <= 1:  # a number or a name
        leaves = [node for node in nodes(schema) if node.get("__loader__") == "JsonNode"]
        leaf = leaves[rng.integers(len(leaves))]
        leaf["content"] = json.dumps(_extreme(rng))
        if rng.integers(2):
            leaf["__id__"] = 1  # equal numbers have one id, and the first of them counts
    elif kind == 2:  # parts in each other's place
        first, second = rng.choice([node for node in nodes(schema) if "__id__" in node], 2)
        copy = json.loads(json.dumps(second))
        first.clear()
        first.update(copy)
    elif kind == 3:  # an attribute less
        holders = [n for n in nodes(schema) if isinstance(n.get("content"), dict) and n["content"]]
        holder = holders[rng.integers(len(holders))]["content"]
        del holder[rng.choice(sorted(holder))]
    elif kind <= 6:
        name = arrays[rng.integers(len(arrays))]
        content[name] = _damaged(content[name], rng)
    else:  # an array in another's place
        name, other = rng.choice(arrays, 2)
        content[name] = content[other]
    for name, inner in matrices.items():
        content[name] = packed({part: content.pop(f"{name}/{part}") for part in inner})
    content["schema.json"] = json.dumps(schema).encode()
    return content


def _extreme(rng):
    return EXTREMES[rng.integers(len(EXTREMES))]


def _damaged(data, rng):
    """An array with other bytes, of another length, or that claims to be another."""
    kind, header = rng.integers(4), 10 + struct.unpack_from("<H", data, 8)[0]
    if kind == 0:
        values = array(data)
        keep = rng.integers(3)
        return written(values[:keep] if values.ndim else values)
    if kind == 1:
        length = header - 10
        text = data[10:header].replace(b"(", rng.choice([b"(9", b"(0,", b"(-1,"]), 1)
        return data[:10] + text[: length - 1].ljust(length - 1) + b"\n" + data[header:]
    changed = bytearray(data)
    size = rng.choice([1, 4, 8])
    for _ in range(rng.integers(1, 5)):
        at = header + int(rng.integers(max(1, (len(data) - header) // size))) * size
        changed[at : at + size] = (
            rng.bytes(size)
            if kind == 2
            else rng.choice(
                [b"\xff" * size, b"\0" * size, b"\x7f" * size, b"\1" + b"\0" * (size - 1)]
            )
        )
    return bytes(changed[: len(data)])


def try_model(folder, content):
    """Load it and ask it: only SerError leaves the loader. Returns whether it was loaded."""
    write(folder, content)
    try:
        model = load_model(folder)
    except SerError:
        return False
    with suppress(Exception):  # a bound of Python's or NumPy's
        model.probabilities(X)
    return True


def try_many(folder, seconds, seed, first=0):
    """Mutate models for so long; each number is written before it is tried. Returns how many."""
    seeds = []
    for name, classifier in CLASSIFIERS.items():
        saved(classifier, folder / name)
        seeds.append(parts(folder / name))
    end, number, loaded = time.monotonic() + seconds, first, 0
    while time.monotonic() < end:
        rng = np.random.default_rng([seed, number])
        (folder / "number").write_text(f"{seed} {number}", encoding="ascii")
        content = seeds[number % len(seeds)]
        with suppress(ValueError, LookupError):  # there is nothing left to put wrong
            for _ in range(rng.integers(1, 3)):
                content = mutate(content, rng)
        loaded += try_model(folder / "tree", content)
        number += 1
    return number, loaded
