"""What `best_transductive` is worth to who has few clips of a speaker, or of few emotions.

    python experiments/better-ears/few_clips.py     # RAVDESS, 4 minutes, features extracted before

The model is fitted as ever. What changes is whose mean and deviation the test actor's clips are
scaled by: those of all their sixty clips, or of some of them.
"""

import numpy as np
from hydra.utils import instantiate
from joblib import Parallel, delayed
from sklearn.metrics import recall_score
from sklearn.pipeline import Pipeline

import ser
from ser.data.dataset import Dataset
from ser.data.folds import Fold
from ser.models.pipeline import fit
from ser.models.scaling import SpeakerScaler
from ser.train.build import model_pipeline

CALM = "12 calm and neutral"
DRAWN = (5, 12, 30)


def statistics_of(emotions: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What is scaled by -> rows of one actor's clips."""
    order = rng.permutation(len(emotions))
    return {
        "all 60": np.arange(len(emotions)),
        **{f"{n} at random": order[:n] for n in DRAWN},
        CALM: np.flatnonzero(np.isin(emotions, ["calm", "neutral"])),
    }


def answers(pipeline: Pipeline, data: Dataset, X: np.ndarray, fold: Fold) -> dict[str, np.ndarray]:
    """Emotions of the fold's test clips, by each of the statistics."""
    train, test = fold.train, fold.test
    fitted = fit(pipeline, X[train], data.labels[train], groups=data.groups[train])
    own, rng = data.features[test].astype(np.float64), np.random.default_rng(test[0])
    said = {}
    for name, rows in statistics_of(data.labels[test], rng).items():
        deviation = own[rows].std(axis=0)
        scaled = (own - own[rows].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
        said[name] = fitted.predict(scaled.astype(np.float32))
    return said


def main() -> None:
    cfg = ser.compose("experiment=best_transductive").cfg
    data = ser.extract(ser.load("ravdess"), instantiate(cfg.features))
    folds = ser.split(data, "loso").folds
    scaled = SpeakerScaler().transform(data.features, data.groups)
    pipeline, _ = model_pipeline(cfg)
    work = (delayed(answers)(pipeline, data, scaled, fold) for fold in folds)
    said = Parallel(n_jobs=-1)(work)
    true = np.concatenate([data.labels[fold.test] for fold in folds])
    print("| scaled by | UAR % |\n|---|---|")
    for name in said[0]:
        predicted = np.concatenate([each[name] for each in said])
        print(f"| {name} | {100 * recall_score(true, predicted, average='macro'):.1f} |")


if __name__ == "__main__":
    main()
