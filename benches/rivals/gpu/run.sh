#!/usr/bin/env bash
# One stage of `cargo xtask bench-gpu`, from the bundle: nothing is needed but the NVIDIA driver, and
# for the last three a Python with PyTorch. Each stage takes at most eight minutes; one that was cut
# off goes on where it was, from the files in the results' folder.
#
#   ./run.sh STAGE... [RESULTS]     parity | ours | convolutions | step | compiled
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
stages=() results="$here/results"
for word in "$@"; do
    case "$word" in
        parity | ours | convolutions | step | compiled) stages+=("$word") ;;
        *) results="$word" ;;
    esac
done
if [ ${#stages[@]} = 0 ]; then
    echo "usage: $0 parity|ours|convolutions|step|compiled... [RESULTS]" >&2
    exit 2
fi
mkdir -p "$results"
results="$(cd "$results" && pwd)"
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader > "$results/machine.txt" || true

# The tests of kernels, on the GPU or not at all.
parity() {
    export GRADUS_REQUIRE_GPU=1
    cd "$here"
    ./gradus_layers cuda:: on_a_gpu folded
    ./gradus_optim cuda::
    ./gradus_augment cuda::
    ./gradus_train cuda:: recorded
    ./cuda
    ./augment_on_gpu
}

for stage in "${stages[@]}"; do
    case "$stage" in
        parity) (parity 2>&1) | tee "$results/parity.txt" ;;
        ours) "$here/bench_gpu" --out "$results/ours.jsonl" ;;
        *) "${PYTHON:-python3}" "$here/pytorch_gpu.py" "$stage" --out "$results/pytorch.jsonl" ;;
    esac
done
