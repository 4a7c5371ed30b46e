"""Fisher vectors: how a clip's frames differ from those of everybody, as one vector.

A mixture of Gaussians describes the frames of all training clips: each component a kind of sound.
Of a clip, the vector says for every component how its frames lie beside it, in mean and in
deviation. So a vowel is compared with the same vowel, where statistics over the whole clip mix all
sounds.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dct
from scipy.special import softmax
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_is_fitted, validate_data

from ser.core.errors import SerError
from ser.features.descriptors import delta

FITTED_ON = 30_000  # frames of the training clips at most: ten minutes of sound


class FisherVectors(TransformerMixin, BaseEstimator):
    """Log-mel spectrograms to improved Fisher vectors of their MFCCs and two derivatives.

    Of every frame, `n_mfcc` MFCCs with their slopes and the slopes of those; of every component of
    the mixture, the gradients by mean and deviation, averaged over frames; of these, signed square
    roots, at unit length (Perronnin et al. 2010).

    Parameters
    ----------
    n_mels : int
        Bands of a frame: the clips' columns are frame after frame (`ser.features.logmel`).
    n_mfcc : int
        1 to `n_mels`.
    n_components : int
        Gaussians with diagonal covariances, 1 or more.
    random_state : int or None
        Of the mixture's start, and of the frames that it is fitted on.

    Attributes
    ----------
    mean_, deviation_ : (3 * n_mfcc,) float32
        Of the training clips' frames, which are scaled by them.
    mixture_ : GaussianMixture
        Of scaled frames.

    References
    ----------
    Perronnin, Sanchez, Mensink (2010), Improving the Fisher kernel for large-scale image
    classification, ECCV, doi 10.1007/978-3-642-15561-1_11. For emotion in speech: Kaya, Karpov,
    Salah (2015), Fisher vectors with cascaded normalization for paralinguistic analysis,
    Interspeech.
    """

    of_spectrograms = True  # columns must come as the feature set has them, not scaled

    def __init__(
        self,
        *,
        n_mels: int = 64,
        n_mfcc: int = 13,
        n_components: int = 64,
        random_state: int | None = None,
    ) -> None:
        self.n_mels = n_mels
        self.n_mfcc = n_mfcc
        self.n_components = n_components
        self.random_state = random_state

    def check(self) -> None:
        """Refuse what no mixture could be fitted with: called before anything costs time.

        Raises
        ------
        SerError
            If a parameter is out of its bounds.
        """
        if not 1 <= self.n_mfcc <= self.n_mels:
            raise SerError(f"n_mfcc={self.n_mfcc}: give 1 to {self.n_mels}, the number of bands.")
        if self.n_components < 1:
            raise SerError(f"n_components={self.n_components}: give 1 or more.")

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> FisherVectors:
        """Fit the mixture to the clips' frames.

        Parameters
        ----------
        X : (n_clips, n_frames * n_mels)
            Log-mel spectrograms, not scaled.
        y : object
            Not looked at.

        Raises
        ------
        SerError
            If a parameter is out of its bounds, or columns are no spectrograms of `n_mels` bands.
        ValueError
            If there are fewer frames than components.
        """
        self.check()
        X = validate_data(self, X, dtype=np.float32)
        if X.shape[1] % self.n_mels:
            raise SerError(
                f"Fisher vectors need spectrograms of {self.n_mels} bands, and a clip has "
                f"{X.shape[1]} columns: train them on features=logmel with scaler=none."
            )
        frames = np.concatenate([self._frames(x) for x in X])
        draw = np.random.default_rng(self.random_state)
        if len(frames) > FITTED_ON:
            frames = frames[draw.choice(len(frames), FITTED_ON, replace=False)]
        self.mean_, deviation = frames.mean(axis=0), frames.std(axis=0)
        self.deviation_ = np.where(deviation > 0, deviation, np.float32(1))
        mixture = GaussianMixture(
            self.n_components,
            covariance_type="diag",
            reg_covar=1e-3,
            tol=1e-2,
            init_params="k-means++",
            random_state=self.random_state,
        )
        self.mixture_ = mixture.fit((frames - self.mean_) / self.deviation_)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n_clips, 2 * n_components * 3 * n_mfcc) float32 vectors of length 1."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return np.stack([self._vector(x) for x in X])

    def _frames(self, x: np.ndarray) -> np.ndarray:
        """(n_frames, 3 * n_mfcc) MFCCs and derivatives, without the silence that follows a clip."""
        bands = x.reshape(-1, self.n_mels)
        sounding = np.flatnonzero((bands > bands.min()).any(axis=1))
        bands = bands[: sounding[-1] + 1] if len(sounding) else bands
        mfcc = dct(bands, axis=1, norm="ortho")[:, : self.n_mfcc]
        slope = delta(mfcc)
        return np.hstack([mfcc, slope, delta(slope)])

    def _vector(self, x: np.ndarray) -> np.ndarray:
        """Of one clip."""
        frames = (self._frames(x) - self.mean_) / self.deviation_
        weights = self.mixture_.weights_[:, None].astype(np.float32)
        means = self.mixture_.means_.astype(np.float32)
        variances = self.mixture_.covariances_.astype(np.float32)
        squares = frames * frames
        constant = np.log(weights[:, 0]) - 0.5 * (np.log(variances) + means**2 / variances).sum(1)
        share = softmax(
            constant + frames @ (means / variances).T - 0.5 * squares @ (1 / variances).T, axis=1
        )
        total = share.sum(axis=0)[:, None] / len(frames)
        first = share.T @ frames / len(frames)
        second = share.T @ squares / len(frames)
        by_mean = (first - total * means) / np.sqrt(variances * weights)
        by_deviation = second - 2 * first * means + total * (means**2 - variances)
        by_deviation /= variances * np.sqrt(2 * weights)
        vector = np.concatenate([by_mean.ravel(), by_deviation.ravel()])
        vector = np.sign(vector) * np.sqrt(np.abs(vector))
        return vector / max(float(np.linalg.norm(vector)), np.finfo(np.float32).tiny)
