// C[M,N] f32 = A[M,K] B[N,K]^T in bf16 for sm_90a: a 64x64 tile for each warpgroup. TMA fills swizzled shared
// memory and completes an mbarrier, wgmma reads it. M, N and K are multiples of 64.
#include "prelude.cuh"
#include "hopper.cuh"

extern "C" __global__ void __launch_bounds__(128)
emu_matmul_wgmma(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b, float* c, int n, int k) {
    __shared__ __align__(1024) bf16_bits as[64 * 64];
    __shared__ __align__(1024) bf16_bits bs[64 * 64];
    __shared__ __align__(8) tc::Barrier full;
    const int tid = threadIdx.x;
    if (tid == 0) tc::barrier_init(&full, 1);
    __syncthreads();
    float sums[32] = {};
    unsigned phase = 0;
    for (int k0 = 0; k0 < k; k0 += 64, phase ^= 1) {
        if (tid == 0) {
            tc::barrier_expect(&full, 2 * 64 * 64 * 2);
            tc::tma_load_2d(as, &map_a, &full, k0, blockIdx.y * 64);
            tc::tma_load_2d(bs, &map_b, &full, k0, blockIdx.x * 64);
        }
        tc::barrier_wait(&full, phase);
        tc::wgmma_fence();
#pragma unroll
        for (int kk = 0; kk < 64; kk += 16) tc::wgmma_m64n64k16_bf16(sums, tc::descriptor_k128(as + kk), tc::descriptor_k128(bs + kk));
        tc::wgmma_commit();
        tc::wgmma_wait<0>();
        __syncthreads();
    }
    const int g = tid % 32 / 4, t = tid % 4;
#pragma unroll
    for (int i = 0; i < 32; ++i) {
        const int r = blockIdx.y * 64 + tid / 32 * 16 + g + (i & 2) * 4, cc = blockIdx.x * 64 + i / 4 * 8 + t * 2 + (i & 1);
        c[(size_t)r * n + cc] = sums[i];
    }
}

// Where 16 of K begin in a box of 64 rows of 64, from `k` on: turned, each row is of one k.
template <int TURNED> __device__ __forceinline__ unsigned long long operand(const bf16_bits* box, int k) {
    return TURNED ? tc::descriptor_mn128(box + k * 64, 64 * 64 * 2) : tc::descriptor_k128(box + k);
}
// The same product by a block for 64 x COLUMNS of C; A and B lie as above or turned, as K x M and K x N. `other`
// flips bits of the descriptors of B, which a test may get wrong.
template <int COLUMNS, int TURNED_A, int TURNED_B>
__device__ __forceinline__ void turned_product(const TensorMap* map_a, const TensorMap* map_b, float* c, int n, int k, unsigned long long other) {
    __shared__ __align__(1024) bf16_bits as[64 * 64];
    __shared__ __align__(1024) bf16_bits bs[COLUMNS * 64];
    __shared__ __align__(8) tc::Barrier full;
    const int tid = threadIdx.x, row = blockIdx.y * 64, column = blockIdx.x * COLUMNS;
    if (tid == 0) tc::barrier_init(&full, 1);
    __syncthreads();
    float sums[COLUMNS / 2] = {};
    unsigned phase = 0;
    for (int k0 = 0; k0 < k; k0 += 64, phase ^= 1) {
        if (tid == 0) {
            tc::barrier_expect(&full, (64 + COLUMNS) * 64 * 2);
            tc::tma_load_2d(as, map_a, &full, TURNED_A ? row : k0, TURNED_A ? k0 : row);
            for (int i = 0; i < COLUMNS; i += 64)
                tc::tma_load_2d(bs + i * 64, map_b, &full, TURNED_B ? column + i : k0, TURNED_B ? k0 : column + i);
        }
        tc::barrier_wait(&full, phase);
        tc::wgmma_fence();
#pragma unroll
        for (int kk = 0; kk < 64; kk += 16)
            tc::wgmma_k16_bf16<TURNED_A, TURNED_B>(sums, operand<TURNED_A>(as, kk), operand<TURNED_B>(bs, kk) ^ other);
        tc::wgmma_commit();
        tc::wgmma_wait<0>();
        __syncthreads();
    }
    for (int i = 0; i < COLUMNS / 2; ++i) {
        const int r = row + tid / 32 * 16 + tid % 32 / 4 + (i & 2) * 4, cc = column + i / 4 * 8 + tid % 4 * 2 + (i & 1);
        c[(size_t)r * n + cc] = sums[i];
    }
}

extern "C" __global__ void __launch_bounds__(128)
emu_wgmma_64_turned_a(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, int n, int k, unsigned long long other) {
    turned_product<64, 1, 0>(&a, &b, c, n, k, other);
}
extern "C" __global__ void __launch_bounds__(128)
emu_wgmma_64_turned_b(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, int n, int k, unsigned long long other) {
    turned_product<64, 0, 1>(&a, &b, c, n, k, other);
}
extern "C" __global__ void __launch_bounds__(128)
emu_wgmma_64_turned(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, int n, int k, unsigned long long other) {
    turned_product<64, 1, 1>(&a, &b, c, n, k, other);
}
extern "C" __global__ void __launch_bounds__(128)
emu_wgmma_128_turned_b(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, int n, int k, unsigned long long other) {
    turned_product<128, 0, 1>(&a, &b, c, n, k, other);
}
extern "C" __global__ void __launch_bounds__(128)
emu_wgmma_128_turned(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, int n, int k, unsigned long long other) {
    turned_product<128, 1, 1>(&a, &b, c, n, k, other);
}
