// What metrics count in a batch, and how it is added to their sums; see ../metrics.rs and the metrics' own files.
//
// Predictions are N·K, targets N·columns, weights N or none. What is counted in a sample is an integer and lies
// in `counts`, N·columns of the metric. It is added in the order of the samples, rounded as on the CPU: so the
// sums have the CPU's bits, whatever the weights.
// target compute_75
#include "largest.cuh"
#include "reduce.cuh"

// Kinds in the order below.
struct MetricHits {
    int samples, outputs, columns, kind, top;
    float threshold;
};
enum Hits { BINARY, CATEGORICAL, SPARSE, TOP, SPARSE_TOP };

// Labels are called above the threshold where it is `limited`, and among the `top` largest unless that is
// negative. Class −1: all count. `recall` counts what is so, not what was called.
struct MetricCalls {
    int samples, outputs, limited, top, class_id, recall;
    float threshold;
};

struct MetricIntervals {
    int samples, outputs, thresholds;
};

struct MetricLabels {
    int samples, outputs, limited;
    float threshold;
};

// Counts are divided by `of`; by nothing where that is 0: each label then counts the sample's weight.
struct MetricSums {
    int samples, columns, of;
};

struct ConfusionCounts {
    int samples, outputs, columns, classes, ignores;
    float ignored, threshold;
};

// Samples of a warp: for (size_t i = warp_row(); i < n; i += warp_rows())
__device__ __forceinline__ size_t warp_row() { return grid_thread() / 32; }
__device__ __forceinline__ size_t warp_rows() { return grid_threads() / 32; }

// Whether fewer than `top` predictions are larger than that of the class. A NaN is never probable, and no class
// that there is not is.
__device__ __forceinline__ unsigned in_top(const MetricHits& g, const float* p, const float* t, int lane) {
    const bool sparse = g.kind == SPARSE_TOP;
    if (sparse && t[0] >= (float)g.outputs) return 0;
    const int index = sparse ? (t[0] > 0.f ? (int)t[0] : 0) : warp_argmax(t, g.outputs, lane);
    int larger = 0;
    for (int k = lane; k < g.outputs; k += 32) larger += p[k] > p[index];
    return p[index] == p[index] && warp_sum(larger) < g.top;
}

// Right judgements of a sample, by a warp.
__device__ __forceinline__ unsigned hits_of(const MetricHits& g, const float* p, const float* t, int lane) {
    if (g.kind == CATEGORICAL) return warp_argmax(p, g.outputs, lane) == warp_argmax(t, g.outputs, lane);
    if (g.kind == SPARSE) return (float)warp_argmax(p, g.outputs, lane) == t[0];
    if (g.kind != BINARY) return in_top(g, p, t, lane);
    unsigned hits = 0;
    for (int k = lane; k < g.outputs; k += 32) hits += (p[k] > g.threshold ? 1.f : 0.f) == t[k];
    return warp_sum(hits);
}

// Counts N·2: hits and judgements. A warp for each sample.
extern "C" __global__ void __launch_bounds__(256)
    metric_hits(MetricHits g, const float* __restrict__ predictions, const float* __restrict__ targets,
                unsigned* __restrict__ counts) {
    const int lane = threadIdx.x & 31;
    for (size_t i = warp_row(); i < (size_t)g.samples; i += warp_rows()) {
        const unsigned hits = hits_of(g, predictions + i * g.outputs, targets + i * g.columns, lane);
        if (lane == 0) counts[2 * i] = hits;
        if (lane == 1) counts[2 * i + 1] = g.kind == BINARY ? (unsigned)g.outputs : 1u;
    }
}

__device__ __forceinline__ bool calls(const MetricCalls& g, const float* p, int k) {
    if (g.limited && !(p[k] > g.threshold)) return false;
    if (g.top < 0) return true;
    int before = 0; // the lower index comes first among equals
    for (int i = 0; i < g.outputs; ++i) before += p[i] > p[k] || (p[i] == p[k] && i < k);
    return before < g.top;
}

// Counts N·2: labels that were called and are so, and those of the denominator. A warp for each sample.
extern "C" __global__ void __launch_bounds__(256)
    metric_calls(MetricCalls g, const float* __restrict__ predictions, const float* __restrict__ targets,
                 unsigned* __restrict__ counts) {
    const int lane = threadIdx.x & 31;
    const int first = g.class_id < 0 ? 0 : g.class_id, end = g.class_id < 0 ? g.outputs : g.class_id + 1;
    for (size_t i = warp_row(); i < (size_t)g.samples; i += warp_rows()) {
        const float* p = predictions + i * g.outputs;
        unsigned right = 0, whole = 0;
        for (int k = first + lane; k < end; k += 32) {
            const bool called = calls(g, p, k), so = targets[i * g.outputs + k] != 0.f;
            right += called && so;
            whole += g.recall ? so : called;
        }
        right = warp_sum(right);
        whole = warp_sum(whole);
        if (lane == 0) counts[2 * i] = right;
        if (lane == 1) counts[2 * i + 1] = whole;
    }
}

// Counts N·2·thresholds: labels in each interval that are so, then those that are not. A warp for each sample.
extern "C" __global__ void __launch_bounds__(256)
    metric_intervals(MetricIntervals g, const float* __restrict__ predictions, const float* __restrict__ targets,
                     unsigned* __restrict__ counts) {
    const int lane = threadIdx.x & 31;
    const float intervals = (float)(g.thresholds - 1);
    for (size_t i = warp_row(); i < (size_t)g.samples; i += warp_rows()) {
        unsigned* of = counts + i * 2 * g.thresholds;
        for (int j = lane; j < 2 * g.thresholds; j += 32) of[j] = 0;
        __syncwarp();
        for (int k = lane; k < g.outputs; k += 32) {
            // A probability on a threshold belongs to the interval below; a NaN to the lowest.
            const float p = predictions[i * g.outputs + k], clipped = p < 0.f ? 0.f : p > 1.f ? 1.f : p;
            const int interval = (int)fmaxf(ceilf(__fmul_rn(clipped, intervals)) - 1.f, 0.f);
            atomicAdd(&of[targets[i * g.outputs + k] != 0.f ? interval : g.thresholds + interval], 1u);
        }
    }
}

// Adds the counts of each column to its sum, in the order of the samples. A thread for each column.
extern "C" __global__ void __launch_bounds__(128)
    metric_add(MetricSums g, const unsigned* __restrict__ counts, const float* __restrict__ weights,
               double* __restrict__ sums) {
    for (size_t j = grid_thread(); j < (size_t)g.columns; j += grid_threads()) {
        double sum = sums[j];
        for (size_t i = 0; i < (size_t)g.samples; ++i) {
            unsigned count = counts[i * g.columns + j];
            const double weight = weights ? (double)weights[i] : 1.;
            if (g.of) sum = __dadd_rn(sum, __dmul_rn(weight, (double)count / g.of));
            else if (!weights) sum += count; // whole numbers: as if one by one
            else for (; count > 0; --count) sum += weight;
        }
        sums[j] = sum;
    }
}

// The largest prediction of each sample, by its bits, to `counts`. A warp for each sample.
extern "C" __global__ void __launch_bounds__(256)
    metric_largest(MetricLabels g, const float* __restrict__ predictions, unsigned* __restrict__ counts) {
    const int lane = threadIdx.x & 31;
    for (size_t i = warp_row(); i < (size_t)g.samples; i += warp_rows()) {
        float most = -infinity_f32();
        for (int k = lane; k < g.outputs; k += 32) most = fmaxf(most, predictions[i * g.outputs + k]);
        most = warp_max(most);
        if (lane == 0) counts[i] = __float_as_uint(most);
    }
}

// Adds to sums K·3: true positives, false positives and false negatives of each class, of which `so` may be a
// share. Called is the largest prediction unless `limited`. A thread for each class, in the samples' order.
extern "C" __global__ void __launch_bounds__(128)
    metric_labels(MetricLabels g, const float* __restrict__ predictions, const float* __restrict__ targets,
                  const float* __restrict__ weights, const unsigned* __restrict__ largest, double* __restrict__ sums) {
    for (size_t k = grid_thread(); k < (size_t)g.outputs; k += grid_threads()) {
        double hit = sums[3 * k], wrong = sums[3 * k + 1], missed = sums[3 * k + 2];
#pragma unroll 2
        for (size_t i = 0; i < (size_t)g.samples; ++i) {
            const float p = predictions[i * g.outputs + k];
            const double so = targets[i * g.outputs + k], weight = weights ? (double)weights[i] : 1.;
            const bool called = g.limited ? p > g.threshold : p >= __uint_as_float(largest[i]) && fabsf(p) > 1e-9f;
            if (called) {
                hit = __dadd_rn(hit, __dmul_rn(weight, so));
                wrong = __dadd_rn(wrong, __dmul_rn(weight, 1. - so));
            } else {
                missed = __dadd_rn(missed, __dmul_rn(weight, so));
            }
        }
        sums[3 * k] = hit, sums[3 * k + 1] = wrong, sums[3 * k + 2] = missed;
    }
}

// Adds 1 at (actual, predicted) of classes·classes for each sample that counts. Whole numbers: the order in
// which they are added does not matter. A warp for each sample.
extern "C" __global__ void __launch_bounds__(256)
    confusion_add(ConfusionCounts g, const float* __restrict__ predictions, const float* __restrict__ targets,
                  unsigned long long* __restrict__ counts) {
    const int lane = threadIdx.x & 31;
    for (size_t i = warp_row(); i < (size_t)g.samples; i += warp_rows()) {
        const float *p = predictions + i * g.outputs, *t = targets + i * g.columns;
        const bool sparse = g.columns == 1;
        // Less than 0, NaN, ignored or no class that there is: it does not count.
        if (sparse && (!(t[0] >= 0.f && t[0] < (float)g.classes) || (g.ignores && t[0] == g.ignored))) continue;
        const int actual = sparse ? (int)t[0] : warp_argmax(t, g.columns, lane);
        const int predicted = g.outputs == 1 ? p[0] > g.threshold : warp_argmax(p, g.outputs, lane);
        if (lane == 0) atomicAdd(&counts[(size_t)actual * g.classes + predicted], 1ull);
    }
}
