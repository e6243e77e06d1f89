// Everything in reduce.cuh and philox.cuh, by shuffles; and a scatter by atomics, whose graph is replayed.
#include "columns.cuh"
#include "prelude.cuh"
#include "philox.cuh"
#include "reduce.cuh"

// Mean and variance over the batch and space of x[N,C,HW], as each thread has them: a block for each channel.
extern "C" __global__ void emu_moments_f32(const float* __restrict__ x, float* __restrict__ mean, float* __restrict__ variance, int n, int c, int hw) {
    const int channel = blockIdx.x;
    Moments<float> mine = Moments<float>::none();
    for (int i = threadIdx.x; i < n * hw; i += blockDim.x) mine.add(x[((size_t)(i / hw) * c + channel) * hw + i % hw]);
    const Moments<float> all = block_merge(mine), twice = block_merge(mine);
    mean[grid_thread()] = all.mean;
    variance[grid_thread()] = all.m2 == twice.m2 ? all.variance() : nan_f32();
}

// out[0..3]: sum and maximum of n floats, the sum in double. out[3..6]: of the numbers of the threads. One block.
extern "C" __global__ void emu_fold_f32(const float* __restrict__ x, double* __restrict__ out, int n) {
    float sum = 0.f, most = -infinity_f32();
    double exact = 0.;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        sum += x[i];
        exact += x[i];
        most = fmaxf(most, x[i]);
    }
    const float of_threads = (float)threadIdx.x;
    const double all[6] = {block_sum(sum), block_max(most), block_sum(exact), block_sum(of_threads), block_max(of_threads), block_sum((double)of_threads)};
    // Each call follows one of its own kind directly: what the first barrier inside is for.
    const float again = block_sum(block_sum(of_threads)), most_again = block_max(block_max(of_threads));
    if (threadIdx.x != 0) return;
    for (int i = 0; i < 6; ++i) out[i] = all[i];
    out[6] = again;
    out[7] = most_again;
}

// What the strands of each lane have, their numbers in the block, folded twice: each call follows the other
// directly. out[2][lanes]. One block of COLUMN_THREADS.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS) emu_fold_strands(float* __restrict__ out, int lanes) {
    const Strand me(lanes);
    const auto add = [](float a, float b) { return a + b; };
    const float once = fold_strands((float)threadIdx.x, lanes, add), again = fold_strands((float)threadIdx.x, lanes, add);
    if (me.strand != 0) return;
    out[me.lane] = once;
    out[lanes + me.lane] = again;
}

// The 4n words of the counters (0, 0, 0, i), by way of dynamic shared memory.
extern "C" __global__ void emu_philox(uint4* __restrict__ out, unsigned key0, unsigned key1, int n) {
    uint4* staged = dynamic_shared<uint4>();
    const unsigned i = (unsigned)grid_thread(), other = blockDim.x - 1 - threadIdx.x;
    staged[other] = philox4x32(make_uint4(0, 0, 0, blockIdx.x * blockDim.x + other), make_uint2(key0, key1));
    __syncthreads();
    if (i < n) out[i] = staged[threadIdx.x];
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
