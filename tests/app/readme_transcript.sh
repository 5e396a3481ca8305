#!/usr/bin/env bash
# Runs the commands of README's transcript in an empty folder and holds every line that they print against it; "..." in a
# line stands for anything.
#   readme_transcript.sh PROGRAMS README [--self-test]     --self-test sees a line that is wrong caught
set -euo pipefail
programs=$(realpath "$1") readme=$(realpath "$2")
root=$(dirname "$readme")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$root/configs" "$folder/configs"

# What stands between the fences after the mark.
awk '/^<!-- transcript/ { marked = 1; next } marked && /^```/ { if (inside) exit; inside = 1; next } inside' "$readme" >"$folder/transcript"
[ -s "$folder/transcript" ] || { echo "README has no transcript"; exit 1; }
[ "${3:-}" != --self-test ] || sed -i 's/^wrong.mp4: DIFFERENT/wrong.mp4: identical/' "$folder/transcript"

export PATH="$programs:$PATH"
cd "$folder"
: >expected; : >printed
commands=0
while IFS= read -r line; do
  if [[ $line == '$ '* ]]; then
    commands=$((commands + 1))
    bash -c "${line#\$ }" >>printed 2>errors || [[ $line == *cogvx-compare* && $? == 1 ]] || { echo "failed: $line"; cat errors; exit 1; }
  else
    printf '%s\n' "$line" >>expected
  fi
done <transcript

bad=0
mapfile -t wanted <expected
mapfile -t found <printed
[ ${#wanted[@]} = ${#found[@]} ] || { echo "README has ${#wanted[@]} lines of output, the commands print ${#found[@]}"; bad=1; }
for ((i = 0; i < ${#wanted[@]}; i++)); do
  # Runs of blanks are alike: a number that is "..." may be of another width.
  pattern=$(sed -E 's/[][\\.*^$(){}?+|]/\\&/g; s/\\\.\\\.\\\./.*/g; s/ +/ +/g' <<<"${wanted[i]}")
  [[ ${found[i]:-} =~ ^$pattern$ ]] || { printf 'wanted: %s\nfound:  %s\n' "${wanted[i]}" "${found[i]:-}"; bad=1; }
done
for made in heat.png page.html; do [ -s "$made" ] || { echo "$made was not written"; bad=1; }; done

if [ "${3:-}" = --self-test ]; then
  [ $bad = 1 ] || { echo "a wrong line was not found"; exit 1; }
  exit 0
fi
[ $bad = 0 ] && echo "transcript: $commands commands, ${#wanted[@]} lines as README has them"
exit $bad
