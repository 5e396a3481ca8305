#!/bin/sh
# A cogvx-gen whose video depends on the process it runs in.
exec "$COGVX_GEN" "$@" --seed $$
