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

missing=0 uncovered="" unpassed=""
check_flags() {  # program
  local row flag found count=0
  while read -r row; do
    found=0 count=$((count + 1))
    for flag in $row; do stands_in_tests "$flag" && found=1; done
    [ $found = 1 ] || { echo "$(basename "$1"): no test passes $row"; missing=1; unpassed+=" $row"; }
  done < <(rows_of "$1"; [ -z "${extra_row:-}" ] || echo "$extra_row")
  [ $count -gt 2 ] || { echo "$(basename "$1"): --help shows no flags"; missing=1; }
  echo "$(basename "$1"): $count flags"
}

# As a test writes what it wants: of one run, in a row of a table, or by the signal's name.
wanted_by_a_test() {  # code
  local code=$1
  case $code in
    130) code='(130|128 \+ SIGINT)' ;;
    143) code='(143|128 \+ SIGTERM)' ;;
  esac
  grep -rqE --include='*.cpp' -e "exit_code(\"\))?, $code\b" -e "\.exit_code == $code\b" "$tests" ||
    grep -qE -e "^ *\{\"[^\"]*\",? *$code, " -e "^ *$code,$" -e "^ *\{$code, \"" -e "\", $code, \"" \
      "$tests"/app/hostile_*_test.cpp "$tests"/app/cogvx_gen_test.cpp
}

check_exit_codes() {
  local code
  for code in $(sed -nE 's/^\| ([0-9]+(, [0-9]+)*) \|.*/\1/p' "$readme" | tr -d ,) ${extra_code:-}; do
    wanted_by_a_test "$code" || { echo "no test wants exit code $code"; missing=1; uncovered+=" $code"; }
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
  [[ $unpassed == *" $extra_row"* && $uncovered == *" $extra_code"* ]] || { echo "a flag or a code without any test was not found"; exit 1; }
  exit 0
fi
exit $missing
