#!/usr/bin/env bash
# Starts the processes of one video, cp x sp of them by the flags of cogvx-gen, and becomes what it starts: exit code
# and signals are those of the run.
# Installed it is cogvx-launch, and starts the cogvx-gen beside it.
#   scripts/launch.sh [--with spawn|torchrun|mpirun|srun] [--nnodes N] [--node-rank R] [--master HOST[:PORT]]
#                     [--launcher-arg ARG]... [--program FILE] [--dry-run] [--] FLAG OF COGVX-GEN...
#   --with          spawn (default): cogvx-gen's own supervisor, this machine only; torchrun: run it on each machine;
#                   mpirun, srun: run it once, hosts by --launcher-arg or by the allocation
#   --nnodes, --node-rank, --master   torchrun on several machines: how many, which one this is, where rank 0's is
#   --launcher-arg  handed to the launcher as it is, for example --launcher-arg=--hostfile --launcher-arg=hosts
#   --dry-run       prints the command and stops
set -euo pipefail
root="$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)"
source "$root/scripts/common.sh"

with=spawn nnodes=1 node_rank="" master="" program=$(own_program "$root") dry_run=0
launcher_args=() flags=()

usage() { sed -n '2,/^set -euo/ { /^set/d; s/^# \{0,1\}//; p }' "$0"; }

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --with=*|--nnodes=*|--node-rank=*|--master=*|--launcher-arg=*|--program=*)
        set -- "${1%%=*}" "${1#*=}" "${@:2}"
        continue ;;
      --with|--nnodes|--node-rank|--master|--launcher-arg|--program)
        [ $# -ge 2 ] || die "$1 wants a value"
        case "$1" in
          --with) with=$2 ;;
          --nnodes) nnodes=$2 ;;
          --node-rank) node_rank=$2 ;;
          --master) master=$2 ;;
          --launcher-arg) launcher_args+=("$2") ;;
          --program) program=$2 ;;
        esac
        shift 2 ;;
      --dry-run) dry_run=1; shift ;;
      -h|--help) usage; exit 0 ;;
      --) shift; flags=("$@"); return ;;
      *) flags=("$@"); return ;;
    esac
  done
}

whole_number() {  # name, value, least
  [[ "$2" =~ ^[0-9]+$ && "$2" -ge "$3" ]] || die "$1 is '$2', wanted a whole number from $3"
}

# The value of a flag, the last one given as in cogvx-gen; empty where it is not given.
flag_value() {  # names of the flag...
  local value="" i name
  for ((i = 0; i < ${#flags[@]}; i++)); do
    for name in "$@"; do
      case "${flags[i]//_/-}" in
        "$name") value=${flags[i + 1]:-nothing} ;;
        "$name"=*) value=${flags[i]#*=} ;;
      esac
    done
  done
  echo "$value"
}

# A flag wins over the config file, as in cogvx-gen; a sidecar (--from) does not say where a video is made.
count_of() {  # names of the flag...; the first is the config file's
  local value config
  value=$(flag_value "$@")
  config=$(flag_value --config)
  if [ -z "$value" ] && [ -r "$config" ]; then
    value=$(grep -o "\"${1#--}\": *[^,}]*" "$config" | head -n 1 | sed 's/.*: *//') || true
  fi
  value=${value:-1}
  whole_number "$1" "$value" 1
  echo "$value"
}

check() {
  [ ${#flags[@]} -gt 0 ] || die "no flags of cogvx-gen; see scripts/launch.sh --help"
  [ -x "$program" ] || die "no program '$program'; build it (scripts/demo.sh does), or name it with --program"
  whole_number --nnodes "$nnodes" 1
  case "$with" in
    torchrun)
      [ "$nnodes" = 1 ] || [ -n "$node_rank" ] || die "--nnodes $nnodes wants --node-rank, 0 on the first machine"
      [ "$nnodes" = 1 ] || [ -n "$master" ] || die "--nnodes $nnodes wants --master, the first machine's name"
      [ -z "$node_rank" ] || whole_number --node-rank "$node_rank" 0 ;;
    spawn|mpirun|srun)
      [ "$nnodes$node_rank$master" = 1 ] || {
        [ "$with" = spawn ] && die "--with spawn is for one machine; use --with torchrun, mpirun or srun for several"
        die "--nnodes, --node-rank and --master are for torchrun; tell $with its hosts with --launcher-arg"
      } ;;
    *) die "--with is '$with', wanted spawn, torchrun, mpirun or srun" ;;
  esac
  [ "$with" = spawn ] || command -v "$with" >/dev/null || die "there is no $with on this machine"
}

main() {
  parse "$@"
  check
  local cp sp world
  cp=$(count_of --cp --cfg-parallel) sp=$(count_of --sp --seq-parallel)
  world=$((cp * sp))
  [ "$world" != 1 ] || [ "$with" = spawn ] || echo "launch.sh: neither --cp nor --sp is above 1: starting one process" >&2
  local command=()
  case "$with" in
    spawn) command=("$program" "${flags[@]}" --launcher spawn) ;;
    torchrun)
      [ $((world % nnodes)) = 0 ] || die "$world processes (cp $cp x sp $sp) do not divide over $nnodes machines"
      command=(torchrun --no-python --nproc-per-node $((world / nnodes)))
      if [ "$nnodes" = 1 ]; then
        command+=(--standalone)
      else
        local host=${master%:*} port=29500
        [ "$host" = "$master" ] || port=${master##*:}
        command+=(--nnodes "$nnodes" --node-rank "$node_rank" --master-addr "$host" --master-port "$port")
      fi
      command+=("${launcher_args[@]}" "$program" "${flags[@]}" --launcher env) ;;
    mpirun)
      command=(mpirun -np "$world" --bind-to none --oversubscribe)
      [ "$(id -u)" != 0 ] || command+=(--allow-run-as-root)
      command+=("${launcher_args[@]}" "$program" "${flags[@]}" --launcher env) ;;
    srun) command=(srun --ntasks "$world" --kill-on-bad-exit=1 "${launcher_args[@]}" "$program" "${flags[@]}" --launcher env) ;;
  esac
  if [ "$dry_run" = 1 ]; then
    printf '%q ' "${command[@]}"
    echo
    exit 0
  fi
  exec "${command[@]}"
}

main "$@"
