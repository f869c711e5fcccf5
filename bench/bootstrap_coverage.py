"""How often 95% intervals cover the truth, on simulated photographs of simulated patients.

    python bench/bootstrap_coverage.py [--repeats 500] [--resamples 1000] [--seed 1]

Two systems classify the images of G patients. A patient has one true class; the chances of its
images to be called this or that by both systems are drawn from a Dirichlet distribution around the
class's own (so images of a patient are alike, with intraclass correlation 0.2: 0.06 to 0.38 was
measured on the genuine sample), and each image is then called independently. The truth is known in
closed form. Sizes are those of the lab numbers of BreakHis (G = 70) and of its public sample
(G = 22), dealt out at random.

- "2 classes": each patient is malignant with chance 54/70.
- "8 types": the numbers of lab numbers of each type are those of BreakHis or of the sample.

Printed: coverage and mean width of intervals that draw images, and of three that draw patients,
for each system's figures and the paired difference of both; then what becomes of macro F1 under
three ways of treating resamples that lack a class. About half a minute on one core.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from magnostic.evaluate.bootstrap import Draws, Sampling, draw, estimate
from magnostic.evaluate.intervals import Interval
from magnostic.evaluate.metrics import Floats, from_confusion, mean_defined
from magnostic.progress import track

#: Images of each lab number, in the public sample and in BreakHis (dsfold1..5.txt).
SIZES = {
    22: [1, 1, 1, 1, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 9, 9, 10, 11, 16, 17, 25, 30],
    70: [38, 39, 44, 45, 53, 53, 55, 55, 59, 60, 60, 60, 61, 62, 64, 64, 65, 65, 65, 66, 68, 73, 74,
         74, 75, 78, 79, 80, 83, 84, 84, 87, 88, 90, 90, 90, 90, 95, 95, 98, 100, 103, 104, 108,
         111, 119, 120, 125, 126, 126, 127, 129, 129, 131, 137, 138, 142, 144, 145, 146, 155, 158,
         160, 178, 236, 246, 256, 326, 383, 493],
}  # fmt: skip
#: Lab numbers of A, F, PT, TA, DC, LC, MC, PC; one with two types counts for the rarer.
TYPES = {22: [1, 3, 2, 1, 5, 3, 3, 4], 70: [2, 5, 3, 6, 37, 4, 7, 6]}
#: Share of images of each class that the first and the second system call rightly.
SKILL_2 = ([0.75, 0.88], [0.70, 0.86])
SKILL_8 = (
    [0.50, 0.60, 0.40, 0.55, 0.75, 0.40, 0.55, 0.50],
    [0.45, 0.55, 0.40, 0.50, 0.70, 0.35, 0.50, 0.50],
)
#: Share of images on which both systems are right or wrong together by more than chance.
TOGETHER = 0.5
#: Dirichlet concentration: intraclass correlation 1 / (1 + 4).
CONCENTRATION = 4.0
KINDS: tuple[Interval, ...] = ("percentile", "bca", "expanded")
FIGURES = ("accuracy", "macro F1", "difference of accuracy", "difference of macro F1")


@dataclass(frozen=True)
class Setting:
    """G patients of C classes. fixed: patients of each class, or None where classes are drawn.

    calls: float64 [C, C, C], chance of a class's image to be called a by the first, b by the
    second system. share: of patients of each class, [C].
    """

    name: str
    sizes: list[int]
    share: Floats
    fixed: list[int] | None
    calls: Floats

    def sample(self, rng: np.random.Generator) -> Floats:
        """Counts float64 [G, C, C, C]: true class, call of the first, call of the second."""
        n_clusters, n_classes = len(self.sizes), len(self.share)
        if self.fixed is None:
            truth = rng.choice(n_classes, n_clusters, p=self.share)
        else:
            truth = np.repeat(np.arange(n_classes), self.fixed)
        counts = np.zeros((n_clusters, n_classes, n_classes, n_classes))
        for g, size in enumerate(rng.permutation(self.sizes)):
            chances = rng.dirichlet(CONCENTRATION * self.calls[truth[g]].reshape(-1))
            called = rng.multinomial(size, chances)
            counts[g, truth[g]] = called.reshape(n_classes, n_classes)
        return counts

    def truth(self) -> dict[str, float]:
        population = (self.share[:, None, None] * self.calls)[None]
        return {name: float(v[0]) for name, v in figures(population).items() if v.ndim == 1}


def settings() -> list[Setting]:
    found = []
    for n in SIZES:
        malignant = 54 / 70
        two = np.array([1 - malignant, malignant])
        found.append(Setting(f"2 classes, {n} patients", SIZES[n], two, None, calls(SKILL_2)))
        eight = np.array(TYPES[n]) / n
        found.append(Setting(f"8 types, {n} patients", SIZES[n], eight, TYPES[n], calls(SKILL_8)))
    return found


def calls(skill: tuple[list[float], list[float]]) -> Floats:
    """Joint chances [C, C, C] of both systems' calls; errors prefer some classes to others."""
    n = len(skill[0])
    single = []
    for shares in skill:
        errors = np.random.default_rng(7).dirichlet(np.full(n, 2.0), n)
        np.fill_diagonal(errors, 0)
        errors *= ((1 - np.array(shares)) / errors.sum(axis=1))[:, None]
        single.append(errors + np.diag(shares))
    first, second = single
    apart = first[:, :, None] * second[:, None, :]
    # Both alike as far as the margins allow, the rest independent: margins stay as they are.
    alike = np.minimum(first, second)
    rest = 1 - alike.sum(axis=1)
    left = (first - alike)[:, :, None] * (second - alike)[:, None, :]
    joint = left / np.maximum(rest, 1e-300)[:, None, None]
    joint[:, np.arange(n), np.arange(n)] += alike
    both: Floats = TOGETHER * joint + (1 - TOGETHER) * apart
    return both


def figures(counts: Floats) -> dict[str, Floats]:
    """FIGURES of counts [B, C, C, C], each [B], and the first system's F1 by class [B, C]."""
    first, second = from_confusion(counts.sum(axis=3)), from_confusion(counts.sum(axis=2))
    return {
        "accuracy": first["accuracy"],
        "macro F1": first["macro_f1"],
        "difference of accuracy": first["accuracy"] - second["accuracy"],
        "difference of macro F1": first["macro_f1"] - second["macro_f1"],
        "f1": first["f1"],
    }


def by_patient(counts: Floats, sampling: Sampling, stream: str) -> Draws:
    flat = counts.reshape(len(counts), -1)
    shape = counts.shape[1:]
    return draw(
        lambda w: figures((w @ flat).reshape(-1, *shape)), len(counts), sampling, stream, flat.size
    )


def by_image(counts: Floats, sampling: Sampling, rng: np.random.Generator) -> dict[str, Floats]:
    """Drawing n images with replacement is drawing their cells from a multinomial."""
    cells = counts.sum(axis=0)
    n = int(cells.sum())
    drawn = rng.multinomial(n, cells.reshape(-1) / n, sampling.resamples).astype(float)
    return figures(drawn.reshape(-1, *cells.shape))


@dataclass
class Tally:
    covered: list[bool]
    widths: list[float]

    def cell(self) -> str:
        return f"{100 * np.mean(self.covered):.1f} ({100 * np.mean(self.widths):.0f})"


Tallies = dict[tuple[str, str], Tally]

#: What a macro F1 is made of from F1 by class [B, C], NaN where the resample lacks the class.
LACKING: dict[str, Callable[[Floats], Floats]] = {
    "mean over the classes present": mean_defined,
    "resample left out": lambda f1: f1.mean(axis=1),
    "F1 of the lacking class 0": lambda f1: np.nan_to_num(f1).mean(axis=1),
}


def simulate(setting: Setting, repeats: int, resamples: int, seed: int) -> tuple[Tallies, float]:
    """Coverage by (interval, figure), and the share of resamples that lack a class."""
    rng = np.random.default_rng(seed)
    truth = setting.truth()
    tallies: Tallies = defaultdict(lambda: Tally([], []))
    lacking = []

    def note(method: str, name: str, value: float, drawn: Floats, kind: Interval,
             left_out: Floats | None = None) -> None:  # fmt: skip
        sampling = Sampling(resamples, 0.95, seed, kind)
        found = estimate(np.float64(value), drawn, len(setting.sizes), sampling, left_out)
        if found.low is None or found.high is None:
            raise RuntimeError(f"{setting.name}: no interval for {name}")
        tally = tallies[method, name]
        tally.covered.append(found.low <= truth[name] <= found.high)
        tally.widths.append(found.high - found.low)

    for repeat in track(range(repeats), setting.name, repeats):
        counts = setting.sample(rng)
        sampling = Sampling(resamples, 0.95, seed, "bca")
        drawn = by_patient(counts, sampling, f"{setting.name}/{repeat}")
        images = by_image(counts, sampling, rng)
        assert drawn.left_out is not None
        present = ~np.isnan(drawn.whole["f1"])
        f1 = drawn.resampled["f1"][:, present]
        lacking.append(np.isnan(f1).any(axis=1).mean())
        for name in FIGURES:
            value, values = float(drawn.whole[name][0]), drawn.resampled[name][:, 0]
            note("images", name, value, images[name], "percentile")
            for kind in KINDS:
                note(kind, name, value, values, kind, drawn.left_out[name][:, 0])
        whole, left_out = float(drawn.whole["macro F1"][0]), drawn.left_out["macro F1"][:, 0]
        for rule, macro in LACKING.items():
            note(rule, "macro F1", whole, macro(f1), "expanded", left_out)
    return tallies, float(np.mean(lacking))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    results = [(s, *simulate(s, chosen.repeats, chosen.resamples, chosen.seed)) for s in settings()]
    error = 100 * (0.95 * 0.05 / chosen.repeats) ** 0.5
    print(
        f"Coverage of 95% intervals in % (mean width in points), {chosen.repeats} repeats of "
        f"{chosen.resamples} resamples; standard error at 95%: {error:.1f}\n"
    )
    print("| simulated | figure | truth | images, percentile | percentile | BCa | expanded |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for setting, tallies, _ in results:
        for name in FIGURES:
            cells = " | ".join(tallies[kind, name].cell() for kind in ("images", *KINDS))
            print(f"| {setting.name} | {name} | {setting.truth()[name]:.3f} | {cells} |")
    print("\nMacro F1, expanded interval, by what is done about resamples that lack a class\n")
    print(f"| simulated | resamples that lack one | {' | '.join(LACKING)} |")
    print("|---|--:|--:|--:|--:|")
    for setting, tallies, share in results:
        cells = " | ".join(tallies[rule, "macro F1"].cell() for rule in LACKING)
        print(f"| {setting.name} | {100 * share:.0f}% | {cells} |")


if __name__ == "__main__":
    main()
