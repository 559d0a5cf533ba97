#!/bin/bash
# Puts a Python environment with FLock's SDK, as PyPI has it, into .build/flock-sdk: tests run the sample of samples/flock-sdk in it.
. "$(dirname "$0")/lib.sh"

REQUIREMENTS=$ROOT/samples/flock-sdk/requirements.txt
VENV=$BUILD/flock-sdk

main() {
  need python3 "install Python 3.9 or newer, with venv"
  local key
  key=$(hash_of "$REQUIREMENTS" "$(python3 --version)")
  if fresh flock-sdk "$key" && [ -x "$VENV/bin/python" ]; then return; fi
  rm -rf "$VENV"
  python3 -m venv "$VENV"
  "$VENV/bin/pip" install -q --disable-pip-version-check --no-cache-dir -r "$REQUIREMENTS" >"$BUILD/logs/flock-sdk.log" 2>&1 ||
    { tail -n 5 "$BUILD/logs/flock-sdk.log" >&2; die "pip cannot install $REQUIREMENTS"; }
  stamp flock-sdk "$key"
}
locked flock-sdk main
