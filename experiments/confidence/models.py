"""How far each model's probabilities can be believed: the table of docs/models.md.

    python experiments/confidence/models.py                    # RAVDESS, all but the networks
    python experiments/confidence/models.py demo cnn lstm crnn # another corpus, named models

The tutorial's features (networks: their spectrograms), one fold of each protocol.
"""

import sys

import ser
from ser.evaluation.metrics import METRICS
from ser.models.pipeline import fit, predict_emotions

MODELS = (
    *("svm", "svm_linear", "kernel_ridge", "lda", "qda", "logistic_regression", "naive_bayes"),
    *("knn", "knn_weighted", "decision_tree", "random_forest", "adaboost", "gradient_boosting"),
    *("mlp", "mlp_default", "ensemble", "stacking"),
)
PROTOCOLS = ("random", "speaker")
NETWORKS = ("cnn", "lstm", "crnn")
SHOWN = ("uar", "confidence_auroc", "ece", "log_loss")


def row(model: str, corpus: str, protocol: str) -> list[str]:
    data = ser.extract(ser.load(corpus), "logmel" if model in NETWORKS else "notebook")
    split = ser.split(data, protocol)
    fold = split.folds[0]
    groups = data.groups[fold.train] if split.grouped else None
    pipeline = ser.make_pipeline(model)
    fitted = fit(pipeline, data.features[fold.train], data.labels[fold.train], groups=groups)
    predicted, proba = predict_emotions(fitted, data.features[fold.test], data.emotions)
    known = data.labels[fold.test]
    return [METRICS[m].text(METRICS[m](known, predicted, proba, data.emotions)) for m in SHOWN]


def main() -> None:
    corpus, *models = sys.argv[1:] or ["ravdess"]
    print(
        "| `model=` | "
        + " | ".join(f"{p}: {METRICS[m].heading}" for p in PROTOCOLS for m in SHOWN)
        + " |"
    )
    print("|---" * (1 + len(PROTOCOLS) * len(SHOWN)) + "|")
    for model in models or MODELS:
        cells = [cell for protocol in PROTOCOLS for cell in row(model, corpus, protocol)]
        print(f"| `{model}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
