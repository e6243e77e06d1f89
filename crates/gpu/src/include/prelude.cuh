// What every kernel includes first: small words that CUDA C++ does not have.
//
// A kernel compiles unchanged with nvcc, with NVRTC (no header of NVIDIA's toolkit is needed) and, on a
// machine without a GPU, with g++ -std=c++20 -DCUDA_EMU, where crates/cuda-emu gives the language its
// meaning. For that last one, three rules hold in every .cu file:
//   * a kernel is spelled out: extern "C" __global__ void [__launch_bounds__(n)] name(...), and its name
//     is the only one of that spelling in the workspace;
//   * dynamic shared memory is asked for with dynamic_shared<T>(), never with `extern __shared__`;
//   * inline PTX stands in tensorcore.cuh and hopper.cuh, nowhere else.
#pragma once
#if defined(CUDA_EMU)
#include "emu/language.h"
#endif

// A bfloat16 by its bits. No header of the toolkit is needed, and a buffer of them is u16 in Rust.
typedef unsigned short bf16_bits;

__device__ __forceinline__ float bf16_to_f32(bf16_bits v) { return __uint_as_float((unsigned)v << 16); }

// To nearest, ties to even. NaN stays NaN.
__device__ __forceinline__ bf16_bits f32_to_bf16(float v) {
    const unsigned bits = __float_as_uint(v);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (bf16_bits)((bits >> 16) | 0x40u);
    return (bf16_bits)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Two of them in one register, as mma and 4-byte stores want them: the first in the low half.
__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
    return (unsigned)f32_to_bf16(low) | (unsigned)f32_to_bf16(high) << 16;
}
__device__ __forceinline__ float bf16_low(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float bf16_high(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// How many steps of b cover a. Both are positive.
template <class T> __host__ __device__ constexpr T ceil_div(T a, T b) { return (a + b - 1) / b; }

__device__ __forceinline__ float infinity_f32() { return __int_as_float(0x7f800000); }
__device__ __forceinline__ float nan_f32() { return __int_as_float(0x7fffffff); }

// For loops over n elements by a one-dimensional grid of any size:
//   for (size_t i = grid_thread(); i < n; i += grid_threads())
__device__ __forceinline__ size_t grid_thread() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ size_t grid_threads() { return (size_t)gridDim.x * blockDim.x; }

// A thread's place in its block, whatever the block's shape; 32 neighbours are a warp.
__device__ __forceinline__ unsigned block_thread() {
    return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}
__device__ __forceinline__ unsigned block_threads() { return blockDim.x * blockDim.y * blockDim.z; }

// The block's dynamic shared memory (the launch says how many bytes), aligned to 1024 bytes.
template <class T> __device__ __forceinline__ T* dynamic_shared() {
#if defined(CUDA_EMU)
    return reinterpret_cast<T*>(emu_dynamic_shared);
#else
    extern __shared__ __align__(1024) unsigned char dynamic_shared_bytes[];
    return reinterpret_cast<T*>(dynamic_shared_bytes);
#endif
}
