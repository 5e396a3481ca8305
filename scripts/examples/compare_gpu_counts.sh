#!/usr/bin/env bash
# The same video on several numbers of GPUs (on a CPU: of processes), and whether its frames are identical.
#   compare_gpu_counts.sh "1x1 2x1 2x2" --model DIR --prompt TEXT --device cuda [FLAG...]
# Each word is cp x sp, a run on cp times sp GPUs. The videos stay in ./gpu-counts. Exit code: 0 identical, 1 not.
set -euo pipefail

gen=${COGVX_GEN:-$(command -v cogvx-gen || echo build/app/cogvx-gen)}
compare=${COGVX_COMPARE:-$(dirname "$gen")/cogvx-compare}
[[ ${1:-} =~ ^[0-9]+x[0-9]+(\ +[0-9]+x[0-9]+)+$ ]] ||
  { echo "usage: compare_gpu_counts.sh \"1x1 2x1 2x2\" --model DIR --prompt TEXT [FLAG...]" >&2; exit 2; }
read -ra meshes <<<"$1"

mkdir -p gpu-counts
videos=()
for mesh in "${meshes[@]}"; do
  video=gpu-counts/$mesh.mp4
  "$gen" "${@:2}" --cp "${mesh%x*}" --sp "${mesh#*x}" --overwrite -o "$video"
  videos+=("$video")
done

code=0
"$compare" "${videos[@]}" || code=$?
case $code in
  0) echo "identical on ${meshes[*]} (cp x sp)" ;;
  1) echo "NOT identical on ${meshes[*]} (cp x sp), see above" ;;
esac
exit $code
