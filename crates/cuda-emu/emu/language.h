// The CUDA C++ language on an ordinary CPU, as far as kernels use it. Included by prelude.cuh.
//
// A thread of the GPU is a fiber (fibers.cpp); one block runs at a time, so __shared__ is static memory,
// which the linker gathers for each file, and which is filled with 0xFF before every block. build.rs compiles each .cu twice: plainly, and
// with EMU_CHECKED and -fsanitize=thread, whose hooks are ours (hooks.cpp) and see every access.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static

#include "emu/vectors.h"

namespace emu {
#if defined(EMU_CHECKED)
// By value and out of line: the hooks must not see the emulator's own memory. `const` because they
// never change while one function runs, on whichever fiber.
uint3 thread_index() __attribute__((const));
uint3 block_index() __attribute__((const));
dim3 block_size() __attribute__((const));
dim3 grid_size() __attribute__((const));
#else
extern const uint3* now_thread;
extern uint3 now_block;
extern dim3 now_block_size, now_grid_size;
#endif
void sync_block();
enum class Vote { Count, And, Or };
int sync_block_vote(Vote vote, int predicate);
[[noreturn]] void trap(const char* what);
} // namespace emu

// The block's dynamic shared memory: as much of it as the launch asked for.
extern "C" unsigned char emu_dynamic_shared[];

#if defined(EMU_CHECKED)
#define threadIdx (emu::thread_index())
#define blockIdx (emu::block_index())
#define blockDim (emu::block_size())
#define gridDim (emu::grid_size())
#else
#define threadIdx (*emu::now_thread)
#define blockIdx (emu::now_block)
#define blockDim (emu::now_block_size)
#define gridDim (emu::now_grid_size)
#endif
static constexpr int warpSize = 32;

inline void __syncthreads() { emu::sync_block(); }
inline int __syncthreads_count(int p) { return emu::sync_block_vote(emu::Vote::Count, p); }
inline int __syncthreads_and(int p) { return emu::sync_block_vote(emu::Vote::And, p); }
inline int __syncthreads_or(int p) { return emu::sync_block_vote(emu::Vote::Or, p); }
[[noreturn]] inline void __trap() { emu::trap("__trap() was reached"); }

#include "emu/atomics.h"
#include "emu/scalar.h"
#include "emu/warp.h"
