// Everything in reduce.cuh and philox.cuh, by shuffles; and a scatter by atomics, whose graph is replayed.
#include "prelude.cuh"
#include "philox.cuh"
#include "reduce.cuh"

// Mean and variance over the batch and space of x[N,C,HW]: a block for each channel.
extern "C" __global__ void emu_moments_f32(const float* __restrict__ x, float* __restrict__ mean, float* __restrict__ variance, int n, int c, int hw) {
    const int channel = blockIdx.x;
    Moments<float> mine = Moments<float>::none();
    for (int i = threadIdx.x; i < n * hw; i += blockDim.x) mine.add(x[((size_t)(i / hw) * c + channel) * hw + i % hw]);
    const Moments<float> all = block_merge(mine);
    if (threadIdx.x == 0) {
        mean[channel] = all.mean;
        variance[channel] = all.variance();
    }
}

// out[0..3]: sum, maximum, and the sum again in double, of n floats. One block.
extern "C" __global__ void emu_fold_f32(const float* __restrict__ x, double* __restrict__ out, int n) {
    float sum = 0.f, most = -infinity_f32();
    double exact = 0.;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        sum += x[i];
        exact += x[i];
        most = fmaxf(most, x[i]);
    }
    sum = block_sum(sum);
    most = block_max(most);
    exact = block_sum(exact);
    if (threadIdx.x == 0) {
        out[0] = sum;
        out[1] = most;
        out[2] = exact;
    }
}

// The 4n words of the counters (0, 0, 0, i), by way of dynamic shared memory.
extern "C" __global__ void emu_philox(uint4* __restrict__ out, unsigned key0, unsigned key1, int n) {
    uint4* staged = dynamic_shared<uint4>();
    const unsigned i = (unsigned)grid_thread(), last = blockDim.x - 1 - threadIdx.x;
    staged[last] = philox4x32(make_uint4(0, 0, 0, i), make_uint2(key0, key1));
    __syncthreads();
    if (i < n) out[i] = staged[last];
}

// Gradient of an embedding: gw[indices[i], :] += gy[i, :].
extern "C" __global__ void emu_scatter_f32(const int* __restrict__ indices, const float* __restrict__ gy, float* __restrict__ gw, int rows, int columns) {
    for (size_t i = grid_thread(); i < (size_t)rows * columns; i += grid_threads())
        atomicAdd(&gw[(size_t)indices[i / columns] * columns + i % columns], gy[i]);
}

// The sum of n floats by many blocks: the last one to finish adds up what all have found, in order.
extern "C" __global__ void emu_sum_last_block_f32(const float* __restrict__ x, float* parts, unsigned* finished, float* __restrict__ out, int n) {
    __shared__ bool last;
    float sum = 0.f;
    for (size_t i = grid_thread(); i < n; i += grid_threads()) sum += x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(finished, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last) return;
    sum = 0.f;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += blockDim.x) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[0] = sum;
}
