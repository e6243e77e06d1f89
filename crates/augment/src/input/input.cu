// From the bytes of images to what the network sees; see ../input.rs for the formula.
// Every rounding is the definition's: the host compiles no product and sum to one instruction, and neither may
// nvcc, so products have their rounding in their name.
// target compute_75
#include "prelude.cuh"

// Of h·w pixels of c channels, up to 4.
struct Images {
    int n, h, w, c;
};

// What is done to one image, as crates/random/src/pixel_map.rs says.
struct PixelMap {
    double row[3], column[3];
    float mean[4], std[4];
    float rescale, cval, brightness;
    unsigned brightens, fill_mode, interpolation_order, flip_vertical, flip_horizontal;
};

enum { FILL_NEAREST, FILL_CONSTANT, FILL_REFLECT, FILL_WRAP };

// The offset first, as in scipy.
__device__ __forceinline__ double place(const double* along, int r, int c) {
    return __dadd_rn(__dadd_rn(along[2], __dmul_rn(r, along[0])), __dmul_rn(c, along[1]));
}

// x in the period of 2·n that an image and its mirror image fill.
__device__ __forceinline__ double reflect(double x, double n) {
    double u = fmod(x, 2. * n);
    if (u < 0.) u += 2. * n;
    return u < n ? u : 2. * n - 1. - u;
}

// x in one period: to the left whole periods end on the last pixel, to the right on the first.
__device__ __forceinline__ double wrap(double x, double period) {
    if (x < 0.) return __dadd_rn(x, __dmul_rn(period, trunc(-x / period) + 1.));
    return __dadd_rn(x, -__dmul_rn(period, trunc(x / period)));
}

// Moves x to the place on an axis of n pixels whose value shows there. False where that is no pixel's but cval.
__device__ __forceinline__ bool fold(unsigned fill_mode, double& x, int n) {
    const double last = n - 1.;
    if (x >= 0. && x <= last) return true;
    if (fill_mode == FILL_CONSTANT) return false;
    if (fill_mode == FILL_REFLECT) x = reflect(x, n);
    if (fill_mode == FILL_WRAP) x = n == 1 ? 0. : wrap(x, last);
    x = fmin(fmax(x, 0.), last); // 0 if it is not a number
    return true;
}

// The four pixels around a place, as offsets into the image, and how far it is down and to the right of the first.
struct Corners {
    size_t at[4];
    double v, u;
};

__device__ __forceinline__ Corners corners(const Images& g, double y, double x) {
    const int i = (int)y, j = (int)x;
    // On the last row or column the neighbour's weight is 0: any pixel will do.
    const size_t rows[2] = {(size_t)i * g.w, (size_t)min(i + 1, g.h - 1) * g.w};
    const int columns[2] = {j, min(j + 1, g.w - 1)};
    Corners found = {{}, y - i, x - j};
#pragma unroll
    for (int k = 0; k < 4; ++k) found.at[k] = (rows[k / 2] + columns[k % 2]) * g.c;
    return found;
}

// Of channel k.
__device__ __forceinline__ double bilinear(const Corners& near, const unsigned char* __restrict__ image, int k) {
    const double down[2] = {1. - near.v, near.v}, right[2] = {1. - near.u, near.u};
    double sum = 0.;
#pragma unroll
    for (int i = 0; i < 4; ++i)
        sum = __dadd_rn(sum, __dmul_rn(__dmul_rn(image[near.at[i] + k], down[i / 2]), right[i % 2]));
    return sum;
}

// The level 0-255 that v lies on or above.
__device__ __forceinline__ float cut(float v) { return (float)(int)fminf(fmaxf(v, 0.f), 255.f); }

// What follows on the value of channel k, of c.
__device__ __forceinline__ float finish(const PixelMap& map, double value, int k, int c) {
    float v = (float)value;
    if (map.brightens) {
        v = cut(v);
        if (k < 3 || c != 4) v = cut(__fmul_rn(map.brightness, v)); // the fourth of four is alpha
    }
    return __fdiv_rn(__fsub_rn(__fmul_rn(v, map.rescale), map.mean[k]), map.std[k]);
}

// from, into: n·h·w·c. A thread for a pixel, a row of blocks for an image.
extern "C" __global__ void input_apply(Images g, const PixelMap* __restrict__ maps,
                                       const unsigned char* __restrict__ from, float* __restrict__ into) {
    const size_t pixels = (size_t)g.h * g.w;
    for (int image = blockIdx.y; image < g.n; image += gridDim.y) {
        const PixelMap& map = maps[image];
        const unsigned char* bytes = from + image * pixels * g.c;
        for (size_t at = grid_thread(); at < pixels; at += grid_threads()) {
            float* to = into + (image * pixels + at) * g.c;
            int r = (int)((unsigned)at / g.w), c = (int)((unsigned)at % g.w);
            if (map.flip_vertical) r = g.h - 1 - r;
            if (map.flip_horizontal) c = g.w - 1 - c;
            double y = place(map.row, r, c), x = place(map.column, r, c);
            const bool rows = fold(map.fill_mode, y, g.h), columns = fold(map.fill_mode, x, g.w);
            if (!(rows && columns)) {
                for (int k = 0; k < g.c; ++k) to[k] = finish(map, map.cval, k, g.c);
            } else if (map.interpolation_order == 0) {
                const unsigned char* pixel = bytes + ((size_t)(int)(y + 0.5) * g.w + (int)(x + 0.5)) * g.c;
                for (int k = 0; k < g.c; ++k) to[k] = finish(map, pixel[k], k, g.c);
            } else {
                const Corners near = corners(g, y, x);
                for (int k = 0; k < g.c; ++k) to[k] = finish(map, bilinear(near, bytes, k), k, g.c);
            }
        }
    }
}
