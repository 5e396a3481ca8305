# shellcheck shell=bash
# What the scripts share; sourced, never run.

die() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

# The folder of a checkout's scripts, or share/cogvx of an installation: cogvx-gen of either.
own_program() {  # that folder
  if [ -e "$1/CMakeLists.txt" ]; then echo "$1/build/app/cogvx-gen"; else echo "${1%/share/cogvx}/bin/cogvx-gen"; fi
}

# Compilers that run at once: one per core, but a file with PyTorch's headers wants 1.5 GB.
build_jobs() {
  local cores memory_kb
  cores=$(nproc)
  memory_kb=$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)
  local by_memory=$((memory_kb / 1500000))
  ((by_memory >= 1)) || by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}

# Files of these patterns that git tracks or would track, NUL-separated. A checkout may belong to another user.
source_files() {
  local list
  list=$(mktemp)
  git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard -- "$@" >"$list" ||
    die "git cannot list the files of '$PWD'; run this in a git checkout"
  # A file deleted but not yet committed is still on git's list.
  while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
  done <"$list"
  rm -f "$list"
}

# Two layers of 2B's geometry with random weights, for benchmarks.
bench_checkpoint() {
  [ -e out/bench-2b/model_index.json ] ||
    python3 scripts/make_random_checkpoint.py --geometry 2b --layers 2 --slim-vae 16 \
      --tokenizer configs/demo/tokenizer/spiece.model out/bench-2b
}

# A hash in a report of cogvx-gen --json: report, the hash's name.
hash_in() {
  grep -o "\"$2\":\"[0-9a-f]*\"" <<<"$1" | head -n 1 | cut -d'"' -f4 || die "the report of the run holds no $2"
}
