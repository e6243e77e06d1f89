// The table of kernels: each source file enters its own, once plain and once checked.
#pragma once
#include "emu/language.h"
#include <utility>

namespace emu {
struct Variant {
    void (*call)(void** arguments); // the kernel as one thread
    unsigned char *shared_begin, *shared_end;
};
struct Kernel {
    const char* name;
    const size_t* sizes; // of its parameters
    size_t parameters;
    unsigned max_threads; // __launch_bounds__, or 1024
    Variant variants[2];  // plain, checked
};
const Kernel* find_kernel(const char* name);
size_t kernel_count();
const Kernel& kernel_at(size_t i);
void enter_kernel(const Kernel& kernel, bool checked);

// Not for the hooks: the parameters are the driver's memory.
#define EMU_UNCHECKED __attribute__((no_sanitize("thread", "undefined")))
template <auto K> struct Entry;
template <class... A, void (*K)(A...)> struct Entry<K> {
    static constexpr size_t sizes[sizeof...(A) + 1] = {sizeof(A)...};
    static constexpr size_t parameters = sizeof...(A);
    // Every thread gets its own copy of the parameters, on its stack.
    template <size_t... I> EMU_UNCHECKED static void with(void** p, std::index_sequence<I...>) { K(*(A*)p[I]...); }
    EMU_UNCHECKED static void call(void** p) { with(p, std::index_sequence_for<A...>()); }
};
} // namespace emu
