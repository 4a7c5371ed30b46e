"""Table and picture of this study's searches.

python experiments/optuna-vs-grid/compare.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import studies

HERE = Path(__file__).parent
COLOURS = {"tpe": "#0072b2", "random": "#d55e00"}
NAMES = {
    "tpe": "Optuna: TPE, folds pruned",
    "random": "random draws of the same space, folds pruned",
}


def main() -> None:
    grid = studies.grid()
    searches = {
        sampler: {
            seed: studies.search(f"{sampler}-{seed}")
            for seed in range(1, 6)
            if studies.exists(f"{sampler}-{seed}")
        }
        for sampler in NAMES
    }
    print(
        f"grid: {len(grid.accuracy)} combinations, {grid.cost:.0f} CPU s, "
        f"best {100 * grid.best:.2f} %\n"
    )
    print("search     trials pruned   % of the grid's CPU s until   best at % of the grid's CPU s")
    print("                             its best   3 points more          10 %    20 %    50 %")
    for sampler, by_seed in searches.items():
        rows = []
        for seed, search in by_seed.items():
            rows.append(
                (
                    100 * search.reaches(grid.best) / grid.cost,
                    100 * search.reaches(grid.best + 0.03) / grid.cost,
                    *(100 * search.at(part * grid.cost) for part in (0.1, 0.2, 0.5)),
                )
            )
            print(
                f"{sampler}-{seed:<6} {len(search.best):6d} {search.n_pruned:6d}" + line(rows[-1])
            )
        if rows:
            print(f"{f'{sampler}, median':<22}" + line(np.median(rows, axis=0)))
    print(
        "\nThe grid's own combinations in random order, 1000 times: median "
        f"{100 * np.median(in_random_order(grid)) / grid.cost:.0f} % until its best"
    )
    draw(grid, searches).savefig(HERE / "best_so_far.png", dpi=110)


def line(row: tuple) -> str:
    cells = ["never" if np.isinf(v) else "" if np.isnan(v) else f"{v:.1f}" for v in row]
    return "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, (13, 14, 17, 8, 8), strict=True)
    )


def in_random_order(grid: studies.Grid) -> np.ndarray:
    """CPU seconds until the grid's best, for each of 1000 orders of its combinations."""
    rng = np.random.default_rng(0)
    orders = (rng.permutation(len(grid.accuracy)) for _ in range(1000))
    return np.array(
        [np.cumsum(grid.cpu_seconds[o])[np.argmax(grid.accuracy[o] >= grid.best)] for o in orders]
    )


def draw(grid: studies.Grid, searches: dict) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    orders = [np.random.default_rng(seed).permutation(len(grid.accuracy)) for seed in range(1, 6)]
    for number, order in enumerate(orders):
        best = np.maximum.accumulate(grid.accuracy[order])
        axes.step(
            np.cumsum(grid.cpu_seconds[order]),
            100 * best,
            where="post",
            color="grey",
            alpha=0.7,
            linewidth=1,
            label="the grid's combinations, in random order" if number == 0 else None,
        )
    for sampler, by_seed in searches.items():
        for number, search in enumerate(by_seed.values()):
            axes.step(
                search.cpu_seconds,
                100 * search.best,
                where="post",
                color=COLOURS[sampler],
                alpha=0.8,
                label=f"{NAMES[sampler]}, {len(by_seed)} seeds" if number == 0 else None,
            )
    axes.axhline(100 * grid.best, color="black", linestyle="--", linewidth=1)
    axes.annotate(
        f"best of all {len(grid.accuracy)} combinations: {100 * grid.best:.1f} %",
        (10.5, 100 * grid.best),
        (0, 5),
        textcoords="offset points",
        ha="left",
        va="bottom",
    )
    for part in (0.1, 0.5):
        axes.axvline(part * grid.cost, color="black", linestyle=":", linewidth=1)
        axes.annotate(
            f" {100 * part:.0f} % of the grid", (part * grid.cost, 51), rotation=90, va="bottom"
        )
    axes.set(
        xlabel="CPU seconds (one core)",
        ylabel="best 10-fold accuracy so far (%)",
        xlim=(10, 1.05 * grid.cost),
        ylim=(40, 74),
        xscale="log",
        title="RAVDESS, 1152 training clips, 180 features, MLP of at most 200 epochs",
    )
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    main()
