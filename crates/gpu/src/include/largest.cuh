// The largest of a row, as argmax finds it on the CPU (crates/layers/src/tally.rs).
#pragma once
#include "prelude.cuh"

// The largest value and where it stands first: the lowest index of equals, and a NaN is never the largest.
struct Largest {
    float value;
    int at;

    __device__ void see(float v, int k) {
        if (v > value || (v == value && k < at)) *this = {v, k};
    }
};

__device__ __forceinline__ int warp_argmax(const float* of, int n, int lane) {
    Largest best = {-infinity_f32(), 0};
    for (int k = lane; k < n; k += 32)
        if (of[k] > best.value) best = {of[k], k};
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        best.see(__shfl_xor_sync(0xffffffffu, best.value, o), __shfl_xor_sync(0xffffffffu, best.at, o));
    return best.at;
}
