"""Fisher vectors are gradients of a mixture's likelihood, of the sounding frames alone."""

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.models.fisher_vectors import FisherVectors

N_MELS, N_FRAMES = 8, 40
RNG = np.random.default_rng(0)
SPECTROGRAMS = RNG.normal(-30, 10, (12, N_FRAMES * N_MELS)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    return FisherVectors(n_mels=N_MELS, n_mfcc=3, n_components=4, random_state=0).fit(SPECTROGRAMS)


def test_vector_is_the_gradient_of_the_log_likelihood(fitted):
    frames = (fitted._frames(SPECTROGRAMS[0]) - fitted.mean_) / fitted.deviation_
    mixture, step = fitted.mixture_, 1e-4
    deviations = np.sqrt(mixture.covariances_)

    def slope(component, column, what):
        """Of the frames' mean log-likelihood along a mean or a deviation, in deviations."""
        likelihood = []
        for sign in (1, -1):
            means, spread = mixture.means_.astype(float), deviations.astype(float)
            of = means if what == "mean" else spread
            of[component, column] += sign * step * deviations[component, column]
            moved = type(mixture)(4, covariance_type="diag")
            moved.weights_, moved.means_, moved.covariances_ = mixture.weights_, means, spread**2
            moved.precisions_cholesky_ = 1 / spread
            likelihood.append(moved.score(frames.astype(float)))
        return (likelihood[0] - likelihood[1]) / (2 * step)

    gradient = np.array(
        [
            slope(component, column, what) / np.sqrt(mixture.weights_[component] * times)
            for what, times in (("mean", 1), ("deviation", 2))
            for component in range(4)
            for column in range(9)
        ]
    )
    (vector,) = fitted.transform(SPECTROGRAMS[:1])
    assert np.linalg.norm(vector) == pytest.approx(1)
    squared = vector * np.abs(vector)  # of signed square roots at unit length
    np.testing.assert_allclose(squared, gradient / np.abs(gradient).sum(), atol=1e-5)


def test_silence_after_a_clip_says_nothing(fitted):
    longer = np.full((1, 2 * N_FRAMES * N_MELS), SPECTROGRAMS[0].min(), dtype=np.float32)
    longer[0, : N_FRAMES * N_MELS] = SPECTROGRAMS[0]
    np.testing.assert_array_equal(fitted._vector(longer[0]), fitted._vector(SPECTROGRAMS[0]))


def test_a_clip_of_nothing_has_a_vector(fitted):
    assert np.isfinite(fitted.transform(np.full((1, N_FRAMES * N_MELS), -80))).all()


def test_same_seed_same_vectors(fitted):
    again = FisherVectors(n_mels=N_MELS, n_mfcc=3, n_components=4, random_state=0)
    np.testing.assert_array_equal(
        again.fit(SPECTROGRAMS).transform(SPECTROGRAMS), fitted.transform(SPECTROGRAMS)
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_mfcc": 9}, "n_mfcc=9: give 1 to 8"),
        ({"n_mfcc": 0}, "n_mfcc=0: give 1 to 8"),
        ({"n_mfcc": 3, "n_components": 0}, "n_components=0"),
        ({"n_mels": 7, "n_mfcc": 3}, "spectrograms of 7 bands.*features=logmel"),
    ],
)
def test_refuses_what_cannot_be_fitted(settings, said):
    with pytest.raises(SerError, match=said):
        FisherVectors(**{"n_mels": N_MELS, **settings}).fit(SPECTROGRAMS)


def test_more_components_than_frames_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="n_samples"):
        FisherVectors(n_mels=N_MELS, n_mfcc=3, n_components=500).fit(SPECTROGRAMS)
