// Neighbouring numbers that go through memory together: four channels where a launcher found them aligned, else one.
#pragma once
#include "prelude.cuh"

template <class T, int V> struct alignas(sizeof(T) * V) Lanes { T at[V]; };

// `from` and `to` are aligned to V numbers.
template <int V, class T> __device__ __forceinline__ Lanes<T, V> load(const T* from) {
    return *reinterpret_cast<const Lanes<T, V>*>(from);
}
template <class T, int V> __device__ __forceinline__ void store(T* to, const Lanes<T, V>& lanes) {
    *reinterpret_cast<Lanes<T, V>*>(to) = lanes;
}

// As f32, whatever it is in memory.
__device__ __forceinline__ float as_f32(float v) { return v; }
__device__ __forceinline__ float as_f32(bf16_bits v) { return bf16_to_f32(v); }
template <int V> __device__ __forceinline__ Lanes<float, V> load_f32(const float* from) { return load<V>(from); }
template <int V> __device__ __forceinline__ Lanes<float, V> load_f32(const bf16_bits* from) {
    const Lanes<bf16_bits, V> bits = load<V>(from);
    Lanes<float, V> lanes;
#pragma unroll
    for (int l = 0; l < V; ++l) lanes.at[l] = bf16_to_f32(bits.at[l]);
    return lanes;
}
// Rounded to bf16.
template <int V> __device__ __forceinline__ void store(bf16_bits* to, const Lanes<float, V>& lanes) {
    Lanes<bf16_bits, V> bits;
#pragma unroll
    for (int l = 0; l < V; ++l) bits.at[l] = f32_to_bf16(lanes.at[l]);
    store(to, bits);
}

// The same number in all of them.
template <int V, class T> __device__ __forceinline__ Lanes<T, V> spread(T v) {
    Lanes<T, V> all;
#pragma unroll
    for (int l = 0; l < V; ++l) all.at[l] = v;
    return all;
}

// The remainder of `at` by an extent, and `at` becomes the quotient: takes an index apart from its last extent on.
__device__ __forceinline__ int take_extent(size_t& at, int extent) {
    const int rest = (int)(at % (unsigned)extent);
    at /= (unsigned)extent;
    return rest;
}
