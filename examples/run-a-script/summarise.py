"""Summarises a table of the chemical elements, and draws when they were discovered.

Reads /data/elements.csv (read-only), prints to standard output, and leaves chart.png in the work directory,
which is the current one.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws into files, needs no screen

import matplotlib.pyplot as plt
import pandas as pd

DATA = Path("/data/elements.csv")
CHART = Path("chart.png")


def main() -> None:
    elements = pd.read_csv(DATA)
    print(f"{len(elements)} elements, {elements['period'].max()} periods\n")
    print(by_period(elements).to_string(), end="\n\n")
    print(by_century(elements).to_string())
    draw(elements, CHART)


def by_period(elements: pd.DataFrame) -> pd.DataFrame:
    """How many elements each period has, and their atomic weights."""
    weights = elements.groupby("period")["atomic_weight"]
    return weights.agg(["count", "min", "mean", "max"]).round(2)


def by_century(elements: pd.DataFrame) -> pd.Series:
    """How many elements were discovered in each century; those known before 1600 have no year."""
    centuries = (elements["discovered"] // 100 * 100).astype("Int64")
    counts = centuries.value_counts().sort_index()
    counts.index = counts.index.astype("string")
    counts = pd.concat([pd.Series({"before 1600": centuries.isna().sum()}), counts])
    return counts.rename("discovered").rename_axis("century from")


def draw(elements: pd.DataFrame, path: Path) -> None:
    """A step for each discovery, above the years."""
    years = elements["discovered"].dropna().sort_values()
    known_before = int(elements["discovered"].isna().sum())
    counts = range(known_before + 1, known_before + len(years) + 1)
    figure, axes = plt.subplots(figsize=(8, 4.5))
    axes.step(years, list(counts), where="post")
    axes.set_xlabel("year")
    axes.set_ylabel("elements known")
    axes.set_title("Discovery of the chemical elements")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
