// Who is dropped, for every kernel in which it happens; see crates/layers/src/dropout.rs for which word decides what.
#pragma once
#include "philox.cuh"
#include "step.cuh"

// The words that decide on the values 8·block to 8·block + 7 of a layer.
__device__ __forceinline__ uint4 words_of_block(const StepScalars& now, unsigned layer, unsigned block) {
    const uint4 counter = make_uint4(block, layer, (unsigned)now.step, (unsigned)(now.step >> 32));
    return philox4x32(counter, make_uint2((unsigned)now.seed, (unsigned)(now.seed >> 32)));
}

// 1 where value i of the eight is kept.
__device__ __forceinline__ unsigned char is_kept(const uint4& words, int i, unsigned threshold) {
    const unsigned low = i < 2 ? words.x : words.y, high = i < 6 ? words.z : words.w;
    return ((i < 4 ? low : high) >> (16 * (i % 2)) & 0xffffu) >= threshold ? 1 : 0;
}
