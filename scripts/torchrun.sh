#!/usr/bin/env bash
# PyTorch's own torchrun out of the pinned wheel, for tests; what it imports is fetched into .deps/torchrun once.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
folder="$root/.deps/torchrun"
if [ ! -e "$folder/.complete" ]; then
  python3 -m pip install --quiet --no-deps --target "$folder" typing_extensions filelock sympy mpmath networkx jinja2 \
    MarkupSafe fsspec nvidia-cufile==1.15.1.6 nvidia-cusparselt-cu13==0.8.0 nvidia-nvshmem-cu13==3.4.5
  touch "$folder/.complete"
fi
LD_LIBRARY_PATH="$(find "$folder/nvidia" -name lib -type d | tr '\n' ':')${LD_LIBRARY_PATH:-}"
export LD_LIBRARY_PATH PYTHONPATH="$root/.deps/python:$folder"
exec python3 -m torch.distributed.run "$@"
