"""Every published RAVDESS number beside ours: published.csv and a log -> docs/published-numbers.md.

    python experiments/published/table.py               # the page, from ours.csv
    python experiments/published/table.py sqlite:///...  # first ours.csv anew, from that log

``published.csv`` has what others report, where it stands, and the command of ours that answers the
same question. ``ours.csv`` has what the newest finished run of each command came to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "published-numbers.md"
METRICS = {"accuracy": "accuracy", "UAR": "uar"}
MARKS = {
    "speakers_known": ("K", "the test speakers were known: other clips of them trained the model"),
    "test_clips_in_scaling": ("S", "the test clips, without labels, went into the scaling"),
    "pretraining_may_have_heard": ("P", "the encoder's pretraining may have heard RAVDESS"),
}
HEAD = """# Published numbers on RAVDESS, and ours

<!-- Made by experiments/published/table.py: change published.csv or make the runs again. -->

Numbers under different protocols answer different questions, so each protocol has its own table.
Ours is the run of `ser` that comes nearest, on the same protocol; its model and features may be
others, and its command stands below. UAR is the mean of the emotions' recalls, chance is 12.5 %.
Brackets hold the 95 % interval. Where nothing is marked, the model knew no more than its training
clips.

"""


def log_to_table(published: pd.DataFrame, uri: str) -> pd.DataFrame:
    """The newest finished run of each command, with the scores that are compared."""
    client = MlflowClient(uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    rows = []
    for command in dict.fromkeys(published["ours"].dropna()):
        query = f"attributes.status = 'FINISHED' and tags.command = '{command}'"
        newest = {"max_results": 1, "order_by": ["attributes.start_time DESC"]}
        for run in client.search_runs(experiments, query, **newest):
            scores, tags = run.data.metrics, run.data.tags
            row = {"command": command, "run": run.info.run_id}
            row["date"] = f"{pd.Timestamp(run.info.start_time, unit='ms'):%Y-%m-%d}"
            row["commit"] = tags.get("mlflow.source.git.commit", "")[:10]
            packages = client.download_artifacts(run.info.run_id, "environment.txt")
            lines = Path(packages).read_text(encoding="utf-8").splitlines()
            row["version"] = next(line for line in lines if line.startswith("ser=="))[5:]
            row["pretraining"] = tags.get("corpus_in_pretraining", "no")
            row["transductive"] = tags["transductive"]
            for name in METRICS.values():
                row[f"cv_{name}"] = scores.get(f"cv_{name}_mean")
                keys = (f"test_{name}", f"test_{name}_low", f"test_{name}_high")
                row |= {key: scores.get(key) for key in keys}
            rows.append(row)
    return pd.DataFrame(rows)


def page(published: pd.DataFrame, ours: pd.DataFrame) -> str:
    """The page, in Markdown: a table for each protocol, then our commands."""
    by_command = ours.set_index("command")
    lines = [HEAD + "\n".join(f"- **{letter}**: {text}." for letter, text in MARKS.values()), ""]
    for protocol, rows in published.groupby("protocol", sort=False):
        lines += [f"## {protocol[0].upper()}{protocol[1:]}", ""]
        lines += ["| system | features | metric | published % | | ours % | | source |"]
        lines += ["|---|---|---|--:|---|--:|---|---|"]
        for row in rows.itertuples():
            marks = [m for key, (m, _) in MARKS.items() if getattr(row, key) in ("yes", "unknown")]
            mine, letters = "", ""
            if row.ours in by_command.index:
                run = by_command.loc[row.ours]
                mine, letters = _ours(run, row), _marks(run, row)
                number = list(by_command.index).index(row.ours) + 1
                mine += f" ([{number}](#our-runs))"
            cells = [row.system, row.features, row.metric, f"{row.value:g}", " ".join(marks)]
            lines.append(f"| {' | '.join([*cells, mine, letters, row.source])} |")
        lines.append("")
    missing = [c for c in dict.fromkeys(published["ours"].dropna()) if c not in by_command.index]
    lines += ["## Our runs", ""]
    for number, row in enumerate(ours.itertuples(), start=1):
        made = f"{row.date}, ser {row.version}, commit {row.commit}"
        lines.append(f"{number}. `{row.command}`, {made}")
    if missing:
        lines += ["", "Not run for this table: " + ", ".join(f"`{each}`" for each in missing) + "."]
    return "\n".join([*lines, ""])


def _ours(run: pd.Series, row: tuple) -> str:
    """Our score of the same metric and part, with its interval where it has one."""
    key = f"{row.part}_{METRICS[row.metric]}"
    low, high = (run.get(f"{key}_{end}", float("nan")) for end in ("low", "high"))
    return f"{100 * run[key]:.1f}" + (f" [{100 * low:.1f}, {100 * high:.1f}]" if low == low else "")


def _marks(run: pd.Series, row: tuple) -> str:
    """What our model knew more than its training clips."""
    knew = {
        "speakers_known": row.speakers_known == "yes",
        "test_clips_in_scaling": str(run["transductive"]).lower() == "true",
        "pretraining_may_have_heard": run["pretraining"] != "no",
    }
    return " ".join(letter for key, (letter, _) in MARKS.items() if knew[key])


if __name__ == "__main__":
    known = pd.read_csv(HERE / "published.csv")
    if len(sys.argv) > 1:
        log_to_table(known, sys.argv[1]).to_csv(HERE / "ours.csv", index=False, lineterminator="\n")
    PAGE.write_text(page(known, pd.read_csv(HERE / "ours.csv")), encoding="utf-8")
