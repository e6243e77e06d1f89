// Rung 5: the next tiles are on their way while this one is multiplied.
//
// cp.async copies from memory to shared memory past the registers, and the thread goes on. There are three
// stages: while the warps multiply step i, the copies for i + 1 and i + 2 are under way, and one barrier a
// step says both that step i has come and that the stage of step i - 1 may be overwritten. What is copied is
// f32; it is rounded to tf32 when a warp takes it. The patches of a pixel lie in a row of their tile, from
// which ldmatrix gives each lane what mma wants of it.
//
// The engine (../../conv2d_tensorcore.cu) goes on from here: sixteen bytes a copy, places worked out once, a
// larger tile, and bf16.
// target compute_80
#include "ladder.cuh"
#include "tensorcore.cuh"

#define TILE 64
#define DEPTH 16
#define STAGES 3
#define ALONG (DEPTH + 4)  // floats of a row of patches
#define ACROSS (TILE + 8)  // and of weights

__device__ __forceinline__ void copy(float* to, const float* from, const float* anywhere) {
    tc::cp_async4(to, from ? from : anywhere, from ? 4 : 0);
}

extern "C" __global__ void __launch_bounds__(128)
ladder_pipelined(const Ladder g, const float* __restrict__ x, const float* __restrict__ kernel,
                 float* __restrict__ y) {
    __shared__ __align__(16) float patches[STAGES][TILE * ALONG], weights[STAGES][DEPTH * ACROSS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, of_group = lane % 4;
    const int row = warp / 2 * 32, column = warp % 2 * 32, steps = ceil_div(g.r * g.s * g.c, DEPTH);
    const int m0 = blockIdx.x * TILE, k0 = blockIdx.y * TILE;
    const auto fetch = [&](int step) {
        const int stage = step % STAGES, first = step * DEPTH;
        if (step < steps)
            for (int i = threadIdx.x; i < TILE * DEPTH; i += 128) {
                copy(&patches[stage][i / DEPTH * ALONG + i % DEPTH], patch(g, x, m0 + i / DEPTH, first + i % DEPTH), x);
                copy(&weights[stage][i / TILE * ACROSS + i % TILE], weight(g, kernel, first + i / TILE, k0 + i % TILE), kernel);
            }
        tc::cp_async_commit(); // an empty group too, so that the newest but one is always this step's
    };
    float sum[2][4][4] = {};
    fetch(0), fetch(1);
    for (int step = 0; step < steps; ++step) {
        tc::cp_async_wait<1>();
        __syncthreads();
        fetch(step + 2);
        const float *left = patches[step % STAGES], *right = weights[step % STAGES];
#pragma unroll
        for (int i = 0; i < DEPTH; i += 8) {
            unsigned a[2][4], b[4][2];
            for (int u = 0; u < 2; ++u) {
                tc::ldmatrix_x4(a[u], left + (row + 16 * u + lane % 16) * ALONG + i + lane / 16 * 4);
                for (int e = 0; e < 4; ++e) a[u][e] = tc::to_tf32(__uint_as_float(a[u][e]));
            }
            for (int v = 0; v < 4; ++v)
                for (int e = 0; e < 2; ++e)
                    b[v][e] = tc::to_tf32(right[(i + of_group + e * 4) * ACROSS + column + 8 * v + group]);
            for (int u = 0; u < 2; ++u)
                for (int v = 0; v < 4; ++v) tc::mma_m16n8k8_tf32(sum[u][v], a[u], b[v]);
        }
    }
    for (int u = 0; u < 2; ++u)
        for (int v = 0; v < 4; ++v)
            for (int e = 0; e < 4; ++e) {
                const int m = m0 + row + 16 * u + group + e / 2 * 8, k = k0 + column + 8 * v + 2 * of_group + e % 2;
                if (m < g.n * g.p * g.q && k < g.k) y[(size_t)m * g.k + k] = sum[u][v][e];
            }
}
