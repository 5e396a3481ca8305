#!/usr/bin/env bash
# Formats the C++ and CUDA sources with clang-format 14, the version of Debian 12; --check only says what it would change.
#   scripts/format.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly wanted=14

main() {
  local mode=(-i)
  case "${1:-}" in
    "") ;;
    --check) mode=(--dry-run --Werror) ;;
    *) die "unknown argument '$1'; it takes --check" ;;
  esac
  local program
  program=$(command -v clang-format-$wanted || command -v clang-format) ||
    die "no clang-format here; install clang-format $wanted"
  local version
  version=$("$program" --version | sed -E 's/.*version ([0-9]+).*/\1/')
  if [ "$version" != $wanted ]; then
    # Each major version has its own taste; a verdict of another one would be about that, not about the code.
    echo "format: skipped: clang-format is $version, the sources follow $wanted"
    return
  fi
  if ! source_files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -0 --no-run-if-empty -n 16 -P "$(nproc)" "$program" "${mode[@]}"; then
    echo "format: the lines above are not as clang-format $wanted writes them; run scripts/format.sh" >&2
    exit 1
  fi
  [ "${1:-}" != --check ] || echo "format: good"
}

main "$@"
