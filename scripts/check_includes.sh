#!/usr/bin/env bash
# Checks what may include what: app -> {parallel, io, core}, parallel -> core, io -> core/base, core -> core; libraries
# only where they belong; the weight parsers and the CUDA sources free of PyTorch's headers. tests/ may include anything.
#   scripts/check_includes.sh [--self-test]     --self-test breaks each rule once in a made-up tree and sees it caught
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
readonly rules="$PWD/scripts/check_includes.awk"

check_tree() {  # root
  (
    cd "$1"
    local files
    mapfile -t files < <(find app parallel io core -regextype posix-extended -regex '.*\.(h|cpp|cu|cuh)' 2>/dev/null | sort)
    [ ${#files[@]} -gt 0 ] || die "no sources under app, parallel, io and core in '$1'"
    awk -f "$rules" "${files[@]}"
  )
}

put() {  # file, include line...: a file of the made-up tree
  mkdir -p "$(dirname "$tree/$1")"
  printf '%s\n' "#pragma once" "${@:2}" >"$tree/$1"
}

good_tree() {
  put core/base/shapes.h '#include <ATen/core/Tensor.h>'
  put core/base/errors.h '#include <string>'
  put core/text/tokenizer.cpp '#include <sentencepiece_processor.h>'
  put core/weights/config.h '#include "core/base/errors.h"' '// #include <ATen/ATen.h>'
  put core/weights/safetensors.cpp '#include "core/weights/config.h"'
  put core/ops/cuda/probe.cu '#include <cuda_runtime.h>'
  put parallel/group.cpp '#include "core/base/shapes.h"' '#include <torch/csrc/distributed/c10d/Store.hpp>'
  put io/writer.cpp '#include <libavcodec/avcodec.h>' '#include "core/base/errors.h"' '#include "io/reader.h"'
  put io/reader.h
  put app/main.cpp '#include <CLI/CLI.hpp>' '#include <spdlog/spdlog.h>' '#include "io/reader.h"' '#include "parallel/group.h"'
}

expect_caught() {  # file, words of the rule, include line...
  [ ! -e "$tree/$1" ] || die "self-test: $1 is a file of the good tree; name another"
  put "$1" "${@:3}"
  local said
  if said=$(check_tree "$tree"); then
    die "self-test: '${*:3}' in $1 was not caught"
  fi
  grep -qE "^$1:[0-9]+: .*$2" <<<"$said" || die "self-test: '${*:3}' in $1 was caught for another reason: $said"
  [ "$(wc -l <<<"$said")" = 1 ] || die "self-test: one violation in $1, several found: $said"
  rm "$tree/$1"
  ((++caught))
}

self_test() {
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  good_tree
  local said
  said=$(check_tree "$tree") || die "self-test: a tree without a violation was refused: $said"
  caught=0
  expect_caught core/base/a.h 'core includes core only' '#include "parallel/group.h"'
  expect_caught core/base/a.h 'core includes core only' '#include "io/reader.h"'
  expect_caught core/base/a.h 'core includes core only' '  #  include <app/main.h>'
  expect_caught core/base/a.h 'core includes core only' '#include "tests/support/test_paths.h"'
  expect_caught parallel/a.cpp 'parallel includes parallel and core' '#include "io/reader.h"'
  expect_caught parallel/a.cpp 'parallel includes parallel and core' '#include "app/main.h"'
  expect_caught io/a.cpp 'io includes io and core/base' '#include "core/weights/config.h"'
  expect_caught io/a.cpp 'io includes io and core/base' '#include "parallel/group.h"'
  expect_caught app/a.cpp 'app includes' '#include "tests/support/test_paths.h"'
  expect_caught io/a.cpp 'from the root' '#include "reader.h"'
  expect_caught core/text/a.cpp 'sentencepiece' '#include <sentencepiece_processor.h>'
  expect_caught app/a.cpp 'sentencepiece' '#include <sentencepiece_processor.h>'
  expect_caught core/base/a.h 'spdlog and CLI11' '#include <spdlog/spdlog.h>'
  expect_caught io/a.cpp 'spdlog and CLI11' '#include <CLI/CLI.hpp>'
  expect_caught app/a.cpp 'only io includes libav' '#include <libavutil/avutil.h>'
  expect_caught core/base/a.h 'only io includes libav' '#include <libswscale/swscale.h>'
  expect_caught core/weights/config.cpp 'parsers' '#include <ATen/core/Tensor.h>'
  expect_caught core/weights/safetensors.h 'parsers' '#include <c10/core/ScalarType.h>'
  expect_caught core/weights/config.cpp 'parsers.*shapes.h -> ATen' '#include "core/base/shapes.h"'
  expect_caught core/ops/cuda/a.cu 'CUDA sources' '#include <torch/extension.h>'
  echo "check_includes: self-test good, $caught violations caught"
}

main() {
  case "${1:-}" in
    "") check_tree . || { echo "check_includes: the includes above break a rule" >&2; exit 1; }
        echo "check_includes: good" ;;
    --self-test) self_test ;;
    *) die "unknown argument '$1'; it takes --self-test" ;;
  esac
}

main "$@"
