"""An exploration -> its tables, its pictures, its page, and what the terminal says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ser.explore import figures as data_plots
from ser.explore import statistics
from ser.explore.measure import Exploration
from ser.explore.pictures import clip_figures, pictures, sound
from ser.report import html as pages
from ser.report.clip_views import LONGEST, ClipViews

SHOWN_RANKS = 10  # features of the ranking that the page has as text


def tables(found: Exploration) -> dict[str, pd.DataFrame]:
    """Everything that was counted, by name."""
    places = found.clips.loc[found.sampled, ["path", "emotion", "actor"]]
    for method, (positions, _) in found.maps.items():
        places = places.assign(**{f"{method}_x": positions[:, 0], f"{method}_y": positions[:, 1]})
    by = ["emotion", *(["gender"] if "gender" in found.clips else [])]
    matrix = statistics.correlation_table(found.correlation.round(4), found.names)
    return {
        "class_balance": found.clips.groupby(by).size().rename("clips").reset_index(),
        "feature_statistics": found.statistics,
        "feature_ranking": found.ranking,
        "feature_correlation": matrix,
        "map": places,
        "neighbours": found.neighbours,
        "spoken": found.spoken,
        "clip_quality": found.quality,
        "findings": found.findings,
        "loudness": found.loudness,
    }


def figures(
    found: Exploration, shown: Sequence[ClipViews], *, top: int
) -> dict[str, Callable[[], Figure]]:
    """What draws each picture, by name.

    Parameters
    ----------
    found : Exploration
    shown : sequence of ClipViews
        The clips side by side.
    top : int
        Features drawn in the ranking.
    """
    some = found.clips.iloc[found.sampled]
    groups = statistics.groups(found.names)
    drawn = clip_figures(shown) | {
        "class_balance": partial(data_plots.class_balance, found.clips, found.emotions),
        "spoken": partial(data_plots.spoken, found.clips, found.prosody, found.emotions),
        "correlation": partial(data_plots.correlation, found.correlation, groups),
        "ranking": partial(data_plots.ranking, found.ranking, top=top),
        "loudness": partial(data_plots.loudness, found.loudness),
    }
    for method, (positions, note) in found.maps.items():
        drawn[f"map_{method.lower()}"] = partial(
            data_plots.clip_map,
            positions,
            some,
            found.emotions,
            method=method,
            note=note,
            named=method != "PCA",  # where the clips lie too close for names
        )
    if len(found.neighbours):
        drawn["neighbours"] = partial(data_plots.neighbours, found.neighbours)
    return drawn


def page(
    found: Exploration,
    shown: Sequence[ClipViews],
    rows: pd.DataFrame,
    *,
    folder: Path,
    title: str,
    corpus: str,
    note: str,
    command: str,
) -> str:
    """The page of an exploration.

    Parameters
    ----------
    found : Exploration
    shown : sequence of ClipViews
        The clips side by side.
    rows : DataFrame
        Their rows of the clip table.
    folder : Path
        With the pictures.
    title, corpus : str
    note : str
        What is to be said of the choice of clips; may be empty.
    command : str
        That makes the page again.

    Returns
    -------
    str
        HTML.
    """
    return pages.render(
        "explore.html",
        title=title,
        corpus=corpus,
        size=size(found),
        found=found,
        cards=_cards(found),
        sounds=[
            (view.title, Path(path).name, sound(view), view.duration > LONGEST - 1)
            for view, path in zip(shown, rows["path"], strict=True)
        ],
        pictures=pictures(folder, shown, f"{len(found.clips)} clips of {corpus}"),
        ranks={
            how: ranked.head(SHOWN_RANKS).to_dict("records")
            for how, ranked in by_measure(found.ranking).items()
        },
        findings=found.findings.to_dict("records"),
        neighbours=found.neighbours.to_dict("records"),
        statistics=found.statistics.to_dict("records"),
        note=note,
        command=command,
    )


def terminal(found: Exploration, *, title: str, note: str) -> str:
    """What the terminal shows of an exploration."""
    minutes = found.prosody["duration"].sum() / 60
    lines = [
        "",
        f"{title} · {size(found)} · {minutes:.1f} min",
        *([note] if note else []),
        "",
        f"{'nearest clips with the same':34}{'nearest':>8}{'share %':>10}{'chance %':>10}",
    ]
    for row in found.neighbours.itertuples():
        cells = f"{row.neighbours:>8}{100 * row.share:>10.1f}{100 * row.chance:>10.1f}"
        lines.append(f"  {row.same:32}{cells}")
    lines += ["", "tell most of the emotion"]
    for how, ranked in by_measure(found.ranking).items():
        lines.append(f"  by {how:21}{', '.join(ranked['feature'].head(5))}")
    lines.append("")
    for row in found.findings.itertuples():
        if row.clips:
            lines.append(f"{row.clips:>6}  {row.issue}")
    spread = found.metrics["loudness_between_actors_db"]
    lines += [f"{spread:>6.1f}  dB between the quietest and the loudest actor", ""]
    return "\n".join(lines)


def by_measure(ranking: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A ranking by each of its two measures, which disagree where a feature is skewed."""
    by_F = ranking.sort_values("F", ascending=False, kind="stable")
    return {"mutual information": ranking, "ANOVA": by_F}


def size(found: Exploration) -> str:
    """Clips, actors and emotions, in words."""
    counts = {"clip": len(found.clips), "actor": found.clips["actor"].nunique()}
    counts["emotion"] = len(found.emotions)
    return ", ".join(f"{n} {name}{'s' if n != 1 else ''}" for name, n in counts.items())


def _cards(found: Exploration) -> list[tuple[str, str, str]]:
    """The leak in short: name, value, and chance beside it."""
    heads = {
        "actor": "same actor",
        "emotion": "same emotion",
        "emotion, other actors": "same emotion, among other actors' clips",
    }
    nearest = found.neighbours[found.neighbours["neighbours"] == 1]
    return [
        (
            f"Nearest clip: {heads[row.same]}",
            f"{100 * row.share:.0f} %",
            f"chance {100 * row.chance:.1f} %",
        )
        for row in nearest.itertuples()
    ]
