// Tensor cores and asynchronous copies of sm_80 and newer: one function per instruction.
//
// The only inline PTX beside hopper.cuh. On the host emu/tensorcore.h has the same functions with the
// meaning that the PTX manual gives them.
#pragma once
#include "prelude.cuh"
#if defined(CUDA_EMU)
#include "emu/tensorcore.h"
#else
namespace tc {
__device__ __forceinline__ unsigned shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

// ---- cp.async: global to shared memory while the thread goes on.
// Both addresses are aligned to the size. `read` bytes come from global memory, the rest becomes zero:
// 0 reads nothing, as padding and ragged edges want it. The 16-byte one passes by L1.
__device__ __forceinline__ void cp_async4(void* shared, const void* global, unsigned read = 4) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(read) : "memory");
}
__device__ __forceinline__ void cp_async8(void* shared, const void* global, unsigned read = 8) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(read) : "memory");
}
__device__ __forceinline__ void cp_async16(void* shared, const void* global, unsigned read = 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(read) : "memory");
}
// Closes this thread's group of copies; `cp_async_wait<N>` waits until all but its newest N groups are
// there. Other threads' copies are there after a __syncthreads that follows their wait.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int N> __device__ __forceinline__ void cp_async_wait() { asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory"); }

// ---- ldmatrix: 8x8 matrices of 16-bit elements out of shared memory.
// Lane 8i + j gives the address (aligned to 16) of row j of matrix i; lane l receives columns 2(l % 4) and
// the next of row l / 4 of each, or of its transpose. All 32 lanes take part; x2 reads lanes 0 to 15.
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(unsigned (&r)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(unsigned (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(unsigned (&r)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];\n"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}

// ---- mma.sync: D[16,8] += A[16,K] B[K,8] by one warp, all 32 lanes. With g = lane / 4, t = lane % 4:
//   d[0..4]  rows g, g, g+8, g+8; columns 2t, 2t+1, 2t, 2t+1
// bf16, K = 16, two elements a register (the lower index in the low half):
//   a[0..4]  (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8)      as ldmatrix_x4 gives them
//   b[0..2]  (2t, g), (2t+8, g): B is stored by columns       as ldmatrix_x2 gives them
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// tf32, K = 8, one element a register, made by to_tf32:
//   a[0..4]  (g, t), (g+8, t), (g, t+4), (g+8, t+4);   b[0..2]  (t, g), (t+4, g)
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// To nearest, ties to even; the first in the low half. As pack_bf16, in one instruction.
__device__ __forceinline__ unsigned round_bf16(float low, float high) {
    unsigned r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(r) : "f"(high), "f"(low));
    return r;
}
// To nearest with 10 bits of mantissa, ties away from zero.
__device__ __forceinline__ unsigned to_tf32(float v) {
    unsigned r;
    asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(r) : "f"(v));
    return r;
}
} // namespace tc
#endif
