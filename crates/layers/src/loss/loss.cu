// The losses of a batch, their gradients and hits, in f64; see ../loss.rs and the rooms of the losses.
// target compute_75
#include "largest.cuh"
#include "sums.cuh"

#define EPSILON 1e-7

// Categorical crossentropy: one-hot targets, or the index of the class. Smoothing keeps so much of a target
// and spreads so much over each class.
struct ClassLoss {
    int samples, classes, from_logits, sparse, ignores;
    float ignored;
    double kept, spread;
};

// A mean over labels. `kind` in the order below; hits are counted above the threshold where `judges`.
struct LabelLoss {
    int samples, labels, kind, judges;
    float threshold;
    double smoothing;
};
enum Kind { BINARY_LOGITS, BINARY_PROBABILITIES, SQUARED, ABSOLUTE };

// t of class k. A class that there is not makes all of them NaN, so that it shows.
__device__ __forceinline__ double class_target(const ClassLoss& g, const float* target, int k) {
    if (!g.sparse) return target[k] * g.kept + g.spread;
    const float c = target[0];
    const bool known = c >= 0.f && c < (float)g.classes && c == floorf(c);
    return !known ? (double)nan_f32() : (float)k == c ? 1. : 0.;
}

// The loss of a sample from its logits, by a warp; every dz times `scale` goes to dy, if there is one.
__device__ __forceinline__ double from_logits(const ClassLoss& g, const float* z, const float* target, float* dy,
                                              double scale, int lane) {
    double most = -(double)infinity_f32();
    for (int k = lane; k < g.classes; k += 32) most = fmax(most, (double)z[k]);
    most = warp_max(most);
    double sum = 0., mass = 0.;
    for (int k = lane; k < g.classes; k += 32) {
        sum += exp(z[k] - most);
        mass += class_target(g, target, k);
    }
    const double log_sum = most + log(warp_sum(sum));
    mass = warp_sum(mass);
    double loss = 0.;
    for (int k = lane; k < g.classes; k += 32) {
        const double t = class_target(g, target, k);
        if (t != 0.) loss += t * (log_sum - z[k]); // even where the logit is −∞
        if (dy) dy[k] = (float)(scale * (exp(z[k] - log_sum) * mass - t));
    }
    return warp_sum(loss);
}

// The same from probabilities.
__device__ __forceinline__ double from_probabilities(const ClassLoss& g, const float* p, const float* target,
                                                     float* dy, double scale, int lane) {
    const double low = EPSILON, high = 1. - EPSILON;
    double sum = 0.;
    for (int k = lane; k < g.classes; k += 32) sum += p[k];
    sum = warp_sum(sum);
    double loss = 0., mean = 0.;
    for (int k = lane; k < g.classes; k += 32) {
        const double q = p[k] / sum, t = class_target(g, target, k);
        loss -= t * log(q < low ? low : q > high ? high : q);
        mean += q < low || q > high ? 0. : -t / q * q; // a NaN stays
    }
    mean = warp_sum(mean);
    for (int k = lane; dy && k < g.classes; k += 32) {
        const double q = p[k] / sum, slope = q < low || q > high ? 0. : -class_target(g, target, k) / q;
        dy[k] = (float)(scale * ((slope - mean) / sum));
    }
    return warp_sum(loss);
}

// Predictions and gradient N·K, targets N·K or N·1, weights N or none. A warp for each sample.
extern "C" __global__ void __launch_bounds__(256)
    class_loss(ClassLoss g, const float* __restrict__ predictions, const float* __restrict__ targets,
               const float* __restrict__ weights, float* __restrict__ gradient, double* __restrict__ sums) {
    int counted = 0;
    for (int i = threadIdx.x; g.ignores && i < g.samples; i += blockDim.x) counted += targets[i] != g.ignored;
    counted = g.ignores ? block_sum(counted) : g.samples;
    // 1, unless samples are ignored: the others then share their part of the mean.
    const double share = (double)g.samples / (counted > 0 ? counted : 1);
    const int lane = threadIdx.x & 31, columns = g.sparse ? 1 : g.classes;
    double loss = 0., hits = 0.;
    for (size_t i = grid_thread() / 32; i < (size_t)g.samples; i += grid_threads() / 32) {
        const float* row = predictions + i * g.classes;
        const float* target = targets + i * columns;
        float* dy = gradient ? gradient + i * g.classes : nullptr;
        const double weight = (weights ? (double)weights[i] : 1.) * share;
        if (g.ignores && target[0] == g.ignored) {
            for (int k = lane; dy && k < g.classes; k += 32) dy[k] = 0.f;
        } else {
            const double scale = weight / g.samples;
            const double of = g.from_logits ? from_logits(g, row, target, dy, scale, lane)
                                            : from_probabilities(g, row, target, dy, scale, lane);
            if (lane == 0) loss += weight * of;
        }
        const int answer = warp_argmax(row, g.classes, lane);
        const bool hit = g.sparse ? (float)answer == target[0] : answer == warp_argmax(target, g.classes, lane);
        if (lane == 0) hits += hit;
    }
    leave(sums, loss, hits, g.samples, g.samples);
}

// The loss of one number; its slope goes to `slope`.
__device__ __forceinline__ double label(int kind, double p, double t, double* slope) {
    if (kind == BINARY_LOGITS) {
        *slope = 1. / (1. + exp(-p)) - t;
        return fmax(p, 0.) - p * t + log1p(exp(-fabs(p)));
    }
    if (kind == BINARY_PROBABILITIES) {
        const double low = EPSILON, high = 1. - EPSILON, q = p < low ? low : p > high ? high : p;
        *slope = p == q ? (1. - t) / (1. - q) - t / q : 0.;
        return -t * log(q) - (1. - t) * log(1. - q);
    }
    const double error = p - t;
    if (kind == SQUARED) {
        *slope = error + error;
        return error * error;
    }
    *slope = error > 0. ? 1. : error < 0. ? -1. : error; // NaN stays
    return fabs(error);
}

// Predictions, targets and gradient N·K, weights N or none. A thread for each label.
extern "C" __global__ void __launch_bounds__(256)
    label_loss(LabelLoss g, const float* __restrict__ predictions, const float* __restrict__ targets,
               const float* __restrict__ weights, float* __restrict__ gradient, double* __restrict__ sums) {
    const size_t n = (size_t)g.samples * g.labels;
    double loss = 0., hits = 0.;
    for (size_t i = grid_thread(); i < n; i += grid_threads()) {
        const float p = predictions[i], t = targets[i];
        const double weight = weights ? (double)weights[i / g.labels] : 1.;
        double slope;
        const double of = label(g.kind, p, t * (1. - g.smoothing) + g.smoothing / 2., &slope);
        loss += weight * of / g.labels;
        if (gradient) gradient[i] = (float)(weight * (slope / g.labels) / g.samples);
        if (g.judges) hits += (p > g.threshold ? 1.f : 0.f) == t;
    }
    leave(sums, loss, hits, g.judges ? n : 0, g.samples);
}

// Adds what that many blocks have left. One block of MOST_BLOCKS threads.
extern "C" __global__ void __launch_bounds__(MOST_BLOCKS)
    tally_add(double* sums, int blocks, unsigned long long judged, unsigned long long samples) {
    const bool mine = (int)threadIdx.x < blocks;
    const double loss = mine ? sums[SUMS + 2 * threadIdx.x] : 0., hits = mine ? sums[SUMS + 2 * threadIdx.x + 1] : 0.;
    leave(sums, loss, hits, judged, samples);
}
