// The three products of a dense layer on tensor cores: as dense.cu, with operands rounded to tf32 or bf16 and
// sums in f32. Inputs and units are multiples of 4; few samples, which are bound by memory, go by dense.cu.
// target compute_80
#include "matmul_tensorcore.cuh"

// As in cuda.rs.
template <class Format> using TileOf = WarpTile<Format, 128, 64, 32, 32>;

template <class T>
__device__ __forceinline__ void forward(int samples, int inputs, int units, const float* x, const float* kernel,
                                        const float* bias, int relu, float* y) {
    const Place at = tile_of_block<T>(samples, units, inputs);
    const Matrix left{x, samples, inputs, inputs}, right{kernel, inputs, units, units};
    WarpAlong<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, true, Matrix> a(left, at.row);
    WarpAcross<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, true, Matrix> b(right, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Rows target{y + blockIdx.z * (size_t)samples * units, samples, units};
    put<true>(sums, target, units, at.row, at.column, Epilogue{bias, relu});
}

extern "C" __global__ void __launch_bounds__(256, 2)
dense_forward_tf32(int samples, int inputs, int units, const float* __restrict__ x,
                   const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                   float* __restrict__ y) {
    forward<TileOf<Tf32>>(samples, inputs, units, x, kernel, bias, relu, y);
}
extern "C" __global__ void __launch_bounds__(256, 2)
dense_forward_bf16(int samples, int inputs, int units, const float* __restrict__ x,
                   const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                   float* __restrict__ y) {
    forward<TileOf<Bf16>>(samples, inputs, units, x, kernel, bias, relu, y);
}

template <class T>
__device__ __forceinline__ void backward_input(int samples, int inputs, int units, const float* dz,
                                               const float* kernel, float* dx) {
    const Place at = tile_of_block<T>(samples, inputs, units);
    const Matrix left{dz, samples, units, units}, right{kernel, inputs, units, units};
    WarpAlong<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, true, Matrix> a(left, at.row);
    WarpAlong<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, true, Matrix> b(right, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Rows target{dx + blockIdx.z * (size_t)samples * inputs, samples, inputs};
    put<true>(sums, target, inputs, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256, 2)
dense_backward_input_tf32(int samples, int inputs, int units, const float* __restrict__ dz,
                          const float* __restrict__ kernel, float* __restrict__ dx) {
    backward_input<TileOf<Tf32>>(samples, inputs, units, dz, kernel, dx);
}
extern "C" __global__ void __launch_bounds__(256, 2)
dense_backward_input_bf16(int samples, int inputs, int units, const float* __restrict__ dz,
                          const float* __restrict__ kernel, float* __restrict__ dx) {
    backward_input<TileOf<Bf16>>(samples, inputs, units, dz, kernel, dx);
}

template <class T>
__device__ __forceinline__ void backward_weight(int samples, int inputs, int units, const float* x,
                                                const float* dz, float* dkernel) {
    const Place at = tile_of_block<T>(inputs, units, samples);
    const Matrix left{x, samples, inputs, inputs}, right{dz, samples, units, units};
    WarpAcross<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, true, Matrix> a(left, at.row);
    WarpAcross<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, true, Matrix> b(right, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Rows target{dkernel + blockIdx.z * (size_t)inputs * units, inputs, units};
    put<true>(sums, target, units, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256, 2)
dense_backward_weight_tf32(int samples, int inputs, int units, const float* __restrict__ x,
                           const float* __restrict__ dz, float* __restrict__ dkernel) {
    backward_weight<TileOf<Tf32>>(samples, inputs, units, x, dz, dkernel);
}
extern "C" __global__ void __launch_bounds__(256, 2)
dense_backward_weight_bf16(int samples, int inputs, int units, const float* __restrict__ x,
                           const float* __restrict__ dz, float* __restrict__ dkernel) {
    backward_weight<TileOf<Bf16>>(samples, inputs, units, x, dz, dkernel);
}
