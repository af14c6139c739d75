#!/usr/bin/env bash
# Tests Python: the library through bare ctypes; then the package as its users get it, a wheel that is built and
# installed into a fresh venv without a network, with the tests of bindings/python. trio and anyio, which the package
# does not need, are installed beside it for the tests of coroutines, and prometheus_client for those of metrics; if
# they cannot be installed, these tests are skipped. Environment: GMX_LIB another libgomax.so than target/release's;
# PYTHONS the interpreters (python3), as in PYTHONS="python3.9 python3.13t"; GMX_MYPY the mypy that checks the types
# (default: the one on the PATH). Without a mypy the script installs one below target; if that fails, the check is
# skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
GMX_LIB=$(realpath -m "${GMX_LIB:-${CARGO_TARGET_DIR:-target}/release/libgomax.so}")
export GMX_LIB PYTHONDONTWRITEBYTECODE=1
[[ -e $GMX_LIB ]] || { echo "there is no $GMX_LIB: make build" >&2; exit 1; }
mypy=$(realpath -m "${CARGO_TARGET_DIR:-target}")/mypy
if [[ -z ${GMX_MYPY:-} ]] && ! command -v mypy >/dev/null; then
  [[ -x $mypy/bin/mypy ]] || { "${PYTHON:-python3}" -m venv "$mypy" && "$mypy/bin/pip" install --quiet --disable-pip-version-check mypy; } ||
    echo "mypy cannot be installed" >&2
  if [[ -x $mypy/bin/mypy ]]; then export GMX_MYPY=$mypy/bin/mypy; fi
fi
work=$(mktemp -d)
declare -A beside=()
trap 'kill "${!beside[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
failed=0

# suite VENV MODULE...: the tests of bindings/python
suite() {
  (cd "$work" && "$1/bin/python" -X faulthandler "$OLDPWD/bindings/python/tests" "${@:2}")
}

# By default also the oldest and the newest interpreter of pyenv, beside the others: some tests depend on where an
# interpreter lets handlers and threads run.
declare -A beside=()
others() {
  local found python venv
  mapfile -t found < <(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.{9,1[0-9]}.*/bin/python3 2>/dev/null | sort -V)
  if ((${#found[@]} > 1)); then
    for python in "${found[0]}" "${found[-1]}"; do
      venv=$work/$("$python" -c 'import sys; print(sys.version_info[1])')
      (
        echo "-- $("$python" -VV | head -1)"
        "$python" -m venv "$venv"
        "$venv/bin/pip" install --quiet --no-index --no-deps "$1"
        suite "$venv" test_channels test_sync test_interrupted test_exactly_once \
          test_net test_net_async test_net_files test_net_interrupted test_net_owners
      ) >"$venv.log" 2>&1 &
      beside[$!]=$venv.log
    done
  fi
}

for python in ${PYTHONS:-${PYTHON:-python3}}; do
  venv=$work/$(basename "$python")
  echo "-- $("$python" -VV | head -1)"
  "$python" ctests/py_smoke.py || failed=1
  "$python" -m venv "$venv"
  "$venv/bin/pip" wheel --quiet --no-index --no-deps --wheel-dir "$venv/wheels" bindings/python
  wheel=$(echo "$venv"/wheels/gomax-*-py3-none-*linux*.whl)
  [[ -n ${PYTHONS:-} ]] || others "$wheel"
  "$venv/bin/pip" install --quiet --no-index --no-deps "$wheel"
  "$venv/bin/pip" install --quiet --disable-pip-version-check trio anyio prometheus_client ||
    echo "trio, anyio and prometheus_client cannot be installed" >&2
  suite "$venv" || failed=1
  (cd "$work" && "$OLDPWD/ci/meaning.py" Python "$venv/bin/python" "$OLDPWD/bindings/python/tests/meaning.py") || failed=1
done
for pid in "${!beside[@]}"; do
  wait "$pid" || failed=1
  cat "${beside[$pid]}"
  unset "beside[$pid]"
done
exit $failed
