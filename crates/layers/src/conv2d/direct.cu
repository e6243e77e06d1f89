// The forward pass over images of few channels, exact in f32: the first layer of a network.
//
// As a product of matrices it would look up each pixel for each tap that meets it, one number at a time.
// Here a block copies the part of x that it needs, which is one run of numbers for each row, and makes a
// tile of y from it: 8 x 16 pixels by 32 filters. A thread keeps 4 pixels x 4 filters in registers.
// target compute_75
#include "matmul.cuh"
#include "moments.cuh"

// As in cuda/direct.rs.
#define DOWN 8
#define ACROSS 16
#define FILTERS 32

struct Direct {
    int h, line;                             // of x: rows, and numbers of a row, w·c
    int r, run, k;                           // of the kernel: rows, numbers of a row of taps, s·c, and filters
    int p, q, tiles_across;                  // of y: rows, columns, tiles side by side
    int stride_down, stride_across;          // to the next window: rows, and numbers of a row
    int apart_down;                          // to the next row of taps
    int before_down, before_across;          // rows, and numbers of a row
    int rows;                                // of x that a tile meets
    Divisor numbers;                         // of each of these rows that it meets
    Divisor tiles;                           // of an image
};

// The part of x that a tile meets, with zeros around the image, and the kernel of 32 filters.
__device__ __forceinline__ void load(const Direct& g, const float* x, const float* kernel, int row, int number,
                                     int filter, float* part, float* weights) {
    const int numbers = g.numbers.by;
    for (int i = threadIdx.x; i < g.rows * numbers; i += blockDim.x) {
        const int down = quotient(g.numbers, i), h = row + down, at = number + i - down * numbers;
        const bool inside = (unsigned)h < (unsigned)g.h && (unsigned)at < (unsigned)g.line;
        part[i] = inside ? x[(size_t)h * g.line + at] : 0.f;
    }
    for (int i = threadIdx.x; i < g.r * g.run * FILTERS; i += blockDim.x) {
        const int tap = i / FILTERS, k = filter + i % FILTERS;
        weights[i] = k < g.k ? kernel[(size_t)tap * g.k + k] : 0.f;
    }
    __syncthreads();
}

// Leaves the moments of this block's tile of y, of which a thread has four pixels from (p, q) down, of the four
// filters from `filter + k` on. A strand's pixels are of one column, two rows apart.
__device__ __forceinline__ void judge(const float (&y)[4][4], const Direct& g, int p, int q, int filter, int k,
                                      float* moments) {
    Judged<FILTERS, DOWN * ACROSS / 4> tile(dynamic_shared<float>());
    const int count = q < g.q ? rows_before(g.p, p, 2, 4) : 0;
    const auto column = [=](int j) { return k + j; };
    tile.take<4, 4>(threadIdx.x / 8, count, column, [&](int i, int j) { return y[i][j]; });
    tile.write(moments, filter, g.k, g.k, blockIdx.x, gridDim.x);
}

// Blocks along x count tiles of y, along y 32 filters. The moments of y's filters, of each tile, where that is not
// null.
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_direct_forward(const Direct g, const float* __restrict__ x, const float* __restrict__ kernel,
                      const float* __restrict__ bias, int relu, float* __restrict__ y, float* __restrict__ moments) {
    float *weights = dynamic_shared<float>(), *part = weights + g.r * g.run * FILTERS;
    const int n = quotient(g.tiles, blockIdx.x), tile = blockIdx.x - n * g.tiles.by;
    const int p0 = tile / g.tiles_across * DOWN, q0 = tile % g.tiles_across * ACROSS, filter = blockIdx.y * FILTERS;
    load(g, x + (size_t)n * g.h * g.line, kernel, p0 * g.stride_down - g.before_down,
         q0 * g.stride_across - g.before_across, filter, part, weights);
    // The thread's filters are neighbours; its pixels are of one column, two rows apart.
    const int k = threadIdx.x % 8 * 4, down = threadIdx.x / 8 / ACROSS, across = threadIdx.x / 8 % ACROSS;
    const float* pixel = part + down * g.stride_down * (int)g.numbers.by + across * g.stride_across;
    const int apart = 2 * g.stride_down * (int)g.numbers.by;
    float sum[4][4] = {};
    for (int r = 0; r < g.r; ++r) {
        const float *from = pixel + r * g.apart_down * (int)g.numbers.by, *of_row = weights + r * g.run * FILTERS + k;
#pragma unroll 3
        for (int i = 0; i < g.run; ++i) {
            const float4 w = *(const float4*)(of_row + i * FILTERS);
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const float v = from[j * apart + i];
                sum[j][0] += v * w.x, sum[j][1] += v * w.y, sum[j][2] += v * w.z, sum[j][3] += v * w.w;
            }
        }
    }
    const Epilogue epilogue{bias, relu};
#pragma unroll
    for (int e = 0; e < 4; ++e) {
        const float own = bias && filter + k + e < g.k ? bias[filter + k + e] : 0.f;
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[j][e] = epilogue.with(own, sum[j][e]);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const int p = p0 + down + 2 * j, q = q0 + across, first = filter + k;
        if (p >= g.p || q >= g.q) continue;
        float* to = y + (((size_t)n * g.p + p) * g.q + q) * g.k;
        if (g.k % 4 == 0 && first < g.k)
            *(float4*)(to + first) = make_float4(sum[j][0], sum[j][1], sum[j][2], sum[j][3]);
        else
            for (int e = 0; e < 4; ++e)
                if (first + e < g.k) to[first + e] = sum[j][e];
    }
    if (moments) judge(sum, g, p0 + down, q0 + across, filter, k, moments);
}
