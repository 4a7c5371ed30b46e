"""Each speaker's own statistics."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from ser.core.errors import SerError
from ser.models.scaling import MIN_CLIPS, SpeakerScaler


def test_transform_is_a_standard_scaler_for_each_speaker():
    rng = np.random.default_rng(0)
    X = rng.normal(3, 5, (60, 4)).astype(np.float32)
    X[:, 3] = 7  # constant
    speakers = rng.permutation(np.repeat(["a", "b", "c"], 20))
    scaled = SpeakerScaler().transform(X, speakers)
    for speaker in "abc":
        rows = speakers == speaker
        expected = StandardScaler().fit_transform(X[rows].astype(float))
        np.testing.assert_allclose(scaled[rows], expected, atol=1e-5)
    assert (scaled[:, 3] == 0).all()


def test_transform_takes_a_speakers_level_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)).astype(np.float32)
    speakers = np.repeat([1, 2], 20)
    louder = np.where(speakers[:, None] == 2, 10 * X + 100, X).astype(np.float32)
    np.testing.assert_allclose(
        SpeakerScaler().transform(X, speakers),
        SpeakerScaler().transform(louder, speakers),
        atol=1e-4,
    )


def test_transform_too_few_clips_of_a_speaker():
    speakers = np.array(["many"] * 20 + ["one"] * (MIN_CLIPS - 1))
    with pytest.raises(SerError, match="Speaker one has 4 clips"):
        SpeakerScaler().transform(np.ones((len(speakers), 2)), speakers)
