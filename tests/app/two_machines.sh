#!/bin/sh
# Runs "$@" as four processes on two "machines": network namespaces joined by a cable, two processes in each, with the
# variables that torchrun would set. As on many real ones, the first machine's own name leads it to its loopback address,
# and it has another network, that the second cannot reach, before the one between them. Of two processes the one of the
# larger address calls: it is the second machine, so that a wrong address of the first is found.
set -e
a="cogvx-a-$$" b="cogvx-b-$$"
# shellcheck disable=SC2317  # run by trap
clean() {
  ip netns del "$a" || true
  ip netns del "$b" || true
  rm -rf "/etc/netns/$a" "/etc/netns/$b"
}
trap clean EXIT
trap 'exit 143' INT TERM
ip netns add "$a"
ip netns add "$b"
mkdir -p "/etc/netns/$a" "/etc/netns/$b"
printf '127.0.0.1 localhost\n127.0.1.1 first\n' >"/etc/netns/$a/hosts"
printf '127.0.0.1 localhost\n192.0.2.1 first\n' >"/etc/netns/$b/hosts"
ip -n "$a" link add elsewhere type veth peer name nobody
ip -n "$a" addr add 172.30.0.1/24 dev elsewhere
ip -n "$a" link set nobody up
ip -n "$a" link set elsewhere up
ip link add cable netns "$a" type veth peer name cable netns "$b"
ip -n "$a" addr add 192.0.2.1/24 dev cable
ip -n "$b" addr add 192.0.2.2/24 dev cable
for machine in "$a" "$b"; do
  ip -n "$machine" link set lo up
  ip -n "$machine" link set cable up
done
rank() {  # machine, rank, command...: ends even where they do not find each other
  machine=$1 rank=$2
  shift 2
  ip netns exec "$machine" env RANK="$rank" WORLD_SIZE=4 LOCAL_WORLD_SIZE=2 MASTER_ADDR=first MASTER_PORT=29400 \
    timeout 90 "$@"
}
rank "$a" 1 "$@" &
rank "$b" 2 "$@" &
rank "$b" 3 "$@" &
rank "$a" 0 "$@"
wait
