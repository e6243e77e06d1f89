// The kernel's gradient of a convolution with stride 1 for Hopper, in bf16: TMA brings the tiles, wgmma
// multiplies them.
//
//   dkernel(tap, c, k) = sum over pixels of x(pixel moved by the tap, c) * dz(pixel, k)
//
// A step is a box of 64 pixels. Of dz it brings the box itself, 64 or 128 filters of it; of x the same box moved
// by a tap, 64 channels of it. A tap and 64 channels are a unit: the 64 rows of dkernel that a warpgroup makes,
// by all filters of the tile. Three units share the box of dz.
//
//                  64 pixels                          64 or 128 filters
//   channels  ->  unit 0: x, its tap    stage    dz  ┌────────────────┐
//                 unit 1: x, its tap   ───────>      │ warpgroup 0    │  sums in registers
//                 unit 2: x, its tap                 │ warpgroup 1    │
//                                                    │ warpgroup 2    │
//
// Sums go over pixels, but pixels are the rows of both boxes: wgmma takes both operands turned. Beyond the image
// TMA writes zeros, in dz beyond its last row and column, in x in the padding; and the map of x for a tap ends
// where the last pixel of dz meets it, so that beyond that zeros are multiplied by zeros, not by numbers of x
// which might be infinite. Boxes are shared out in parts, of which each leaves a sum.
// target compute_90a
#include "hopper_ring.cuh"

// As in cuda/hopper/weight.rs.
#define PIXELS 64
#define CHANNELS 64
#define UNITS 3
#define TAPS 25
#define BOX (PIXELS * CHANNELS)

// Boxes of 2^(down + across) pixels of an image and so many images that 64 pixels are: all of them, how many go
// along rows and columns, and how many are a part. Units are taps by chunks of channels; taps, so many a row.
struct Sums {
    int filters, chunks, units, columns, before_down, before_across;
    int down, across, boxes, boxes_down, boxes_across, boxes_of_part, tiles_of_units, tiles_of_filters;
};

// x, as each tap meets it.
struct TapMaps { TensorMap of[TAPS]; };

// A block's units and filters, its part, and the boxes from `box` to before `end` that it sums.
struct Tile {
    int unit, units, k, part, box, end;

    __device__ Tile(const Sums& g, int filters_of_tile) {
        int tile = (int)blockIdx.x / g.tiles_of_filters;
        k = ((int)blockIdx.x - tile * g.tiles_of_filters) * filters_of_tile;
        part = tile / g.tiles_of_units;
        unit = (tile - part * g.tiles_of_units) * UNITS;
        units = g.units - unit < UNITS ? g.units - unit : UNITS;
        box = part * g.boxes_of_part;
        end = g.boxes - box < g.boxes_of_part ? g.boxes : box + g.boxes_of_part;
    }
};

// Asks for the boxes of all steps. One thread.
template <class R>
__device__ __forceinline__ void produce(R ring, const Sums& g, const Tile& tile, const TapMaps* x, const TensorMap* dz) {
    for (int box = tile.box; box < tile.end; ++box) {
        const int line = box / g.boxes_across, q = (box - line * g.boxes_across) << g.across;
        const int image = line / g.boxes_down, p = (line - image * g.boxes_down) << g.down;
        const int n = image * (PIXELS >> (g.down + g.across));
        ring.claim((tile.units * BOX + R::B) * sizeof(bf16_bits));
        for (int i = 0; i < tile.units; ++i) {
            const int tap = (tile.unit + i) / g.chunks, r = tap / g.columns, s = tap - r * g.columns;
            const int c = (tile.unit + i - tap * g.chunks) * CHANNELS;
            tc::tma_load_4d(ring.a() + i * BOX, x->of + tap, ring.full(), c, q + s - g.before_across, p + r - g.before_down, n);
        }
        for (int i = 0; i < R::B / BOX; ++i) tc::tma_load_4d(ring.b() + i * BOX, dz, ring.full(), tile.k + i * CHANNELS, q, p, n);
        ring.next();
    }
}

// Of a stage: a warpgroup's unit by all filters of the tile.
struct Products {
    int mine;

    template <class R, int SUMS> __device__ __forceinline__ void operator()(const R& ring, float (&sums)[SUMS]) const {
#pragma unroll
        for (int pixel = 0; pixel < PIXELS; pixel += 16) {
            const bf16_bits *a = ring.a() + mine * BOX + pixel * CHANNELS, *b = ring.b() + pixel * CHANNELS;
            tc::wgmma_k16_bf16<1, 1>(sums, tc::descriptor_mn128(a, 0), tc::descriptor_mn128(b, BOX * sizeof(bf16_bits)));
        }
    }
};

// Writes a warpgroup's unit.
template <int FILTERS> __device__ __forceinline__ void put(const Sums& g, int unit, int k, const float (&sums)[FILTERS / 2], float* dkernel) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = threadIdx.x % 128 / 32 * 16 + lane / 4 + 8 * half;
        float* to = dkernel + ((size_t)unit * CHANNELS + row) * g.filters + k + lane % 4 * 2;
#pragma unroll
        for (int j = 0; j < FILTERS / 8; ++j) *(float2*)(to + 8 * j) = make_float2(sums[4 * j + 2 * half], sums[4 * j + 2 * half + 1]);
    }
}

template <int FILTERS, int STAGES>
__device__ __forceinline__ void add_up(const Sums& g, const TapMaps* x, const TensorMap* dz, float* dkernel, unsigned long long apart) {
    Ring<UNITS * BOX, FILTERS * PIXELS, STAGES> ring;
    const Tile tile(g, FILTERS);
    if (threadIdx.x == 0) ring.open(tile.units * 4);
    __syncthreads();
    const int mine = threadIdx.x / 128;
    if (mine == UNITS) {
        if (threadIdx.x == UNITS * 128) produce(ring, g, tile, x, dz);
        return;
    }
    if (mine >= tile.units) return;
    float sums[FILTERS / 2] = {};
    consume(ring, tile.end - tile.box, sums, Products{mine});
    put<FILTERS>(g, tile.unit + mine, tile.k, sums, dkernel + tile.part * apart);
}

extern "C" __global__ void __launch_bounds__(416, 1)
conv2d_hopper_weight_64(const Sums g, const __grid_constant__ TapMaps x, const __grid_constant__ TensorMap dz,
                        float* __restrict__ dkernel, unsigned long long apart) {
    add_up<64, 6>(g, &x, &dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(416, 1)
conv2d_hopper_weight_128(const Sums g, const __grid_constant__ TapMaps x, const __grid_constant__ TensorMap dz,
                         float* __restrict__ dkernel, unsigned long long apart) {
    add_up<128, 5>(g, &x, &dz, dkernel, apart);
}
