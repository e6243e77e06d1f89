// Rung 1: the formula, a thread for each number of y.
//
// Neighbouring threads have neighbouring filters: they read neighbouring weights, one line of the cache for
// a warp, and the same number of x. Each multiplication needs two loads, and the units that load give 32
// numbers a cycle to a processor that could multiply 128: a quarter of the peak at best. What is read again
// and again comes from the first-level cache, or does not when the kernel is larger than it.
// target compute_75
#include "ladder.cuh"

extern "C" __global__ void __launch_bounds__(256)
ladder_naive(const Ladder g, const float* __restrict__ x, const float* __restrict__ kernel, float* __restrict__ y) {
    const size_t at = grid_thread();
    if (at >= (size_t)g.n * g.p * g.q * g.k) return;
    const int pixel = (int)(at / g.k), k = (int)(at - (size_t)pixel * g.k);
    const int n = pixel / (g.p * g.q), p = pixel / g.q % g.p, q = pixel % g.q;
    const float* image = x + (size_t)n * g.h * g.w * g.c;
    float sum = 0.f;
    for (int r = 0; r < g.r; ++r) {
        const int h = p * g.stride_down + r * g.dilation_down - g.before_down;
        if ((unsigned)h >= (unsigned)g.h) continue;
        for (int s = 0; s < g.s; ++s) {
            const int w = q * g.stride_across + s * g.dilation_across - g.before_across;
            if ((unsigned)w >= (unsigned)g.w) continue;
            const float *from = image + ((size_t)h * g.w + w) * g.c, *of_tap = kernel + (size_t)(r * g.s + s) * g.c * g.k + k;
            for (int c = 0; c < g.c; ++c) sum += from[c] * of_tap[(size_t)c * g.k];
        }
    }
    y[at] = sum;
}
