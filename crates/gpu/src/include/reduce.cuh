// Sums, maxima and moments over a warp or a block, the same bits every time and in every lane.
//
// The tree is fixed by lane and warp, never by who comes first. `block_*` must be reached by every thread
// of the block, whose size is a multiple of 32; every thread gets the result. T is float, double or an
// integer. They may follow each other directly: the first barrier inside keeps two calls apart.
#pragma once
#include "prelude.cuh"

// Addition and maximum commute exactly, so that in a butterfly both partners compute the same bits.
template <class T> __device__ __forceinline__ T warp_sum(T v) {
#pragma unroll
    for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ double larger(double a, double b) { return fmax(a, b); }
__device__ __forceinline__ int larger(int a, int b) { return a > b ? a : b; }
__device__ __forceinline__ unsigned larger(unsigned a, unsigned b) { return a > b ? a : b; }

// As fmaxf does, NaN gives way to a number.
template <class T> __device__ __forceinline__ T warp_max(T v) {
#pragma unroll
    for (int o = 16; o > 0; o >>= 1) v = larger(v, __shfl_xor_sync(0xffffffffu, v, o));
    return v;
}

template <class T> __device__ T block_sum(T v) {
    __shared__ T slots[32];
    const unsigned lane = block_thread() & 31, warp = block_thread() >> 5, warps = block_threads() >> 5;
    v = warp_sum(v);
    __syncthreads(); // the slots of an earlier call have been read
    if (lane == 0) slots[warp] = v;
    __syncthreads();
    // Every warp folds the same slots in the same order: nothing to broadcast.
    return warp_sum(lane < warps ? slots[lane] : T(0));
}

template <class T> __device__ T block_max(T v) {
    __shared__ T slots[32];
    const unsigned lane = block_thread() & 31, warp = block_thread() >> 5, warps = block_threads() >> 5;
    v = warp_max(v);
    __syncthreads();
    if (lane == 0) slots[warp] = v;
    __syncthreads();
    return warp_max(slots[lane < warps ? lane : 0]);
}

// Count, mean and sum of squared distances from the mean of some values (Welford, 1962).
template <class T> struct Moments {
    T count, mean, m2;

    __device__ static Moments none() { return {T(0), T(0), T(0)}; }

    __device__ void add(T v) {
        count += T(1);
        const T delta = v - mean;
        mean += delta / count;
        m2 += delta * (v - mean);
    }

    // Over `count`, as batch normalization has it. 0 of nothing.
    __device__ T variance() const { return count > T(0) ? m2 / count : T(0); }
};

// Of a's values followed by b's (Chan, Golub, LeVeque, 1979). Not symmetric in its last bits.
template <class T> __device__ Moments<T> merge(const Moments<T>& a, const Moments<T>& b) {
    if (a.count == T(0)) return b;
    if (b.count == T(0)) return a;
    const T count = a.count + b.count, delta = b.mean - a.mean, share = b.count / count;
    return {count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * a.count * share};
}

// The lower lane's moments come first, so that both partners merge in the same order.
template <class T> __device__ Moments<T> warp_merge(Moments<T> v) {
    const unsigned lane = block_thread() & 31;
#pragma unroll
    for (int o = 16; o > 0; o >>= 1) {
        const Moments<T> other{__shfl_xor_sync(0xffffffffu, v.count, o), __shfl_xor_sync(0xffffffffu, v.mean, o),
                               __shfl_xor_sync(0xffffffffu, v.m2, o)};
        v = lane & o ? merge(other, v) : merge(v, other);
    }
    return v;
}

template <class T> __device__ Moments<T> block_merge(Moments<T> v) {
    __shared__ T slots[3][32];
    const unsigned lane = block_thread() & 31, warp = block_thread() >> 5, warps = block_threads() >> 5;
    v = warp_merge(v);
    __syncthreads();
    if (lane == 0) { slots[0][warp] = v.count; slots[1][warp] = v.mean; slots[2][warp] = v.m2; }
    __syncthreads();
    return warp_merge(lane < warps ? Moments<T>{slots[0][lane], slots[1][lane], slots[2][lane]} : Moments<T>::none());
}
