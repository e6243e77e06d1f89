// The five transforms of F(4x4, 3x3), each along one dimension and for one channel: the same as in
// cpu/winograd/transform.rs, which has the matrices and says where they come from. A test of
// cuda/winograd.rs holds the one against the other, number by number.
#pragma once
#include "lanes.cuh"

constexpr int WINOGRAD_OUTPUTS = 4; // of a tile, along one dimension
constexpr int WINOGRAD_INPUTS = 6;  // that it sees
constexpr int WINOGRAD_TAPS = 3;
constexpr int WINOGRAD_POINTS = WINOGRAD_INPUTS * WINOGRAD_INPUTS;

// The inputs at the six points.
struct Input {
    static constexpr int FROM = WINOGRAD_INPUTS, INTO = WINOGRAD_INPUTS;
    static __device__ __forceinline__ void of(const float (&d)[FROM], float (&to)[INTO]) {
        const float even = d[4] - 4.f * d[2], odd = d[3] - 4.f * d[1];
        const float far_even = d[4] - d[2], far_odd = d[3] - d[1];
        to[0] = 4.f * d[0] + (d[4] - 5.f * d[2]);
        to[1] = even + odd, to[2] = even - odd;
        to[3] = 2.f * far_odd + far_even, to[4] = far_even - 2.f * far_odd;
        to[5] = 4.f * d[1] + (d[5] - 5.f * d[3]);
    }
};

// Outputs from products.
struct Output {
    static constexpr int FROM = WINOGRAD_INPUTS, INTO = WINOGRAD_OUTPUTS;
    static __device__ __forceinline__ void of(const float (&m)[FROM], float (&to)[INTO]) {
        const float even = m[1] + m[2], odd = m[1] - m[2], far_even = m[3] + m[4], far_odd = m[3] - m[4];
        to[0] = m[0] + even + far_even, to[1] = 2.f * far_odd + odd;
        to[2] = 4.f * far_even + even, to[3] = 8.f * far_odd + odd + m[5];
    }
};

// A filter at the six points.
struct Filter {
    static constexpr int FROM = WINOGRAD_TAPS, INTO = WINOGRAD_INPUTS;
    static __device__ __forceinline__ void of(const float (&g)[FROM], float (&to)[INTO]) {
        const float near = -1.f / 6.f * (g[0] + g[2]), far = 1.f / 6.f * g[2] + 1.f / 24.f * g[0];
        to[0] = 0.25f * g[0];
        to[1] = near - 1.f / 6.f * g[1], to[2] = near + 1.f / 6.f * g[1];
        to[3] = far + 1.f / 12.f * g[1], to[4] = far - 1.f / 12.f * g[1];
        to[5] = g[2];
    }
};

// Output, read from the other end: the gradients of outputs at the six points.
struct OutputGradient {
    static constexpr int FROM = WINOGRAD_OUTPUTS, INTO = WINOGRAD_INPUTS;
    static __device__ __forceinline__ void of(const float (&y)[FROM], float (&to)[INTO]) {
        const float even = y[0] + y[2], odd = y[1] + y[3];
        const float far_even = 4.f * y[2] + y[0], far_odd = 4.f * y[3] + y[1];
        to[0] = y[0];
        to[1] = even + odd, to[2] = even - odd;
        to[3] = 2.f * far_odd + far_even, to[4] = far_even - 2.f * far_odd;
        to[5] = y[3];
    }
};

// Filter, read from the other end: the gradient of a filter from those at the six points.
struct FilterGradient {
    static constexpr int FROM = WINOGRAD_INPUTS, INTO = WINOGRAD_TAPS;
    static __device__ __forceinline__ void of(const float (&u)[FROM], float (&to)[INTO]) {
        const float even = u[1] + u[2], odd = u[2] - u[1], far_even = u[3] + u[4], far_odd = u[3] - u[4];
        to[0] = -1.f / 6.f * even + (1.f / 24.f * far_even + 0.25f * u[0]);
        to[1] = 1.f / 6.f * odd + 1.f / 12.f * far_odd;
        to[2] = 1.f / 6.f * (far_even - even) + u[5];
    }
};

// A transform along one dimension of V channels.
template <class Transform, int V>
__device__ __forceinline__ void winograd_line(const Lanes<float, V> (&line)[Transform::FROM],
                                              Lanes<float, V> (&made)[Transform::INTO]) {
#pragma unroll
    for (int lane = 0; lane < V; ++lane) {
        float from[Transform::FROM], to[Transform::INTO];
#pragma unroll
        for (int i = 0; i < Transform::FROM; ++i) from[i] = line[i].at[lane];
        Transform::of(from, to);
#pragma unroll
        for (int i = 0; i < Transform::INTO; ++i) made[i].at[lane] = to[i];
    }
}

// A transform along both dimensions of V channels: of the columns of read(i, j), then of the rows of what
// that gives, which are handed to write(i, j, lanes). All that lies between stays in registers.
template <class Transform, int V, class Read, class Write>
__device__ __forceinline__ void winograd_transform(const Read& read, const Write& write) {
    Lanes<float, V> between[Transform::INTO][Transform::FROM];
#pragma unroll
    for (int j = 0; j < Transform::FROM; ++j) {
        Lanes<float, V> line[Transform::FROM], made[Transform::INTO];
#pragma unroll
        for (int i = 0; i < Transform::FROM; ++i) line[i] = read(i, j);
        winograd_line<Transform, V>(line, made);
#pragma unroll
        for (int i = 0; i < Transform::INTO; ++i) between[i][j] = made[i];
    }
#pragma unroll
    for (int i = 0; i < Transform::INTO; ++i) {
        Lanes<float, V> made[Transform::INTO];
        winograd_line<Transform, V>(between[i], made);
#pragma unroll
        for (int j = 0; j < Transform::INTO; ++j) write(i, j, made[j]);
    }
}
