// Sums on their way to memory, where they are f32, or bf16 for kernels that read them so.
#pragma once
#include "tensorcore.cuh"

// A sum as it is read again from there.
__device__ __forceinline__ float in_memory(float v, const float*) { return v; }
__device__ __forceinline__ float in_memory(float v, const bf16_bits*) { return bf16_low(tc::round_bf16(v, 0.f)); }

// Writes two neighbours.
__device__ __forceinline__ void put_pair(float* to, float first, float second) { *(float2*)to = make_float2(first, second); }
__device__ __forceinline__ void put_pair(bf16_bits* to, float first, float second) { *(unsigned*)to = tc::round_bf16(first, second); }
