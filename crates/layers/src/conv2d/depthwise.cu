// Convolutions whose groups have so few channels and filters that a tile of a product of matrices would
// be mostly empty: depthwise ones above all. Neighbouring threads have neighbouring channels; what is read
// several times is in the cache.
// target compute_75
#include "matmul.cuh"

// As `Geometry` of ../conv2d/geometry.rs.
struct Depthwise {
    int n, h, w, c, r, s, k, groups, p, q;
    int stride_down, stride_across, dilation_down, dilation_across, before_down, before_across;
    Divisor filters, channels, of_image, of_line; // k, c; pixels of an image that is written, and of a line of it
};

// Pixels of y or dx for each block.
#define PIXELS 16

// y[n,p,q,k], a thread for each filter of a pixel.
extern "C" __global__ void __launch_bounds__(256)
conv2d_depthwise_forward(const Depthwise g, const float* __restrict__ x, const float* __restrict__ kernel,
                         const float* __restrict__ bias, int relu, float* __restrict__ y) {
    const int depth = g.c / g.groups, each = g.k / g.groups, pixels = g.n * g.p * g.q;
    for (int i = threadIdx.x; i < PIXELS * g.k; i += blockDim.x) {
        const int of_block = quotient(g.filters, i), k = i - of_block * g.k, pixel = blockIdx.x * PIXELS + of_block;
        if (pixel >= pixels) return;
        const int n = quotient(g.of_image, pixel), rest = pixel - n * (int)g.of_image.by;
        const int p = quotient(g.of_line, rest), q = rest - p * (int)g.of_line.by;
        const float* image = x + (size_t)n * g.h * g.w * g.c + k / each * depth;
        float sum = 0.f;
        for (int r = 0; r < g.r; ++r) {
            const int h = p * g.stride_down + r * g.dilation_down - g.before_down;
            if ((unsigned)h >= (unsigned)g.h) continue;
            for (int s = 0; s < g.s; ++s) {
                const int w = q * g.stride_across + s * g.dilation_across - g.before_across;
                if ((unsigned)w >= (unsigned)g.w) continue;
                const float* from = image + ((size_t)h * g.w + w) * g.c;
                const float* weights = kernel + (size_t)(r * g.s + s) * depth * g.k + k;
                for (int c = 0; c < depth; ++c) sum += from[c] * weights[(size_t)c * g.k];
            }
        }
        y[(size_t)pixel * g.k + k] = Epilogue{bias, relu}(sum, k);
    }
}

// Where the window lies whose tap meets the pixel, or -1 if there is none.
__device__ __forceinline__ int window(int pixel, int before, int tap, int dilation, int stride, int windows) {
    const int from = pixel + before - tap * dilation;
    if (from < 0 || from % stride != 0) return -1;
    return from / stride < windows ? from / stride : -1;
}

// dx[n,h,w,c], a thread for each channel of a pixel.
extern "C" __global__ void __launch_bounds__(256)
conv2d_depthwise_backward_input(const Depthwise g, const float* __restrict__ dz, const float* __restrict__ kernel,
                                float* __restrict__ dx) {
    const int depth = g.c / g.groups, each = g.k / g.groups, pixels = g.n * g.h * g.w;
    for (int i = threadIdx.x; i < PIXELS * g.c; i += blockDim.x) {
        const int of_block = quotient(g.channels, i), c = i - of_block * g.c, pixel = blockIdx.x * PIXELS + of_block;
        if (pixel >= pixels) return;
        const int n = quotient(g.of_image, pixel), rest = pixel - n * (int)g.of_image.by;
        const int h = quotient(g.of_line, rest), w = rest - h * (int)g.of_line.by;
        const int group = c / depth;
        const float* image = dz + (size_t)n * g.p * g.q * g.k + group * each;
        float sum = 0.f;
        for (int r = 0; r < g.r; ++r) {
            const int p = window(h, g.before_down, r, g.dilation_down, g.stride_down, g.p);
            if (p < 0) continue;
            for (int s = 0; s < g.s; ++s) {
                const int q = window(w, g.before_across, s, g.dilation_across, g.stride_across, g.q);
                if (q < 0) continue;
                const float* from = image + ((size_t)p * g.q + q) * g.k;
                const float* weights = kernel + ((size_t)(r * g.s + s) * depth + c % depth) * g.k + group * each;
                for (int k = 0; k < each; ++k) sum += from[k] * weights[k];
            }
        }
        dx[(size_t)pixel * g.c + c] = sum;
    }
}

// Parts of dkernel[r,s,c,k]: 32 filters by 8 pixels in a block; blocks along x count filters, along y taps
// and channels of a group, along z chunks of the pixels of dz.
extern "C" __global__ void __launch_bounds__(256)
conv2d_depthwise_backward_weight(const Depthwise g, const float* __restrict__ x, const float* __restrict__ dz,
                                 float* __restrict__ parts) {
    float* shared = dynamic_shared<float>(); // a number for each thread
    const int depth = g.c / g.groups, each = g.k / g.groups, pixels = g.n * g.p * g.q;
    const int lane = threadIdx.x % 32, down = threadIdx.x / 32, k = blockIdx.x * 32 + lane;
    const int tap = blockIdx.y / depth, r = tap / g.s, s = tap % g.s;
    const int c = k / each * depth + blockIdx.y % depth;
    const int share = ceil_div(pixels, (int)gridDim.z), first = blockIdx.z * share;
    const int end = first + share < pixels ? first + share : pixels;
    float sum = 0.f;
    if (k < g.k)
        for (int pixel = first + down; pixel < end; pixel += 8) {
            const int n = quotient(g.of_image, pixel), rest = pixel - n * (int)g.of_image.by;
            const int p = quotient(g.of_line, rest), q = rest - p * (int)g.of_line.by;
            const int h = p * g.stride_down + r * g.dilation_down - g.before_down;
            const int w = q * g.stride_across + s * g.dilation_across - g.before_across;
            if ((unsigned)h < (unsigned)g.h && (unsigned)w < (unsigned)g.w)
                sum += x[(((size_t)n * g.h + h) * g.w + w) * g.c + c] * dz[(size_t)pixel * g.k + k];
        }
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (down > 0 || k >= g.k) return;
    for (int other = 1; other < 8; ++other) sum += shared[other * 32 + lane];
    parts[((size_t)blockIdx.z * gridDim.y + blockIdx.y) * g.k + k] = sum;
}
