// Convolution as products of matrices on tensor cores: as conv2d.cu, with operands rounded to tf32 or bf16
// and sums in f32. Where channels or filters (of a group) are not multiples of 4, numbers go one by one
// from memory; backward_input has no such kernels, and takes those of conv2d.cu.
// target compute_80
#include "matmul_tensorcore.cuh"
#include "moments.cuh"
#include "windows.cuh"

// As in cuda.rs.
template <class Format> using WideOf = WarpTile<Format, 128, 128, 64, 32>;
template <class Format> using NarrowOf = WarpTile<Format, 128, 64, 32, 32>; // for up to 64 columns

// A thread's columns of a tile of C, as `put` has them: pairs, eight apart.
template <class T> __device__ __forceinline__ int column_of_tile(int j) {
    return (int)threadIdx.x / 32 % T::ACROSS * T::WIDE + (int)threadIdx.x % 4 * 2 + j / 2 * 8 + j % 2;
}

// As in conv2d.cu.
template <class T>
__device__ __forceinline__ void finish(WarpSums<T>& sums, const Place& at, int columns, const Epilogue& epilogue) {
#pragma unroll
    for (int j = 0; j < 2 * WarpSums<T>::SIDE; ++j) {
        const int column = at.column + column_of_tile<T>(j);
        const float own = epilogue.bias && column < columns ? epilogue.bias[column] : 0.f;
#pragma unroll
        for (int i = 0; i < WarpSums<T>::DOWN; ++i)
#pragma unroll
            for (int e = j % 2; e < 4; e += 2) sums.of[i][j / 2][e] = epilogue.with(own, sums.of[i][j / 2][e]);
    }
}

// As in conv2d.cu. A strand has every eighth row of a warp's.
template <class T>
__device__ __forceinline__ void judge(const WarpSums<T>& y, const Place& at, int rows, int columns, int filters,
                                      float* moments) {
    constexpr int HIGH = 2 * WarpSums<T>::DOWN, WIDE = 2 * WarpSums<T>::SIDE;
    typedef Judged<T::COLUMNS, T::ROWS / HIGH> Strands;
    static_assert(Strands::FLOATS * sizeof(float) <=
                      2 * T::DEPTH * (T::ROWS + T::COLUMNS) * sizeof(typename T::Format::Element),
                  "there is so much shared memory");
    Strands tile(dynamic_shared<float>());
    const int down = threadIdx.x / 32 / T::ACROSS, group = threadIdx.x % 32 / 4;
    const int count = rows_before(rows, at.row + down * T::HIGH + group, 8, HIGH);
    tile.template take<HIGH, WIDE>(down * 8 + group, count, column_of_tile<T>,
                                   [&](int i, int j) { return y.of[i / 2][j / 2][i % 2 * 2 + j % 2]; });
    const int first = at.group * columns;
    tile.write(moments, first + at.column, filters, first + columns, at.row / T::ROWS, ceil_div(rows, T::ROWS));
}

template <class T, bool QUADS>
__device__ __forceinline__ void forward(const Windows& g, int filters, int groups, const float* x,
                                        const float* kernel, const float* bias, int relu, float* y,
                                        unsigned long long apart, float* moments) {
    const int columns = filters / groups, depth = g.depth.by;
    const Place at = tile_of_block<T>(g.positions, columns, g.taps);
    const Patches patches{g, x + at.group * depth};
    const Matrix weights{kernel + at.group * columns, g.taps, columns, filters};
    WarpAlong<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, QUADS, Patches> a(patches, at.row);
    WarpAcross<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(weights, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Rows target{y + blockIdx.z * apart + at.group * columns, g.positions, filters};
    finish(sums, at, columns, Epilogue{bias ? bias + at.group * columns : nullptr, relu});
    put<QUADS>(sums, target, columns, at.row, at.column, Epilogue{nullptr, 0});
    if (moments) judge(sums, at, g.positions, columns, filters, moments);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_tf32(const Windows g, int filters, int groups, const float* __restrict__ x,
                    const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                    float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Tf32>, false>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_tf32_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                          const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                          float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<WideOf<Tf32>, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_tf32_narrow_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                 const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                                 float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Tf32>, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_bf16(const Windows g, int filters, int groups, const float* __restrict__ x,
                    const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                    float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Bf16>, false>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_bf16_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                          const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                          float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<WideOf<Bf16>, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_bf16_narrow_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                 const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                                 float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Bf16>, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

template <class T>
__device__ __forceinline__ void backward_input(const Windows& g, const Phase& phase, const float* dz,
                                               const float* kernel, float* dx, unsigned long long apart) {
    const int filters = g.depth.by;
    const Place at = tile_of_block<T>(g.positions, phase.depth, g.taps);
    const Patches patches{g, dz + at.group * filters};
    const Turned turned{g, phase, kernel + at.group * filters};
    WarpAlong<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, true, Patches> a(patches, at.row);
    WarpAlong<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, true, Turned> b(turned, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Pixels target{g, phase, dx + blockIdx.z * apart + at.group * phase.depth, g.positions};
    put<true>(sums, target, phase.depth, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_input_tf32_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                 const float* __restrict__ kernel, float* __restrict__ dx,
                                 unsigned long long apart) {
    backward_input<WideOf<Tf32>>(g, phase, dz, kernel, dx, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input_tf32_narrow_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                        const float* __restrict__ kernel, float* __restrict__ dx,
                                        unsigned long long apart) {
    backward_input<NarrowOf<Tf32>>(g, phase, dz, kernel, dx, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_input_bf16_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                 const float* __restrict__ kernel, float* __restrict__ dx,
                                 unsigned long long apart) {
    backward_input<WideOf<Bf16>>(g, phase, dz, kernel, dx, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input_bf16_narrow_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                        const float* __restrict__ kernel, float* __restrict__ dx,
                                        unsigned long long apart) {
    backward_input<NarrowOf<Bf16>>(g, phase, dz, kernel, dx, apart);
}

template <class T, bool QUADS>
__device__ __forceinline__ void backward_weight(const Windows& g, int filters, int groups, const float* x,
                                                const float* dz, float* dkernel, unsigned long long apart) {
    const int columns = filters / groups, depth = g.depth.by;
    const Place at = tile_of_block<T>(g.taps, columns, g.positions);
    const Patches patches{g, x + at.group * depth};
    const Matrix gradients{dz + at.group * columns, g.positions, columns, filters};
    WarpAcross<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, QUADS, Patches> a(patches, at.row);
    WarpAcross<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(gradients, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Rows target{dkernel + blockIdx.z * apart + at.group * columns, g.taps, filters};
    put<QUADS>(sums, target, columns, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_tf32(const Windows g, int filters, int groups, const float* __restrict__ x,
                            const float* __restrict__ dz, float* __restrict__ dkernel,
                            unsigned long long apart) {
    backward_weight<NarrowOf<Tf32>, false>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_tf32_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                  const float* __restrict__ dz, float* __restrict__ dkernel,
                                  unsigned long long apart) {
    backward_weight<WideOf<Tf32>, true>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_weight_tf32_narrow_quads(const Windows g, int filters, int groups,
                                         const float* __restrict__ x, const float* __restrict__ dz,
                                         float* __restrict__ dkernel, unsigned long long apart) {
    backward_weight<NarrowOf<Tf32>, true>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_bf16(const Windows g, int filters, int groups, const float* __restrict__ x,
                            const float* __restrict__ dz, float* __restrict__ dkernel,
                            unsigned long long apart) {
    backward_weight<NarrowOf<Bf16>, false>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_bf16_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                  const float* __restrict__ dz, float* __restrict__ dkernel,
                                  unsigned long long apart) {
    backward_weight<WideOf<Bf16>, true>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_weight_bf16_narrow_quads(const Windows g, int filters, int groups,
                                         const float* __restrict__ x, const float* __restrict__ dz,
                                         float* __restrict__ dkernel, unsigned long long apart) {
    backward_weight<NarrowOf<Bf16>, true>(g, filters, groups, x, dz, dkernel, apart);
}
