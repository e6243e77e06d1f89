// C[M,N] = A[M,K] B[K,N], row-major f32: a 64x64 tile for each block of 256 threads, 4x4 for each thread.
// Shared memory and barriers; ragged edges are zero.
#include "prelude.cuh"

static constexpr int TILE = 64, STEP = 16;

extern "C" __global__ void __launch_bounds__(256)
emu_matmul_f32(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
    __shared__ float as[STEP][TILE + 4];
    __shared__ float bs[STEP][TILE];
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    const int row0 = blockIdx.y * TILE, col0 = blockIdx.x * TILE;
    float sums[4][4] = {};
    for (int k0 = 0; k0 < k; k0 += STEP) {
        for (int i = threadIdx.x; i < TILE * STEP; i += 256) {
            const int r = i / STEP, kk = i % STEP;
            as[kk][r] = row0 + r < m && k0 + kk < k ? a[(size_t)(row0 + r) * k + k0 + kk] : 0.f;
        }
        for (int i = threadIdx.x; i < STEP * TILE; i += 256) {
            const int kk = i / TILE, cc = i % TILE;
            bs[kk][cc] = k0 + kk < k && col0 + cc < n ? b[(size_t)(k0 + kk) * n + col0 + cc] : 0.f;
        }
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < STEP; ++kk) {
            float ra[4], rb[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                ra[i] = as[kk][ty * 4 + i];
                rb[i] = bs[kk][tx * 4 + i];
            }
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[i][j] = fmaf(ra[i], rb[j], sums[i][j]);
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
            const int r = row0 + ty * 4 + i, cc = col0 + tx * 4 + j;
            if (r < m && cc < n) c[(size_t)r * n + cc] = sums[i][j];
        }
}
