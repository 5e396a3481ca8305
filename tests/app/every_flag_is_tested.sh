#!/usr/bin/env bash
# Every flag that the programs' --help shows stands in some test, and every exit code of README's table is wanted by one.
#   every_flag_is_tested.sh PROGRAM... [--self-test]     --self-test sees a flag and a code that no test knows caught
set -euo pipefail
tests=$(cd "$(dirname "$0")/.." && pwd)
readme=$tests/../README.md

# One line for each row of the help: all of its names.
rows_of() {  # program
  "$1" --help | sed -nE 's/^  ((-[-a-zA-Z]+(, )?)+).*/\1/p' | sed 's/,//g'
}

stands_in_tests() {  # flag
  grep -rqE --include='*.cpp' --include='*.h' --include='*.sh' --include='*.py' -e "[\" ']$1([\" '=]|\$)" \
    --exclude=every_flag_is_tested.sh "$tests"
}

missing=0
check_flags() {  # program
  local row flag found count=0
  while read -r row; do
    found=0 count=$((count + 1))
    for flag in $row; do stands_in_tests "$flag" && found=1; done
    [ $found = 1 ] || { echo "$(basename "$1"): no test passes $row"; missing=1; }
  done < <(rows_of "$1"; [ -z "${extra_row:-}" ] || echo "$extra_row")
  [ $count -gt 2 ] || { echo "$(basename "$1"): --help shows no flags"; missing=1; }
  echo "$(basename "$1"): $count flags"
}

check_exit_codes() {
  local code
  for code in $(sed -nE 's/^\| ([0-9]+(, [0-9]+)*) \|.*/\1/p' "$readme" | tr -d ,) ${extra_code:-}; do
    grep -rqE --include='*.cpp' -e "(exit_code|code), (128 \+ SIG|$code\b)|\.exit_code == $code\b|\.(code|exit_code) = $code\b" "$tests" ||
      { echo "no test wants exit code $code"; missing=1; }
  done
}

programs=()
for argument in "$@"; do
  [ "$argument" = --self-test ] && { extra_row="--flag-without-test" extra_code=99; continue; }
  programs+=("$argument")
done
for program in "${programs[@]}"; do check_flags "$program"; done
check_exit_codes
if [ -n "${extra_row:-}" ]; then
  [ $missing = 1 ] || { echo "a flag and a code without any test were not found"; exit 1; }
  exit 0
fi
exit $missing
