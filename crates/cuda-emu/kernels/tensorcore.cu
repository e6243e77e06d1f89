// Matrix products by mma.sync, ldmatrix and cp.async, and each of those alone.
#include "prelude.cuh"
#include "tensorcore.cuh"

static constexpr int TILE = 64, STEP = 32;
static constexpr int ROW = STEP + 8; // in bf16: rows of 80 bytes are aligned to 16 and lie in different banks

// C[M,N] f32 = A[M,K] B[N,K]^T in bf16: 4 warps, 64x64, two stages of cp.async. M, N multiples of 64, K of 32.
extern "C" __global__ void __launch_bounds__(128)
emu_matmul_bf16(const bf16_bits* __restrict__ a, const bf16_bits* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
    __shared__ __align__(16) bf16_bits as[2][TILE * ROW];
    __shared__ __align__(16) bf16_bits bs[2][TILE * ROW];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int wm = (warp >> 1) * 32, wn = (warp & 1) * 32; // 32x32 for each warp
    const int row0 = blockIdx.y * TILE, col0 = blockIdx.x * TILE;
    float sums[2][4][4] = {};
    auto load = [&](int stage, int k0) {
        for (int i = threadIdx.x; i < TILE * 4; i += 128) {
            const int r = i >> 2, chunk = (i & 3) * 8;
            tc::cp_async16(&as[stage][r * ROW + chunk], a + (size_t)(row0 + r) * k + k0 + chunk);
            tc::cp_async16(&bs[stage][r * ROW + chunk], b + (size_t)(col0 + r) * k + k0 + chunk);
        }
        tc::cp_async_commit();
    };
    load(0, 0);
    int stage = 0;
    for (int k0 = 0; k0 < k; k0 += STEP, stage ^= 1) {
        if (k0 + STEP < k) {
            load(stage ^ 1, k0 + STEP);
            tc::cp_async_wait<1>();
        } else {
            tc::cp_async_wait<0>();
        }
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < STEP; kk += 16) {
            unsigned ra[2][4], rb[4][2];
#pragma unroll
            for (int i = 0; i < 2; ++i) tc::ldmatrix_x4(ra[i], &as[stage][(wm + i * 16 + (lane & 15)) * ROW + kk + (lane >> 4) * 8]);
#pragma unroll
            for (int j = 0; j < 4; ++j) tc::ldmatrix_x2(rb[j], &bs[stage][(wn + j * 8 + (lane & 7)) * ROW + kk + ((lane >> 3) & 1) * 8]);
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) tc::mma_m16n8k16_bf16(sums[i][j], ra[i], rb[j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int r = row0 + wm + i * 16 + (lane >> 2) + (e >> 1) * 8, cc = col0 + wn + j * 8 + (lane & 3) * 2 + (e & 1);
                c[(size_t)r * n + cc] = sums[i][j][e];
            }
}

// C[16,8] = A[16,K] B[K,8] in tf32 by one warp.
extern "C" __global__ void emu_matmul_tf32(const float* a, const float* b, float* c, int k) {
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    float sums[4] = {};
    for (int k0 = 0; k0 < k; k0 += 8) {
        unsigned ra[4], rb[2];
        ra[0] = tc::to_tf32(a[g * k + k0 + t]);
        ra[1] = tc::to_tf32(a[(g + 8) * k + k0 + t]);
        ra[2] = tc::to_tf32(a[g * k + k0 + t + 4]);
        ra[3] = tc::to_tf32(a[(g + 8) * k + k0 + t + 4]);
        rb[0] = tc::to_tf32(b[(k0 + t) * 8 + g]);
        rb[1] = tc::to_tf32(b[(k0 + t + 4) * 8 + g]);
        tc::mma_m16n8k8_tf32(sums, ra, rb);
    }
    for (int e = 0; e < 4; ++e) c[(g + (e >> 1) * 8) * 8 + t * 2 + (e & 1)] = sums[e];
}

// out[32][4]: registers of ldmatrix_x4_trans, and out[128..][32][2] of x2_trans, of 4 matrices x[4][8][8] that
// cp.async of 4, 8 and 16 bytes has brought, but for the last 2 elements of each row of the last matrix.
extern "C" __global__ void emu_transposed(const bf16_bits* __restrict__ x, unsigned* __restrict__ out) {
    __shared__ __align__(16) bf16_bits tiles[4 * 64];
    const int lane = threadIdx.x;
    tc::cp_async16(tiles + lane * 8, x + lane * 8, lane < 24 ? 16 : 12);
    tc::cp_async_commit();
    tc::cp_async_wait<0>();
    __syncwarp();
    if (lane < 8) { // another lane's row
        tc::cp_async8(tiles + (7 - lane) * 8, x + (7 - lane) * 8);
        tc::cp_async4(tiles + (7 - lane) * 8 + 4, x + (7 - lane) * 8 + 4);
    }
    tc::cp_async_commit();
    tc::cp_async_wait<0>();
    __syncwarp();
    unsigned four[4], two[2];
    tc::ldmatrix_x4_trans(four, tiles + lane * 8);
    tc::ldmatrix_x2_trans(two, tiles + (lane & 15) * 8);
    for (int i = 0; i < 4; ++i) out[lane * 4 + i] = four[i];
    for (int i = 0; i < 2; ++i) out[128 + lane * 2 + i] = two[i];
}
