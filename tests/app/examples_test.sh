#!/usr/bin/env bash
# Runs one of scripts/examples as its user would, with the demo model, and compares what it made with plain runs.
#   tests/app/examples_test.sh seeds|gpu_counts|slurm_array|preempted_program|preempted_script   COGVX_GEN: the program
# Stand-ins play what there is not: an sbatch that runs the script as Slurm does, and a cogvx-gen that gets signals.
set -euo pipefail

tests=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$tests/../.." && pwd)
examples="$tree/scripts/examples"
real=$COGVX_GEN
demo=(--model "$tree/configs/demo" --threads 1 --progress json)
prompt=(--prompt "a red circle moves right")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() { echo "examples: $*"; exit 1; }
same_file() { cmp "$1" "$2" || fail "'$2' is not the file that a plain run makes"; }
# A plain run: file, flag...
plain() { "$real" "${demo[@]}" --quiet -o "$1" "${@:2}" >/dev/null 2>&1 || fail "the plain run for '$1' failed"; }

seeds() {
  "$examples/seeds.sh" 3 5 "${demo[@]}" --prompt 'say "hi" \ to a circle' --steps 2 >said 2>errors || fail "exit code $?: $(tail -n 3 errors)"
  [ "$(wc -l <said)" = 3 ] || fail "wanted three lines, got: $(cat said)"
  for seed in 3 4 5; do
    plain "plain-$seed.mp4" --prompt 'say "hi" \ to a circle' --steps 2 --seed "$seed"
    same_file "plain-$seed.mp4" "seed-$seed.mp4"
  done
  # Again: nothing is made twice. The shards share what is missing.
  touch -d '1 hour ago' before seed-*.mp4
  "$examples/seeds.sh" 3 6 "${demo[@]}" --prompt 'say "hi" \ to a circle' --steps 2 --shard 2/2 >said 2>errors || fail "exit code $?: $(tail -n 3 errors)"
  [ "$(find . -name 'seed-*.mp4' -newer before)" = ./seed-6.mp4 ] || fail "made again or amiss: $(ls -l seed-*)"
  ! "$examples/seeds.sh" 1 08 "${demo[@]}" 2>said || fail "it takes 08 for a seed"
  grep -q '^usage: ' said || fail "no usage, but: $(cat said)"
}

gpu_counts() {
  local code=0 compare
  compare="$(dirname "$real")/cogvx-compare"
  "$examples/compare_gpu_counts.sh" "1x1 2x1 1x3" "${demo[@]}" "${prompt[@]}" --steps 2 >said 2>errors || fail "exit code $?: $(cat said errors)"
  [ "$(tail -n 1 said)" = "identical on 1x1 2x1 1x3 (cp x sp)" ] || fail "it says: $(cat said)"
  plain plain.mp4 "${prompt[@]}" --steps 2
  same_file plain.mp4 gpu-counts/1x3.mp4
  # A cogvx-gen whose seed is its process's number.
  printf '#!/bin/sh\nexec "%s" "$@" --seed $$\n' "$real" >broken
  chmod +x broken
  COGVX_GEN=./broken COGVX_COMPARE=$compare \
    "$examples/compare_gpu_counts.sh" "1x1 2x1" "${demo[@]}" "${prompt[@]}" --steps 2 >said 2>errors || code=$?
  [ "$code" = 1 ] || fail "exit code $code on videos that differ, wanted 1: $(cat said errors)"
  [[ $(tail -n 1 said) == "NOT identical on 1x1 2x1 "* ]] || fail "it says: $(cat said)"
  code=0
  "$examples/compare_gpu_counts.sh" 2x1 "${demo[@]}" 2>said || code=$?
  [ "$code" = 2 ] || fail "exit code $code for one mesh, wanted 2"
}

# Slurm copies the script away, and starts each task of the array where sbatch was called, with variables and a log.
write_sbatch() {
  mkdir -p slurm/spool
  cat >slurm/sbatch <<'SBATCH'
#!/usr/bin/env bash
set -euo pipefail
while [[ $1 == -* ]]; do shift; done
range=$(sed -n 's/^#SBATCH --array=//p' "$1")
first=${range%-*} last=${range#*-}
spool="$SLURM_STAND_IN/spool/job$$"
mkdir "$spool"
cp "$1" "$spool/slurm_script"
echo "Submitted batch job $$"
for ((task = first; task <= last; task++)); do
  env SLURM_ARRAY_JOB_ID=$$ SLURM_JOB_ID=$(($$ + task)) SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_MIN="$first" \
    SLURM_ARRAY_TASK_MAX="$last" SLURM_ARRAY_TASK_COUNT=$((last - first + 1)) SLURM_ARRAY_TASK_STEP=1 SLURM_NTASKS=1 \
    SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NODELIST=node7 SLURM_SUBMIT_DIR="$PWD" \
    bash "$spool/slurm_script" "${@:2}" >>"cogvx-$$-$task.log" 2>&1 &
  echo $! >"$SLURM_STAND_IN/task-$task.pid"
done
code=0
for ((task = first; task <= last; task++)); do
  wait "$(cat "$SLURM_STAND_IN/task-$task.pid")" || { code=$?; echo "task $task: exit code $code"; }
done
exit $code
SBATCH
  chmod +x slurm/sbatch
  export SLURM_STAND_IN="$folder/slurm" PATH="$folder/slurm:$PATH"
}

slurm_array() {
  local i code=0 log flags=("${demo[@]}" --steps 60)
  local colours=(red green blue white yellow black)
  write_sbatch
  for i in {1..6}; do printf '{"prompt": "a %s circle", "seed": %d}\n' "${colours[i - 1]}" "$i"; done >batch.jsonl
  sbatch "$examples/slurm_array.sh" batch.jsonl "${flags[@]}" >said &
  # Preempted: the first task, in the middle of its first video.
  wait_for '"done":8,.*"denoise"' 'cogvx-*-1.log' && kill -TERM "$(cat slurm/task-1.pid)"
  wait $! || code=$?
  [ "$code" = 143 ] || fail "exit code $code, wanted 143: $(cat said)"
  grep -qx 'task 1: exit code 143' said || fail "the array ended with $code: $(cat said; tail -n 3 cogvx-*.log)"
  [ ! -e videos/1-a-red-circle.mp4 ] || fail "the preempted task made its first video"
  [ -e videos/1-a-red-circle.state.safetensors ] || fail "the preempted task left no state: $(ls videos)"
  touch -d '1 hour ago' before videos/*.mp4
  log=$(sbatch "$examples/slurm_array.sh" batch.jsonl "${flags[@]}") || fail "the second array failed: $log; $(tail -n 3 cogvx-*.log)"
  [ "$(cd videos && find . -name '*.mp4' -newer ../before | sort | tr '\n' ' ')" = "./1-a-red-circle.mp4 ./5-a-yellow-circle.mp4 " ] ||
    fail "the second array made more or less than was missing: $(ls -l videos)"
  [ "$(find videos -type f | wc -l)" = 12 ] || fail "wanted six videos with sidecars: $(ls videos)"
  for i in {1..6}; do
    plain "plain-$i.mp4" --prompt "a ${colours[i - 1]} circle" --seed "$i" --steps 60
    same_file "plain-$i.mp4" "videos/$i-a-${colours[i - 1]}-circle.mp4"
  done
}

wait_for() {  # text, pattern of one file
  local i file
  for ((i = 0; i < 3000; i++)); do
    file=$(compgen -G "$2" | head -n 1) || true
    [ -z "$file" ] || ! grep -qs -- "$1" "$file" || return 0
    sleep 0.01
  done
  fail "'$1' never stood in '$2'"
}

long=("${demo[@]}" "${prompt[@]}" --steps 60)

# The third run of this cogvx-gen gets through: the first gets SIGTERM in its steps, the second SIGKILL.
preempted_program() {
  local step
  cat >gen <<'GEN'
#!/usr/bin/env bash
run=$(($(cat runs 2>/dev/null || echo 0) + 1))
echo $run >runs
signal=$(sed -n "${run}p" signals)
if [ -n "$signal" ]; then
  (for ((i = 0; i < 3000; i++)); do
    grep -Eqs "\"done\":${signal#* },.*\"denoise\"" "said-$run" && kill -"${signal% *}" $$ && exit
    sleep 0.01
  done) &
fi
exec "$real" "$@" 2>"said-$run"
GEN
  chmod +x gen
  printf '%s\n' "TERM 8" "KILL 22" >signals
  real=$real COGVX_GEN="$folder/gen" "$examples/resume_after_preemption.sh" video.mp4 "${long[@]}" >said 2>errors || fail "exit code $?: $(cat said errors)"
  [ "$(cat runs)" = 3 ] || fail "wanted three runs, found $(cat runs)"
  [ "$(cut -d';' -f1 errors | grep '^ended' | tr '\n' ';')" = "ended by signal 15 at attempt 1;ended by signal 9 at attempt 2;" ] ||
    fail "it says: $(cat errors)"
  # Not from the start, nor from the first run's state: from a checkpoint, every fifth step.
  step=$(grep -o '"step": *[0-9]*' video.json | grep -o '[0-9]*') || true
  [[ ${step:-0} -ge 20 && $((step % 5)) = 0 ]] || fail "the last run went on from step '${step:-}', wanted 20, 25..."
  plain plain.mp4 "${prompt[@]}" --steps 60
  same_file plain.mp4 video.mp4
  [ "$(compgen -G 'video.*' | sort | tr '\n' ' ')" = "video.json video.mp4 " ] || fail "left behind: $(ls)"
}

# The machine goes: the script itself gets SIGTERM, and is given again.
preempted_script() {
  local code=0 script
  # One that takes its time to end.
  cat >slow <<'SLOW'
#!/usr/bin/env bash
"$real" "$@" &
trap 'kill -TERM $!; wait $!; sleep 0.3; touch ended; exit 143' TERM
wait $!
SLOW
  chmod +x slow
  real=$real COGVX_GEN=./slow "$examples/resume_after_preemption.sh" video.mp4 "${long[@]}" >said 2>errors &
  script=$!
  wait_for '"done":8,.*"denoise"' errors && kill -TERM $script
  wait $script || code=$?
  [ "$code" = 143 ] || fail "exit code $code, wanted 143: $(tail -n 3 errors)"
  [ -e ended ] || fail "the script ended before its cogvx-gen"
  [ "$(compgen -G 'video.*')" = video.state.safetensors ] || fail "wanted the state alone: $(ls)"
  COGVX_GEN=$real "$examples/resume_after_preemption.sh" video.mp4 "${long[@]}" >said 2>errors || fail "exit code $?: $(tail -n 3 errors)"
  plain plain.mp4 "${prompt[@]}" --steps 60
  same_file plain.mp4 video.mp4
  grep -q '"continued_from"' video.json || fail "it began anew"
  # Made: a third time does nothing. A real error is passed on.
  COGVX_GEN=/bin/false "$examples/resume_after_preemption.sh" video.mp4 "${long[@]}" >said || fail "what is made is made again"
  code=0
  COGVX_GEN=$real "$examples/resume_after_preemption.sh" other.mp4 --model nowhere --prompt x >said 2>errors || code=$?
  [ "$code" = 3 ] || fail "exit code $code for a model that is not there, wanted 3: $(cat errors)"
}

case "${1:-}" in
  seeds|gpu_counts|slurm_array|preempted_program|preempted_script) "$1" ;;
  *) fail "unknown fact '${1:-}'" ;;
esac
