// Rung 4: tensor cores.
//
// One instruction of a warp, mma, multiplies 16 x 8 by 8 x 8 numbers of tf32: eight times as many products a
// cycle as the other units make. Its operands lie in the registers of 32 lanes in an order of its own (see
// tensorcore.cuh). A block of four warps makes 64 x 64 numbers of y, each warp 32 x 32 of them.
//
// Operands are rounded to tf32, 10 bits of mantissa, as they are stored to shared memory; sums are f32. Now
// multiplying is so fast that the block mostly waits for the next tile.
// target compute_80
#include "ladder.cuh"
#include "tensorcore.cuh"

#define TILE 64
#define DEPTH 16

extern "C" __global__ void __launch_bounds__(128)
ladder_tensor_cores(const Ladder g, const float* __restrict__ x, const float* __restrict__ kernel,
                    float* __restrict__ y) {
    // Eight more than the tile, so that the four rows that a warp reads at once lie in different banks.
    __shared__ unsigned patches[DEPTH][TILE + 8], weights[DEPTH][TILE + 8];
    const int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, of_group = threadIdx.x % 4;
    const int row = warp / 2 * 32, column = warp % 2 * 32, taps = g.r * g.s * g.c;
    const int m0 = blockIdx.x * TILE, k0 = blockIdx.y * TILE;
    float sum[2][4][4] = {};
    for (int first = 0; first < taps; first += DEPTH) {
        for (int i = threadIdx.x; i < TILE * DEPTH; i += 128) {
            patches[i % DEPTH][i / DEPTH] = tc::to_tf32(value(patch(g, x, m0 + i / DEPTH, first + i % DEPTH)));
            weights[i / TILE][i % TILE] = tc::to_tf32(value(weight(g, kernel, first + i / TILE, k0 + i % TILE)));
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < DEPTH; i += 8) {
            unsigned a[2][4], b[4][2];
            for (int u = 0; u < 2; ++u)
                for (int e = 0; e < 4; ++e)
                    a[u][e] = patches[i + of_group + e / 2 * 4][row + 16 * u + group + e % 2 * 8];
            for (int v = 0; v < 4; ++v)
                for (int e = 0; e < 2; ++e) b[v][e] = weights[i + of_group + e * 4][column + 8 * v + group];
            for (int u = 0; u < 2; ++u)
                for (int v = 0; v < 4; ++v) tc::mma_m16n8k8_tf32(sum[u][v], a[u], b[v]);
        }
        __syncthreads();
    }
    for (int u = 0; u < 2; ++u)
        for (int v = 0; v < 4; ++v)
            for (int e = 0; e < 4; ++e) {
                const int m = m0 + row + 16 * u + group + e / 2 * 8, k = k0 + column + 8 * v + 2 * of_group + e % 2;
                if (m < g.n * g.p * g.q && k < g.k) y[(size_t)m * g.k + k] = sum[u][v][e];
            }
}
