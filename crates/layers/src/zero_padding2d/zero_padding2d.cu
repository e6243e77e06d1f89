// Zero padding; see ../zero_padding2d.rs for the formula.
// target compute_75
#include "lanes.cuh"

// x: n·h·w·c, y: n·p·q·c, x begins `top` rows and `left` columns within.
struct Padded {
    int n, h, w, c, p, q, top, left;
};

template <int V>
__device__ __forceinline__ void pad(const Padded& g, size_t at, const float* __restrict__ x, float* __restrict__ y) {
    size_t image = at;
    const int c = take_extent(image, g.c / V) * V, w = take_extent(image, g.q) - g.left;
    const int h = take_extent(image, g.p) - g.top;
    const bool within = h >= 0 && h < g.h && w >= 0 && w < g.w;
    const size_t from = within ? ((image * g.h + h) * g.w + w) * g.c + c : 0;
    store(y + at * V, within ? load<V>(x + from) : spread<V>(0.f));
}

template <int V>
__device__ __forceinline__ void crop(const Padded& g, size_t at, const float* __restrict__ dy,
                                     float* __restrict__ dx) {
    size_t image = at;
    const int c = take_extent(image, g.c / V) * V, w = take_extent(image, g.w), h = take_extent(image, g.h);
    store(dx + at * V, load<V>(dy + ((image * g.p + h + g.top) * g.q + w + g.left) * g.c + c));
}

// y from x. `lanes` is 4 where rows of channels are whole vectors.
extern "C" __global__ void zero_padding2d_forward(Padded g, int lanes, const float* __restrict__ x,
                                                  float* __restrict__ y) {
    const size_t items = (size_t)g.n * g.p * g.q * (g.c / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) pad<4>(g, at, x, y);
        else pad<1>(g, at, x, y);
    }
}

// dx from dy.
extern "C" __global__ void zero_padding2d_backward(Padded g, int lanes, const float* __restrict__ dy,
                                                   float* __restrict__ dx) {
    const size_t items = (size_t)g.n * g.h * g.w * (g.c / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) crop<4>(g, at, dy, dx);
        else crop<1>(g, at, dy, dx);
    }
}
