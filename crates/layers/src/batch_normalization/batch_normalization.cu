// Batch normalization; see ../batch_normalization.rs for the formulas.
//
// Statistics and gradients take two stages: blocks sum down a chunk of rows, and a block for each channel adds up
// the chunks. A thread sums few rows in f32, as differences from something near them, and these sums in f64.
// target compute_75
#include "normalization.cuh"

// Adds to `all` the moments of `count` numbers, `stride` apart: as differences from the first, which are small where
// the numbers are alike, however large they are.
template <class Number>
__device__ __forceinline__ void absorb(Moments<double>& all, const Number* __restrict__ x, size_t stride, int count) {
    float d[TILE];
#pragma unroll
    for (int j = 0; j < TILE; ++j) d[j] = j < count ? as_f32(x[j * stride]) : 0.f;
    const float first = d[0];
#pragma unroll
    for (int j = 0; j < TILE; ++j) d[j] -= first;
    const Moments<float> few = moments_of(d, count);
    // As `merge`, but for the share, which f32 can say well enough and much faster.
    const double delta = (double)first + few.mean - all.mean, before = all.count;
    all.count += count;
    const double share = (float)count / (float)all.count;
    all.mean += delta * share;
    all.m2 += few.m2 + delta * delta * before * share;
}

// The moments of each chunk, as moments.cuh has them. Blocks: groups of lanes, chunks.
template <class Number>
__device__ __forceinline__ void moments(const Number* __restrict__ x, size_t rows, int channels, int lanes, int chunk,
                                        float* __restrict__ partials) {
    const Strand me(lanes);
    const int c = (int)blockIdx.x * lanes + me.lane;
    Moments<double> all = Moments<double>::none();
    if (c < channels) {
        const size_t end = end_of_chunk(rows, chunk), stride = (size_t)me.strands * channels;
        for (size_t row = (size_t)blockIdx.y * chunk + me.strand; row < end; row += TILE * me.strands)
            absorb(all, x + row * channels + c, stride, rows_of_tile(row, end, me.strands));
    }
    all = fold_strands(all, lanes, [](const Moments<double>& a, const Moments<double>& b) { return merge(a, b); });
    if (me.strand == 0 && c < channels)
        write_moments(partials + (size_t)c * gridDim.y + blockIdx.y, (size_t)channels * gridDim.y, all);
}

extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
batch_normalization_moments(const float* __restrict__ x, unsigned long long rows, int channels, int lanes, int chunk,
                            float* __restrict__ partials) {
    moments(x, rows, channels, lanes, chunk, partials);
}

// The same of an x in bf16.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
batch_normalization_moments_x16(const bf16_bits* __restrict__ x, unsigned long long rows, int channels, int lanes,
                                int chunk, float* __restrict__ partials) {
    moments(x, rows, channels, lanes, chunk, partials);
}

// moving = keep · moving + mean · (mean of the batch), the variance likewise.
struct Towards {
    double keep, mean, variance;
};

// Mean, the rest of the mean and variance from the moments of all pieces: chunks of rows, or whatever they were taken
// of. The moving ones are null, or moved. A block for each channel.
extern "C" __global__ void batch_normalization_statistics(const float* __restrict__ moments, int pieces,
                                                          Towards towards,
                                                          float* __restrict__ mean, float* __restrict__ rest,
                                                          float* __restrict__ variance,
                                                          float* __restrict__ moving_mean,
                                                          float* __restrict__ moving_variance) {
    const size_t c = blockIdx.x, next = (size_t)gridDim.x * pieces;
    Moments<double> all = Moments<double>::none();
    for (int i = (int)threadIdx.x; i < pieces; i += (int)blockDim.x)
        all = merge(all, read_moments(moments + c * pieces + i, next));
    all = block_merge(all);
    if (threadIdx.x != 0) return;
    const float nearest = (float)all.mean, biased = (float)all.variance();
    mean[c] = nearest;
    rest[c] = (float)(all.mean - nearest);
    variance[c] = biased;
    if (!moving_mean) return;
    moving_mean[c] = (float)(towards.keep * moving_mean[c] + towards.mean * nearest);
    moving_variance[c] = (float)(towards.keep * moving_variance[c] + towards.variance * biased);
}

template <int V>
__device__ void normalize(const Statistics& n, size_t rows, int channels, const float* __restrict__ x,
                          float* __restrict__ y) {
    const Walk walk(channels / V);
    if (walk.idle()) return;
    const Normalize<V> normalized(n, (int)(walk.first % (channels / V)) * V);
    const size_t items = rows * (channels / V);
    for (size_t at = walk.first; at < items; at += walk.step) {
        Lanes<float, V> v = load<V>(x + at * V);
#pragma unroll
        for (int l = 0; l < V; ++l) v.at[l] = normalized(v.at[l], l);
        store(y + at * V, v);
    }
}

// y from x. At least as many threads as vectors of channels.
extern "C" __global__ void batch_normalization_forward(
    const float* __restrict__ x, unsigned long long rows, int channels, int lanes, const float* __restrict__ mean,
    const float* __restrict__ rest, const float* __restrict__ variance, const float* __restrict__ gamma,
    const float* __restrict__ beta, float epsilon, float* __restrict__ y) {
    const Statistics n{mean, rest, variance, gamma, beta, epsilon};
    if (lanes == 4) normalize<4>(n, rows, channels, x, y);
    else normalize<1>(n, rows, channels, x, y);
}

// Σ dy and Σ dy · (x − mean) of each chunk, as pairs, each channels·chunks. Blocks: groups of lanes, chunks.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
batch_normalization_products(const float* __restrict__ x, unsigned long long rows, int channels, int lanes, int chunk,
                             const float* __restrict__ mean, const float* __restrict__ dy,
                             float* __restrict__ partials) {
    products(x, rows, channels, lanes, chunk, mean, [=](size_t i) { return dy[i]; }, partials);
}

// dgamma and dbeta from the sums of all chunks, twice: the gradients are null where the layer has no such parameter.
// A block for each channel.
extern "C" __global__ void batch_normalization_sums(const float* __restrict__ partials, int chunks,
                                                    const float* __restrict__ rest,
                                                    const float* __restrict__ variance, float epsilon,
                                                    float* __restrict__ dgamma, float* __restrict__ dbeta,
                                                    float* __restrict__ gradient_of_gamma,
                                                    float* __restrict__ gradient_of_beta) {
    const size_t c = blockIdx.x, next = (size_t)gridDim.x * chunks;
    Products all{0., 0.};
    for (int i = (int)threadIdx.x; i < chunks; i += (int)blockDim.x) {
        const float* at = partials + c * chunks + i;
        all.sum += read_pair(at, next);
        all.product += read_pair(at + 2 * next, next);
    }
    all.sum = block_sum(all.sum);
    all.product = block_sum(all.product);
    if (threadIdx.x != 0) return;
    const double rstd = 1. / sqrt((double)variance[c] + (double)epsilon);
    const float of_gamma = (float)(rstd * (all.product - (double)rest[c] * all.sum)), of_beta = (float)all.sum;
    dgamma[c] = of_gamma;
    dbeta[c] = of_beta;
    if (gradient_of_gamma) gradient_of_gamma[c] = of_gamma;
    if (gradient_of_beta) gradient_of_beta[c] = of_beta;
}

template <int V>
__device__ void input_gradient(const Statistics& n, size_t rows, int channels, const float* __restrict__ x,
                               const float* __restrict__ dy, const float* __restrict__ dgamma,
                               const float* __restrict__ dbeta, float* __restrict__ dx) {
    const Walk walk(channels / V);
    if (walk.idle()) return;
    const Gradient<V> gradient(n, rows, (int)(walk.first % (channels / V)) * V, dgamma, dbeta);
    const size_t items = rows * (channels / V);
    for (size_t at = walk.first; at < items; at += walk.step) {
        const Lanes<float, V> v = load<V>(x + at * V);
        Lanes<float, V> g = load<V>(dy + at * V);
#pragma unroll
        for (int l = 0; l < V; ++l) g.at[l] = gradient(v.at[l], g.at[l], l);
        store(dx + at * V, g);
    }
}

// dx from the sums dgamma and dbeta; null for 0, where the statistics do not depend on x. Threads as in forward.
extern "C" __global__ void batch_normalization_backward(
    const float* __restrict__ x, unsigned long long rows, int channels, int lanes, const float* __restrict__ mean,
    const float* __restrict__ rest, const float* __restrict__ variance, const float* __restrict__ gamma,
    float epsilon, const float* __restrict__ dy, const float* __restrict__ dgamma, const float* __restrict__ dbeta,
    float* __restrict__ dx) {
    const Statistics n{mean, rest, variance, gamma, nullptr, epsilon};
    if (lanes == 4) input_gradient<4>(n, rows, channels, x, dy, dgamma, dbeta, dx);
    else input_gradient<1>(n, rows, channels, x, dy, dgamma, dbeta, dx);
}
