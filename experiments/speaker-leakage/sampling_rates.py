"""What a model learns from sampling rates where four emotions were recorded at 48 kHz, four at 16.

python experiments/speaker-leakage/sampling_rates.py     # 12 actors of RAVDESS, a minute
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import soundfile

import ser
from ser.data.dataset import Dataset
from ser.features.resampling import resample

LOW_EMOTIONS = ("calm", "disgust", "happy", "sad")  # every second one
LOW = 16_000  # Hz


def lowered(clips: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The same clips as files of the low rate."""
    paths = []
    for path in map(Path, clips["path"]):
        y, sr = soundfile.read(path, dtype="float32", always_2d=True)
        paths.append(str(folder / f"{path.stem}.wav"))
        soundfile.write(paths[-1], resample(y.mean(axis=1), sr, LOW), LOW, subtype="PCM_16")
    return clips.assign(path=paths, sr=LOW)


def uar(data: Dataset) -> float:
    """Of the SVM, each actor tested by a model of the others, in percent."""
    evaluation = ser.evaluate(ser.make_pipeline("svm"), data, ser.split(data, "loso"), n_splits=0)
    return 100 * evaluation.metrics["test_uar"]


def main() -> None:
    corpus = ser.load("ravdess")
    high = corpus.clips.query("actor <= 12").reset_index(drop=True)
    is_low = high["emotion"].isin(LOW_EMOTIONS).to_numpy()
    with TemporaryDirectory() as folder:
        low = lowered(high, Path(folder))
        of_table = {
            "all at 48 kHz": high,
            "all at 16 kHz": low,
            "mixed, all resampled to 16 kHz": pd.concat([high[~is_low], low[is_low]]).sort_index(),
        }
        store = Path(folder) / "features.sqlite"
        data = {
            name: ser.extract(replace(corpus, clips=table), store=store)
            for name, table in of_table.items()
        }
    own = np.where(is_low[:, None], data["all at 16 kHz"].features, data["all at 48 kHz"].features)
    data["mixed, each clip at its own rate"] = replace(data["all at 48 kHz"], X=own)
    print("| clips | UAR % |\n|---|---|")
    for name, each in data.items():
        print(f"| {name} | {uar(each):.1f} |", flush=True)


if __name__ == "__main__":
    main()
