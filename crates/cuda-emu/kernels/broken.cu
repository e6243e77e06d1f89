// Kernels that are wrong, each in one way: tests/faults.rs expects every one to be found.
#include "prelude.cuh"
#include "hopper.cuh"

// ---- out of bounds
extern "C" __global__ void emu_broken_write_past_end(float* x, int n) {
    if (blockIdx.x == 1 && threadIdx.x == 3) x[n] = 1.f;
}
extern "C" __global__ void emu_broken_read_past_end(const float* x, float* y, int n) {
    if (threadIdx.x == 5) y[0] = x[n + 4096];
}
extern "C" __global__ void emu_broken_past_dynamic(float* y, int n) {
    float* shared = dynamic_shared<float>();
    shared[threadIdx.x] = 1.f;
    if (threadIdx.x == 2) shared[n] = 2.f;
    y[threadIdx.x] = shared[threadIdx.x];
}
static __device__ int deeper(volatile int* depth, int n) {
    volatile int room[64];
    room[n & 63] = *depth;
    return n == 0 ? 0 : deeper(depth, n - 1) + room[n & 63];
}
extern "C" __global__ void emu_broken_stack(int* x, int n) { x[0] = deeper(x, n); }

extern "C" __global__ void emu_broken_index(float* y, int n) {
    __shared__ float first[64], second[64];
    first[threadIdx.x] = second[threadIdx.x] = 1.f;
    if (threadIdx.x == 9) first[n] = 2.f;
    y[threadIdx.x] = first[threadIdx.x] + second[threadIdx.x];
}

// ---- races
extern "C" __global__ void emu_broken_no_barrier(float* y) {
    __shared__ float turned[64];
    turned[63 - threadIdx.x] = (float)threadIdx.x;
    y[threadIdx.x] = turned[threadIdx.x]; // __syncthreads() is missing before this line
}
extern "C" __global__ void emu_broken_overwritten_early(float* y) {
    __shared__ float turned[64];
    for (int i = 0; i < 2; ++i) {
        turned[threadIdx.x] = (float)i;
        __syncthreads();
        y[threadIdx.x] += turned[63 - threadIdx.x]; // and after this line
    }
}
extern "C" __global__ void emu_broken_no_atomic(float* y) {
    if (threadIdx.x == 0) y[0] += 1.f; // by every block
}
extern "C" __global__ void emu_broken_no_fence(float* parts, unsigned* finished, float* out) {
    parts[blockIdx.x] = 1.f; // one thread a block
    if (atomicAdd(finished, 1u) != gridDim.x - 1) return;
    float sum = 0.f;
    for (unsigned i = 0; i < gridDim.x; ++i) sum += parts[i];
    out[0] = sum;
}
extern "C" __global__ void emu_broken_no_sync_warp(float* y) {
    __shared__ float turned[32];
    turned[31 - threadIdx.x] = (float)threadIdx.x;
    y[threadIdx.x] = turned[threadIdx.x]; // __syncwarp() is missing before this line
}

// ---- reads of what nobody wrote
extern "C" __global__ void emu_broken_unwritten_global(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
extern "C" __global__ void emu_broken_unwritten_shared(float* y) {
    __shared__ float some[64];
    if (threadIdx.x < 63) some[threadIdx.x] = 1.f;
    __syncthreads();
    y[threadIdx.x] = some[threadIdx.x];
}
extern "C" __global__ void emu_broken_no_wait(const float* x, float* y) {
    __shared__ __align__(16) float some[128];
    tc::cp_async16(some + 4 * threadIdx.x, x + 4 * threadIdx.x);
    tc::cp_async_commit();
    __syncthreads(); // cp_async_wait<0>() is missing before this line
    y[threadIdx.x] = some[threadIdx.x];
}

// ---- threads that wait for ever, or where they should not be
extern "C" __global__ void emu_broken_deadlock(float* y) {
    float v = y[threadIdx.x];
    if (threadIdx.x < 16) __syncthreads();
    else v = __shfl_xor_sync(0xffffffffu, v, 1);
    y[threadIdx.x] = v;
}
extern "C" __global__ void emu_broken_phase(float* y) {
    __shared__ tc::Barrier never;
    if (threadIdx.x == 0) tc::barrier_init(&never, 2);
    __syncthreads();
    if (threadIdx.x == 0) tc::barrier_arrive(&never); // the second arrival is missing
    tc::barrier_wait(&never, 0);
    y[threadIdx.x] = 1.f;
}
extern "C" __global__ void emu_broken_two_operations(float* y) {
    if (threadIdx.x & 1) __syncwarp();
    else y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, y[threadIdx.x], 2);
}
extern "C" __global__ void emu_broken_mask(float* y) { y[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, y[threadIdx.x], 1); }
extern "C" __global__ void emu_broken_half_a_warp(float* y) {
    if (threadIdx.x >= 16) return;
    unsigned a[4] = {}, b[2] = {};
    float d[4] = {};
    tc::mma_m16n8k16_bf16(d, a, b);
    y[threadIdx.x] = d[0];
}

// ---- misaligned, traps, arguments that cannot be
extern "C" __global__ void emu_broken_misaligned(float* y) { *reinterpret_cast<float4*>(y + 1) = make_float4(1.f, 2.f, 3.f, 4.f); }
extern "C" __global__ void emu_broken_misaligned_copy(const float* x, float* y) {
    __shared__ __align__(16) float some[4];
    tc::cp_async16(some, x + 1);
    tc::cp_async_commit();
    tc::cp_async_wait<0>();
    y[0] = some[0];
}
extern "C" __global__ void emu_broken_trap(float* y) {
    if (y[0] == 0.f) __trap();
}
extern "C" __global__ void emu_broken_division(int* y) { y[0] = y[2] / y[1]; }
extern "C" __global__ void emu_broken_shift(int* y) { y[0] = 1 << (y[1] + 32); } // the GPU gives 0, others give 1
extern "C" __global__ void emu_broken_copy_size(const float* x, float* y) {
    __shared__ __align__(16) float some[4];
    tc::cp_async16(some, x, 32);
    y[0] = 1.f;
}
extern "C" __global__ void __launch_bounds__(64) emu_broken_bounds(float* y) { y[threadIdx.x] = 1.f; }
