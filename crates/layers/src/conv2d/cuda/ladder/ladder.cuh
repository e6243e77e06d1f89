// What all rungs of the ladder share: the sizes of a convolution, and where a product finds its x.
#pragma once
#include "prelude.cuh"

struct Ladder {
    int n, h, w, c, r, s, k, p, q;
    int stride_down, stride_across, dilation_down, dilation_across, before_down, before_across;
};

// Row m of the matrix of patches is a pixel of y, column i a tap and a channel: x there, or 0 in the padding.
__device__ __forceinline__ const float* patch(const Ladder& g, const float* x, int m, int i) {
    const int n = m / (g.p * g.q), p = m / g.q % g.p, q = m % g.q;
    const int r = i / (g.s * g.c), s = i / g.c % g.s, c = i % g.c;
    const int h = p * g.stride_down + r * g.dilation_down - g.before_down;
    const int w = q * g.stride_across + s * g.dilation_across - g.before_across;
    const bool inside = m < g.n * g.p * g.q && i < g.r * g.s * g.c && (unsigned)h < (unsigned)g.h &&
                        (unsigned)w < (unsigned)g.w;
    return inside ? x + (((size_t)n * g.h + h) * g.w + w) * g.c + c : nullptr;
}

// Element (i, k) of the kernel as a matrix of taps and channels x filters, or 0 beyond its edges.
__device__ __forceinline__ const float* weight(const Ladder& g, const float* kernel, int i, int k) {
    return i < g.r * g.s * g.c && k < g.k ? kernel + (size_t)i * g.k + k : nullptr;
}

__device__ __forceinline__ float value(const float* at) { return at ? *at : 0.f; }
