// Atomic operations and fences. Blocks run one after another and threads change only where they wait or
// at a checked access, so a plain read and write is atomic; `touch` tells the checker that it was meant so.
#pragma once

namespace emu {
#if defined(EMU_CHECKED)
// The access is checked as an atomic one, and another thread may run before it.
void touch_atomic(const void* at, size_t size);
uint32_t load32(const void* at);
uint64_t load64(const void* at);
void store32(void* at, uint32_t bits);
void store64(void* at, uint64_t bits);
void fence();
#else
inline void touch_atomic(const void*, size_t) {}
inline uint32_t load32(const void* at) { uint32_t bits; memcpy(&bits, at, 4); return bits; }
inline uint64_t load64(const void* at) { uint64_t bits; memcpy(&bits, at, 8); return bits; }
inline void store32(void* at, uint32_t bits) { memcpy(at, &bits, 4); }
inline void store64(void* at, uint64_t bits) { memcpy(at, &bits, 8); }
inline void fence() {}
#endif

// Replaces the value by `next` of it; the old one.
template <class T, class Next> inline T atomic(T* at, Next next) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics have 32 or 64 bits");
    touch_atomic(at, sizeof(T));
    if constexpr (sizeof(T) == 4) {
        const T old = __builtin_bit_cast(T, load32(at));
        store32(at, __builtin_bit_cast(uint32_t, (T)next(old)));
        return old;
    } else {
        const T old = __builtin_bit_cast(T, load64(at));
        store64(at, __builtin_bit_cast(uint64_t, (T)next(old)));
        return old;
    }
}
template <class T> struct Same { typedef T type; };
template <class T> using same = typename Same<T>::type; // not deduced: the pointer says the type
} // namespace emu

template <class T> T atomicAdd(T* at, emu::same<T> v) { return emu::atomic(at, [=](T old) { return old + v; }); }
template <class T> T atomicSub(T* at, emu::same<T> v) { return emu::atomic(at, [=](T old) { return old - v; }); }
template <class T> T atomicMax(T* at, emu::same<T> v) { return emu::atomic(at, [=](T old) { return old > v ? old : v; }); }
template <class T> T atomicMin(T* at, emu::same<T> v) { return emu::atomic(at, [=](T old) { return old < v ? old : v; }); }
template <class T> T atomicAnd(T* at, emu::same<T> v) { return emu::atomic(at, [=](T old) { return old & v; }); }
template <class T> T atomicOr(T* at, emu::same<T> v) { return emu::atomic(at, [=](T old) { return old | v; }); }
template <class T> T atomicXor(T* at, emu::same<T> v) { return emu::atomic(at, [=](T old) { return old ^ v; }); }
template <class T> T atomicExch(T* at, emu::same<T> v) { return emu::atomic(at, [=](T) { return v; }); }
template <class T> T atomicCAS(T* at, emu::same<T> expected, emu::same<T> v) {
    return emu::atomic(at, [=](T old) { return old == expected ? v : old; });
}
inline unsigned atomicInc(unsigned* at, unsigned last) { return emu::atomic(at, [=](unsigned old) { return old >= last ? 0u : old + 1; }); }
inline unsigned atomicDec(unsigned* at, unsigned last) { return emu::atomic(at, [=](unsigned old) { return old == 0 || old > last ? last : old - 1; }); }

inline void __threadfence() { emu::fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { emu::fence(); }
