#!/usr/bin/env bash
# Makes the Python environment of this repository and prints the path of its interpreter, so that
# a script can say: python=$(bash tools/setup_env.sh). Progress goes to stderr.
#
#   MMSOLA_VENV     where the environment lies              (default: .venv-mmsola in the repository)
#   MMSOLA_PYTHON   the Python, 3.10 or newer, to make it from   (default: the first one found)
#   TORCH_VERSION   the PyTorch to install                                      (default: 2.13.0)
set -euo pipefail
unset CDPATH
repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=${MMSOLA_VENV:-$repo/.venv-mmsola}
[[ $venv == /* ]] || venv=$PWD/$venv
torch_version=${TORCH_VERSION:-2.13.0}
marker=$venv/.made-by-mmsola  # this folder is ours to delete
stamp=$venv/.installed        # and complete: written last, with what it was installed from

say() { printf '[mmsola] %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# Settings of the caller that would let packages in from, or out to, somewhere else.
unset PYTHONHOME PYTHONPATH PIP_PREFIX PIP_TARGET PIP_USER
export PYTHONNOUSERSITE=1

find_python() {
    local candidates=(python3.11 python3.12 python3.13 python3.10 python3) candidate
    [[ -z ${MMSOLA_PYTHON:-} ]] || candidates=("$MMSOLA_PYTHON")
    for candidate in "${candidates[@]}"; do
        # Of a virtual environment (an active one comes first in PATH) only its base is wanted.
        "$candidate" -c 'import sys
if sys.version_info < (3, 10): sys.exit(1)
print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null && return
    done
    return 1
}

base=$(find_python) || die "no Python >= 3.10 found${MMSOLA_PYTHON:+ at MMSOLA_PYTHON=$MMSOLA_PYTHON};" \
    'install Python 3.11, or set MMSOLA_PYTHON to one.'
"$base" -c 'import ensurepip, venv' 2>/dev/null ||
    die "$base lacks the modules venv and ensurepip; on Debian and Ubuntu: apt install python3-venv"

# First line: what only a new environment can follow. Second line: what pip can follow.
wanted=$("$base" - "$repo" "$torch_version" <<'PYTHON'
import hashlib, pathlib, sys
repo, torch_version = pathlib.Path(sys.argv[1]), sys.argv[2]
files = b''.join((repo / name).read_bytes() for name in ('setup.py', 'pyproject.toml'))
print(f'python {sys.version.split()[0]} for {repo}')
print(f'torch {torch_version} files {hashlib.sha256(files).hexdigest()}')
PYTHON
)

if [[ -e $venv && ! -e $marker && -n $(ls -A -- "$venv") ]]; then
    die "$venv exists and was not made by this script: move it away, or set MMSOLA_VENV elsewhere."
fi
installed=$(cat -- "$stamp" 2>/dev/null) || installed=
if [[ $installed == "$wanted" ]] && "$venv/bin/python" -c '' 2>/dev/null; then
    say "environment $venv is up to date"
else
    if [[ ${installed%%$'\n'*} != "${wanted%%$'\n'*}" ]] || ! "$venv/bin/python" -c '' 2>/dev/null; then
        say "making environment $venv with $base"
        mkdir -p -- "$venv"
        : >"$marker"
        # All but the marker, or a removal that is killed would leave a folder that looks foreign.
        find "$venv/" -mindepth 1 -maxdepth 1 ! -name "${marker##*/}" -exec rm -rf -- {} +
        "$base" -m venv "$venv"
    fi
    rm -f -- "$stamp"
    pip=("$venv/bin/python" -m pip install -q --disable-pip-version-check)
    # First and pinned: as a mere requirement it would come in the newest version.
    say "installing PyTorch $torch_version"
    "${pip[@]}" "torch==$torch_version" >&2
    say 'installing mmsola and what it needs'
    (cd -- "$repo" && "${pip[@]}" -e '.[lite,test]' >&2)
    printf '%s\n' "$wanted" >"$stamp"
fi
printf '%s\n' "$venv/bin/python"
