// Rung 3: sums in registers.
//
// A thread makes 4 x 4 numbers of y instead of one: 8 loads from shared memory feed 16 multiplications, and
// they are two loads of four numbers. The tile of a block is 64 x 64, which also means that a number is read
// 64 times less often from the caches. From here on arithmetic is what bounds; what is lost is the time in
// which all threads look up and wait for the next tile.
//
// The engine (../../conv2d.cu) goes on from here: the next tile is on its way to registers while this one is
// multiplied, each place is worked out once, four numbers are loaded at a time, and blocks share long sums.
// target compute_75
#include "ladder.cuh"

#define TILE 64
#define DEPTH 16

extern "C" __global__ void __launch_bounds__(256)
ladder_implicit_gemm(const Ladder g, const float* __restrict__ x, const float* __restrict__ kernel,
                     float* __restrict__ y) {
    // Both with taps as their rows, so that a thread reads four neighbours of each at once.
    __shared__ __align__(16) float patches[DEPTH][TILE + 4], weights[DEPTH][TILE + 4];
    const int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4, taps = g.r * g.s * g.c;
    const int m0 = blockIdx.x * TILE, k0 = blockIdx.y * TILE;
    float sum[4][4] = {};
    for (int first = 0; first < taps; first += DEPTH) {
        for (int i = threadIdx.x; i < TILE * DEPTH; i += 256) {
            // Neighbouring threads read neighbouring channels of x, and neighbouring filters.
            patches[i % DEPTH][i / DEPTH] = value(patch(g, x, m0 + i / DEPTH, first + i % DEPTH));
            weights[i / TILE][i % TILE] = value(weight(g, kernel, first + i / TILE, k0 + i % TILE));
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < DEPTH; ++i) {
            const float4 a = *(const float4*)&patches[i][row], b = *(const float4*)&weights[i][column];
            const float left[4] = {a.x, a.y, a.z, a.w}, right[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
            for (int u = 0; u < 4; ++u)
#pragma unroll
                for (int v = 0; v < 4; ++v) sum[u][v] += left[u] * right[v];
        }
        __syncthreads();
    }
    for (int u = 0; u < 4; ++u)
        for (int v = 0; v < 4; ++v)
            if (m0 + row + u < g.n * g.p * g.q && k0 + column + v < g.k)
                y[(size_t)(m0 + row + u) * g.k + k0 + column + v] = sum[u][v];
}
