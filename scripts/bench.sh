#!/usr/bin/env bash
# Ours beside diffusers, by turns on the same random weights: denoising steps, VAE decodes, attention, linear layers and the
# whole demo video. Prints ratios, GFLOP/s, the share of what brgemm makes of this machine, and peak memory; writes
# out/bench.json and out/bench.svg. Takes about 15 minutes on two quiet cores, with --full half
# an hour.
#   scripts/bench.sh [--only CASE...] [--repeats N] [--threads N] [--full] [--list]
#   scripts/bench.sh --micro [GOOGLE BENCHMARK ARGUMENT...]    single operations of ours instead
#   scripts/bench.sh --limits    how near each is to what limits it: matrix, exponential, memory, communication (2 minutes)
# diffusers runs in .deps/bench-env, made on the first run with pip (Python 3.11; 5 GB, most of it libraries for GPUs that
# PyTorch's wheel asks for), or in the python that COGVX_BENCH_PYTHON names.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly requirements=scripts/bench/requirements.txt environment=.deps/bench-env
export PYTHONPATH="$PWD/scripts" PYTHONDONTWRITEBYTECODE=1

# The python with diffusers; stamped with what it was made from, so that a second run does nothing.
bench_python() {
  if [ -n "${COGVX_BENCH_PYTHON:-}" ]; then
    "$COGVX_BENCH_PYTHON" -c 'import diffusers, torch, transformers' 2>/dev/null ||
      die "COGVX_BENCH_PYTHON is '$COGVX_BENCH_PYTHON', which cannot import torch, diffusers and transformers ($requirements)"
    echo "$COGVX_BENCH_PYTHON"
    return
  fi
  local digest
  digest=$(sha256sum <"$requirements" | cut -d' ' -f1)
  if [ "$(cat "$environment/made-from" 2>/dev/null)" != "$digest" ]; then
    python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
      die "python3 is $(python3 -V), wanted 3.11 for the versions in $requirements; or name a python with COGVX_BENCH_PYTHON"
    echo "bench: making $environment with pip from $requirements: 5 GB, some minutes, once" >&2
    rm -rf "$environment"
    python3 -m venv "$environment" || die "python3 makes no virtual environment; on Debian: apt-get install python3-venv"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2 ||
      die "pip could not install $requirements; see above"
    echo "$digest" >"$environment/made-from"
  fi
  echo "$PWD/$environment/bin/python"
}

build() {  # target...
  scripts/setup.sh --quiet
  mkdir -p build out
  cmake -S . -B build -G Ninja -DCOGVX_BUILD_BENCHMARKS=ON >build/configure.log 2>&1 ||
    { tail -n 20 build/configure.log >&2; die "cmake could not configure 'build'; see above and build/configure.log"; }
  ninja -C build -j "$(build_jobs)" --quiet "$@" >&2 || die "the build failed; the first error is above"
}

case " $* " in
  *" --list "*|*" --help "*|*" -h "*) exec python3 -m bench "$@" ;;
esac
if [ "${1:-}" = --micro ]; then
  shift
  build micro_bench
  exec build/tests/bench/micro_bench "$@"
fi
if [ "$*" = --limits ]; then
  build micro_bench
  exec python3 -m bench.limits build/tests/bench/micro_bench out/limits.json
fi
# Wrong arguments are told before anything is made.
python3 -m bench --list "$@" >/dev/null
python=$(bench_python)
build bench_worker cogvx-gen cogvx-compare
exec "$python" -m bench "$@"
