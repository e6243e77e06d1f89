// Max pooling; see ../max_pooling2d.rs for the formula and for who wins.
// target compute_75
#include "lanes.cuh"
#include "windows.cuh"

// The maximum of one window in V channels, and which tap it is. Item `at` counts the vectors of y.
template <int V>
__device__ __forceinline__ void window(const Windows& g, size_t at, const float* __restrict__ x,
                                       float* __restrict__ y, unsigned char* __restrict__ winner) {
    size_t pixel = at;
    const int c = take_extent(pixel, g.c / V) * V, q = take_extent(pixel, g.q), p = take_extent(pixel, g.p);
    const int top = p * g.down - g.top, left = q * g.across - g.left;
    const Span rows = taps_met(p * g.down, g.top, g.r, g.h), columns = taps_met(q * g.across, g.left, g.s, g.w);
    const float* image = x + pixel * g.h * g.w * g.c + c;
    const auto read = [&](int r, int s) { return load<V>(image + ((size_t)(top + r) * g.w + left + s) * g.c); };
    Lanes<float, V> best = read(rows.first, columns.first);
    Lanes<unsigned char, V> tap = spread<V>((unsigned char)(rows.first * g.s + columns.first));
    for (int r = rows.first; r < rows.end; ++r)
        for (int s = columns.first; s < columns.end; ++s) {
            const Lanes<float, V> v = read(r, s);
#pragma unroll
            for (int l = 0; l < V; ++l) {
                // A NaN is not at most the best, so it wins; and once it is the best itself, it stays.
                const bool wins = !(v.at[l] <= best.at[l]) && best.at[l] == best.at[l];
                if (wins) best.at[l] = v.at[l];
                if (wins) tap.at[l] = (unsigned char)(r * g.s + s);
            }
        }
    store(y + at * V, best);
    if (winner) store(winner + at * V, tap);
}

// dx of one pixel in V channels: what the windows over it give that it won, in the order in which the definition
// adds. Item `at` counts the vectors of dx.
template <int V>
__device__ __forceinline__ void gather(const Windows& g, size_t at, const float* __restrict__ dy,
                                       const unsigned char* __restrict__ winner, float* __restrict__ dx) {
    size_t image = at;
    const int c = take_extent(image, g.c / V) * V, w = take_extent(image, g.w) + g.left;
    const int h = take_extent(image, g.h) + g.top;
    const Span rows = windows_over(h, g.down, g.r, g.p), columns = windows_over(w, g.across, g.s, g.q);
    Lanes<float, V> sum = spread<V>(0.f);
    for (int p = rows.first; p < rows.end; ++p)
        for (int q = columns.first; q < columns.end; ++q) {
            const int tap = (h - p * g.down) * g.s + w - q * g.across;
            const size_t from = ((image * g.p + p) * g.q + q) * g.c + c;
            const Lanes<float, V> v = load<V>(dy + from);
            const Lanes<unsigned char, V> won = load<V>(winner + from);
#pragma unroll
            for (int l = 0; l < V; ++l) sum.at[l] += won.at[l] == tap ? v.at[l] : 0.f;
        }
    store(dx + at * V, sum);
}

// y, and argmax unless it is null, from x. `lanes` is 4 where rows of channels are whole vectors.
extern "C" __global__ void max_pooling2d_forward(Windows g, int lanes, const float* __restrict__ x,
                                                 float* __restrict__ y, unsigned char* __restrict__ winner) {
    const size_t items = (size_t)g.n * g.p * g.q * (g.c / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) window<4>(g, at, x, y, winner);
        else window<1>(g, at, x, y, winner);
    }
}

// dx from dy and argmax.
extern "C" __global__ void max_pooling2d_backward(Windows g, int lanes, const float* __restrict__ dy,
                                                  const unsigned char* __restrict__ winner,
                                                  float* __restrict__ dx) {
    const size_t items = (size_t)g.n * g.h * g.w * (g.c / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) gather<4>(g, at, dy, winner, dx);
        else gather<1>(g, at, dy, winner, dx);
    }
}
