// Sums down the columns of a matrix: a block takes some neighbouring columns, its lanes, of some rows.
//
// Lanes are a power of two up to 32, so that a warp reads whole rows of few columns or one stretch of many. The
// threads of one lane are its strands: of 256 threads and 8 lanes there are 32. Each takes every 32nd row, and the
// strands of a lane are folded in a fixed order.
#pragma once
#include "prelude.cuh"

#define COLUMN_THREADS 256

// A thread's place in its block.
struct Strand {
    int lane, strand, strands;

    __device__ explicit Strand(int lanes)
        : lane((int)threadIdx.x % lanes), strand((int)threadIdx.x / lanes), strands((int)blockDim.x / lanes) {}
};

// Folds what the strands of each lane have: strand 0 has the result. To be reached by every thread of the block.
template <class T, class F> __device__ T fold_strands(T v, int lanes, F merge) {
    __shared__ T slots[COLUMN_THREADS];
    const int me = (int)threadIdx.x;
    __syncthreads(); // the slots of an earlier call have been read
    slots[me] = v;
    for (int half = (int)blockDim.x / 2; half >= lanes; half /= 2) {
        __syncthreads();
        if (me < half) slots[me] = v = merge(v, slots[me + half]);
    }
    return v;
}
