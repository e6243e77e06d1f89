// The three products of a dense layer, exact in f32; see ../dense.rs for the formulas.
//
// Kernels named *_skinny are for up to 16 samples: their time is that of reading the weights once, so a
// thread keeps many samples of few units in registers, and many blocks share a sum; matmul_add_parts adds
// what they leave. Those named *_quads are for inputs and units that are multiples of 4.
// target compute_75
#include "matmul.cuh"

// As in cuda.rs.
typedef Tile<128, 64, 16, 8, 4> Wide;
typedef Tile<64, 64, 16, 8, 4> Square;   // by quads
typedef Tile<64, 64, 16, 4, 4> Odd;      // one by one
typedef Tile<16, 64, 16, 4, 4> Skinny;   // one by one
typedef Tile<16, 256, 8, 16, 4> Forward; // skinny, by quads; whole rows of W
typedef Tile<16, 128, 32, 8, 2> Backward; // skinny, by quads; 128 bytes of each row of W

// z, or this block's part of it, in parts that lie samples·units apart.
template <class T, bool QUADS>
__device__ __forceinline__ void forward(int samples, int inputs, int units, const float* x, const float* kernel,
                                        const float* bias, int relu, float* y) {
    const Place at = tile_of_block<T>(samples, units, inputs);
    const Matrix left{x, samples, inputs, inputs}, right{kernel, inputs, units, units};
    AlongDepth<T::ROWS, T::DEPTH, T::THREADS, QUADS, Matrix> a(left, at.row);
    AcrossDepth<T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(right, at.column);
    float sum[T::HIGH][T::WIDE];
    multiply<T>(sum, a, b, at.begin, at.end);
    const Rows target{y + blockIdx.z * (size_t)samples * units, samples, units};
    put<T, QUADS>(sum, target, units, at.row, at.column, Epilogue{bias, relu});
}

extern "C" __global__ void __launch_bounds__(256)
dense_forward(int samples, int inputs, int units, const float* __restrict__ x, const float* __restrict__ kernel,
              const float* __restrict__ bias, int relu, float* __restrict__ y) {
    forward<Odd, false>(samples, inputs, units, x, kernel, bias, relu, y);
}
extern "C" __global__ void __launch_bounds__(128, 3)
dense_forward_quads(int samples, int inputs, int units, const float* __restrict__ x,
                    const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                    float* __restrict__ y) {
    forward<Square, true>(samples, inputs, units, x, kernel, bias, relu, y);
}
extern "C" __global__ void __launch_bounds__(64, 4)
dense_forward_skinny(int samples, int inputs, int units, const float* __restrict__ x,
                     const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                     float* __restrict__ y) {
    forward<Skinny, false>(samples, inputs, units, x, kernel, bias, relu, y);
}
extern "C" __global__ void __launch_bounds__(64, 4)
dense_forward_skinny_quads(int samples, int inputs, int units, const float* __restrict__ x,
                           const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                           float* __restrict__ y) {
    forward<Forward, true>(samples, inputs, units, x, kernel, bias, relu, y);
}

template <class T, bool QUADS>
__device__ __forceinline__ void backward_input(int samples, int inputs, int units, const float* dz,
                                               const float* kernel, float* dx) {
    const Place at = tile_of_block<T>(samples, inputs, units);
    const Matrix left{dz, samples, units, units}, right{kernel, inputs, units, units};
    AlongDepth<T::ROWS, T::DEPTH, T::THREADS, QUADS, Matrix> a(left, at.row);
    AlongDepth<T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(right, at.column);
    float sum[T::HIGH][T::WIDE];
    multiply<T>(sum, a, b, at.begin, at.end);
    const Rows target{dx + blockIdx.z * (size_t)samples * inputs, samples, inputs};
    put<T, QUADS>(sum, target, inputs, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256)
dense_backward_input(int samples, int inputs, int units, const float* __restrict__ dz,
                     const float* __restrict__ kernel, float* __restrict__ dx) {
    backward_input<Odd, false>(samples, inputs, units, dz, kernel, dx);
}
extern "C" __global__ void __launch_bounds__(128, 3)
dense_backward_input_quads(int samples, int inputs, int units, const float* __restrict__ dz,
                           const float* __restrict__ kernel, float* __restrict__ dx) {
    backward_input<Square, true>(samples, inputs, units, dz, kernel, dx);
}
extern "C" __global__ void __launch_bounds__(64, 4)
dense_backward_input_skinny(int samples, int inputs, int units, const float* __restrict__ dz,
                            const float* __restrict__ kernel, float* __restrict__ dx) {
    backward_input<Skinny, false>(samples, inputs, units, dz, kernel, dx);
}
extern "C" __global__ void __launch_bounds__(128, 2)
dense_backward_input_skinny_quads(int samples, int inputs, int units, const float* __restrict__ dz,
                                  const float* __restrict__ kernel, float* __restrict__ dx) {
    backward_input<Backward, true>(samples, inputs, units, dz, kernel, dx);
}

template <class T, bool QUADS>
__device__ __forceinline__ void backward_weight(int samples, int inputs, int units, const float* x,
                                                const float* dz, float* dkernel) {
    const Place at = tile_of_block<T>(inputs, units, samples);
    const Matrix left{x, samples, inputs, inputs}, right{dz, samples, units, units};
    AcrossDepth<T::ROWS, T::DEPTH, T::THREADS, QUADS, Matrix> a(left, at.row);
    AcrossDepth<T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(right, at.column);
    float sum[T::HIGH][T::WIDE];
    multiply<T>(sum, a, b, at.begin, at.end);
    const Rows target{dkernel + blockIdx.z * (size_t)inputs * units, inputs, units};
    put<T, QUADS>(sum, target, units, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256)
dense_backward_weight(int samples, int inputs, int units, const float* __restrict__ x,
                      const float* __restrict__ dz, float* __restrict__ dkernel) {
    backward_weight<Odd, false>(samples, inputs, units, x, dz, dkernel);
}
extern "C" __global__ void __launch_bounds__(256, 2)
dense_backward_weight_quads(int samples, int inputs, int units, const float* __restrict__ x,
                            const float* __restrict__ dz, float* __restrict__ dkernel) {
    backward_weight<Wide, true>(samples, inputs, units, x, dz, dkernel);
}
