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
