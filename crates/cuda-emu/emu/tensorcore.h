// What the functions of tensorcore.cuh do on the host; tensorcore.cpp has their meaning.
#pragma once
#include "emu/language.h"

namespace emu {
void copy_async(void* shared, const void* global, unsigned size, unsigned read);
void copy_async_commit();
void copy_async_wait(int left);
void ldmatrix(unsigned* registers, int count, bool transposed, const void* row);
void mma_bf16(float* d, const unsigned* a, const unsigned* b);
void mma_tf32(float* d, const unsigned* a, const unsigned* b);
unsigned shared_address(const void* p); // of 32 bits, as descriptors hold it
} // namespace emu

namespace tc {
inline unsigned shared_address(const void* p) { return emu::shared_address(p); }
inline void cp_async4(void* shared, const void* global, unsigned read = 4) { emu::copy_async(shared, global, 4, read); }
inline void cp_async8(void* shared, const void* global, unsigned read = 8) { emu::copy_async(shared, global, 8, read); }
inline void cp_async16(void* shared, const void* global, unsigned read = 16) { emu::copy_async(shared, global, 16, read); }
inline void cp_async_commit() { emu::copy_async_commit(); }
template <int N> inline void cp_async_wait() { emu::copy_async_wait(N); }
inline void ldmatrix_x4(unsigned (&r)[4], const void* row) { emu::ldmatrix(r, 4, false, row); }
inline void ldmatrix_x2(unsigned (&r)[2], const void* row) { emu::ldmatrix(r, 2, false, row); }
inline void ldmatrix_x4_trans(unsigned (&r)[4], const void* row) { emu::ldmatrix(r, 4, true, row); }
inline void ldmatrix_x2_trans(unsigned (&r)[2], const void* row) { emu::ldmatrix(r, 2, true, row); }
inline void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { emu::mma_bf16(d, a, b); }
inline void mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { emu::mma_tf32(d, a, b); }
inline unsigned round_bf16(float low, float high) {
    const auto of = [](float v) {
        const unsigned bits = __float_as_uint(v);
        return v != v ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    };
    return of(low) | of(high) << 16;
}
inline unsigned to_tf32(float v) {
    const unsigned bits = __float_as_uint(v);
    if ((bits & 0x7f800000u) == 0x7f800000u) return bits; // infinite or NaN
    return (bits + 0x1000u) & 0xffffe000u;
}
} // namespace tc
