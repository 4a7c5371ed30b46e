"""Leave-one-speaker-out of logistic regression on 113 librosa features, beside a published 50.5.

    python experiments/speaker-leakage/published_check.py data/ravdess

The published number (UAR, nested choice of C, 113 librosa features that are not listed) has no code
here to run. This computes 113 usual ones and takes ser's own protocol, so that what differs between
50.5 and our numbers on the tutorial's features can be told apart: the features, not the protocol.
"""

import sys

import librosa
import numpy as np
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ser.data import splits
from ser.data.audio import read_audio
from ser.data.corpora import ravdess
from ser.data.dataset import Dataset
from ser.evaluation.plan import Settings
from ser.evaluation.protocol import evaluate
from ser.models.pipeline import build_pipeline


def features(path):
    y, sr = read_audio(path)
    y, _ = librosa.effects.trim(y, top_db=40)
    mfcc = librosa.feature.mfcc(y=y, sr=sr, n_mfcc=20)
    delta = librosa.feature.delta(mfcc)
    contrast = librosa.feature.spectral_contrast(y=y, sr=sr)
    rms, zcr = librosa.feature.rms(y=y), librosa.feature.zero_crossing_rate(y)
    means = [mfcc, delta, contrast, rms, zcr, librosa.feature.chroma_stft(y=y, sr=sr)]
    means += [
        librosa.feature.spectral_centroid(y=y, sr=sr),
        librosa.feature.spectral_bandwidth(y=y, sr=sr),
        librosa.feature.spectral_rolloff(y=y, sr=sr),
    ]
    deviations = [mfcc, delta, contrast, rms, zcr]
    return np.concatenate([m.mean(axis=1) for m in means] + [d.std(axis=1) for d in deviations])


def main():
    clips = ravdess.load(sys.argv[1], download=False)
    features(clips["path"][0])  # librosa compiles itself here, before the workers load it
    X = np.array(Parallel(n_jobs=-1)(delayed(features)(path) for path in clips["path"]))
    split = splits.loso(clips)
    for C in (0.001, 0.01, 0.1, 1.0):
        model = LogisticRegression(C=C, max_iter=5000)
        pipeline = build_pipeline({"scaler": StandardScaler(), "classifier": model}, seed=69)
        m = evaluate(pipeline, Dataset(clips, X), split, Settings(n_splits=10, seed=69)).metrics
        print(
            f"{X.shape[1]} features, C={C}: LOSO UAR {100 * m['test_uar']:.1f}, "
            f"95 % over actors {100 * m['test_uar_low']:.1f} to {100 * m['test_uar_high']:.1f}"
        )


if __name__ == "__main__":
    main()
