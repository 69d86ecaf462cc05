# Shared by the scripts here; sourced, never run. Sets ROOT and LOCAL and a few verbs.
# Everything a script makes goes below LOCAL, so removing .local is a full reset.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
LOCAL="$ROOT/.local"
mkdir -p "$LOCAL"

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# sha256 FILE prints the digest; coreutils and macOS name the tool differently.
sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

# locked NAME makes this process the only one below a lock of that name, until it ends. Where flock(1) is missing it is a no-op.
locked() {
  mkdir -p "$LOCAL/locks"
  exec 9>"$LOCAL/locks/$1"
  if command -v flock >/dev/null; then flock 9; fi
}

# host_python prints a Python 3.11 or later that can make virtual environments.
host_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "needs Python 3.11 or later with venv; set PYTHON to one"
}

# make_venv NAME REQUIREMENTS installs the pinned packages into .local/NAME once per content of REQUIREMENTS.
make_venv() {
  local name=$1 requirements=$2 dir="$LOCAL/$1" want
  want="$(sha256 "$requirements")"
  if [ -f "$dir/.installed" ] && [ "$(cat "$dir/.installed")" = "$want" ]; then return; fi
  say "installing $(basename "$requirements") into .local/$name"
  rm -rf "$dir"
  "$(host_python)" -m venv "$dir"
  "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --requirement "$requirements" >&2
  printf '%s\n' "$want" >"$dir/.installed"
}

# timed NAME COMMAND... runs a step of a longer job: its name before, its seconds after. The job ends with the first step that fails.
TIMINGS=()
timed() {
  local name=$1 start=$SECONDS code=0
  shift
  printf '\n== %s\n' "$name" >&2
  "$@" || code=$?
  TIMINGS+=("$(printf '%4d s  %s' $((SECONDS - start)) "$name")")
  if [ "$code" -ne 0 ]; then
    summary >&2
    printf '\n%s failed (%s)\n' "$name" "${0##*/}" >&2
    exit "$code"
  fi
}

# beside NAME COMMAND... begins a step that goes on while others follow, behind them for the processors. Its output is kept for `joined`.
BESIDE=()
beside() {
  local name=$1 log="$LOCAL/beside-${#BESIDE[@]}.log"
  shift
  printf '\n== %s: begun, and told below\n' "$name" >&2
  set -m # a process group of its own, so that `abandon` reaches all of it
  (
    code=0 start=$SECONDS
    nice -n 10 "$@" >"$log" 2>&1 || code=$?
    printf '%s\n' $((SECONDS - start)) >"$log.seconds"
    exit "$code"
  ) &
  set +m
  BESIDE+=("$!|$log|$name")
}

# abandon ends the steps that still go on beside.
abandon() {
  local step
  [ "${#BESIDE[@]}" -gt 0 ] || return 0
  for step in "${BESIDE[@]}"; do
    kill -- "-${step%%|*}" 2>/dev/null || true
  done
}

# joined waits for the steps that beside began, and tells what they said. The job ends with the first that failed.
joined() {
  local step pid log name code
  for step in "${BESIDE[@]}"; do
    IFS='|' read -r pid log name <<<"$step"
    code=0
    wait "$pid" || code=$?
    printf '\n== %s\n' "$name" >&2
    cat "$log" >&2
    TIMINGS+=("$(printf '%4d s  %s, beside the others' "$(cat "$log.seconds")" "$name")")
    if [ "$code" -ne 0 ]; then
      summary >&2
      printf '\n%s failed (%s)\n' "$name" "${0##*/}" >&2
      exit "$code"
    fi
  done
  BESIDE=()
}

# summary lists the steps so far with their seconds.
summary() {
  echo
  printf '%s\n' "${TIMINGS[@]}"
}
