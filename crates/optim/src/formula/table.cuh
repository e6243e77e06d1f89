// All parameters of a model in one table, so that a pass over all of them is one launch; see cuda/table.rs.
#pragma once
#include "prelude.cuh"

// Values that a block works on. A multiple of 4, so that each begins where four floats are aligned.
#define TILE 4096
#define MOST_SLOTS 3
// Of the scalars: the decay, the numbers of a formula, what an average keeps and takes.
#define DECAY 0
#define NUMBERS 1
#define KEPT 9
#define TAKEN 10

// A parameter and all that belongs to it; null where there is none.
struct Row {
    float *value, *grad, *slots[MOST_SLOTS], *sum, *average;
    unsigned long long len;
    int first, decays; // the first block that works on it; whether its values decay
};

// What a block works on: values begin to end of a row.
struct Tile {
    const Row* row;
    size_t begin, end;
};

// A block looks for its row, the last one whose first block is not behind it.
__device__ __forceinline__ Tile tile_of_block(const Row* rows, int count) {
    int low = 0, high = count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (rows[middle].first <= (int)blockIdx.x) low = middle;
        else high = middle - 1;
    }
    const Row* row = rows + low;
    const size_t begin = (size_t)((int)blockIdx.x - row->first) * TILE;
    return {row, begin, row->len - begin < TILE ? row->len : begin + TILE};
}

// WIDTH neighbours, 4 or 1.
template <int WIDTH> struct Lanes {
    float v[WIDTH];

    __device__ __forceinline__ static Lanes load(const float* p) {
        Lanes of;
        if constexpr (WIDTH == 4) {
            const float4 q = *(const float4*)p;
            of.v[0] = q.x, of.v[1] = q.y, of.v[2] = q.z, of.v[3] = q.w;
        } else {
            of.v[0] = *p;
        }
        return of;
    }

    __device__ __forceinline__ void store(float* p) const {
        if constexpr (WIDTH == 4) *(float4*)p = make_float4(v[0], v[1], v[2], v[3]);
        else *p = v[0];
    }
};

// Lets `work` do all values of a tile, four by four, and what is left one by one:
// work.template at<WIDTH>(i).
template <class Work> __device__ __forceinline__ void each(const Tile& tile, const Work& work) {
    const size_t whole = tile.begin + (tile.end - tile.begin) / 4 * 4;
    for (size_t i = tile.begin + 4 * threadIdx.x; i < whole; i += 4 * blockDim.x) work.template at<4>(i);
    for (size_t i = whole + threadIdx.x; i < tile.end; i += blockDim.x) work.template at<1>(i);
}

// Operations that round by themselves: a product is not fused with a sum, so that the bits are the CPU's.
__device__ __forceinline__ float add(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float sub(float a, float b) { return __fsub_rn(a, b); }
__device__ __forceinline__ float mul(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float over(float a, float b) { return __fdiv_rn(a, b); }
__device__ __forceinline__ float root(float v) { return __fsqrt_rn(v); }
