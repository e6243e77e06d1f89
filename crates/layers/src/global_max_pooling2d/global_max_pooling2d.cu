// Global max pooling; see ../global_max_pooling2d.rs for the formula.
// target compute_75
#include "columns.cuh"

// A NaN is not at most the best, so it wins; and once it is the best itself, it stays.
__device__ __forceinline__ float better(float best, float v) { return v <= best || best != best ? best : v; }

// y from x: images of `pixels` rows of channels. Blocks: groups of lanes, images.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
global_max_pooling2d_forward(const float* __restrict__ x, int images, int pixels, int channels, int lanes,
                             float* __restrict__ y) {
    const Strand me(lanes);
    const int c = (int)blockIdx.x * lanes + me.lane;
    for (int n = (int)blockIdx.y; n < images; n += (int)gridDim.y) {
        const float* image = x + (size_t)n * pixels * channels + c;
        float best = 0.f;
        if (c < channels) {
            best = image[0]; // a strand without pixels has the first one, which does no harm
            for (int i = me.strand; i < pixels; i += me.strands) best = better(best, image[(size_t)i * channels]);
        }
        best = fold_strands(best, lanes, [](float a, float b) { return better(a, b); });
        if (me.strand == 0 && c < channels) y[(size_t)n * channels + c] = best;
    }
}

// dx from x, y and dy: what has the value of y, shares. Blocks as in forward.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
global_max_pooling2d_backward(const float* __restrict__ x, const float* __restrict__ y,
                              const float* __restrict__ dy, int images, int pixels, int channels, int lanes,
                              float* __restrict__ dx) {
    __shared__ float shares[32]; // a lane's
    const Strand me(lanes);
    const int c = (int)blockIdx.x * lanes + me.lane;
    for (int n = (int)blockIdx.y; n < images; n += (int)gridDim.y) {
        const size_t first = (size_t)n * pixels * channels + c, row = (size_t)n * channels + c;
        const float most = c < channels ? y[row] : 0.f;
        int count = 0;
        if (c < channels)
            for (int i = me.strand; i < pixels; i += me.strands) count += x[first + (size_t)i * channels] == most;
        count = fold_strands(count, lanes, [](int a, int b) { return a + b; });
        if (me.strand == 0 && c < channels) shares[me.lane] = dy[row] / (float)count;
        __syncthreads();
        if (c < channels)
            for (int i = me.strand; i < pixels; i += me.strands) {
                const size_t at = first + (size_t)i * channels;
                // As the definition multiplies, so that a lost number stays visible.
                dx[at] = (x[at] == most ? 1.f : 0.f) * shares[me.lane];
            }
    }
}
