// Dropout; see ../dropout.rs for the formula.
// target compute_75
#include "dropout.cuh"
#include "lanes.cuh"

typedef Lanes<unsigned char, 8> Decisions;

// Of the values 8·block to 8·block + 7: 1 where one is kept.
__device__ __forceinline__ Decisions decide(const StepScalars& now, unsigned layer, unsigned threshold,
                                            unsigned block) {
    const uint4 words = words_of_block(now, layer, block);
    Decisions kept;
#pragma unroll
    for (int i = 0; i < 8; ++i) kept.at[i] = is_kept(words, i, threshold);
    return kept;
}

// to = from · kept · scale, from `first` on. As the definition multiplies, so that a dropped NaN is still a NaN.
__device__ __forceinline__ void multiply(const float* from, const Decisions& kept, float scale, float* to,
                                         size_t first, size_t n, bool vectors) {
    if (vectors) {
#pragma unroll
        for (int i = 0; i < 8; i += 4) {
            Lanes<float, 4> v = load<4>(from + first + i);
#pragma unroll
            for (int l = 0; l < 4; ++l) v.at[l] = v.at[l] * (float)kept.at[i + l] * scale;
            store(to + first + i, v);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; ++i)
            if (first + i < n) to[first + i] = from[first + i] * (float)kept.at[i] * scale;
    }
}

// x, y, mask: n. A thread for every eight; `lanes` is 4 where all three are aligned.
extern "C" __global__ void dropout_forward(const StepScalars* __restrict__ now, unsigned layer, unsigned threshold,
                                           float scale, int lanes, const float* __restrict__ x,
                                           float* __restrict__ y, unsigned char* __restrict__ mask,
                                           unsigned long long n) {
    const StepScalars step = *now;
    for (size_t first = 8 * grid_thread(); first < n; first += 8 * grid_threads()) {
        const Decisions kept = decide(step, layer, threshold, (unsigned)(first / 8));
        const bool vectors = lanes == 4 && n - first >= 8;
        multiply(x, kept, scale, y, first, n, vectors);
        if (vectors) store(mask + first, kept);
        else
            for (int i = 0; i < 8; ++i)
                if (first + i < n) mask[first + i] = kept.at[i];
    }
}

// dy, mask, dx: n.
extern "C" __global__ void dropout_backward(float scale, int lanes, const float* __restrict__ dy,
                                            const unsigned char* __restrict__ mask, float* __restrict__ dx,
                                            unsigned long long n) {
    for (size_t first = 8 * grid_thread(); first < n; first += 8 * grid_threads()) {
        const bool vectors = lanes == 4 && n - first >= 8;
        Decisions kept = spread<8, unsigned char>(0);
        if (vectors) kept = load<8>(mask + first);
        else
            for (int i = 0; i < 8; ++i)
                if (first + i < n) kept.at[i] = mask[first + i];
        multiply(dy, kept, scale, dx, first, n, vectors);
    }
}
