#!/usr/bin/env bash
# A real bash, with readline and the Tab key, completes command lines by what cogvx-gen --completion prints.
#   tests/app/completion_test.sh      COGVX_GEN names the program
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$COGVX_GEN" --completion >completion.bash
mkdir "my clips"
touch "my clips/red circle.mp4" h264.txt

failed=0
# What the program gets when this is typed, \t being the Tab key, each argument in < >.
expect() {  # typed, arguments
  local got
  got=$(printf '%s\n' 'source ./completion.bash' 'cogvx-gen() { printf "<%s>" "$@"; echo; }' "$(printf '%b' "$1")" |
    INPUTRC=/dev/null bash --norc --noprofile -i 2>said) || true
  [ "$got" = "$2" ] && return
  echo "typed '$1': cogvx-gen got '$got', wanted '$2'"
  failed=1
}
# What it shows on two Tabs where several fit.
expect_list() {  # typed, words
  local got
  printf '%s\n' 'source ./completion.bash' "$(printf '%b' "$1")" |
    INPUTRC=/dev/null bash --norc --noprofile -i >said 2>&1 || true
  got=$(sed '/^bash/d' said | tr -s ' \r\n' '   ' | sed 's/^ //; s/ $//')
  [[ " $got " == *" $2 "* ]] && return
  echo "typed '$1': it shows '$got', wanted '$2'"
  failed=1
}

expect 'cogvx-gen --negat\t' '<--negative-prompt>'
expect 'cogvx-gen --decode\tx' '<--decode-latents><x>'
expect 'cogvx-gen --codec he\t' '<--codec><hevc>'
expect 'cogvx-gen --codec=ff\t' '<--codec=ffv1>'
expect 'cogvx-gen --device cu\t' '<--device><cuda>'
expect_list 'cogvx-gen --codec \t\t\x15' 'auto ffv1 h264 hevc'
expect_list 'cogvx-gen --codec=\t\t\x15' 'auto ffv1 h264 hevc'
expect_list 'cogvx-gen --vae-t\t\t\t\x15' '--vae-tile --vae-tiling'
# A choice is wanted there, no file.
expect 'cogvx-gen --codec h264.t\t' '<--codec><h264.t>'
expect 'cogvx-gen -o my\t\t' '<-o><my clips/red circle.mp4>'
expect 'cogvx-gen -o my\\ cl\tr\t' '<-o><my clips/red circle.mp4>'
expect 'cogvx-gen -o "my cl\tr\t' '<-o><my clips/red circle.mp4>'
expect 'cogvx-gen --image=h2\t' '<--image=h264.txt>'
[ "$failed" = 0 ] || exit 1
echo "completion: good"
