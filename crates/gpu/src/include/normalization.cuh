// What batch normalization does to a number, for every kernel in which it happens; see
// crates/layers/src/batch_normalization.rs for the formulas.
#pragma once
#include "columns.cuh"
#include "lanes.cuh"
#include "moments.cuh"

// Rows that a thread sums in f32, and whose numbers are on their way from memory together.
#define TILE 8

// Which rows of a chunk a strand takes: `count` of them, the tile that begins at `row`.
__device__ __forceinline__ int rows_of_tile(size_t row, size_t end, int strands) {
    const size_t left = (end - row + strands - 1) / strands;
    return left < TILE ? (int)left : TILE;
}

__device__ __forceinline__ size_t end_of_chunk(size_t rows, int chunk) {
    const size_t end = ((size_t)blockIdx.y + 1) * chunk;
    return end < rows ? end : rows;
}

// The numbers of V channels, or the same one for all where there are none.
template <int V>
__device__ __forceinline__ Lanes<float, V> load_or(const float* __restrict__ from, int c, float otherwise) {
    return from ? load<V>(from + c) : spread<V>(otherwise);
}

// What y takes besides x. Null: rest 0, gamma 1, beta 0.
struct Statistics {
    const float *mean, *rest, *variance, *gamma, *beta;
    float epsilon;
};

// The item, of `columns` to a row, that this thread begins with, and how far it is to its next: whole rows, so that
// the columns stay the same. No items for threads beyond the last whole row of the grid.
struct Walk {
    size_t first, step;

    __device__ explicit Walk(int columns) : first(grid_thread()), step(grid_threads() / columns * columns) {}
    __device__ bool idle() const { return first >= step; }
};

// y = (x − mean) · scale + offset, of the V channels from c on.
template <int V> struct Normalize {
    Lanes<float, V> mean, scale, offset;

    __device__ __forceinline__ Normalize(const Statistics& n, int c)
        : mean(load<V>(n.mean + c)), scale(load_or<V>(n.gamma, c, 1.f)), offset(load_or<V>(n.beta, c, 0.f)) {
        const Lanes<float, V> variance = load<V>(n.variance + c), rest = load_or<V>(n.rest, c, 0.f);
#pragma unroll
        for (int l = 0; l < V; ++l) {
            scale.at[l] *= 1.f / sqrtf(variance.at[l] + n.epsilon);
            offset.at[l] = fmaf(-scale.at[l], rest.at[l], offset.at[l]);
        }
    }

    __device__ __forceinline__ float operator()(float x, int l) const {
        return fmaf(x - mean.at[l], scale.at[l], offset.at[l]);
    }
};

// dx = (dy − mean_dy) · scale + ((x − mean) · pull + offset), of the V channels from c on. The first difference is
// exact for a single row, whose dx is 0. The sums dgamma and dbeta are null for 0, where the statistics do not depend
// on x.
template <int V> struct Gradient {
    Lanes<float, V> mean, scale, offset, mean_dy, pull;

    __device__ __forceinline__ Gradient(const Statistics& n, size_t rows, int c, const float* __restrict__ dgamma,
                                        const float* __restrict__ dbeta)
        : mean(load<V>(n.mean + c)), scale(load_or<V>(n.gamma, c, 1.f)), offset(load_or<V>(n.rest, c, 0.f)),
          mean_dy(load_or<V>(dbeta, c, 0.f)), pull(load_or<V>(dgamma, c, 0.f)) {
        const Lanes<float, V> variance = load<V>(n.variance + c);
#pragma unroll
        for (int l = 0; l < V; ++l) {
            const float rstd = 1.f / sqrtf(variance.at[l] + n.epsilon);
            scale.at[l] *= rstd;
            mean_dy.at[l] /= (float)rows;
            pull.at[l] = -scale.at[l] * rstd * (pull.at[l] / (float)rows);
            offset.at[l] = -pull.at[l] * offset.at[l];
        }
    }

    __device__ __forceinline__ float operator()(float x, float dy, int l) const {
        const float through_statistics = fmaf(x - mean.at[l], pull.at[l], offset.at[l]);
        return fmaf(dy - mean_dy.at[l], scale.at[l], through_statistics);
    }
};

// Σ dy and Σ dy · (x − mean).
struct Products {
    double sum, product;
};

// Both of each chunk of rows, as pairs, each channels·chunks; `dy(i)` is the gradient at x[i]. Blocks: groups of
// lanes, chunks.
template <class Number, class Dy>
__device__ __forceinline__ void products(const Number* __restrict__ x, size_t rows, int channels, int lanes, int chunk,
                                         const float* __restrict__ mean, Dy dy, float* __restrict__ partials) {
    const Strand me(lanes);
    const int c = (int)blockIdx.x * lanes + me.lane;
    Products all{0., 0.};
    if (c < channels) {
        const size_t end = end_of_chunk(rows, chunk), stride = (size_t)me.strands * channels;
        const float middle = mean[c];
        for (size_t row = (size_t)blockIdx.y * chunk + me.strand; row < end; row += TILE * me.strands) {
            const int count = rows_of_tile(row, end, me.strands);
            const size_t from = row * channels + c;
            float sum = 0.f, product = 0.f;
#pragma unroll
            for (int j = 0; j < TILE; ++j) {
                const float g = j < count ? dy(from + j * stride) : 0.f;
                const float d = j < count ? as_f32(x[from + j * stride]) - middle : 0.f;
                sum += g;
                product = fmaf(g, d, product);
            }
            all.sum += sum;
            all.product += product;
        }
    }
    all = fold_strands(all, lanes, [](const Products& a, const Products& b) {
        return Products{a.sum + b.sum, a.product + b.product};
    });
    if (me.strand == 0 && c < channels) {
        const size_t next = (size_t)channels * gridDim.y;
        float* at = partials + (size_t)c * gridDim.y + blockIdx.y;
        write_pair(at, next, all.sum);
        write_pair(at + 2 * next, next, all.product);
    }
}
