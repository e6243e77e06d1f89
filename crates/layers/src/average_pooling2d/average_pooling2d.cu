// Average pooling; see ../average_pooling2d.rs for the formula.
// target compute_75
#include "lanes.cuh"
#include "windows.cuh"

__device__ __forceinline__ int length(Span span) { return span.end - span.first; }

// The mean of one window in V channels, added in the order of the definition. Item `at` counts the vectors of y.
template <int V>
__device__ __forceinline__ void window(const Windows& g, size_t at, const float* __restrict__ x,
                                       float* __restrict__ y) {
    size_t image = at;
    const int c = take_extent(image, g.c / V) * V, q = take_extent(image, g.q), p = take_extent(image, g.p);
    const Span rows = taps_met(p * g.down, g.top, g.r, g.h), columns = taps_met(q * g.across, g.left, g.s, g.w);
    const int top = p * g.down - g.top, left = q * g.across - g.left;
    Lanes<float, V> sum = spread<V>(0.f);
    for (int r = rows.first; r < rows.end; ++r)
        for (int s = columns.first; s < columns.end; ++s) {
            const size_t pixel = (image * g.h + top + r) * g.w + left + s;
            const Lanes<float, V> v = load<V>(x + pixel * g.c + c);
#pragma unroll
            for (int l = 0; l < V; ++l) sum.at[l] += v.at[l];
        }
    const float count = (float)(length(rows) * length(columns));
#pragma unroll
    for (int l = 0; l < V; ++l) sum.at[l] /= count;
    store(y + at * V, sum);
}

// dx of one pixel in V channels: the shares of the windows over it. Item `at` counts the vectors of dx.
template <int V>
__device__ __forceinline__ void gather(const Windows& g, size_t at, const float* __restrict__ dy,
                                       float* __restrict__ dx) {
    size_t image = at;
    const int c = take_extent(image, g.c / V) * V, w = take_extent(image, g.w) + g.left;
    const int h = take_extent(image, g.h) + g.top;
    const Span rows = windows_over(h, g.down, g.r, g.p), columns = windows_over(w, g.across, g.s, g.q);
    Lanes<float, V> sum = spread<V>(0.f);
    for (int p = rows.first; p < rows.end; ++p)
        for (int q = columns.first; q < columns.end; ++q) {
            const int met = length(taps_met(p * g.down, g.top, g.r, g.h));
            const float count = (float)(met * length(taps_met(q * g.across, g.left, g.s, g.w)));
            const Lanes<float, V> v = load<V>(dy + ((image * g.p + p) * g.q + q) * g.c + c);
#pragma unroll
            for (int l = 0; l < V; ++l) sum.at[l] += v.at[l] / count;
        }
    store(dx + at * V, sum);
}

// y from x. `lanes` is 4 where rows of channels are whole vectors.
extern "C" __global__ void average_pooling2d_forward(Windows g, int lanes, const float* __restrict__ x,
                                                     float* __restrict__ y) {
    const size_t items = (size_t)g.n * g.p * g.q * (g.c / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) window<4>(g, at, x, y);
        else window<1>(g, at, x, y);
    }
}

// dx from dy.
extern "C" __global__ void average_pooling2d_backward(Windows g, int lanes, const float* __restrict__ dy,
                                                      float* __restrict__ dx) {
    const size_t items = (size_t)g.n * g.h * g.w * (g.c / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) gather<4>(g, at, dy, dx);
        else gather<1>(g, at, dy, dx);
    }
}
