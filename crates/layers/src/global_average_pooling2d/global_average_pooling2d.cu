// Global average pooling; see ../global_average_pooling2d.rs for the formula.
// target compute_75
#include "columns.cuh"
#include "lanes.cuh"

// y from x: images of `pixels` rows of channels. Blocks: groups of lanes, images.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
global_average_pooling2d_forward(const float* __restrict__ x, int images, int pixels, int channels, int lanes,
                                 float* __restrict__ y) {
    const Strand me(lanes);
    const int c = (int)blockIdx.x * lanes + me.lane;
    for (int n = (int)blockIdx.y; n < images; n += (int)gridDim.y) {
        const float* image = x + (size_t)n * pixels * channels + c;
        float sum = 0.f;
        if (c < channels)
            for (int i = me.strand; i < pixels; i += me.strands) sum += image[(size_t)i * channels];
        sum = fold_strands(sum, lanes, [](float a, float b) { return a + b; });
        if (me.strand == 0 && c < channels) y[(size_t)n * channels + c] = sum / (float)pixels;
    }
}

template <int V>
__device__ __forceinline__ void share(const float* __restrict__ dy, int pixels, int channels, size_t at,
                                      float* __restrict__ dx) {
    size_t image = at;
    const int c = take_extent(image, channels / V) * V;
    image /= (unsigned)pixels;
    Lanes<float, V> v = load<V>(dy + image * channels + c);
#pragma unroll
    for (int l = 0; l < V; ++l) v.at[l] /= (float)pixels;
    store(dx + at * V, v);
}

// dx from dy. `lanes` is 4 where rows of channels are whole vectors.
extern "C" __global__ void global_average_pooling2d_backward(const float* __restrict__ dy, int images, int pixels,
                                                             int channels, int lanes, float* __restrict__ dx) {
    const size_t items = (size_t)images * pixels * (channels / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) share<4>(dy, pixels, channels, at, dx);
        else share<1>(dy, pixels, channels, at, dx);
    }
}
