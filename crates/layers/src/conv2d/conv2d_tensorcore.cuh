// Convolution as products of matrices on tensor cores: as conv2d.cu, with operands rounded to tf32 or bf16
// and sums in f32. y and dz are f32 in memory, or bf16.
#pragma once
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

// As in conv2d.cu; and rounded as y is, so that its moments are those of what is written.
template <class T, class Number>
__device__ __forceinline__ void finish(WarpSums<T>& sums, const Place& at, int columns, const Epilogue& epilogue,
                                       const Number* y) {
#pragma unroll
    for (int j = 0; j < 2 * WarpSums<T>::SIDE; ++j) {
        const int column = at.column + column_of_tile<T>(j);
        const float own = epilogue.bias && column < columns ? epilogue.bias[column] : 0.f;
#pragma unroll
        for (int i = 0; i < WarpSums<T>::DOWN; ++i)
#pragma unroll
            for (int e = j % 2; e < 4; e += 2)
                sums.of[i][j / 2][e] = in_memory(epilogue.with(own, sums.of[i][j / 2][e]), y);
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

// CHANNELS and FILTERS say what goes by fours: always the filters of a y or dz that is bf16 in memory.
template <class T, bool CHANNELS, bool FILTERS, class Number>
__device__ __forceinline__ void forward(const Windows& g, int filters, int groups, const float* x,
                                        const float* kernel, const float* bias, int relu, Number* y,
                                        unsigned long long apart, float* moments) {
    const int columns = filters / groups, depth = g.depth.by;
    const Place at = tile_of_block<T>(g.positions, columns, g.taps);
    const Patches patches{g, x + at.group * depth};
    const Matrix weights{kernel + at.group * columns, g.taps, columns, filters};
    WarpAlong<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, CHANNELS, Patches> a(patches, at.row);
    WarpAcross<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, FILTERS, Matrix> b(weights, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const RowsOf<Number> target{y + blockIdx.z * apart + at.group * columns, g.positions, filters};
    finish(sums, at, columns, Epilogue{bias ? bias + at.group * columns : nullptr, relu}, y);
    put<FILTERS>(sums, target, columns, at.row, at.column, Epilogue{nullptr, 0});
    if (moments) judge(sums, at, g.positions, columns, filters, moments);
}

// dz by fours of filters, dx by pairs of channels or one by one.
template <class T, bool PAIRS, class Number>
__device__ __forceinline__ void backward_input(const Windows& g, const Phase& phase, const Number* dz,
                                               const float* kernel, float* dx, unsigned long long apart) {
    const int filters = g.depth.by;
    const Place at = tile_of_block<T>(g.positions, phase.depth, g.taps);
    const PatchesOf<Number> patches{g, dz + at.group * filters};
    const Turned turned{g, phase, kernel + at.group * filters};
    WarpAlong<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, true, PatchesOf<Number>> a(patches, at.row);
    WarpAlong<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, true, Turned> b(turned, at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Pixels target{g, phase, dx + blockIdx.z * apart + at.group * phase.depth, g.positions};
    put<PAIRS>(sums, target, phase.depth, at.row, at.column, Epilogue{nullptr, 0});
}

template <class T, bool CHANNELS, bool FILTERS, class Number>
__device__ __forceinline__ void backward_weight(const Windows& g, int filters, int groups, const float* x,
                                                const Number* dz, float* dkernel, unsigned long long apart) {
    const int columns = filters / groups, depth = g.depth.by;
    const Place at = tile_of_block<T>(g.taps, columns, g.positions);
    const Patches patches{g, x + at.group * depth};
    const MatrixOf<Number> gradients{dz + at.group * columns, g.positions, columns, filters};
    WarpAcross<typename T::Format, T::ROWS, T::DEPTH, T::THREADS, CHANNELS, Patches> a(patches, at.row);
    WarpAcross<typename T::Format, T::COLUMNS, T::DEPTH, T::THREADS, FILTERS, MatrixOf<Number>> b(gradients,
                                                                                               at.column);
    WarpSums<T> sums;
    multiply(sums, a, b, at.begin, at.end);
    const Rows target{dkernel + blockIdx.z * apart + at.group * columns, g.taps, filters};
    put<FILTERS>(sums, target, columns, at.row, at.column, Epilogue{nullptr, 0});
}
