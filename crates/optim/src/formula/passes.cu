// What an optimizer does besides its formula: gathering, clipping, averaging.
// target compute_75
#include "reduce.cuh"
#include "table.cuh"

// Batches of an update: the first sets the sum, the last makes the mean of it.
enum Place { FIRST, BETWEEN, LAST };

struct Gather {
    const Row& row;
    int place;
    float batches;

    template <int WIDTH> __device__ __forceinline__ void at(size_t i) const {
        Lanes<WIDTH> g = Lanes<WIDTH>::load(row.grad + i);
        if (place == FIRST) return g.store(row.sum + i);
        const Lanes<WIDTH> s = Lanes<WIDTH>::load(row.sum + i);
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) g.v[j] = add(s.v[j], g.v[j]);
        if (place == BETWEEN) return g.store(row.sum + i);
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) g.v[j] = over(g.v[j], batches);
        g.store(row.grad + i);
    }
};

extern "C" __global__ void __launch_bounds__(256)
    gather_gradients(const Row* rows, int count, int place, float batches) {
    const Tile tile = tile_of_block(rows, count);
    const Row row = *tile.row;
    each(tile, Gather{row, place, batches});
}

struct Follow {
    const Row& row;
    float kept, taken;

    template <int WIDTH> __device__ __forceinline__ void at(size_t i) const {
        const Lanes<WIDTH> w = Lanes<WIDTH>::load(row.value + i);
        Lanes<WIDTH> a = Lanes<WIDTH>::load(row.average + i);
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) a.v[j] = add(mul(kept, a.v[j]), mul(taken, w.v[j]));
        a.store(row.average + i);
    }
};

extern "C" __global__ void __launch_bounds__(256) follow_values(const Row* rows, int count, const float* scalars) {
    const Tile tile = tile_of_block(rows, count);
    const Row row = *tile.row;
    each(tile, Follow{row, scalars[KEPT], scalars[TAKEN]});
}

struct Clip {
    const Row& row;
    float limit;

    template <int WIDTH> __device__ __forceinline__ void at(size_t i) const {
        Lanes<WIDTH> g = Lanes<WIDTH>::load(row.grad + i);
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) g.v[j] = g.v[j] < -limit ? -limit : g.v[j] > limit ? limit : g.v[j];
        g.store(row.grad + i);
    }
};

extern "C" __global__ void __launch_bounds__(256) clip_values(const Row* rows, int count, float limit) {
    const Tile tile = tile_of_block(rows, count);
    const Row row = *tile.row;
    each(tile, Clip{row, limit});
}

// The sum of squares of a tile's gradients, in f64: one for each block.
extern "C" __global__ void __launch_bounds__(256)
    sum_squares(const Row* rows, int count, double* __restrict__ partial) {
    const Tile tile = tile_of_block(rows, count);
    const float* grad = tile.row->grad;
    double sum = 0.;
    for (size_t i = tile.begin + threadIdx.x; i < tile.end; i += blockDim.x) sum += (double)grad[i] * grad[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// What gradients are multiplied with, from the sums of `blocks` tiles: a block for each row, or one block
// for all rows together.
extern "C" __global__ void __launch_bounds__(256)
    clip_factors(const Row* rows, int count, int blocks, int together, float limit,
                 const double* __restrict__ partial, float* __restrict__ factors) {
    const int row = blockIdx.x, begin = together ? 0 : rows[row].first;
    const int end = together || row + 1 == count ? blocks : rows[row + 1].first;
    double sum = 0.;
    for (int i = begin + threadIdx.x; i < end; i += blockDim.x) sum += partial[i];
    const double norm = sqrt(block_sum(sum)), most = limit;
    const bool finite = norm <= 1.7976931348623157e308; // a NaN is not
    if (threadIdx.x == 0) factors[row] = norm <= most ? 1.f : finite ? (float)(most / norm) : nan_f32();
}

struct Shorten {
    const Row& row;
    float factor;

    template <int WIDTH> __device__ __forceinline__ void at(size_t i) const {
        Lanes<WIDTH> g = Lanes<WIDTH>::load(row.grad + i);
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) g.v[j] = mul(g.v[j], factor);
        g.store(row.grad + i);
    }
};

extern "C" __global__ void __launch_bounds__(256)
    shorten_gradients(const Row* rows, int count, int together, const float* factors) {
    const Tile tile = tile_of_block(rows, count);
    const Row row = *tile.row;
    const float factor = factors[together ? 0 : (int)(tile.row - rows)];
    if (factor != 1.f) each(tile, Shorten{row, factor});
}
