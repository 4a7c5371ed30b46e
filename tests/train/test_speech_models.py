"""A run on a speech encoder's layers: what it says, keeps and answers."""

import numpy as np
import pandas as pd
import pytest

from ser.core.errors import SerError
from ser.core.experiment import compose
from ser.features.checkpoint import FOLDERS
from ser.tracking.models import download_model
from ser.tracking.registry import find_model
from ser.train.run import train_tags
from tests.speech_models import make_checkpoint

pytestmark = pytest.mark.extra
SMALL = (
    "data=demo",
    "data.speakers=4",
    "model=lda",
    "split=speaker",
    "curves=none",
    "cv.n_splits=2",
)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="needs ser[speech]")
    return make_checkpoint("whisper", tmp_path_factory.mktemp("checkpoints") / "whisper")


def test_run_shows_its_layers_and_stands_apart_and_its_model_answers(
    run_here, demo_root, client, whisper, tmp_path, monkeypatch
):
    outcome = run_here(
        *(*SMALL, f"data.root={demo_root}", "selection=layer"),
        *("features=speech_model", f"features.checkpoint={whisper}"),
    )
    assert "PRETRAINED: the encoder's own training heard this corpus, or may have" in outcome.text
    tags = client.get_run(outcome.run_id).data.tags
    assert tags["pretrained"].startswith("whisper (") and tags["corpus_in_pretraining"] == "unknown"
    client.download_artifacts(outcome.run_id, "", str(tmp_path))
    layers = pd.read_csv(tmp_path / "tables" / "layers.csv")
    assert layers["layer"].tolist() == ["layer00", "layer01", "layer02"]
    assert layers[["emotion_uar", "actor_accuracy"]].apply(lambda of: of.between(0, 1)).all(None)
    chosen = pd.read_csv(tmp_path / "tables" / "chosen_layers.csv")
    assert chosen.groupby("fold")["chosen"].sum().tolist() == [1]
    assert "What each layer tells" in (tmp_path / "report.html").read_text(encoding="utf-8")
    folder = download_model(client.tracking_uri, f"runs:/{outcome.run_id}/model")
    requirements = (folder / "requirements.txt").read_text()
    assert "transformers==" in requirements and "torch==" in requirements
    assert "+cpu" not in requirements and "skorch" not in requirements
    (record,) = folder.rglob("features.json")
    assert str(whisper) not in record.read_text(encoding="utf-8")

    table = outcome.predictions
    paths = sorted(map(str, demo_root.rglob(table["clip"].iloc[0])))
    with pytest.raises(SerError, match="weights that are not here"):
        find_model(outcome.run_id, uri=client.tracking_uri)
    monkeypatch.setenv(FOLDERS, str(whisper.parent))
    model = find_model(outcome.run_id, uri=client.tracking_uri)
    answers = model.predict([paths[0]])
    columns = [column for column in table if column.startswith("p_")]
    rows = table[table["clip"] == table["clip"].iloc[0]]
    np.testing.assert_allclose(
        answers[columns].to_numpy()[0], rows[columns].to_numpy()[0], atol=1e-6
    )


@pytest.mark.parametrize("selection", ["layer_weights", "layer"])
def test_layers_of_a_union_are_chosen_beside_other_columns(run_here, demo_root, whisper, selection):
    outcome = run_here(
        *(*SMALL, f"data.root={demo_root}", f"selection={selection}"),
        *("features=union", "features.sets.functionals=null", "features.sets.compare=null"),
        "+features@features.sets.prosody=prosody",
        "+features@features.sets.speech_model=speech_model",
        f"features.sets.speech_model.checkpoint={whisper}",
    )
    assert outcome.metrics["test_uar"] > 0


def test_search_is_tagged_by_its_encoder_from_the_start(whisper):
    words = ["model=lda", "features=speech_model", f"features.checkpoint={whisper}"]
    tags = train_tags(compose(words, config="tune"), "ser.tune")
    assert tags["pretrained"].startswith("whisper (") and tags["corpus_in_pretraining"] == "unknown"
    assert tags["transductive"] == "false"
