"""Command-line options that say which model: of `ser.predict` and `ser.app`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ser.core.printable import shown

if TYPE_CHECKING:
    from ser.tracking.registry import Model

_DEFAULT = "default: %(default)s"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `chosen_model` reads."""
    which = parser.add_argument_group("model")
    source = which.add_mutually_exclusive_group()
    source.add_argument(
        "--run",
        metavar="RUN",
        help="run id, its first characters, latest (default: the newest trained on people), or "
        "best (see --best-...)",
    )
    source.add_argument(
        "--model",
        metavar="MODEL",
        help="instead of a run: models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/model, or the "
        "folder of a model",
    )
    which.add_argument("--experiment", help="MLflow experiment to look in (default: all)")
    which.add_argument("--uri", help="MLflow tracking URI; by default where ser.train logs")
    which.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="let the model run code of this package, which is neither ser's nor scikit-learn's; "
        "may be given several times",
    )
    which.add_argument(
        "--trust-everything",
        action="store_true",
        help="load a model although it may run any code on this machine",
    )
    best = parser.add_argument_group(
        "best run", "--run best is the best by a metric within one corpus and split, never across"
    )
    best.add_argument("--best-metric", metavar="METRIC", default="test_uar", help=_DEFAULT)
    best.add_argument("--best-corpus", metavar="CORPUS", default="ravdess", help=_DEFAULT)
    best.add_argument("--best-split", metavar="SPLIT", default="loso", help=_DEFAULT)
    best.add_argument(
        "--best-transductive", action="store_true", help="among models with scaler=speaker"
    )
    best.add_argument(
        "--best-pretrained",
        action="store_true",
        help="among models on a pretrained encoder that has, or may have, heard the corpus",
    )


def chosen_model(arguments: argparse.Namespace) -> Model:
    """The model that the options name; what it is, and what may make it answer otherwise, is said.

    Raises
    ------
    SerError
        If there is none, or it needs code that is not trusted.
    """
    from ser.core.comparable import kind
    from ser.core.trust import EVERYTHING
    from ser.evaluation.metrics import higher_is_better
    from ser.tracking.registry import Best, find_model

    model = find_model(
        arguments.model or arguments.run or "latest",
        uri=arguments.uri,
        experiment=arguments.experiment,
        best=Best(
            metric=arguments.best_metric,
            highest=higher_is_better(arguments.best_metric),
            corpus=arguments.best_corpus,
            split=arguments.best_split,
            kind=kind(
                transductive=arguments.best_transductive, pretrained=arguments.best_pretrained
            ),
        ),
        trust=[EVERYTHING] if arguments.trust_everything else arguments.trust,
    )
    origin = model.origin
    about = (
        origin.said(len(model.emotions)) if origin else f"Model {model.name}, of an unknown run."
    )
    print(shown(about), file=sys.stderr)
    for sentence in model.differing_packages():
        print(f"Warning: {sentence}", file=sys.stderr)
    return model
