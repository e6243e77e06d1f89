// Convolution as products of matrices on tensor cores: as conv2d.cu, with operands rounded to tf32 or bf16
// and sums in f32. Where channels or filters (of a group) are not multiples of 4, numbers go one by one
// from memory; backward_input has no such kernels, and takes those of conv2d.cu.
// target compute_80
#include "matmul_tensorcore.cuh"
#include "windows.cuh"

// As in cuda.rs.
template <class Format> using WideOf = WarpTile<Format, 128, 128, 64, 32>;
template <class Format> using NarrowOf = WarpTile<Format, 128, 64, 32, 32>; // for up to 64 columns

template <class T, bool QUADS>
__device__ __forceinline__ void forward(const Windows& g, int filters, int groups, const float* x,
                                        const float* kernel, const float* bias, int relu, float* y,
                                        unsigned long long apart) {
    const int columns = filters / groups, depth = g.depth.by;
    const Place at = tile_of_block<T>(g.positions, columns, g.taps);
    const Patches patches{g, x + at.group * depth};
    const Matrix weights{kernel + at.group * columns, g.taps, columns, filters};
    WarpAlong<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, QUADS, Patches> a(patches, at.row);
    WarpAcross<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(weights, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Rows target{y + blockIdx.z * apart + at.group * columns, g.positions, filters};
    const Epilogue epilogue{bias ? bias + at.group * columns : nullptr, relu};
    put<QUADS>(sums, target, columns, at.row, at.column, epilogue);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_tf32(const Windows g, int filters, int groups, const float* __restrict__ x,
                    const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                    float* __restrict__ y, unsigned long long apart) {
    forward<NarrowOf<Tf32>, false>(g, filters, groups, x, kernel, bias, relu, y, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_tf32_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                          const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                          float* __restrict__ y, unsigned long long apart) {
    forward<WideOf<Tf32>, true>(g, filters, groups, x, kernel, bias, relu, y, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_tf32_narrow_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                 const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                                 float* __restrict__ y, unsigned long long apart) {
    forward<NarrowOf<Tf32>, true>(g, filters, groups, x, kernel, bias, relu, y, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_bf16(const Windows g, int filters, int groups, const float* __restrict__ x,
                    const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                    float* __restrict__ y, unsigned long long apart) {
    forward<NarrowOf<Bf16>, false>(g, filters, groups, x, kernel, bias, relu, y, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_bf16_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                          const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                          float* __restrict__ y, unsigned long long apart) {
    forward<WideOf<Bf16>, true>(g, filters, groups, x, kernel, bias, relu, y, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_bf16_narrow_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                 const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                                 float* __restrict__ y, unsigned long long apart) {
    forward<NarrowOf<Bf16>, true>(g, filters, groups, x, kernel, bias, relu, y, apart);
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
