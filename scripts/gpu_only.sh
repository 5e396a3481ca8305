#!/usr/bin/env bash
# Lists every function that only a GPU can run: file, lines, and what guards it at run time, from the comment
# `// GPU only: guarded by ...` above the function or, for all of a file, at its head. Fails for one without a guard and
# where they are too many lines in all. Everything in the plugins' sources counts; headers hold no such function.
#   scripts/gpu_only.sh [--self-test]     --self-test breaks each rule once in a made-up tree and sees it caught
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
readonly most_lines=600

read -r -d '' table_of <<'AWK' || true
function finish(last) {
  guard = own != "" ? own : head
  if (guard == "") { printf "%s:%d: %s has no `// GPU only: guarded by ...`\n", FILENAME, start, name; bad = 1 }
  else printf "%-34s %4d-%-4d %4d  %-28s %s\n", FILENAME, start, last, last - start + 1, name, guard
  lines += last - start + 1
  ++functions
}
function name_of(text) {
  sub(/^template <[^>]*> */, "", text)
  if (match(text, /^(struct|class) [A-Za-z_]+/)) return substr(text, RSTART, RLENGTH)
  sub(/__attribute__\(\([^)]*\)+ */, "", text)
  sub(/__launch_bounds__\([^)]*\) */, "", text)
  text = substr(text, 1, index(text, "(") - 1)
  sub(/.*[ *&]/, "", text)
  return text
}
FNR == 1 { head = own = comment = ""; started = inside = in_type = open = 0 }
# A body ends at the first closing brace of its own column, which clang-format keeps.
inside { if (/^}/) { if (!in_type || has_function) finish(FNR); inside = 0; own = "" }
         else if (in_type && /\) *(const|noexcept|override|:|\{|$)/) has_function = 1
         next }
/^\/\// { if (sub(/^\/\/ GPU only: guarded by /, "")) comment = $0
          else if (comment != "") { sub(/^\/\/ /, ""); comment = comment " " $0 }
          next }
comment != "" { if (!started && (/^#/ || /^$/)) head = comment; else own = comment; comment = "" }
/^$/ { next }
/^#/ { next }
/^(}|namespace |extern "C" \{)/ { started = 1; own = ""; next }
!open && /^[A-Za-z_]/ { open = 1; start = FNR; text = ""; started = 1 }
open {
  text = text == "" ? $0 : text " " $0
  if (!/[{;}]$/) next
  open = 0
  if (/;$/ && text !~ /\) (const )?\{.*}$/) { own = ""; next }
  name = name_of(text)
  in_type = text ~ /^(template <[^>]*> *)?(struct|class|enum)/
  has_function = 0
  if (/}$/) { finish(FNR); own = ""; next }
  inside = 1
}
END {
  printf "%d functions, %d lines, at most %d\n", functions, lines, most
  if (lines > most) { print "too many lines that only a GPU can run"; bad = 1 }
  exit bad
}
AWK

check_tree() {  # root, most lines
  (
    cd "$1"
    local files
    mapfile -t files < <(find core/ops/cuda parallel/cuda \( -name '*.cpp' -o -name '*.cu' \) 2>/dev/null | sort)
    [ ${#files[@]} -gt 0 ] || die "no sources under core/ops/cuda and parallel/cuda in '$1'"
    awk -v most="$2" "$table_of" "${files[@]}"
  )
}

expect_caught() {  # words, most lines
  local said
  if said=$(check_tree "$tree" "$2"); then die "self-test: a tree with '$1' passed"; fi
  grep -qF -- "$1" <<<"$said" || die "self-test: '$1' is not in: $said"
}

self_test() {
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  mkdir -p "$tree/core/ops/cuda"
  local file="$tree/core/ops/cuda/a.cpp"
  printf '%s\n' '#include <x.h>' '' 'namespace a {' '// GPU only: guarded by its status,' '// always.' 'int one(' \
    '    int x) {' '  if (x) {' '  }' '}' 'int declared(int);' 'constexpr int kX = 1;' '}' >"$file"
  local said
  said=$(check_tree "$tree" 5) || die "self-test: a good tree was refused: $said"
  grep -qE 'a.cpp +6-10 +5 +one +its status, always\.' <<<"$said" || die "self-test: the table is wrong: $said"
  expect_caught "too many lines" 4
  printf '%s\n' 'void two() { one(1); }' >>"$file"
  expect_caught "a.cpp:14: two has no" 600
  sed -i '1i // GPU only: guarded by the whole.\n' "$file"
  check_tree "$tree" 6 >/dev/null || die "self-test: a guard at a file's head does not count"
  printf '%s\n' 'void three() {' '}' >"$tree/core/ops/cuda/b.cu"
  expect_caught "b.cu:1: three has no" 600
  echo "gpu_only: self-test good"
}

case "${1:-}" in
  "") check_tree . "$most_lines" || { echo "gpu_only: see the lines above" >&2; exit 1; } ;;
  --self-test) self_test ;;
  *) die "unknown argument '$1'; it takes --self-test" ;;
esac
