// Mean and variance of the columns of a matrix, of which pieces are judged apart and then merged: batch
// normalization judges chunks of rows that it reads, a convolution the tile that it has just made.
//
// A thread judges few numbers in f32, as differences from something near them. What is merged is f64, and
// pieces hand on their mean as a pair of floats.
#pragma once
#include "reduce.cuh"

// Floats that a piece hands on for each column.
#define MOMENTS 4

__device__ __forceinline__ void write_pair(float* at, size_t next, double sum) {
    const float nearest = (float)sum;
    at[0] = nearest;
    at[next] = (float)(sum - nearest);
}

__device__ __forceinline__ double read_pair(const float* at, size_t next) { return (double)at[0] + at[next]; }

// How many there are, their mean (a pair) and the sum of squares around it, `next` apart. A piece has fewer
// than 2²⁴ rows, which f32 counts.
__device__ __forceinline__ void write_moments(float* at, size_t next, const Moments<double>& m) {
    write_pair(at, next, m.mean);
    at[2 * next] = (float)m.m2;
    at[3 * next] = (float)m.count;
}

__device__ __forceinline__ Moments<double> read_moments(const float* at, size_t next) {
    return {at[3 * next], read_pair(at, next), at[2 * next]};
}

// Of the first `count` of these numbers, which are near 0. Of none: zeros.
template <int N> __device__ __forceinline__ Moments<float> moments_of(const float (&d)[N], int count) {
    const float share = 1.f / (float)(count > 0 ? count : 1);
    float sum = 0.f, m2 = 0.f;
#pragma unroll
    for (int j = 0; j < N; ++j) sum += j < count ? d[j] : 0.f;
    const float mean = sum * share;
#pragma unroll
    for (int j = 0; j < N; ++j) {
        const float off = j < count ? d[j] - mean : 0.f;
        m2 = fmaf(off, off, m2);
    }
    return {(float)count, mean, m2};
}

// The middle one: near the others of a column, even if one of the three is far off or no number.
__device__ __forceinline__ float middle(float a, float b, float c) {
    return fmaxf(fminf(a, b), fminf(fmaxf(a, b), c));
}

// A tile of a matrix whose rows are judged in the registers that they were made in: strands of threads have
// rows of their own, some or none, and all columns between them. Its shared memory takes FLOATS.
template <int COLUMNS_, int STRANDS_> struct Judged {
    static constexpr int COLUMNS = COLUMNS_, STRANDS = STRANDS_, PITCH = COLUMNS + 8;
    static constexpr int FLOATS = COLUMNS + STRANDS + 2 * STRANDS * PITCH;

    float *near, *counts, *means, *squares;

    __device__ explicit Judged(float* shared)
        : near(shared), counts(shared + COLUMNS), means(counts + STRANDS), squares(means + STRANDS * PITCH) {}

    // A thread's part: the first `count` of its HIGH rows, which value(i, j) has, in WIDE columns, which are
    // column(j) of the tile. Differences are from the middle of the first strand's first three, of which it has one at
    // least. Every thread of the block.
    template <int HIGH, int WIDE, class Column, class Value>
    __device__ __forceinline__ void take(int strand, int count, Column column, Value value) {
        __syncthreads(); // nobody reads any more what was shared before
#pragma unroll
        for (int j = 0; j < WIDE; ++j) {
            const float first = value(0, j);
            if (strand == 0)
                near[column(j)] = middle(first, count > 1 ? value(1, j) : first, count > 2 ? value(2, j) : first);
            if (column(j) == 0) counts[strand] = (float)count;
        }
        __syncthreads();
#pragma unroll
        for (int j = 0; j < WIDE; ++j) {
            float d[HIGH];
#pragma unroll
            for (int i = 0; i < HIGH; ++i) d[i] = value(i, j) - near[column(j)];
            const Moments<float> m = moments_of(d, count);
            means[strand * PITCH + column(j)] = m.mean;
            squares[strand * PITCH + column(j)] = m.m2;
        }
        __syncthreads();
    }

    // The moments of one column, once all is taken.
    __device__ Moments<double> of(int column) const {
        float count = 0.f, sum = 0.f, m2 = 0.f;
#pragma unroll 4
        for (int strand = 0; strand < STRANDS; ++strand) {
            count += counts[strand];
            sum = fmaf(counts[strand], means[strand * PITCH + column], sum);
        }
        const float mean = sum / count;
#pragma unroll 4
        for (int strand = 0; strand < STRANDS; ++strand) {
            const float off = means[strand * PITCH + column] - mean;
            m2 += fmaf(counts[strand] * off, off, squares[strand * PITCH + column]);
        }
        return {count, (double)near[column] + mean, m2};
    }

    // Writes the moments of the tile's columns, which are those from `column` on, to `end` at most, of all `columns`,
    // for a `piece` of `pieces`, which lie side by side for each column. There are as many threads as the tile has
    // columns, or more.
    __device__ __forceinline__ void write(float* moments, int column, int columns, int end, int piece,
                                          int pieces) const {
        const int mine = (int)threadIdx.x, c = column + mine;
        if (mine < COLUMNS && c < end)
            write_moments(moments + (size_t)c * pieces + piece, (size_t)columns * pieces, of(mine));
    }
};

// How many of the rows from `first` on, `apart` from one to the next, come before `end`; `most` at most.
__device__ __forceinline__ int rows_before(int end, int first, int apart, int most) {
    const int left = first < end ? (end - first + apart - 1) / apart : 0;
    return left < most ? left : most;
}
