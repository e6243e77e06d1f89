// Sums of what several blocks left: of the parts of a product of matrices, and of columns.
// target compute_75
#include "matmul.cuh"

// y = the sum of `count` parts of n numbers each, in order; with bias and relu where they are asked for.
// Columns, of which there is a bias for each, repeat after `columns`. `lanes` threads share a sum.
extern "C" __global__ void __launch_bounds__(256)
matmul_add_parts(const float* __restrict__ parts, int count, float* __restrict__ y, unsigned long long n,
                 int columns, int lanes, const float* __restrict__ bias, int relu) {
    float* shared = dynamic_shared<float>(); // a number for each thread
    const int each = blockDim.x / lanes, place = threadIdx.x % each, lane = threadIdx.x / each;
    const size_t i = (size_t)blockIdx.x * each + place;
    float sum = 0.f;
    if (i < n)
#pragma unroll 4
        for (int part = lane; part < count; part += lanes) sum += parts[part * n + i];
    if (lanes > 1) {
        shared[threadIdx.x] = sum;
        __syncthreads();
        if (lane > 0) return;
        for (int other = 1; other < lanes; ++other) sum += shared[other * each + place];
    }
    if (i < n) y[i] = Epilogue{bias, relu}(sum, (int)(i % columns));
}

// parts[chunk][column] = the sum of a chunk of rows of a matrix: 32 columns by 8 rows in a block; blocks
// along x count columns, along y chunks.
extern "C" __global__ void __launch_bounds__(256)
matmul_add_columns(const float* __restrict__ matrix, int rows, int columns, float* __restrict__ parts) {
    float* shared = dynamic_shared<float>(); // a number for each thread
    const int lane = threadIdx.x % 32, down = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
    const int each = ceil_div(rows, (int)gridDim.y), first = blockIdx.y * each;
    const int end = first + each < rows ? first + each : rows;
    float sum = 0.f;
    if (column < columns)
#pragma unroll 4
        for (int row = first + down; row < end; row += 8) sum += matrix[(size_t)row * columns + column];
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (down > 0 || column >= columns) return;
    for (int other = 1; other < 8; ++other) sum += shared[other * 32 + lane];
    parts[(size_t)blockIdx.y * columns + column] = sum;
}
