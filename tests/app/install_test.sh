#!/usr/bin/env bash
# One fact about an installation that was moved after `cmake --install`; `install` makes it and `remove` takes it away.
#   tests/app/install_test.sh BUILD FOLDER install|run_paths|same_video|launcher|licences|missing_cuda|remove [FAKE PROBE]
# Exit 77: skipped.
set -euo pipefail

build=$1 folder=$2 fact=$3
root="$folder/moved here"

fail() { echo "install: $*"; exit 1; }

# Elsewhere, with a space in its name, and the place it was installed to gone.
install() {
  rm -rf "$folder"
  mkdir -p "$folder"
  env -u DESTDIR cmake --install "$build" --prefix "$folder/installed" >"$folder/log" || { tail "$folder/log"; fail "cmake --install failed"; }
  mv "$folder/installed" "$root"
}

elf_files() { find "$root" -type f \( -path '*/bin/*' -o -name '*.so*' \) -print0 | xargs -0 grep -lZ '^.ELF'; }

# Each file is searched from where it lies; what is found lies here or belongs to the system.
run_paths() {
  local file entry count=0 outside
  while IFS= read -r -d '' file; do
    count=$((count + 1))
    while IFS= read -r entry; do
      [[ $entry == \$ORIGIN || $entry == \$ORIGIN/* ]] || fail "'$file' searches '$entry', wanted \$ORIGIN/..."
    done < <(readelf -d "$file" | sed -n 's/.*R[UN]*PATH).*\[\(.*\)\]/\1/p' | tr ':' '\n')
  done < <(elf_files)
  [ "$count" -ge 8 ] || fail "found $count programs and libraries, wanted 8 or more"
  for file in "$root"/bin/cogvx-{gen,compare,convert}; do
    ldd "$file" >"$folder/libraries"
    grep -q "=> $root/bin/../lib/cogvx/torch/lib/libtorch_cpu.so " "$folder/libraries" || fail "'$file' does not load its own libtorch_cpu"
    outside=$(sed -n 's/.*=> \(.*\) (0x.*/\1/p' "$folder/libraries" | grep -vE "^($root|/lib|/usr/lib)/" || true)
    [ -z "$outside" ] || fail "'$file' loads '$outside'"
    ! grep 'not found' "$folder/libraries" || fail "'$file' misses the above"
  done
}

make_video() {  # program, file
  "$1" --model "$root/share/cogvx/demo" --prompt "a red circle" --steps 1 --quiet -o "$2" >/dev/null || fail "'$1' made no video"
}

same_video() {
  rm -f "$folder"/*.mp4 "$folder"/*.json
  [ "$("$root/bin/cogvx-gen" --version)" = "$("$build/app/cogvx-gen" --version)" ] || fail "it names another version than the build"
  make_video "$build/app/cogvx-gen" "$folder/tree.mp4"
  make_video "$root/bin/cogvx-gen" "$folder/installed.mp4"
  "$root/bin/cogvx-compare" --quiet "$folder/tree.mp4" "$folder/installed.mp4" || fail "its frames are not the build's"
  cmp "$folder/tree.mp4" "$folder/installed.mp4" || fail "its file is not the build's"
}

launcher() {
  local line scripts="$root/share/cogvx/scripts"
  line="$(printf '%q' "$root/bin/cogvx-gen") --cp 2 --launcher spawn "
  [ "$(cd / && PATH="$root/bin:$PATH" cogvx-launch --dry-run -- --cp 2)" = "$line" ] || fail "cogvx-launch does not start the cogvx-gen beside it"
  [ "$("$scripts/launch.sh" --dry-run -- --cp 2)" = "$line" ] || fail "launch.sh does not start the installed cogvx-gen"
  "$scripts/setup.sh" | grep -q 'nothing to do' || fail "setup.sh has something to do"
  cmp "$root/share/bash-completion/completions/cogvx-gen" <("$build/app/cogvx-gen" --completion) || fail "the completion is not the program's"
}

licences() {
  local documents="$root/share/doc/cogvx" wheel rest
  [ -s "$documents/LICENSE" ] || fail "no share/doc/cogvx/LICENSE"
  # torch==2.11.0 lies in torch-2.11.0, nvidia-cuda-runtime==13.0.96 in nvidia_cuda_runtime-13.0.96.
  while read -r wheel rest; do
    wheel=${wheel//-/_}
    compgen -G "$documents/${wheel/==/-}/*[Ll][Ii][Cc][Ee][Nn][Ss][Ee]*" >/dev/null || fail "no licence in share/doc/cogvx/${wheel/==/-}"
  done < <(grep -v '^#' "$root/share/cogvx/scripts/wheels.txt")
}

# A stand-in finds a device, so that the plugin that computes is loaded; its libraries are not in the installation.
missing_cuda() {
  local said code=0 gpu="$folder/with gpu"
  [ -e "$root/lib/libcogvx_cuda_ops.so" ] || { echo "skipped: the CUDA plugin is not built"; exit 77; }
  rm -rf "$gpu"
  mkdir -p "$gpu/bin" "$gpu/lib"
  cp "$root/bin/cogvx-gen" "$gpu/bin"
  cp "$root/lib/libcogvx_cuda_ops.so" "$gpu/lib"
  ln -s "$1" "$gpu/lib/libcogvx_cuda.so"
  ln -s "$root/lib/cogvx" "$gpu/lib/cogvx"
  ln -s "$root/share" "$gpu/share"
  said=$(COGVX_FAKE_CUDA="two devices" "$gpu/bin/cogvx-gen" --model "$root/share/cogvx/demo" -p "a red circle" --device cuda \
    --quiet -o "$folder/gpu.mp4" 2>&1) || code=$?
  [ "$code" = 4 ] || fail "exit code $code, wanted 4: $said"
  [ "$(wc -l <<<"$said")" = 1 ] || fail "wanted one line, got: $said"
  [[ $said == *"libtorch_cuda.so: cannot open"*"run '$gpu/share/cogvx/scripts/setup.sh' --cuda"* ]] || fail "it says: $said"
}

case "$fact" in
  install|run_paths|same_video|launcher|licences|missing_cuda) "$fact" "${@:4}" ;;
  remove) rm -rf "$folder" ;;
  *) fail "unknown fact '$fact'" ;;
esac
