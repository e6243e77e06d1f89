// ThreadSanitizer's hooks. Checked kernels are compiled with -fsanitize=thread, but its runtime is not
// linked: these are called instead.
#include "emu/check.h"

using emu::access;

// An access that the compiler takes to be aligned must be: the GPU would fault. GCC takes 16 bytes to be
// aligned from 8 on, as a struct of 64-bit numbers is; a misaligned float4 is what -fsanitize=alignment sees.
template <size_t N> static void aligned(const void* at, bool write) {
    constexpr size_t to = N < 8 ? N : 8;
    if ((uintptr_t)at % to && emu::checking && emu::running)
        emu::fault(emu::FaultKind::Misaligned, at, "%s of %zu bytes at an address that is not aligned to them", write ? "a write" : "a read", N);
    access(at, N, write, false);
}

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
#define EMU_HOOK(N) \
    void __tsan_read##N(void* at) { aligned<N>(at, false); } \
    void __tsan_write##N(void* at) { aligned<N>(at, true); } \
    void __tsan_volatile_read##N(void* at) { aligned<N>(at, false); } \
    void __tsan_volatile_write##N(void* at) { aligned<N>(at, true); } \
    void __tsan_unaligned_read##N(void* at) { access(at, N, false, false); } \
    void __tsan_unaligned_write##N(void* at) { access(at, N, true, false); }
EMU_HOOK(1) EMU_HOOK(2) EMU_HOOK(4) EMU_HOOK(8) EMU_HOOK(16)
void __tsan_read_range(void* at, size_t n) { access(at, n, false, false); }
void __tsan_write_range(void* at, size_t n) { access(at, n, true, false); }
void* __tsan_memcpy(void* to, const void* from, size_t n) {
    access(from, n, false, false);
    access(to, n, true, false);
    return memcpy(to, from, n);
}
void* __tsan_memmove(void* to, const void* from, size_t n) {
    access(from, n, false, false);
    access(to, n, true, false);
    return memmove(to, from, n);
}
void* __tsan_memset(void* at, int value, size_t n) {
    access(at, n, true, false);
    return memset(at, value, n);
}
}

// ---- UndefinedBehaviorSanitizer's hooks, of which three kinds are asked for. They know the line.
struct Place { const char* file; uint32_t line, column; };
struct Type { uint16_t kind, info; char name[1]; };
struct TypeMismatch { Place place; const Type* type; unsigned char log_alignment, kind; };
struct OutOfBounds { Place place; const Type *array, *index; };
struct ShiftTooFar { Place place; const Type *left, *right; };

extern "C" {
void __ubsan_handle_type_mismatch_v1(TypeMismatch* data, uintptr_t at) {
    emu::fault(emu::FaultKind::Misaligned, (void*)at, "%s at an address that is not aligned to %u (%s:%u)", data->type->name,
               1u << data->log_alignment, data->place.file, data->place.line);
}
void __ubsan_handle_out_of_bounds(OutOfBounds* data, uintptr_t index) {
    emu::fault(emu::FaultKind::OutOfBounds, nullptr, "index %lld of %s (%s:%u)", (long long)(int)index, data->array->name, data->place.file,
               data->place.line);
}
void __ubsan_handle_shift_out_of_bounds(ShiftTooFar* data, uintptr_t, uintptr_t by) {
    emu::fault(emu::FaultKind::Trap, nullptr, "a shift of %s by %lld (%s:%u)", data->left->name, (long long)(int)by, data->place.file,
               data->place.line);
}
}

namespace emu {
void touch_atomic(const void* at, size_t size) {
    if ((uintptr_t)at % size) fault(FaultKind::Misaligned, at, "an atomic of %zu bytes at an address that is not aligned to them", size);
    access(at, size, true, true);
}
void fence() { note_fence(); }
uint32_t load32(const void* at) { uint32_t bits; memcpy(&bits, at, 4); return bits; }
uint64_t load64(const void* at) { uint64_t bits; memcpy(&bits, at, 8); return bits; }
void store32(void* at, uint32_t bits) { memcpy(at, &bits, 4); }
void store64(void* at, uint64_t bits) { memcpy(at, &bits, 8); }
} // namespace emu
