// Rung 6: Hopper. Nobody works out an address any more.
//
// What 8 x 8 pixels of y meet at one tap, 64 channels of them, is a box of x: their own place, moved by the
// tap. One thread asks for it, and a unit of its own (TMA) fetches the box, lays it in shared memory in the
// order that the tensor cores like, and writes zeros where it leaves the image: that is the padding. The
// kernel's 64 filters of the tap are another box. A warp of its own does nothing but ask.
//
// wgmma multiplies 64 x 16 by 16 x 64 numbers in one instruction of four warps together, which reads both
// operands from shared memory and goes on by itself: registers hold sums and nothing else.
//
// There are four stages, and no barrier of the whole block. A stage has two barriers that count: it is full
// when all its bytes are there, and empty when the four warps are through with it. Each barrier has phases,
// told apart by whether their number is odd: whoever goes round the ring again waits for the next one.
//
//   asks       empty 0? boxes -> 0   empty 1? boxes -> 1   empty 2? ...
//   multiplies               full 0? multiply, 0 is empty   full 1? multiply, 1 is empty   ...
//
// Both operands lie in memory in bf16 with channels side by side: two small kernels round them before
// (conv2d_hopper_round and conv2d_hopper_round_kernel of the engine). Strides of 1, no holes, channels and
// filters by 64. It has run on the emulated device, and never yet on a GPU.
//
// The engine (../../conv2d_hopper.cu) goes on from here: 128 pixels and 128 filters, boxes of the shape that
// fits the images, products that are not awaited before the next are asked for, and the gradient of x.
// target compute_90a
#include "hopper.cuh"
#include "ladder.cuh"

#define SIDE 8                        // a tile is SIDE x SIDE pixels of one image
#define TILE 64                       // pixels, and filters
#define DEPTH 64                      // channels of a step
#define STAGES 4
#define BOX (TILE * DEPTH)            // numbers of a box, of x or of the kernel

// Blocks along x count tiles of pixels, along y tiles of filters. Warps 0 to 3 multiply, warp 4 asks.
extern "C" __global__ void __launch_bounds__(160)
ladder_hopper(const Ladder g, const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap kernel, float* __restrict__ y) {
    bf16_bits *patches = dynamic_shared<bf16_bits>(), *weights = patches + STAGES * BOX;
    tc::Barrier *full = (tc::Barrier*)(weights + STAGES * BOX), *empty = full + STAGES;
    const int across = ceil_div(g.q, SIDE), down = ceil_div(g.p, SIDE), tile = blockIdx.x;
    const int q0 = tile % across * SIDE, p0 = tile / across % down * SIDE, n = tile / across / down;
    const int k0 = blockIdx.y * TILE, chunks = g.c / DEPTH, steps = g.r * g.s * chunks;
    if (threadIdx.x == 0)
        for (int i = 0; i < STAGES; ++i) tc::barrier_init(full + i, 1), tc::barrier_init(empty + i, 4);
    tc::fence_async_shared(); // TMA sees the barriers too
    __syncthreads();

    if (threadIdx.x == 128)
        for (int step = 0; step < steps; ++step) {
            const int stage = step % STAGES, tap = step / chunks, c = step % chunks * DEPTH;
            if (step >= STAGES) tc::barrier_wait(empty + stage, (step / STAGES - 1) % 2);
            tc::barrier_expect(full + stage, 2 * BOX * sizeof(bf16_bits));
            tc::tma_load_4d(patches + stage * BOX, &x, full + stage, c, q0 + tap % g.s - g.before_across, p0 + tap / g.s - g.before_down, n);
            tc::tma_load_2d(weights + stage * BOX, &kernel, full + stage, c, tap * g.k + k0);
        }
    if (threadIdx.x >= 128) return;

    float sum[32] = {};
    tc::wgmma_hold(sum);
    for (int step = 0; step < steps; ++step) {
        const int stage = step % STAGES;
        tc::barrier_wait(full + stage, step / STAGES % 2);
        tc::wgmma_fence();
#pragma unroll
        for (int i = 0; i < DEPTH; i += 16)
            tc::wgmma_m64n64k16_bf16(sum, tc::descriptor_k128(patches + stage * BOX + i), tc::descriptor_k128(weights + stage * BOX + i));
        tc::wgmma_commit();
        tc::wgmma_wait<0>();
        __syncwarp();
        if (threadIdx.x % 32 == 0) tc::barrier_arrive(empty + stage);
    }
    tc::wgmma_hold(sum);

    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4, column = lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 32; ++i) {
        const int m = row + (i & 2) * 4, q = q0 + m % SIDE, p = p0 + m / SIDE, k = k0 + i / 4 * 8 + column + (i & 1);
        if (p < g.p && q < g.q) y[(((size_t)n * g.p + p) * g.q + q) * g.k + k] = sum[i];
    }
}
