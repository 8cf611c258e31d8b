#!/usr/bin/env bash
# Builds docs/ and the API reference as site/index.html; every warning is an error.
#
#   MMSOLA_DOCS_VENV   where its environment lies   (default: .venv-mmsola-docs in the repository)
#   MMSOLA_PYTHON      the Python, 3.10 or newer, to make it from                (default: python3)
#
# The environment is of its own and small: the reference is read from the files, so that neither
# PyTorch nor mmsola has to be installed.
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=${MMSOLA_DOCS_VENV:-$repo/.venv-mmsola-docs}
[[ $venv == /* ]] || venv=$PWD/$venv
cd -- "$repo"
stamp=$venv/.installed  # written last, with what was installed

if ! cmp -s -- docs/requirements.txt "$stamp" || ! "$venv/bin/python" -c '' 2>/dev/null; then
    printf '[mmsola] making environment %s\n' "$venv"
    "${MMSOLA_PYTHON:-python3}" -m venv "$venv"
    rm -f -- "$stamp"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -r docs/requirements.txt
    cp -- docs/requirements.txt "$stamp"
fi
# the advertisement is no warning of ours; ruff, which lays out signatures, is found in PATH
export NO_MKDOCS_2_WARNING=1 PATH=$venv/bin:$PATH
mkdocs build --strict "$@"
