// CUDA's scalar functions that C does not have. Fast ones are libm's: their rounding is not the GPU's.
#pragma once

// ---- bits
inline unsigned __float_as_uint(float v) { return __builtin_bit_cast(unsigned, v); }
inline int __float_as_int(float v) { return __builtin_bit_cast(int, v); }
inline float __uint_as_float(unsigned v) { return __builtin_bit_cast(float, v); }
inline float __int_as_float(int v) { return __builtin_bit_cast(float, v); }
inline long long __double_as_longlong(double v) { return __builtin_bit_cast(long long, v); }
inline double __longlong_as_double(long long v) { return __builtin_bit_cast(double, v); }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __ffsll(long long v) { return __builtin_ffsll(v); }
inline unsigned __brev(unsigned v) {
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= (v >> i & 1u) << (31 - i);
    return r;
}
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const uint64_t bytes = (uint64_t)high << 32 | low;
    unsigned r = 0;
    for (int i = 0; i < 4; ++i) r |= (unsigned)(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    return r;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) { return (unsigned)(((uint64_t)high << 32 | low) << (by & 31) >> 32); }
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) { return (unsigned)(((uint64_t)high << 32 | low) >> (by & 31)); }

// ---- integers
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline int __mulhi(int a, int b) { return (int)((int64_t)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)((unsigned __int128)a * b >> 64); }
inline int __mul24(int a, int b) { return (int)((int64_t)(a << 8 >> 8) * (b << 8 >> 8)); }
inline unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffff) * (b & 0xffffff); }

// ---- any two arithmetic types, as CUDA's overloads have it. NaN gives way to a number.
namespace emu {
template <class A, class B> using common = decltype(true ? A() : B());
template <class T> inline constexpr bool floating = __is_same(T, float) || __is_same(T, double);
} // namespace emu
template <class A, class B> constexpr emu::common<A, B> max(A a, B b) {
    typedef emu::common<A, B> T;
    if constexpr (emu::floating<T>) if ((T)a != (T)a) return (T)b;
    return (T)a < (T)b ? (T)b : (T)a;
}
template <class A, class B> constexpr emu::common<A, B> min(A a, B b) {
    typedef emu::common<A, B> T;
    if constexpr (emu::floating<T>) if ((T)a != (T)a) return (T)b;
    return (T)b < (T)a ? (T)b : (T)a;
}

// ---- arithmetic with its rounding in its name, and the fast functions
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float v) { return 1.f / v; }
inline float __fsqrt_rn(float v) { return sqrtf(v); }
inline float __frsqrt_rn(float v) { return 1.f / sqrtf(v); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline double __drcp_rn(double v) { return 1. / v; }
inline double __dsqrt_rn(double v) { return sqrt(v); }
inline float rsqrtf(float v) { return 1.f / sqrtf(v); }
inline double rsqrt(double v) { return 1. / sqrt(v); }
inline float rcbrtf(float v) { return 1.f / cbrtf(v); }
inline float fdividef(float a, float b) { return a / b; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float v) { return expf(v); }
inline float __exp10f(float v) { return powf(10.f, v); }
inline float __logf(float v) { return logf(v); }
inline float __log2f(float v) { return log2f(v); }
inline float __log10f(float v) { return log10f(v); }
inline float __powf(float a, float b) { return powf(a, b); }
inline float __sinf(float v) { return sinf(v); }
inline float __cosf(float v) { return cosf(v); }
inline float __tanf(float v) { return tanf(v); }
inline void __sincosf(float v, float* s, float* c) { *s = sinf(v); *c = cosf(v); }
inline float __saturatef(float v) { return v > 0.f ? (v < 1.f ? v : 1.f) : 0.f; }
inline float sinpif(float v) { return sinf(3.14159265358979324f * v); }
inline float cospif(float v) { return cosf(3.14159265358979324f * v); }
inline float normcdff(float v) { return 0.5f * erfcf(v * -0.70710678118654752f); }

// ---- conversions. As the GPU does, what does not fit becomes the nearest that does, and NaN becomes 0.
namespace emu {
template <class To> inline To saturate(double v, double low, double high, To highest) {
    return v != v ? To(0) : v <= low ? To(low) : v >= high ? highest : To(v);
}
} // namespace emu
inline int __float2int_rz(float v) { return emu::saturate<int>(v, -2147483648., 2147483647., 2147483647); }
inline int __float2int_rn(float v) { return __float2int_rz(nearbyintf(v)); }
inline int __float2int_rd(float v) { return __float2int_rz(floorf(v)); }
inline int __float2int_ru(float v) { return __float2int_rz(ceilf(v)); }
inline unsigned __float2uint_rz(float v) { return emu::saturate<unsigned>(v, 0., 4294967295., 4294967295u); }
inline unsigned __float2uint_rn(float v) { return __float2uint_rz(nearbyintf(v)); }
inline unsigned __float2uint_rd(float v) { return __float2uint_rz(floorf(v)); }
inline unsigned __float2uint_ru(float v) { return __float2uint_rz(ceilf(v)); }
inline float __int2float_rn(int v) { return (float)v; }
inline float __uint2float_rn(unsigned v) { return (float)v; }
inline float __ll2float_rn(long long v) { return (float)v; }
inline float __ull2float_rn(unsigned long long v) { return (float)v; }
inline float __double2float_rn(double v) { return (float)v; }
inline double __int2double_rn(int v) { return v; }
inline double __uint2double_rn(unsigned v) { return v; }

// ---- loads and stores with a hint for the cache
template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldca(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> void __stcg(T* p, emu::same<T> v) { *p = v; }
template <class T> void __stcs(T* p, emu::same<T> v) { *p = v; }
template <class T> void __stwt(T* p, emu::same<T> v) { *p = v; }
