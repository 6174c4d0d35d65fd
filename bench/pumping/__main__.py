"""`python -m bench.pumping`: see README.md beside this file."""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

from bench.pumping import cost
from bench.pumping.attacks import ATTACKS
from bench.pumping.rules import RULES
from bench.pumping.run import Score, run
from bench.pumping.scenarios import HONEST, sends, words
from bench.pumping.unpacked import running, unpacked

TUNING_SEEDS = range(1, 101)
TEST_SEEDS = range(1_001, 1_101)


def spread(values: list[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval."""
    if len(values) < 2:
        return mean(values), 0.0
    return mean(values), 1.96 * stdev(values) / len(values) ** 0.5


def shown(values: list[float], digits: int = 0) -> str:
    """Mean and half-width, in words."""
    middle, half = spread(values)
    return f"{middle:.{digits}f} ±{half:.{digits}f}"


def line(rule: str, scores: list[Score]) -> dict[str, str]:
    """One line of the table."""

    def of(get: Callable[[Score], float]) -> list[float]:
        return [get(score) for score in scores]

    firsts = [score.first_ms / 1_000 for score in scores if score.first_ms >= 0]
    return {
        "rule": rule,
        "asked": f"{mean(of(lambda s: s.attempts)):.0f}",
        "leaked": shown(of(lambda s: s.leaked)) + f" (most {max(s.leaked for s in scores)})",
        "cost": shown(of(lambda s: s.cost), 2),
        "blocked": shown(of(lambda s: 100 * s.blocked / max(1, s.honest)), 3),
        "challenged": shown(of(lambda s: 100 * s.challenged / max(1, s.honest)), 2),
        "first": f"{mean(firsts):.0f}" if firsts else "never",
    }


def costs(wheel: Path | None) -> None:
    """What the guard of the sources costs, and then that of a wheel, in a process of its own."""
    cost.report()
    if wheel is not None:
        with unpacked(wheel) as folder:
            command = [*running(folder), "-m", "bench.pumping", "--cost"]
            subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pumping")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--tune", action="store_true", help="use the tuning seeds")
    parser.add_argument("--only", nargs="*", help="names of scenarios")
    parser.add_argument("--rules", nargs="*", default=list(RULES))
    parser.add_argument("--cost", action="store_true", help="measure a check instead")
    parser.add_argument("--wheel", type=Path, help="with --cost: beside it that of a wheel's guard")
    parser.add_argument("--out", type=Path, help="writes the lines as JSON")
    options = parser.parse_args()
    if options.cost:
        costs(options.wheel)
        return
    seeds = (TUNING_SEEDS if options.tune else TEST_SEEDS)[: options.seeds]
    print(f"seeds {seeds[0]} to {seeds[-1]}; means with 95 % intervals; last day of four")
    head = (
        f"{'':14}{'asked':>7}  {'leaked':26}{'cost, $':18}{'honest blocked, %':20}"
        f"{'challenged, %':16}first denied, s"
    )
    began = time.process_time()
    found: dict[str, list[dict[str, str]]] = {}
    for name in options.only or [*ATTACKS, *HONEST]:
        print(f"\n{name}: {words(name)}\n{head}")
        scores: dict[str, list[Score]] = {rule: [] for rule in options.rules}
        for seed in seeds:
            traffic = sends(name, seed)
            for rule in options.rules:
                scores[rule].append(run(RULES[rule](), traffic))
        found[name] = [line(rule, scores[rule]) for rule in options.rules]
        for each in found[name]:
            print(
                f"  {each['rule']:12}{each['asked']:>7}  {each['leaked']:26}{each['cost']:18}"
                f"{each['blocked']:20}{each['challenged']:16}{each['first']}",
                flush=True,
            )
    print(f"\n{time.process_time() - began:.0f} s of CPU")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
