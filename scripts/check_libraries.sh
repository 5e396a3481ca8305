#!/usr/bin/env bash
# Checks what a built program pulls in: sentencepiece brings its own protobuf and aborts when libprotobuf is loaded too;
# libavfilter brings dozens of libraries that only cogvx-compare needs.
#   scripts/check_libraries.sh PROGRAM     exit 77: no such program, nothing to check
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

main() {
  [ $# = 1 ] || die "wanted one program, found $# arguments"
  [ -x "$1" ] || { echo "skipped: '$1' is not built (configured with COGVX_BUILD_APP=OFF?)"; exit 77; }
  local libraries
  libraries=$(ldd "$1") || die "ldd cannot read '$1'"
  # An ldd that sees little would find no protobuf either.
  grep -q libsentencepiece <<<"$libraries" || die "'$1' does not load libsentencepiece, so this check says nothing; link the tokenizer"
  if grep -E 'libprotobuf|libavfilter|not found' <<<"$libraries"; then
    echo "check_libraries: '$1' must load no libprotobuf and no libavfilter, and miss nothing; see the lines above, and which library brings them" >&2
    exit 1
  fi
  echo "check_libraries: good, $(wc -l <<<"$libraries") libraries"
}

main "$@"
