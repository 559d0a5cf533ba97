"""Static analysis of src/: is everything external documented, and what do forge lint and slither find? Run it by hack/slither.sh.

Every finding is mended or has an entry in analysis.toml that says why it is none; an entry that nothing needs any more is an error too.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from crytic_compile import CryticCompile
from crytic_compile.compilation_unit import CompilationUnit
from crytic_compile.compiler.compiler import CompilerVersion
from crytic_compile.platform.solc_standard_json import SolcStandardJson, parse_standard_json_output
from slither import Slither
from slither.__main__ import get_detectors_and_printers

TOOLS = Path("../.build/tools/bin")
REMAPPING = ("@openzeppelin/", "node_modules/@openzeppelin/")


def sources():
    """Everything below src/ and what it imports, by path."""
    found, todo = {}, [str(p) for p in sorted(Path("src").rglob("*.sol"))]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found[path] = Path(path).read_text()
        for imported in re.findall(r'^import [^;]*"([^"]+)";', found[path], re.MULTILINE):
            if imported.startswith("."):
                imported = os.path.normpath(os.path.join(os.path.dirname(path), imported))
            elif imported.startswith(REMAPPING[0]):
                imported = imported.replace(*REMAPPING)
            todo.append(imported)
    return found


def compiled():
    """Syntax trees, ABI and documentation. No code is generated: that is what takes long, and nothing here needs it."""
    standard = {
        "language": "Solidity",
        "sources": {path: {"content": text} for path, text in sources().items()},
        "settings": {
            "evmVersion": "prague",
            "remappings": ["=".join(REMAPPING)],
            "outputSelection": {"*": {"*": ["abi", "devdoc", "userdoc"], "": ["ast"]}},
        },
    }
    run = subprocess.run([TOOLS / "solc"], input=json.dumps(standard), capture_output=True, text=True, check=True)
    output = json.loads(run.stdout)
    errors = [e["formattedMessage"] for e in output.get("errors", []) if e["severity"] == "error"]
    if errors:
        sys.exit("\n".join(errors))
    version = subprocess.run([TOOLS / "solc", "--version"], capture_output=True, text=True, check=True).stdout
    return standard, output, re.search(r"\d+\.\d+\.\d+", version)[0]


# --- documentation ---


def signature(item):
    def kind(parameter):
        if parameter["type"].startswith("tuple"):
            return "(" + ",".join(map(kind, parameter["components"])) + ")" + parameter["type"][5:]
        return parameter["type"]

    return item["name"] + "(" + ",".join(map(kind, item["inputs"])) + ")"


def one(docs, kind, sign):
    """devdoc and userdoc keep an entry by signature, that of an error in a list."""
    entry = docs.get(kind, {}).get(sign, {})
    return entry[0] if isinstance(entry, list) else entry


def undocumented(output):
    for path, contracts in output["contracts"].items():
        if not path.startswith("src/"):
            continue
        text = Path(path).read_text()
        for name, contract in contracts.items():
            user, dev = contract["userdoc"], contract["devdoc"]
            if not dev.get("title") and "interface" not in text:
                yield f"{name} has no @title"
            for item in contract["abi"]:
                # What comes from OpenZeppelin is documented there.
                if item["type"] not in KINDS or not re.search(rf"\b(function|event|error) {item['name']}\(", text):
                    continue
                sign, kind = signature(item), KINDS[item["type"]]
                notice, details = one(user, kind, sign).get("notice"), one(dev, kind, sign)
                if not notice:
                    yield f"{name}.{sign} has no @notice"
                missing = {p["name"] for p in item["inputs"]} - set(details.get("params", {}))
                if missing:
                    yield f"{name}.{sign} does not describe {', '.join(sorted(missing))}"
                if item["type"] != "function":
                    continue
                if len(details.get("returns", {})) != len(item["outputs"]):
                    yield f"{name}.{sign} does not describe all it returns"
                if item["stateMutability"] not in ("view", "pure") and "Reverts `" not in details.get("details", ""):
                    yield f"{name}.{sign} does not say when it reverts"


KINDS = {"function": "methods", "event": "events", "error": "errors"}


def strings_instead_of_errors():
    for path in Path("src").rglob("*.sol"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\brequire\(|\brevert\(|\brevert;|\bassert\(", line):
                yield f"{path}:{number}: reverts without a custom error"


# --- tools: (check, what it is about) ---


def from_forge():
    # It writes artifacts without code; those of the tests must stay as they are.
    apart = {"FOUNDRY_OUT": "../.build/contracts/lint/out", "FOUNDRY_CACHE_PATH": "../.build/contracts/lint/cache"}
    run = subprocess.run(
        [TOOLS / "forge", "lint", "src", "--json"], capture_output=True, text=True, env={**os.environ, **apart}
    )
    if run.returncode and not run.stderr.startswith("{"):
        sys.exit(run.stdout + run.stderr)
    for line in (run.stdout + run.stderr).splitlines():
        if not line.startswith("{"):
            continue
        finding = json.loads(line)
        if finding.get("code"):
            span = finding["spans"][0]
            yield finding["code"]["code"], f"{span['file_name']}:{span['line_start']}: {span['text'][0]['text'].strip()}"


def from_slither(standard, output, version):
    class Compiled(SolcStandardJson):
        """What is compiled already. slither does not look at the bytecode."""

        def compile(self, crytic_compile, **_):
            unit = CompilationUnit(crytic_compile, "contracts")
            unit.compiler_version = CompilerVersion("solc", version, True)
            for contracts in output["contracts"].values():
                for contract in contracts.values():
                    empty = {"object": "", "sourceMap": ""}
                    contract["evm"] = {"bytecode": empty, "deployedBytecode": empty}
            parse_standard_json_output(output, unit)

    slither = Slither(CryticCompile(Compiled(standard)), filter_paths=["node_modules"])
    for detector in get_detectors_and_printers()[0]:
        slither.register_detector(detector)
    for results in slither.run_detectors():
        for result in results:
            yield result["check"], " ".join(result["description"].split())


def main():
    with open("analysis.toml", "rb") as f:
        exceptions = tomllib.load(f)["exception"]
    unused = {(e["check"], where) for e in exceptions for where in e["where"]}
    standard, output, version = compiled()
    problems = [*undocumented(output), *strings_instead_of_errors()]
    findings = [*from_forge(), *from_slither(standard, output, version)]
    for check, about in findings:
        excuses = {(e["check"], where) for e in exceptions for where in e["where"] if e["check"] == check and where in about}
        unused -= excuses
        if not excuses:
            problems.append(f"{check}: {about}")
    problems += [f"analysis.toml excuses {check} at '{where}', which nobody finds" for check, where in sorted(unused)]
    if problems:
        sys.exit("\n".join(problems))
    print(f"contracts: documented; forge lint and slither find {len(findings)} things, each with its reason in analysis.toml")


main()
