"""Where clips lie among each other: maps in two dimensions, and whose clips are whose neighbours.

A feature set that puts clips of one actor together lets a model that has heard the actor look good:
the maps show that leak, the neighbours measure it. Features are standard-scaled on all clips, for
looking only.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import euclidean_distances
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

MIN_CLIPS = 10  # of a map: fewer have no neighbourhoods
PERPLEXITY = 30.0  # neighbours that t-SNE tries to keep, and scikit-learn's default


def sample(clips: pd.DataFrame, at_most: int, *, seed: int) -> np.ndarray:
    """Rows of at most so many clips, of every actor and emotion as many as their share.

    Parameters
    ----------
    clips : DataFrame
        With the columns actor and emotion.
    at_most : int
    seed : int

    Returns
    -------
    (n_sampled,) int
        Sorted; all rows where there are no more.
    """
    if len(clips) <= at_most:
        return np.arange(len(clips))
    rng = np.random.default_rng(seed)
    order = pd.Series(rng.permutation(len(clips)))
    keys = [_codes(clips)[order], pd.factorize(clips["emotion"])[0][order]]
    stratum = order.groupby(keys)
    # A stratum's clips get numbers spread evenly over [0, 1), from a start of its own: those below
    # any limit are its share, rounded up or down by chance.
    start = rng.random(stratum.ngroups)[stratum.ngroup()]
    number = (stratum.cumcount() + start) / stratum.transform("size")
    return np.sort(order[np.argsort(number, kind="stable")[:at_most]].to_numpy())


def embeddings(X: np.ndarray, *, seed: int) -> dict[str, tuple[np.ndarray, str]]:
    """Two-dimensional maps of clips that keep near what is near.

    Parameters
    ----------
    X : (n_clips, n_features)
    seed : int

    Returns
    -------
    dict of str to ((n_clips, 2) array, str)
        Map -> positions, and what can be said of them: PCA; t-SNE (van der Maaten & Hinton 2008)
        from `MIN_CLIPS` clips on; UMAP (McInnes et al. 2018) where umap-learn is installed as well.
    """
    scaled = StandardScaler().fit_transform(X.astype(np.float64))
    pca = PCA(n_components=min(2, *X.shape), random_state=seed)
    positions = pca.fit_transform(scaled)
    flat = np.zeros((len(X), 2))
    flat[:, : positions.shape[1]] = positions
    kept = " and ".join(f"{100 * share:.0f} %" for share in pca.explained_variance_ratio_)
    placed = {"PCA": (flat, f"the two axes hold {kept} of the variance")}
    if len(X) < MIN_CLIPS:
        return placed
    perplexity = min(PERPLEXITY, (len(X) - 1) / 3)
    init = "pca" if min(X.shape) >= 2 else "random"
    tsne = TSNE(perplexity=perplexity, init=init, random_state=seed)
    with threadpool_limits(1):  # its threads wait busily: beside other work they take ten times
        placed["t-SNE"] = (tsne.fit_transform(scaled), f"perplexity {perplexity:.0f}")
    if _has_umap():
        placed["UMAP"] = _umap(scaled, seed)
    return placed


def neighbours(X: np.ndarray, clips: pd.DataFrame, *, counts: tuple[int, ...]) -> pd.DataFrame:
    """Share of a clip's nearest neighbours that have its actor, or its emotion, against chance.

    Parameters
    ----------
    X : (n_clips, n_features)
    clips : DataFrame
        With the columns actor and emotion.
    counts : tuple of int
        How many neighbours; those that the clips are too few for are left out.

    Returns
    -------
    DataFrame
        neighbours (their number), same ("actor", "emotion", or "emotion, other actors": the
        neighbours are then taken from other actors' clips only), share and chance (in [0, 1]: of
        clips drawn at random).
    """
    scaled = StandardScaler().fit_transform(X.astype(np.float64)).astype(np.float32)
    distance = euclidean_distances(scaled)
    np.fill_diagonal(distance, np.inf)
    actor, emotion = _codes(clips), pd.factorize(clips["emotion"])[0]
    same_actor = actor[:, None] == actor
    same_emotion = emotion[:, None] == emotion
    other = ~np.eye(len(clips), dtype=bool)
    questions = {
        "actor": (same_actor, other),
        "emotion": (same_emotion, other),
        "emotion, other actors": (same_emotion, ~same_actor),
    }
    rows = []
    for same, (alike, among) in questions.items():
        n_among = among.sum(axis=1)
        if n_among.min() == 0 or alike.all():  # a single actor has no others
            continue
        apart = np.where(among, distance, np.inf)
        chance = float(((alike & among).sum(axis=1) / n_among).mean())
        for count in (c for c in counts if c <= n_among.min()):
            nearest = np.argpartition(apart, count - 1, axis=1)[:, :count]
            share = float(np.take_along_axis(alike, nearest, axis=1).mean())
            rows.append((count, same, share, chance))
    return pd.DataFrame(rows, columns=["neighbours", "same", "share", "chance"])


def _codes(clips: pd.DataFrame) -> np.ndarray:
    """Numbers of the actors, who may be numbers, names, or both."""
    return pd.factorize(clips["actor"].astype(str))[0]


def _has_umap() -> bool:
    """Whether umap-learn is there, and not just a folder of that name where we are."""
    spec = find_spec("umap")
    return spec is not None and spec.origin is not None


def _umap(scaled: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    import umap

    n_neighbors = min(15, len(scaled) - 1)
    reducer = umap.UMAP(n_neighbors=n_neighbors, random_state=seed, n_jobs=1)
    return reducer.fit_transform(scaled), f"{n_neighbors} neighbours"
