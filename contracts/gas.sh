#!/bin/bash
# Measures what every call costs, writes snapshots/*.json and the table in README.md. `--check` changes nothing and fails if the
# table is not what the snapshots say; whether the snapshots are what the contracts cost is checked by every `forge test`
# (gas_snapshot_check in foundry.toml), to the unit: the measurement has nothing random in it.
set -euo pipefail
cd "$(dirname "$0")"
FORGE=${FORGE:-../.build/tools/bin/forge}
if [ "${1:-}" != --check ]; then
  [ -x "$FORGE" ] || ../hack/tools.sh
  rm -rf snapshots
  FORGE_SNAPSHOT_CHECK=false "$FORGE" test --match-contract GasTest
fi
python3 - "${1:-}" <<'PY'
import json, sys

BEGIN, END = "<!-- gas table: written by gas.sh -->\n", "<!-- end of gas table -->\n"
read = lambda name: {k: int(v) for k, v in json.load(open(f"snapshots/{name}.json")).items()}
ten, hundred, other = read("participants-10"), read("participants-100"), read("any")

def figure(table, name):
    return f"{table[name]:,}".replace(",", " ") if name in table else ""

def quoted(name):
    call, comma, rest = name.partition(",")
    return f"`{call}`{comma}{rest}"

suffixes = (", round 0", ", worst")
names = [n for n in hundred if not n.endswith(suffixes) and not n.startswith("whole round")]
if "stake" not in names:
    names.append("stake")
round_calls = ["stake", "joinRound", "selectRoundParticipants, step 1", "selectRoundParticipants, step 2", "contribute",
               "commitVote", "revealVote", "finishRound", "slash"]
names = round_calls + sorted(n for n in names if n not in round_calls)

lines = ["| call | 10 participants | 100 participants | 100, round 0 | 100, worst case |\n", "| --- | ---: | ---: | ---: | ---: |\n"]
for n in names:
    first = lambda table: figure(table, n) or figure(table, n + ", round 0")
    cells = [first(ten), first(hundred), figure(hundred, n + ", round 0"), figure(hundred, n + ", worst")]
    lines.append(f"| {quoted(n)} | " + " | ".join(cells) + " |\n")
n = "whole round, per participant"
lines.append(f"| **{n}** | **{figure(ten, n)}** | **{figure(hundred, n)}** | | |\n")
lines += ["\n", "| call, whatever the number of participants | gas |\n", "| --- | ---: |\n"]
lines += [f"| {quoted(n)} | {figure(other, n)} |\n" for n in sorted(other)]

text = open("README.md").read()
before, rest = text.split(BEGIN)
wanted = before + BEGIN + "".join(lines) + END + rest.split(END)[1]
if sys.argv[1] == "--check":
    if wanted != text:
        sys.exit("the gas table of contracts/README.md is not what contracts/snapshots say: run contracts/gas.sh")
else:
    open("README.md", "w").write(wanted)
PY
