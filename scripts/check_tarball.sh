#!/usr/bin/env bash
# Shows that the tarball runs on a Debian 12 that has the packages of scripts/runtime_packages.txt and nothing else: makes it,
# unpacks it in a fresh debootstrap chroot and compares the demo video made there, without a network, with the build tree's.
#   scripts/check_tarball.sh [--build-dir D]    as root; fetches 100 MB of Debian packages from where apt gets its own
# shellcheck disable=SC2016  # dpkg and apt fill in ${...} themselves
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly release=bookworm prompt="a red circle moves right on a blue background"
build=build

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --build-dir)
        [ $# -ge 2 ] || die "$1 wants a value"
        build=$2
        shift ;;
      *) die "unknown argument '$1'; it takes --build-dir" ;;
    esac
    shift
  done
  [ "$(id -u)" = 0 ] || die "a chroot wants root; run it as root"
  [ -e "$build/build.ninja" ] || die "'$build' is not configured; scripts/test.sh does it"
  command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >/dev/null ||
    die "there is no debootstrap; install Debian's package"
}

# Runs a command that says nothing where it succeeds, and its last lines where it does not.
quietly() {  # what has failed then, command...
  local what=$1
  shift
  "$@" >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; die "$what; see above"; }
}

make_tarball() {
  quietly "the build in '$build' failed" ninja -C "$build" -j "$(build_jobs)" cogvx_installed
  quietly "cpack failed" cpack --config "$build/CPackConfig.cmake" -B "$work"
  rm -rf "$work/_CPack_Packages"
  tarball=$(echo "$work"/*.tar.gz)
  installed=/opt/$(basename "$tarball" .tar.gz)
}

# Runs a command in the chroot, with a /proc that goes when it ends.
inside() {
  unshare --mount --pid --fork --mount-proc="$root/proc" \
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
}

# A program of the tarball, with no network but a loopback of its own.
inside_alone() {  # name of the program, argument...
  unshare --net --mount --pid --fork --mount-proc="$root/proc" sh -c 'ip link set lo up; exec chroot "$@"' - \
    "$root" /usr/bin/env -i PATH=/usr/bin:/bin "$installed/bin/$1" "${@:2}"
}

# apt's own mirrors of this release, updates too, so that both sides have the same libav.
sources() {
  apt-get indextargets --format '$(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v release="$release" '$1 ~ "^" release { print "deb", $2, $3, $4 }' | sort -u
}

make_chroot() {
  local mirror packages
  sources >"$work/sources"
  mirror=$(awk -v release="$release" '$3 == release { print $2; exit }' "$work/sources")
  [ -n "$mirror" ] || die "apt knows no mirror of Debian's $release; run apt-get update on a machine that has it"
  quietly "debootstrap failed" unshare --mount debootstrap --variant=minbase "$release" "$root" "$mirror"
  cp "$work/sources" "$root/etc/apt/sources.list"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  quietly "apt-get failed in the chroot" inside sh -c 'apt-get update -qq && apt-get upgrade -y -qq'
  inside dpkg-query -W -f='${Package}\n' | sort >"$work/base"
  mapfile -t packages < <(grep -v '^#' scripts/runtime_packages.txt)
  quietly "the packages of scripts/runtime_packages.txt cannot be installed" \
    inside apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

# The list names each package whose libraries ours ask for by name, beyond the bare system's, and no other.
check_packages() {  # folder of the unpacked tarball
  local wanted name
  find "$1/bin" "$1/lib/cogvx" -type f -exec readelf -d {} + 2>/dev/null |
    sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u >"$work/needed"
  wanted=$(while read -r name; do
    [ -n "$(find "$1/lib/cogvx" -name "$name")" ] || inside dpkg -S "*/$name" | cut -d: -f1 ||
      die "no package of scripts/runtime_packages.txt, nor of a bare system, holds $name"
  done <"$work/needed" | sort -u | comm -23 - "$work/base")
  diff <(echo "$wanted") <(grep -v '^#' scripts/runtime_packages.txt | sort) ||
    die "scripts/runtime_packages.txt is not the list of what the programs load: '<' is missing there, '>' is not needed"
}

# Latents, frames and file of a video: report, file.
hashes() {
  local file
  file=$(sha256sum "$2" | cut -d' ' -f1)
  echo "latents $(hash_in "$1" sha256_latents), frames $(hash_in "$1" sha256_frames), file $file"
}

compare_videos() {
  local report got mesh cp sp flags=(--prompt "$prompt" --quiet --json)
  report=$("$build/app/cogvx-gen" --model configs/demo "${flags[@]}" -o "$work/tree.mp4") || die "the build tree made no video"
  wanted=$(hashes "$report" "$work/tree.mp4")
  flags+=(--model "$installed/share/cogvx/demo")
  for mesh in "1 1" "2 2"; do
    read -r cp sp <<<"$mesh"
    report=$(inside_alone cogvx-launch -- --cp "$cp" --sp "$sp" "${flags[@]}" -o "/tmp/$cp.mp4") ||
      die "the tarball made no video on cp $cp x sp $sp"
    got=$(hashes "$report" "$root/tmp/$cp.mp4")
    [ "$got" = "$wanted" ] || die "the tarball's video on cp $cp x sp $sp is another: $got; the build tree's: $wanted"
  done
  inside_alone cogvx-compare --quiet /tmp/1.mp4 /tmp/2.mp4 || die "the tarball's cogvx-compare says that equal videos differ"
  inside_alone cogvx-convert --help >/dev/null || die "the tarball's cogvx-convert does not start"
}

main() {
  parse "$@"
  mkdir -p "$build/tarball"
  work=$(mktemp -d "$(realpath "$build")/tarball/check.XXXXXX")
  root=$work/root
  trap 'rm -rf --one-file-system "$work"' EXIT
  make_tarball
  make_chroot
  tar -xzf "$tarball" -C "$root/opt"
  check_packages "$root$installed"
  compare_videos
  echo "check_tarball: $(basename "$tarball"), $(du -m "$tarball" | cut -f1) MB, $(du -sm "$root$installed" | cut -f1) MB unpacked," \
    "runs on $release with $(grep -vc '^#' scripts/runtime_packages.txt) packages; $wanted"
}

main "$@"
