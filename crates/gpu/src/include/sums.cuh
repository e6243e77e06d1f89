// How the blocks of a kernel add to the Sums of a Context (crates/tensor/src/sums.rs), which a Tally collects:
// losses, hits, judgements, samples.
#pragma once
#include "reduce.cuh"

#define SUMS 4
// As many as Sums::BLOCKS in Rust.
#define MOST_BLOCKS 128

// What the threads of a block found. A block that is alone adds it; one of several leaves it behind the
// sums, and tally_add adds what all have left. To be called by every thread of the block.
__device__ __forceinline__ void leave(double* sums, double loss, double hits, unsigned long long judged,
                                      unsigned long long samples) {
    loss = block_sum(loss);
    hits = block_sum(hits);
    if (block_thread() != 0) return;
    if (gridDim.x > 1) {
        sums[SUMS + 2 * blockIdx.x] = loss;
        sums[SUMS + 2 * blockIdx.x + 1] = hits;
        return;
    }
    sums[0] += loss;
    sums[1] += hits;
    sums[2] += (double)judged;
    sums[3] += (double)samples;
}
