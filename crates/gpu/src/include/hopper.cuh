// What sm_90a alone has: barriers in shared memory, TMA and matrix products of a warpgroup.
//
// On the host emu/hopper.h has the same functions with the meaning that the PTX manual gives them.
#pragma once
#include "tensorcore.cuh"

// What cuTensorMapEncodeTiled writes. A kernel takes it as `const __grid_constant__ TensorMap`.
struct __align__(64) TensorMap { unsigned long long opaque[16]; };

#if defined(CUDA_EMU)
#include "emu/hopper.h"
#else
namespace tc {
typedef unsigned long long Barrier; // in shared memory

// ---- mbarrier. A phase completes when `arrivals` threads have arrived and all expected bytes are there.
// `phase` is 0 for the first one, 1 for the second, 0 for the third, ...
__device__ __forceinline__ void barrier_init(Barrier* b, unsigned arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(Barrier* b) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(shared_address(b)) : "memory");
}
// Arrives, and says that this many bytes will come.
__device__ __forceinline__ void barrier_expect(Barrier* b, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(b)), "r"(bytes) : "memory");
}
__device__ __forceinline__ void barrier_wait(Barrier* b, unsigned phase) {
    asm volatile("{\n.reg .pred P;\nL_%=:\nmbarrier.try_wait.parity.shared::cta.b64 P, [%0], %1;\n@P bra D_%=;\nbra L_%=;\nD_%=:\n}\n"
                 ::"r"(shared_address(b)), "r"(phase) : "memory");
}

// ---- TMA. The map's box at column x, row y, to shared memory; outside of the tensor it is zero.
__device__ __forceinline__ void tma_load_2d(void* shared, const TensorMap* map, Barrier* b, int x, int y) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];\n"
                 ::"r"(shared_address(shared)), "l"(map), "r"(shared_address(b)), "r"(x), "r"(y) : "memory");
}
// The same of four dimensions, the innermost first. A place before the tensor is negative.
__device__ __forceinline__ void tma_load_4d(void* shared, const TensorMap* map, Barrier* b, int x, int y, int z, int w) {
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];\n"
                 ::"r"(shared_address(shared)), "l"(map), "r"(shared_address(b)), "r"(x), "r"(y), "r"(z), "r"(w) : "memory");
}
// Between a thread's own writes to shared memory and TMA or wgmma, which see it another way.
__device__ __forceinline__ void fence_async_shared() { asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory"); }

// ---- wgmma, by the four warps of a warpgroup together. Fence before the first product, commit after the
// last; `wgmma_wait<N>` waits until all but the newest N groups are done, and only then are operands free.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
template <int N> __device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(N) : "memory"); }

// D[64,64] += A[64,16] B[64,16]^T, both in shared memory, by descriptors. With w = warp % 4, g = lane / 4,
// t = lane % 4: d[4j + i] is row 16w + g (+ 8 where i & 2), column 8j + 2t + (i & 1). Of an operand that is
// turned (1, not 0) the rows in shared memory are of one k each.
template <int TURNED_A = 0, int TURNED_B = 0>
__device__ __forceinline__ void wgmma_m64n64k16_bf16(float (&d)[32], unsigned long long a, unsigned long long b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31},"
        " %32, %33, 1, 1, 1, %34, %35;\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
          "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
          "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
          "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
        : "l"(a), "l"(b), "n"(TURNED_A), "n"(TURNED_B));
}
// D[64,128] += A[64,16] B[128,16]^T likewise.
template <int TURNED_A = 0, int TURNED_B = 0>
__device__ __forceinline__ void wgmma_m64n128k16_bf16(float (&d)[64], unsigned long long a, unsigned long long b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63},"
        " %64, %65, 1, 1, 1, %66, %67;\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
          "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
          "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
          "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
          "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
          "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
          "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
          "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
        : "l"(a), "l"(b), "n"(TURNED_A), "n"(TURNED_B));
}
} // namespace tc
#endif

namespace tc {
#if defined(CUDA_EMU)
using namespace ::tc; // there every kernel stands in a namespace of its own, and so does this function
#endif
// A descriptor: bits 0-13 where the operand begins, 16-29 the leading distance, 32-45 the stride, all three in
// units of 16 bytes, and 62-63 how it is shuffled, 1 for the swizzle of 128 bytes. Both kinds here are rows of
// 128 bytes, 64 numbers, as TMA's swizzle lays them, and eight rows are a pattern of 1024 bytes, aligned so.
//
// Rows along K: one for each row of A or B. Stride: from eight rows to the next eight. Leading: not looked at,
// since 16 of K lie within a row; the next 16 are 32 bytes on.
__device__ __forceinline__ unsigned long long descriptor_k128(const void* p) {
    return (unsigned long long)((shared_address(p) & 0x3FFFF) >> 4) | (1ull << 16) | (64ull << 32) | (1ull << 62);
}
// Turned, rows along M or N: one for each k, 64 rows of A or B across. Stride: from eight k to the next eight,
// of which 16 of K are two; the next 16 are two strides on. Leading: from 64 rows of A or B to the next 64, and
// not looked at where there are no more. Here the eight follow each other, and the 64s lie `apart` bytes apart.
__device__ __forceinline__ unsigned long long descriptor_mn128(const void* p, unsigned apart) {
    return (unsigned long long)((shared_address(p) & 0x3FFFF) >> 4) | ((unsigned long long)(apart >> 4) << 16) | (64ull << 32) | (1ull << 62);
}
// D += A B^T over 16 of K, for as many columns as D has.
template <int TURNED_A = 0, int TURNED_B = 0>
__device__ __forceinline__ void wgmma_k16_bf16(float (&d)[32], unsigned long long a, unsigned long long b) {
    wgmma_m64n64k16_bf16<TURNED_A, TURNED_B>(d, a, b);
}
template <int TURNED_A = 0, int TURNED_B = 0>
__device__ __forceinline__ void wgmma_k16_bf16(float (&d)[64], unsigned long long a, unsigned long long b) {
    wgmma_m64n128k16_bf16<TURNED_A, TURNED_B>(d, a, b);
}
// Between the products and whoever else writes or reads D: the compiler, which does not know that products
// go on behind an instruction, moves nothing across. Before the first fence and after the last wait.
template <int N> __device__ __forceinline__ void wgmma_hold(float (&d)[N]) {
#if !defined(CUDA_EMU)
#pragma unroll
    for (int i = 0; i < N; ++i) asm volatile("" : "+f"(d[i])::"memory");
#endif
}
} // namespace tc
