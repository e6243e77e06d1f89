// Rung 2: tiles in shared memory.
//
// A convolution is a product of two matrices: patches of x (pixels of y x taps and channels) by the kernel
// (taps and channels x filters). A block of 16 x 16 threads makes 16 x 16 numbers of y. For each 16 columns of
// the patches it copies a tile of both to shared memory, once for all that need it: each number is read 16
// times less often from the caches. But each multiplication still needs two loads, now from shared memory.
//
// Patches are looked up, never stored ("implicit"): stored, they would take r·s times the memory of x.
// target compute_75
#include "ladder.cuh"

#define TILE 16

// Blocks along x count tiles of pixels, along y tiles of filters; thread (row, column) of the tile is
// threadIdx.x / 16, threadIdx.x % 16.
extern "C" __global__ void __launch_bounds__(256)
ladder_tiled(const Ladder g, const float* __restrict__ x, const float* __restrict__ kernel, float* __restrict__ y) {
    __shared__ float patches[TILE][TILE + 1], weights[TILE][TILE + 1];
    const int row = threadIdx.x / TILE, column = threadIdx.x % TILE;
    const int m = blockIdx.x * TILE + row, k = blockIdx.y * TILE + column, taps = g.r * g.s * g.c;
    float sum = 0.f;
    for (int first = 0; first < taps; first += TILE) {
        patches[row][column] = value(patch(g, x, m, first + column));
        weights[row][column] = value(weight(g, kernel, first + row, k));
        __syncthreads(); // the tiles are there
        for (int i = 0; i < TILE; ++i) sum += patches[row][i] * weights[i][column];
        __syncthreads(); // nobody reads them any more
    }
    if (m < g.n * g.p * g.q && k < g.k) y[(size_t)m * g.k + k] = sum;
}
