// Convolution with stride 1 for Hopper, in bf16: TMA brings the tiles, wgmma multiplies them.
//
// Images are N·H·W·C, so what 128 pixels of y meet at one tap, 64 channels of them, is a box of x: the pixels'
// own box, moved by the tap. TMA fetches a box in one instruction, lays it in shared memory as wgmma wants an
// operand, and writes zeros where it leaves the image: no address and no padding is worked out here.
//
//   channels -> 64    taps and chunks of channels go by; each step is one box of x and one of the kernel
//   pixels   |  x     128 = images · rows · columns, powers of two that the host chose
//
// A warp of its own produces: it asks for boxes, up to STAGES ahead. Two warpgroups consume, 64 pixels each.
// How they wait for each other is in hopper_ring.cuh. The gradient of x is the same over dz, with the kernel
// turned, and channels and filters exchanged; that of the kernel is in conv2d_hopper_weight.cu.
// target compute_90a
#include "hopper_ring.cuh"
#include "matmul.cuh"
#include "stored.cuh"

// As in cuda/hopper.rs.
#define PIXELS 128
#define CHANNELS 64
#define CONSUMERS 256

// What is made, n·p·q pixels of so many filters; of what, channels seen through rows·columns taps; and the
// box of 2^(down + across) pixels of an image and so many images that 128 pixels are.
struct Boxes {
    int n, p, q, filters, channels, rows, columns, before_down, before_across;
    int down, across, tiles_down, tiles_across, tiles_of_filters;
};

// The first image, row, column and filter of a block's tile. Neighbouring blocks share a box of x.
struct Corner {
    int n, p, q, k;

    __device__ Corner(const Boxes& g, int filters_of_tile) {
        int tile = (int)blockIdx.x / g.tiles_of_filters;
        k = ((int)blockIdx.x - tile * g.tiles_of_filters) * filters_of_tile;
        q = tile % g.tiles_across << g.across, tile /= g.tiles_across;
        p = tile % g.tiles_down << g.down, tile /= g.tiles_down;
        n = tile * (PIXELS >> (g.down + g.across));
    }
};

// Asks for the boxes of all steps. One thread.
template <class R>
__device__ __forceinline__ void produce(R ring, const Boxes& g, const Corner& at, const TensorMap* x, const TensorMap* kernel) {
    for (int r = 0; r < g.rows; ++r)
        for (int s = 0; s < g.columns; ++s)
            for (int c = 0; c < g.channels; c += CHANNELS) {
                ring.claim(R::BYTES);
                tc::tma_load_4d(ring.a(), x, ring.full(), c, at.q + s - g.before_across, at.p + r - g.before_down, at.n);
                tc::tma_load_2d(ring.b(), kernel, ring.full(), c, (r * g.columns + s) * g.filters + at.k);
                ring.next();
            }
}

// Writes what of the tile is in y.
template <int FILTERS, class Number>
__device__ __forceinline__ void put(const Boxes& g, const Corner& at, const float (&sums)[FILTERS / 2], const Epilogue& epilogue, Number* y) {
    const int lane = threadIdx.x % 32, wide = at.k + lane % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int pixel = threadIdx.x / 32 * 16 + lane / 4 + 8 * half;
        const int q = at.q + (pixel & ((1 << g.across) - 1)), p = at.p + (pixel >> g.across & ((1 << g.down) - 1));
        const int n = at.n + (pixel >> (g.across + g.down));
        if (n >= g.n || p >= g.p || q >= g.q) continue;
        Number* to = y + (((size_t)n * g.p + p) * g.q + q) * g.filters;
#pragma unroll
        for (int j = 0; j < FILTERS / 8; ++j) {
            const int k = wide + 8 * j;
            put_pair(to + k, epilogue(sums[4 * j + 2 * half], k), epilogue(sums[4 * j + 2 * half + 1], k + 1));
        }
    }
}

// Of a stage: a warpgroup's 64 pixels, which begin at `mine`, by all filters of the tile.
struct Products {
    int mine;

    template <class R, int SUMS> __device__ __forceinline__ void operator()(const R& ring, float (&sums)[SUMS]) const {
#pragma unroll
        for (int c = 0; c < CHANNELS; c += 16)
            tc::wgmma_k16_bf16(sums, tc::descriptor_k128(ring.a() + mine + c), tc::descriptor_k128(ring.b() + c));
    }
};

template <int FILTERS, int STAGES, class Number>
__device__ __forceinline__ void convolve(const Boxes& g, const TensorMap* x, const TensorMap* kernel, const Epilogue& epilogue, Number* y) {
    Ring<PIXELS * CHANNELS, FILTERS * CHANNELS, STAGES> ring;
    if (threadIdx.x == 0) ring.open(CONSUMERS / 32);
    __syncthreads();
    const Corner at(g, FILTERS);
    if (threadIdx.x >= CONSUMERS) {
        if (threadIdx.x == CONSUMERS) produce(ring, g, at, x, kernel);
        return;
    }
    float sums[FILTERS / 2] = {};
    consume(ring, g.rows * g.columns * (g.channels / CHANNELS), sums, Products{(int)threadIdx.x / 128 * 64 * CHANNELS});
    put<FILTERS>(g, at, sums, epilogue, y);
}

// Two blocks share a processor: one's boxes come while the other begins or ends.
extern "C" __global__ void __launch_bounds__(288, 2)
conv2d_hopper_64(const Boxes g, const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap kernel,
                 const float* __restrict__ bias, int relu, float* __restrict__ y) {
    convolve<64, 4>(g, &x, &kernel, Epilogue{bias, relu}, y);
}
extern "C" __global__ void __launch_bounds__(288, 2)
conv2d_hopper_128(const Boxes g, const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap kernel,
                  const float* __restrict__ bias, int relu, float* __restrict__ y) {
    convolve<128, 3>(g, &x, &kernel, Epilogue{bias, relu}, y);
}
// The same into a y that is bf16 in memory.
extern "C" __global__ void __launch_bounds__(288, 2)
conv2d_hopper_64_y16(const Boxes g, const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap kernel,
                     const float* __restrict__ bias, int relu, bf16_bits* __restrict__ y) {
    convolve<64, 4>(g, &x, &kernel, Epilogue{bias, relu}, y);
}
extern "C" __global__ void __launch_bounds__(288, 2)
conv2d_hopper_128_y16(const Boxes g, const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap kernel,
                      const float* __restrict__ bias, int relu, bf16_bits* __restrict__ y) {
    convolve<128, 3>(g, &x, &kernel, Epilogue{bias, relu}, y);
}

__device__ __forceinline__ void round_quad(const float* from, bf16_bits* to, size_t from_quad, size_t to_quad) {
    const float4 v = ((const float4*)from)[from_quad];
    ((uint2*)to)[to_quad] = make_uint2(tc::round_bf16(v.x, v.y), tc::round_bf16(v.z, v.w));
}

// To bf16, to nearest. Pieces of so many quads come in the opposite order: taps of a kernel, turned. Images
// are one piece.
extern "C" __global__ void __launch_bounds__(256)
conv2d_hopper_round(const float* __restrict__ from, bf16_bits* __restrict__ to, int pieces, unsigned long long quads) {
    for (size_t i = grid_thread(); i < pieces * quads; i += grid_threads()) {
        const size_t piece = i / quads, rest = i - piece * quads;
        round_quad(from, to, (pieces - 1 - piece) * quads + rest, i);
    }
}

// The same of a kernel: taps of channels by filters become taps of filters by channels. Blocks count 32
// channels, 32 filters, taps.
extern "C" __global__ void __launch_bounds__(256)
conv2d_hopper_round_kernel(const float* __restrict__ from, bf16_bits* __restrict__ to, int channels, int filters) {
    __shared__ bf16_bits tile[32][34]; // neighbours in a row and in a column lie in different banks
    const int lane = threadIdx.x % 32, c = blockIdx.x * 32, k = blockIdx.y * 32;
    const size_t tap = (size_t)blockIdx.z * channels * filters;
    for (int i = threadIdx.x / 32; i < 32; i += 8) tile[i][lane] = f32_to_bf16(from[tap + (size_t)(c + i) * filters + k + lane]);
    __syncthreads();
    for (int i = threadIdx.x / 32; i < 32; i += 8) to[tap + (size_t)(k + i) * channels + c + lane] = tile[lane][i];
}
