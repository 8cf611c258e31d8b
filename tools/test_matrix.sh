#!/usr/bin/env bash
# Runs the tests in environments of other versions, each made in a folder of its own:
#
#   bash tools/test_matrix.sh                      # all environments, with every Python found
#   bash tools/test_matrix.sh lowest -m 'not slow' # one of them; what follows goes to pytest
#
# lowest: the oldest versions that pyproject.toml allows. newest: the newest ones, mmcv-lite 2.2 among
# them. source: MMAction2 from its source, editable, of MMACTION2_SOURCE.
#
#   PYTHONS           interpreters to try                  (default: python3.10 to python3.13, if there)
#   TORCH_VERSION     as for setup_env.sh
#   MMSOLA_MATRIX     where the environments lie, which are kept     (default: .matrix-mmsola)
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
matrix=${MMSOLA_MATRIX:-$repo/.matrix-mmsola}
torch_version=${TORCH_VERSION:-2.13.0}
export PYTHONNOUSERSITE=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

say() { printf '[mmsola] %s\n' "$*"; }

constraints() {
    case $1 in
    lowest) cat <<'EOF' ;;
mmcv-lite==2.0.0
mmengine==0.10.3
mmaction2==1.2.0
av==15.0.0
numpy==1.26.0
h5py==3.10.0
matplotlib==3.8.0
scikit-learn==1.6.0
scipy==1.12.0
EOF
    newest | source) printf 'mmcv-lite==2.2.0\n' ;;
    *) say "unknown environment $1: expected lowest, newest or source" >&2 && exit 2 ;;
    esac
}

run_in() {  # name of the environment, interpreter, arguments of pytest
    local name=$1 python=$2 venv
    shift 2
    venv=$matrix/$name-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "environment $venv"
    if [[ ! -e $venv/.installed ]]; then
        rm -rf -- "$venv"
        "$python" -m venv "$venv"
        constraints "$name" >"$venv/constraints.txt"
        "$venv/bin/python" -m pip install -q --disable-pip-version-check "torch==$torch_version"
        (cd -- "$repo" && "$venv/bin/python" -m pip install -q --disable-pip-version-check \
            -c "$venv/constraints.txt" -e '.[lite,test]')
        if [[ $name == source ]]; then
            "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
                --no-build-isolation -e "${MMACTION2_SOURCE:?names the source of MMAction2}"
        fi
        : >"$venv/.installed"
    fi
    "$venv/bin/python" -m pip list --disable-pip-version-check 2>/dev/null |
        grep -iE '^(av|h5py|matplotlib|mmaction2|mmcv-lite|mmengine|numpy|scikit-learn|scipy|torch) '
    (cd -- "$repo" && "$venv/bin/python" -m pytest -q -n "${MMSOLA_TEST_JOBS:-2}" --dist loadfile "$@")
}

names=(lowest newest)
[[ -z ${MMACTION2_SOURCE:-} ]] || names+=(source)
if [[ $# -gt 0 && $1 != -* ]]; then
    names=("$1")
    shift
fi
failed=()
for python in ${PYTHONS:-python3.10 python3.11 python3.12 python3.13}; do
    command -v "$python" >/dev/null || { say "$python is not there"; continue; }
    for name in "${names[@]}"; do
        run_in "$name" "$python" "$@" || failed+=("$name with $python")
    done
done
[[ ${#failed[@]} -eq 0 ]] || { say "failed: ${failed[*]}"; exit 1; }
