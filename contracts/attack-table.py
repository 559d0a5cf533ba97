"""attack-table.py FOLDER [PAGE]: makes the tables between the markers of PAGE from FOLDER/*.csv, or prints them (see attacks.sh)."""

import csv
import statistics
import sys

STAKE = 64e18  # test/attacks/Simulation.sol
SHARE = 10e18
PARTICIPANTS = 40
STRATEGIES = [
    "honest",
    "lazy: always +1",
    "always no: -1",
    "copier",
    "never reveals",
    "serves six in ten",
    "poisoner, votes honestly",
    "colluders: poison and flip",
    "colluders: split the vote",
]
BEGIN, END = "<!-- attack table {}: written by contracts/attacks.sh -->\n", "<!-- end of attack table -->\n"


def read(path):
    histories = {}
    with open(path) as f:
        for row in csv.DictReader(f):
            row.pop(None, None)
            h = {k: int(v) for k, v in row.items()}
            key = (h["strategy"], h["attackers"], h["voteError"], h["badRounds"])
            histories.setdefault(key, {})[h["seed"]] = h
    return histories


def per_round(h, side):
    """Slashed in percent of the entry stake, rewarded in pot shares; of one account in one round, on average."""
    count = h["attackers"] if side == "attackers" else PARTICIPANTS - h["attackers"]
    return (
        100 * h[side + "Slashed"] / STAKE / count / h["rounds"],
        h[side + "Rewarded"] / SHARE / count / h["rounds"],
    )


def gain(h, side):
    slashed, rewarded = per_round(h, side)
    return rewarded * 100 * SHARE / STAKE - slashed


def mean(values, digits):
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0
    return f"{statistics.fmean(values):.{digits}f} ± {error:.{digits}f}"


def share(values):
    return f"{100 * statistics.fmean(values):.0f} %"


def line(key, seeds, honest):
    strategy, attackers, _, bad = key
    all_ = [seeds[s] for s in sorted(seeds)]
    baseline = honest[(0, attackers, key[2], bad)]
    against = [gain(seeds[s], "attackers") - gain(baseline[s], "attackers") for s in sorted(seeds)]
    damage = [gain(seeds[s], "honest") - gain(baseline[s], "honest") for s in sorted(seeds)]
    difference = statistics.fmean(against)
    noise = statistics.stdev(against) / len(against) ** 0.5 if len(against) > 1 else 0
    pays = "" if strategy == 0 else "**yes**" if difference > 2 * noise else "no" if difference < -2 * noise else "the same"
    cells = [
        STRATEGIES[strategy] + (f", {bad / 10:g} % bad rounds" if bad != 50 else ""),
        f"{100 * attackers / PARTICIPANTS:g} %",
        mean([-per_round(h, "attackers")[0] for h in all_], 2),
        mean([per_round(h, "attackers")[1] for h in all_], 2),
        "" if strategy == 0 else mean(against, 2),
        pays,
        "" if strategy == 0 else mean(damage, 2),
        share([h["attackersRemoved"] / attackers for h in all_]),
        share([h["honestRemoved"] / (PARTICIPANTS - attackers) for h in all_]),
        share([h["poisoned"] / h["rounds"] for h in all_]),
    ]
    return "| " + " | ".join(cells) + " |\n"


def table(histories):
    out = [
        "| who | of all | slashed, % of stake | rewarded, pot shares | against staying honest | pays? | what the honest lose or gain "
        "| removed | honest removed | poisoned |\n",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |\n",
    ]
    honest = {k: v for k, v in histories.items() if k[0] == 0}
    for key, seeds in sorted(histories.items()):
        if key[0] != 0 or key[1] == 1:
            out.append(line(key, seeds, honest))
    return "".join(out)


def main():
    folder, page = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    tables = {profile: table(read(f"{folder}/{profile}.csv")) for profile in ("paper", "default")}
    if page is None:
        for profile, rows in tables.items():
            print(f"{profile}\n\n{rows}")
        return
    with open(page) as f:
        text = f.read()
    for profile, rows in tables.items():
        begin = BEGIN.format(profile)
        before, rest = text.split(begin)
        text = before + begin + rows + END + rest.split(END, 1)[1]
    with open(page, "w") as f:
        f.write(text)


main()
