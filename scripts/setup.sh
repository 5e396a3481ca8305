#!/usr/bin/env bash
# Gets everything a build needs: Debian packages (as root; otherwise prints the command) and the pinned PyTorch wheels,
# checked by SHA-256 and unpacked, never imported, under .deps/python. Safe to run again; a second run does nothing.
# In an installed cogvx it fetches the wheels alone, and only with --cuda has something to do: into lib/cogvx.
#   scripts/setup.sh [--cuda] [--bare] [--cuobjdump] [--browser] [--quiet]
#   --cuda  adds the NVIDIA libraries that PyTorch loads on a GPU
#   --browser  adds the Chromium and the driver that scripts/test.sh --all opens pages in
#   --bare  fills .deps/bare with the sources that a machine without Debian packages needs (scripts/gpu_check.sh)
#   --cuobjdump  adds that tool, for scripts/check_architectures.sh where the CUDA toolkit came without it
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(build-essential cmake ninja-build ccache pkg-config python3 python3-pip clang-format ffmpeg
  libcli11-dev libspdlog-dev nlohmann-json3-dev libsentencepiece-dev
  libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libswscale-dev
  googletest libgtest-dev libgmock-dev libbenchmark-dev
  clang libclang-rt-dev llvm   # for scripts/fuzz.sh alone
  openmpi-bin iproute2)        # for tests of launchers
lists=(scripts/wheels.txt)
quiet=0 bare=0 installed=0 deps=.deps python=.deps/python
[ -e CMakeLists.txt ] || { installed=1 deps=../../lib/cogvx python=../../lib/cogvx; }
for argument in "$@"; do
  case "$argument" in
    --cuda) lists+=(scripts/wheels_cuda.txt) ;;
    --bare) bare=1 ;;
    --browser) packages+=(chromium-driver) ;;
    --cuobjdump) lists+=(scripts/wheels_cuobjdump.txt) ;;
    --quiet) quiet=1 ;;
    *) echo "setup.sh: unknown argument '$argument'; it takes --cuda, --bare, --cuobjdump, --browser and --quiet" >&2; exit 2 ;;
  esac
done
say() { [ "$quiet" = 1 ] || echo "setup: $*"; }

# libFuzzer, in the package of any version of clang.
has_fuzzer_runtime() {
  local compiler
  compiler=$(command -v clang++ || command -v clang++-14) || return 1
  [ -e "$("$compiler" -print-runtime-dir 2>/dev/null)/libclang_rt.fuzzer-x86_64.a" ] ||
    [ -e "$("$compiler" -print-runtime-dir 2>/dev/null)/libclang_rt.fuzzer.a" ]
}

install_debian_packages() {
  local missing=()
  command -v dpkg-query >/dev/null || { say "no dpkg here: make sure you have ${packages[*]}"; return; }
  local have
  have=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null | awk '$1=="ii"{print $2}') || true
  for package in "${packages[@]}"; do
    grep -qx "$package" <<<"$have" || missing+=("$package")
  done
  # cmake, ninja and a clang-format that came another way serve as well.
  local wanted=()
  for package in "${missing[@]}"; do
    case "$package" in
      cmake|clang-format|ccache|ffmpeg) command -v "$package" >/dev/null && continue ;;
      openmpi-bin) command -v mpirun >/dev/null && continue ;;
      chromium-driver) command -v chromedriver >/dev/null && continue ;;
      iproute2) command -v ip >/dev/null && continue ;;
      ninja-build) command -v ninja >/dev/null && continue ;;
      clang) { command -v clang++ || command -v clang++-14; } >/dev/null && continue ;;
      llvm) { command -v llvm-cov || command -v llvm-cov-14; } >/dev/null && continue ;;
      libclang-rt-dev) has_fuzzer_runtime && continue ;;
      python3-pip) python3 -m pip --version >/dev/null 2>&1 && continue ;;
    esac
    wanted+=("$package")
  done
  [ ${#wanted[@]} = 0 ] && { say "Debian packages are there"; return; }
  if [ "$(id -u)" != 0 ]; then
    echo "setup.sh: missing packages; run this, then scripts/setup.sh again:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${wanted[*]}" >&2
    exit 1
  fi
  say "installing ${wanted[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

unpack_wheel() {  # requirement, platform tag, SHA-256
  local stamp="$deps/stamps/$3"
  [ -e "$stamp" ] && return
  say "fetching $1"
  local folder
  folder=$(mktemp -d "$deps/download.XXXXXX")
  # Exact tags, so that any Python 3 fetches the same file.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$folder" \
    --platform "$2" --platform manylinux2014_x86_64 --implementation cp --python-version 3.11 --abi cp311 --abi none \
    "$1"
  local wheel
  wheel=$(echo "$folder"/*.whl)
  echo "$3  $wheel" | sha256sum --check --status || {
    echo "setup.sh: $1: SHA-256 is $(sha256sum "$wheel" | cut -d' ' -f1), pinned is $3; not unpacked" >&2
    rm -rf "$folder"
    exit 1
  }
  python3 -m zipfile -e "$wheel" "$python"
  rm -rf "$folder"
  touch "$stamp"
}

if [ "$installed" = 1 ]; then
  [ ${#lists[@]} -gt 1 ] || { say "nothing to do: an installed cogvx has what a CPU wants; --cuda fetches NVIDIA's libraries"; exit 0; }
else
  install_debian_packages
fi
mkdir -p "$deps/stamps" "$python"
rm -rf "$deps"/download.*
while read -r requirement platform digest; do
  unpack_wheel "$requirement" "$platform" "$digest"
done < <(grep -hv '^#' "${lists[@]}")
if [ "$bare" = 1 ]; then
  mkdir -p .deps/bare/include
  cp -RLu /usr/include/nlohmann .deps/bare/include/
  cp -RLu /usr/src/googletest .deps/bare/
fi
say "done"
