"""What a model is known by: its run, corpus, protocol and score, which travel with its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.core.comparable import TAGS, is_synthetic, kind_of, reason
from ser.models.predictions import DIGITS

if TYPE_CHECKING:
    from ser.tracking.queries import LoggedRun

SYNTHETIC = "It was trained on synthetic voices: what it says of people's speech means nothing."
THIS_MODEL = "this model"  # what a run's score is of: tag `scored`
_TAGS = ("corpus", "test_corpus", "split", "protocol", "scored", "synthetic", *TAGS)
_METRICS = ("test_uar", "test_uar_low", "test_uar_high")


@dataclass(frozen=True)
class Origin:
    """The run that made a model.

    Attributes
    ----------
    run_id, name : str
    tags : mapping of str to str
    metrics : mapping of str to float
    """

    run_id: str
    name: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def corpus(self) -> str:
        """Name of the corpus that the model was trained on."""
        return self.tags["corpus"].removesuffix(f"-{self.tags.get('test_corpus')}")

    @property
    def protocol(self) -> str:
        """What the model had not heard of its test clips."""
        return self.tags.get("protocol", self.tags["split"])

    def said(self, n_emotions: int) -> str:
        """Run, corpus, protocol and score, and what makes these doubtful, in sentences."""
        test, uar = self.tags.get("test_corpus"), self.metrics.get("test_uar")
        tested = f", tested on {test}" if test else ""
        words = [f"Model {self.name}, run {self.run_id}, trained on {self.corpus}{tested}."]
        if uar is not None:
            ends = [self.metrics.get(f"test_uar_{end}") for end in ("low", "high")]
            interval = " to ".join(f"{100 * end:.1f}" for end in ends if end is not None)
            interval = f"95 % interval {interval}, " if interval else ""
            score = f"Test UAR {100 * uar:.1f} % ({interval}chance {100 / n_emotions:.1f} %)"
            words.append(f"{score}, {self.protocol}.")
        if (scored := self.tags.get("scored", THIS_MODEL)) != THIS_MODEL:
            words.append(f"The score is of {scored}.")
        if why := reason(kind_of(self.tags)):
            words.append(f"The score may be too high: {why}.")
        return " ".join([*words, *([SYNTHETIC] if is_synthetic(self.tags) else [])])


def columns(origin: Origin | None) -> dict[str, object]:
    """What each row of a file of predictions says of the model; None where it is not known."""
    uar = origin and origin.metrics.get("test_uar")
    return {
        "run": origin and origin.run_id,
        "trained_on": origin and origin.corpus,
        "protocol": origin and origin.protocol,
        "test_uar": uar and round(uar, DIGITS),
    }


def of_run(run: LoggedRun) -> Origin:
    """What the log says."""
    return Origin(run.id, run.name, run.tags, run.metrics)


def record(run: LoggedRun) -> dict[str, Any]:
    """What a model keeps of its run, among MLflow's metadata of it."""
    return {
        "name": run.name,
        "tags": {key: run.tags[key] for key in _TAGS if key in run.tags},
        "metrics": {key: run.metrics[key] for key in _METRICS if key in run.metrics},
    }


def of_folder(folder: Path) -> Origin | None:
    """What MLflow's folder of a model says; None of an older ser's, and of its files alone."""
    import yaml

    try:
        known = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    match known:
        case {
            "run_id": str() as run_id,
            "metadata": {
                "name": str() as name,
                "tags": {"corpus": str(), "split": str()} as tags,
                "metrics": dict() as metrics,
            },
        }:
            numbers = {key: value for key, value in metrics.items() if isinstance(value, float)}
            return Origin(run_id, name, {key: str(tags[key]) for key in tags}, numbers)
    return None
