// Activations, in place; see ../activation.rs for the formulas.
// target compute_75
#include "reduce.cuh"

// In the order of `number` in cuda.rs.
enum Kind {
    LINEAR, RELU, RELU6, LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, SILU, MISH, SIGMOID, HARD_SIGMOID, TANH, SOFTPLUS,
    SOFTSIGN, EXPONENTIAL
};

#define SELU_ALPHA 1.6732632423543772f
#define SELU_SCALE 1.0507009873554805f

__device__ __forceinline__ float between(float z, float low, float high) {
    return z < low ? low : z > high ? high : z; // not fminf, which would hide a NaN
}

__device__ __forceinline__ float sigmoid(float z) { return 1.f / (1.f + expf(-z)); }
__device__ __forceinline__ float softplus(float z) { return z > 0.f ? z + log1pf(expf(-z)) : log1pf(expf(z)); }
// Φ(z) and φ(z) of the normal distribution.
__device__ __forceinline__ float distribution(float z) { return 0.5f * erfcf(-0.70710678118654752f * z); }
__device__ __forceinline__ float density(float z) { return 0.39894228040143268f * expf(-0.5f * z * z); }
// u of gelu's approximation.
__device__ __forceinline__ float gelu_argument(float z) {
    return 0.79788456080286536f * z * (1.f + 0.044715f * z * z);
}

// y from z. `a` is the slope of leaky_relu, the alpha of elu.
__device__ float value(int kind, float a, float z) {
    switch (kind) {
    case RELU: return z < 0.f ? 0.f : z;
    case RELU6: return between(z, 0.f, 6.f);
    case LEAKY_RELU: return z < 0.f ? a * z : z;
    case ELU: return z < 0.f ? a * expm1f(z) : z;
    case SELU: return SELU_SCALE * (z < 0.f ? SELU_ALPHA * expm1f(z) : z);
    case GELU: return z * distribution(z);
    case GELU_TANH: return z * (1.f + tanhf(gelu_argument(z))) * 0.5f;
    case SILU: return z * sigmoid(z);
    case MISH: return z * tanhf(softplus(z));
    case SIGMOID: return sigmoid(z);
    case HARD_SIGMOID: return between(z + 3.f, 0.f, 6.f) / 6.f;
    case TANH: return tanhf(z);
    case SOFTPLUS: return softplus(z);
    case SOFTSIGN: return z / (1.f + fabsf(z));
    case EXPONENTIAL: return expf(z);
    default: return z;
    }
}

// dy/dz from y, or from z for gelu, gelu_tanh, silu and mish.
__device__ float slope(int kind, float a, float kept) {
    switch (kind) {
    case RELU: return kept != 0.f ? 1.f : 0.f; // a NaN is not a quiet unit
    case RELU6: return kept != 0.f && kept != 6.f ? 1.f : 0.f;
    case LEAKY_RELU: return kept <= 0.f ? a : 1.f;
    case ELU: return kept < 0.f ? kept + a : 1.f;
    case SELU: return kept < 0.f ? kept + SELU_SCALE * SELU_ALPHA : SELU_SCALE;
    case GELU: return distribution(kept) + kept * density(kept);
    case GELU_TANH: {
        const float t = tanhf(gelu_argument(kept));
        const float du = 0.79788456080286536f * (1.f + 3.f * 0.044715f * kept * kept);
        return (1.f + t + kept * (1.f - t * t) * du) * 0.5f;
    }
    case SILU: {
        const float s = sigmoid(kept);
        return s * (1.f + kept * (1.f - s));
    }
    case MISH: {
        const float t = tanhf(softplus(kept));
        return t + kept * sigmoid(kept) * (1.f - t * t);
    }
    case SIGMOID: return kept * (1.f - kept);
    case HARD_SIGMOID: return kept != 0.f && kept != 1.f ? 1.f / 6.f : 0.f;
    case TANH: return 1.f - kept * kept;
    case SOFTPLUS: return -expm1f(-kept);
    case SOFTSIGN: return (1.f - fabsf(kept)) * (1.f - fabsf(kept));
    case EXPONENTIAL: return kept;
    default: return 1.f;
    }
}

// y: n values, z before.
extern "C" __global__ void activation_forward(int kind, float a, float* __restrict__ y, unsigned long long n) {
    for (size_t i = grid_thread(); i < n; i += grid_threads()) y[i] = value(kind, a, y[i]);
}

// dy: n values, dz after.
extern "C" __global__ void activation_backward(int kind, float a, const float* __restrict__ kept,
                                               float* __restrict__ dy, unsigned long long n) {
    for (size_t i = grid_thread(); i < n; i += grid_threads()) dy[i] *= slope(kind, a, kept[i]);
}

// y: rows of `columns`, z before. A warp for each row.
extern "C" __global__ void softmax_forward(float* __restrict__ y, int rows, int columns) {
    const int lane = threadIdx.x & 31;
    for (size_t row = grid_thread() / 32; row < (size_t)rows; row += grid_threads() / 32) {
        float* of = y + row * columns;
        float most = -infinity_f32();
        for (int c = lane; c < columns; c += 32) most = fmaxf(most, of[c]);
        most = warp_max(most);
        float sum = 0.f;
        for (int c = lane; c < columns; c += 32) {
            of[c] = expf(of[c] - most);
            sum += of[c];
        }
        sum = warp_sum(sum);
        for (int c = lane; c < columns; c += 32) of[c] /= sum;
    }
}

// dy: rows of `columns`, dz after. A warp for each row.
extern "C" __global__ void softmax_backward(const float* __restrict__ y, float* __restrict__ dy, int rows,
                                            int columns) {
    const int lane = threadIdx.x & 31;
    for (size_t row = grid_thread() / 32; row < (size_t)rows; row += grid_threads() / 32) {
        const float* of = y + row * columns;
        float* gradient = dy + row * columns;
        float dot = 0.f;
        for (int c = lane; c < columns; c += 32) dot += gradient[c] * of[c];
        dot = warp_sum(dot);
        for (int c = lane; c < columns; c += 32) gradient[c] = of[c] * (gradient[c] - dot);
    }
}
