#!/usr/bin/env bash
# Checks everything: style, types, all tests. Needs Python and git, nothing else.
# Arguments go to pytest: bash tools/run_tests.sh -k compat
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
python=$(bash "$(dirname -- "${BASH_SOURCE[0]}")/setup_env.sh")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

run() { printf '[mmsola] %s\n' "$*"; "$python" -m "$@"; }

run ruff check .
run ruff format --check .
run mypy
# most tests wait for processes of their own to start: two at a time, of one thread each
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
run pytest -n "${MMSOLA_TEST_JOBS:-2}" --dist loadfile "$@"
