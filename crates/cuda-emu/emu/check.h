// What hooks.cpp tells the checker.
#pragma once
#include "emu/runtime.h"

namespace emu {
extern bool checking; // this launch is
// An access by the kernel itself: other threads may run before it.
void access(const void* at, size_t size, bool write, bool atomic);
void note_fence();
} // namespace emu
