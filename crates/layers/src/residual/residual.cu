// Sums of two tensors, and relu in the same pass; see ../residual.rs for the formula.
// target compute_75
#include "lanes.cuh"

__device__ __forceinline__ float activated(bool relu, float z) { return relu && z < 0.f ? 0.f : z; }
// As activation.cu has it: a NaN is not a quiet unit.
__device__ __forceinline__ float slope(float y) { return y != 0.f ? 1.f : 0.f; }

// y = f(body + shortcut), f relu or nothing: n numbers. `lanes` is 4 where all three are aligned, and n is a multiple.
extern "C" __global__ void residual_forward(int relu, int lanes, const float* __restrict__ body,
                                            const float* __restrict__ shortcut, float* __restrict__ y,
                                            unsigned long long n) {
    for (size_t at = grid_thread(); at < n / lanes; at += grid_threads()) {
        if (lanes == 4) {
            Lanes<float, 4> z = load<4>(body + at * 4);
            const Lanes<float, 4> other = load<4>(shortcut + at * 4);
#pragma unroll
            for (int l = 0; l < 4; ++l) z.at[l] = activated(relu, z.at[l] + other.at[l]);
            store(y + at * 4, z);
        } else {
            y[at] = activated(relu, body[at] + shortcut[at]);
        }
    }
}

// y = f(y + x).
extern "C" __global__ void residual_add(int relu, int lanes, const float* __restrict__ x, float* __restrict__ y,
                                        unsigned long long n) {
    for (size_t at = grid_thread(); at < n / lanes; at += grid_threads()) {
        if (lanes == 4) {
            Lanes<float, 4> z = load<4>(y + at * 4);
            const Lanes<float, 4> other = load<4>(x + at * 4);
#pragma unroll
            for (int l = 0; l < 4; ++l) z.at[l] = activated(relu, z.at[l] + other.at[l]);
            store(y + at * 4, z);
        } else {
            y[at] = activated(relu, y[at] + x[at]);
        }
    }
}

// dz of a relu from y and dy, twice: in the place of dy, which one way consumes, and for the other.
extern "C" __global__ void residual_backward(int lanes, const float* __restrict__ y, float* __restrict__ dy,
                                             float* __restrict__ dz, unsigned long long n) {
    for (size_t at = grid_thread(); at < n / lanes; at += grid_threads()) {
        if (lanes == 4) {
            Lanes<float, 4> g = load<4>(dy + at * 4);
            const Lanes<float, 4> kept = load<4>(y + at * 4);
#pragma unroll
            for (int l = 0; l < 4; ++l) g.at[l] *= slope(kept.at[l]);
            store(dy + at * 4, g);
            store(dz + at * 4, g);
        } else {
            const float g = dy[at] * slope(y[at]);
            dy[at] = g;
            dz[at] = g;
        }
    }
}
