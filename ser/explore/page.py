"""An exploration -> its tables, its pictures, its page, and what the terminal says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from ser.explore import figures, map_figures
from ser.explore.measure import Exploration
from ser.explore.pictures import CLIP_PICTURES, clip_alts, clip_figures, sound
from ser.explore.statistics import correlation_table
from ser.features import feature_groups
from ser.report.clip_views import LONGEST, ClipViews
from ser.report.html import render
from ser.report.pictures import pictures
from ser.report.style import Figure
from ser.tracking.queries import LoggedRun

SHOWN_RANKS = 10  # features of the ranking that the page has as text


def exploration_tables(exploration: Exploration) -> dict[str, pd.DataFrame]:
    """Everything that was counted, by name."""
    places = exploration.clips.loc[exploration.sampled, ["path", "emotion", "actor"]]
    for method, (positions, _) in exploration.maps.items():
        places = places.assign(**{f"{method}_x": positions[:, 0], f"{method}_y": positions[:, 1]})
    by = ["emotion", *(["gender"] if "gender" in exploration.clips else [])]
    matrix = correlation_table(exploration.correlation.round(4), exploration.names)
    return {
        "class_balance": exploration.clips.groupby(by).size().rename("clips").reset_index(),
        "feature_statistics": exploration.statistics,
        "feature_ranking": exploration.ranking,
        "feature_correlation": matrix,
        "map": places,
        "neighbours": exploration.neighbours,
        "spoken": exploration.spoken,
        "clip_quality": exploration.quality,
        "findings": exploration.findings,
        "loudness": exploration.loudness,
        "told_by_recording": exploration.told,
    }


def exploration_figures(
    exploration: Exploration, shown: Sequence[ClipViews], *, top: int
) -> dict[str, Callable[[], Figure]]:
    """What draws each picture, by name.

    Parameters
    ----------
    exploration : Exploration
    shown : sequence of ClipViews
        The clips side by side.
    top : int
        Features drawn in the ranking.
    """
    sampled = exploration.clips.iloc[exploration.sampled]
    groups = feature_groups(exploration.names)
    clips, emotions = exploration.clips, exploration.emotions
    ranking, n = exploration.ranking, len(clips)
    drawn = clip_figures(shown) | {
        "class_balance_emotions": partial(figures.plot_clip_counts, clips, emotions),
        "class_balance_actors": partial(figures.plot_actor_counts, clips),
        "spoken": partial(figures.plot_spoken, clips, exploration.prosody, emotions),
        "correlation": partial(
            figures.plot_correlation, exploration.correlation, groups, n_clips=n
        ),
        "ranking_emotion": partial(figures.plot_ranking, ranking, top=top, n_clips=n),
        "ranking_variance": partial(figures.plot_shares, ranking, n_clips=n),
        "loudness": partial(figures.plot_loudness, exploration.loudness),
    }
    for method, (positions, note) in exploration.maps.items():
        about = f"{method} of {len(sampled)} clips · {note}"
        name, within = f"map_{method.lower()}", map_figures.within(positions)
        actor = map_figures.plot_map_of_actors
        drawn[f"{name}_emotion"] = partial(
            map_figures.plot_map_of_emotions, within, sampled["emotion"], emotions, about=about
        )
        # On a PCA's map the clips lie too close for names.
        drawn[f"{name}_speaker"] = partial(
            actor, within, sampled["actor"], about=about, named=method != "PCA"
        )
    if len(exploration.neighbours):
        drawn["neighbours"] = partial(map_figures.plot_neighbours, exploration.neighbours)
    return drawn


def render_exploration_page(
    run: LoggedRun,
    exploration: Exploration,
    shown: Sequence[ClipViews],
    rows: pd.DataFrame,
    *,
    folder: Path,
    note: str,
) -> str:
    """The page of an exploration.

    Parameters
    ----------
    run : LoggedRun
        Its name, corpus and command.
    exploration : Exploration
    shown : sequence of ClipViews
        The clips side by side.
    rows : DataFrame
        Their rows of the clip table.
    folder : Path
        With the pictures.
    note : str
        What is to be said of the choice of clips; may be empty.

    Returns
    -------
    str
        HTML.
    """
    corpus = run.tags["corpus"]
    return render(
        "explore.html",
        title=run.name,
        corpus=corpus,
        size=size(exploration),
        exploration=exploration,
        cards=_cards(exploration),
        sounds=[
            (view.title, Path(path).name, sound(view), view.duration > LONGEST - 1)
            for view, path in zip(shown, rows["path"], strict=True)
        ],
        pictures=pictures(folder, clip_alts(shown)),
        clip_pictures=CLIP_PICTURES,
        ranks={
            how: ranked.head(SHOWN_RANKS).to_dict("records")
            for how, ranked in by_measure(exploration.ranking).items()
        },
        findings=exploration.findings.to_dict("records"),
        neighbours=exploration.neighbours.to_dict("records"),
        statistics=exploration.statistics.to_dict("records"),
        told=exploration.told.to_dict("records"),
        note=note,
        command=run.tags["command"],
    )


def exploration_text(exploration: Exploration, *, title: str, note: str) -> str:
    """What the terminal shows of an exploration."""
    minutes = exploration.prosody["duration"].sum() / 60
    lines = [
        "",
        f"{title} · {size(exploration)} · {minutes:.1f} min",
        *([note] if note else []),
        "",
        f"{'nearest clips with the same':34}{'nearest':>8}{'share %':>10}{'chance %':>10}",
    ]
    for row in exploration.neighbours.itertuples():
        cells = f"{row.neighbours:>8}{100 * row.share:>10.1f}{100 * row.chance:>10.1f}"
        lines.append(f"  {row.same:32}{cells}")
    lines += ["", "tell most of the emotion"]
    for how, ranked in by_measure(exploration.ranking).items():
        lines.append(f"  by {how:21}{', '.join(ranked['feature'].head(5))}")
    lines.append("")
    for row in exploration.findings.itertuples():
        if row.clips:
            lines.append(f"{row.clips:>6}  {row.issue}")
    for row in exploration.told[exploration.told["fact"] == "all"].itertuples():
        told = f"{100 * row.uar:>6.1f}  % UAR of a tree that knows how clips were recorded, not the"
        lines.append(f"{told} voice (chance {100 * row.chance:.1f})")
    spread = exploration.metrics["loudness_between_actors_db"]
    lines += [f"{spread:>6.1f}  dB between the quietest and the loudest actor", ""]
    return "\n".join(lines)


def by_measure(ranking: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A ranking by each of its two measures, which disagree where a feature is skewed."""
    by_F = ranking.sort_values("F", ascending=False, kind="stable")
    return {"mutual information": ranking, "ANOVA": by_F}


def size(exploration: Exploration) -> str:
    """Clips, actors and emotions, in words."""
    counts = {"clip": len(exploration.clips), "actor": exploration.clips["actor"].nunique()}
    counts["emotion"] = len(exploration.emotions)
    return ", ".join(f"{n} {name}{'s' if n != 1 else ''}" for name, n in counts.items())


def _cards(exploration: Exploration) -> list[tuple[str, str, str]]:
    """The leak in short: name, value, and chance beside it."""
    heads = {
        "actor": "same actor",
        "emotion": "same emotion",
        "emotion, other actors": "same emotion, among other actors' clips",
    }
    nearest = exploration.neighbours[exploration.neighbours["neighbours"] == 1]
    return [
        (
            f"Nearest clip: {heads[row.same]}",
            f"{100 * row.share:.0f} %",
            f"chance {100 * row.chance:.1f} %",
        )
        for row in nearest.itertuples()
    ]
