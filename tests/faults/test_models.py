"""Made-up models: each is refused in a sentence, before it costs memory, time or the process."""

import json
import re
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import made_up_models
import numpy as np
import pytest
from made_up_models import CLASSIFIERS, attribute, change_array, parts, saved, write

from ser.core.checksum import CHECKSUM, checksum
from ser.core.errors import SerError
from ser.models.known_answers import keep_answers
from ser.models.trained import FEATURES_FILE, TRAINING_FILE, load_model

CHECKOUT = Path(__file__).resolve().parents[2]
HUGE = 10**9


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    for name, classifier in CLASSIFIERS.items():
        saved(classifier, place / name)
    return place


@pytest.fixture
def folder(folders, tmp_path, request):
    """A copy of the model that the test's first parameter names."""
    source = folders / request.node.callspec.params["name"]
    copy = tmp_path / "model"
    copy.mkdir()
    for file in source.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def first(values, field, number):
    values = values.copy()
    values[field][0] = number
    return values


def element(number):
    def change(values):
        values = values.copy()
        values.ravel()[-1] = number
        return values

    return change


def with_node(field, number):
    return lambda nodes: first(nodes, field, number)


TREES = ("tree", "forest", "boosting")
CASES = [
    *((name, "nodes", with_node("left_child", to)) for name in TREES for to in (HUGE, 0, -2)),
    *((name, "nodes", with_node("right_child", HUGE)) for name in TREES),
    *((name, "nodes", with_node("feature", to)) for name in TREES for to in (6, HUGE, -1)),
    *((name, "nodes", lambda nodes: nodes[:1]) for name in TREES),
    *(("histogram_boosting", "nodes", with_node("left", to)) for to in (HUGE, 0)),
    ("histogram_boosting", "nodes", with_node("feature_idx", HUGE)),
    ("histogram_boosting", "nodes", with_node("is_categorical", 1)),
    ("histogram_boosting", "nodes", lambda nodes: nodes[:0]),
    *((name, "_y", element(to)) for name in ("kd_tree", "ball_tree", "brute") for to in (-1, HUGE)),
    ("brute", "_y", lambda y: y[:-1]),
    ("brute", "_fit_X", lambda rows: rows[:, :-1]),
    ("svm", "_n_support", element(HUGE)),
    ("svm", "_n_support", element(-1)),
    ("svm", "_dual_coef_", lambda values: values[:, :1]),
    ("svm", "_intercept_", lambda values: values[:1]),
    ("svm", "_probA", lambda values: values[:1]),
    ("svm", "support_", lambda values: values[:1]),
    ("svm", "support_vectors_", lambda values: values[:, :2]),
]


@pytest.mark.parametrize(("name", "array", "change"), CASES)
def test_model_whose_numbers_do_not_fit_is_refused(folder, name, array, change):
    load_model(folder)
    change_array(folder, array, change)
    with pytest.raises(SerError, match=r"cannot be read as a model \(.+\): train it again"):
        load_model(folder)


@pytest.mark.parametrize("name", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("place", [1, 2, 3])  # index, nodes, bounds
def test_neighbours_that_lie_elsewhere_are_refused(folder, name, place):
    node, _ = attribute(folder, "_tree")
    array, content = node["content"]["content"][place], parts(folder)
    values = made_up_models.array(content[array["file"]])
    values = {1: element(HUGE), 2: with_node("idx_end", HUGE), 3: lambda v: v[:, :1]}[place](values)
    content[array["file"]] = made_up_models.written(values)
    write(folder, content)
    with pytest.raises(SerError, match="neighbours"):
        load_model(folder)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("place", [0, 2])  # features, outputs
def test_tree_that_asks_for_too_much_is_refused_before_it_is_built(folder, name, place):
    content = parts(folder)
    schema = json.loads(content["schema.json"])
    for node in made_up_models.nodes(schema):
        if node.get("__loader__") == "TreeNode":
            argument = node["__reduce__"]["args"]["content"][place]
            argument.update(content=str(10**12), __id__=1)  # equal numbers have one id
    content["schema.json"] = json.dumps(schema).encode()
    write(folder, content)
    with pytest.raises(SerError, match=r"a tree|boosting"):
        load_model(folder)


@pytest.mark.parametrize("name", ["tree"])
@pytest.mark.parametrize("loader", ["LossNode", "ConstructorFromReduceNode"])
def test_tree_that_is_built_another_way_is_refused(folder, name, loader):
    content = parts(folder)
    schema = json.loads(content["schema.json"])
    for node in made_up_models.nodes(schema):
        if node.get("__loader__") == "TreeNode":
            node["__loader__"] = loader
            if loader != "LossNode":
                node["content"] = node["__reduce__"]["args"]
    write(folder, content | {"schema.json": json.dumps(schema).encode()})
    with pytest.raises(SerError, match="not written as one"):
        load_model(folder)


@pytest.mark.parametrize("name", ["histogram_boosting"])
def test_random_generator_of_a_large_pool_is_refused(folder, name):
    node, schema = attribute(folder, "pool_size")
    node.update(content=str(HUGE), __id__=1)
    write(folder, parts(folder) | {"schema.json": json.dumps(schema).encode()})
    with pytest.raises(SerError, match="random generator"):
        load_model(folder)


@pytest.mark.parametrize("name", ["forest"])
@pytest.mark.parametrize("to", [10**6, -(10**6)])
def test_model_that_asks_for_a_million_threads_is_refused(folder, name, to):
    node, schema = attribute(folder, "n_jobs")
    node.update(content=str(to), __id__=1)
    write(folder, parts(folder) | {"schema.json": json.dumps(schema).encode()})
    with pytest.raises(SerError, match="n_jobs"):
        load_model(folder)


@pytest.mark.parametrize("name", ["sparse"])
@pytest.mark.parametrize(
    ("part", "change"),
    [
        *(("indices", element(to)) for to in (HUGE, -1)),
        *(("indptr", element(to)) for to in (HUGE, 0, -1)),
        ("indptr", lambda starts: starts[:-1]),
        ("indptr", lambda starts: starts + 1),
        ("data", lambda values: values[:-1]),
        ("shape", lambda sizes: sizes * HUGE),
        ("shape", lambda sizes: np.append(sizes, 1)),
        ("format", lambda _: np.array(b"bsr")),
        ("row", lambda _: np.zeros(3)),
    ],
)
def test_sparse_matrix_that_lies_outside_of_itself_is_refused(folder, name, part, change):
    content = parts(folder)
    (matrix,) = (name for name in content if name.endswith(".npz"))
    inner = made_up_models.unpacked(content[matrix])
    values = made_up_models.array(inner.get(f"{part}.npy", inner["data.npy"]))
    changed = inner | {f"{part}.npy": made_up_models.written(change(values))}
    write(folder, content | {matrix: made_up_models.packed(changed)})
    with pytest.raises(SerError, match="sparse matrix"):
        load_model(folder)
    write(folder, content | {matrix: made_up_models.packed(inner, zipfile.ZIP_DEFLATED)})
    with pytest.raises(SerError, match="compressed"):
        load_model(folder)


def test_pipeline_with_sparse_parts_answers_the_same_from_files(tmp_path):
    fitted = saved(CLASSIFIERS["sparse"], tmp_path)
    loaded = load_model(tmp_path).probabilities(made_up_models.X)
    np.testing.assert_array_equal(loaded, fitted.predict_proba(made_up_models.X))


def compressed(folder):
    write(folder, parts(folder) | {"zeros.npy": bytes(10**8)}, zipfile.ZIP_DEFLATED)


def declared(folder):
    node, _ = attribute(folder, "mean_")
    content = parts(folder)
    data = content[node["file"]]
    content[node["file"]] = data.replace(b"(6,), ", b"(6000000000,), ").replace(b" " * 9, b"", 1)
    write(folder, content)


def read_often(folder, ids=1):
    """A thousand parts that are read from one file."""
    node, schema = attribute(folder, "mean_")
    copies = [{**node, "__id__": number * ids} for number in range(1000)]
    kind = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    node.clear()
    node.update({**kind, "__id__": 10**6, "content": copies})
    write(folder, parts(folder) | {"schema.json": json.dumps(schema).encode()})


def read_often_without_an_id(folder):
    """skops keeps nothing of id 0."""
    node, _ = attribute(folder, "mean_")
    content = parts(folder)
    schema = content["schema.json"].replace(str(node["__id__"]).encode(), b"0")
    write(folder, content | {"schema.json": schema, "0.npy": content[node["file"]]})
    read_often(folder, ids=0)


def doubled(folder):
    """Sixty lists, each of the one before it twice."""
    node, schema = attribute(folder, "mean_")
    kind = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    inner = [{**kind, "__id__": 1, "content": []}]
    for number in range(2, 62):
        inner.append({**kind, "__id__": number, "content": [{"__id__": number - 1}] * 2})
    node.clear()
    node.update({**kind, "__id__": 100, "content": inner})
    write(folder, parts(folder) | {"schema.json": json.dumps(schema).encode()})


def deep(folder):
    write(folder, parts(folder) | {"schema.json": b"[" * 10**6 + b"]" * 10**6})


def object_array(folder):
    node, _ = attribute(folder, "mean_")
    write(folder, parts(folder) | {node["file"]: b"\x93NUMPY\1\0v\0" + bytes(118)})


@pytest.mark.parametrize("name", ["svm"])
@pytest.mark.parametrize(
    "make",
    [compressed, declared, read_often, read_often_without_an_id, doubled, deep, object_array],
    ids=lambda f: f.__name__,
)
def test_file_that_would_become_more_than_it_is_is_refused(folder, name, make):
    make(folder)
    with pytest.raises(SerError, match="cannot be read as a model"):
        load_model(folder)


@pytest.mark.parametrize("name", ["svm"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_training_clips_that_would_become_more_than_they_are_are_refused(folder, name, method):
    with zipfile.ZipFile(folder / TRAINING_FILE, "w", method) as archive:
        data = made_up_models.written(np.zeros(10**6))
        if method == zipfile.ZIP_STORED:
            data = data.replace(b"(1000000,), ", b"(9900000,), ")
        archive.writestr("X.npy", data)
    with pytest.raises(SerError, match=f"{TRAINING_FILE} cannot be read as a model"):
        load_model(folder)


@pytest.mark.parametrize("name", ["svm"])
@pytest.mark.parametrize(
    "settings", [{"n_fft": 1 << 20}, {"hop_length": 1}, {"n_mels": 10**9}, {"n_mfcc": "x"}]
)
def test_features_that_would_fill_the_memory_are_refused(folder, name, settings):
    file = folder / FEATURES_FILE
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | settings))
    with pytest.raises(SerError):
        load_model(folder)


@pytest.mark.parametrize("name", ["svm"])
def test_file_that_is_wrong_is_the_one_that_is_named(folder, name):
    file = folder / FEATURES_FILE
    record = json.loads(file.read_text(encoding="utf-8")) | {"fmax": "x"}
    file.write_text(json.dumps({**record, CHECKSUM: checksum(record)}))
    with pytest.raises(SerError, match=rf"{FEATURES_FILE} cannot be read as a model"):
        load_model(folder)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_model_that_fails_on_its_own_clips_is_said_to_be_damaged(tmp_path, number):
    pipeline = saved(CLASSIFIERS["svm"], tmp_path)
    answers = keep_answers(pipeline, made_up_models.X, made_up_models.Y)
    pipeline[0].mean_[0] = number
    with pytest.raises(SerError, match=r"m does not answer as .* fails .* damaged") as raised:
        answers.check(pipeline, name="m")
    assert "more training clips" not in str(raised.value)


@pytest.mark.parametrize("name", ["svm"])
def test_deep_settings_are_refused(folder, name):
    (folder / FEATURES_FILE).write_text('{"_target_":' * 10**5, encoding="ascii")
    with pytest.raises(SerError, match="cannot be read as a feature set's settings"):
        load_model(folder)


def test_network_of_another_size_is_refused_before_it_is_made(tmp_path):
    pytest.importorskip("skorch")
    from sklearn.pipeline import Pipeline

    from ser.models.networks.classifier import NetClassifier
    from ser.models.trained import TrainedModel, save_model

    X = np.random.default_rng(0).normal(size=(8, 256)).astype(np.float32)
    network = NetClassifier(n_mels=16, epochs=1, validation=0).fit(X, np.array(list("abababab")))
    save_model(TrainedModel(Pipeline([("c", network)]), made_up_models.FEATURES, False), tmp_path)
    load_model(tmp_path)
    _, schema = attribute(tmp_path, "network")
    for node in made_up_models.nodes(schema):
        if isinstance(node.get("content"), dict) and "_target_" in node["content"]:
            width = {**node["content"]["_target_"], "__id__": 1, "content": "30000"}
            node["content"]["width"] = width
            node["key_types"]["content"] *= 2
    write(tmp_path, parts(tmp_path) | {"schema.json": json.dumps(schema).encode()})
    with pytest.raises(SerError, match="weights are not those"):
        load_model(tmp_path)


def test_models_put_wrong_at_random_end_no_process(tmp_path):
    """For longer runs: the number of seconds, and of the seed, in this command."""
    command = [sys.executable, "tests/faults/fuzz.py", "model", "--seconds", "3"]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={"PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2),
    )
    assert run.returncode == 0, run.stderr[-5000:]
    assert int(re.search(r"(\d+) models", run.stdout)[1]) > 10
