// What the convolutions for Hopper have in common: a ring of stages in shared memory, between a thread that
// asks TMA for boxes and warpgroups that multiply them.
//
// Barriers say which stages are full (all bytes are there) and which are empty (all consumers are through).
#pragma once
#include "hopper.cuh"

// Stages of so many bf16 of A and of B each, and behind them their barriers.
template <int A_, int B_, int STAGES_> struct Ring {
    static constexpr int A = A_, B = B_, STAGES = STAGES_, STAGE = A + B;
    static constexpr unsigned BYTES = STAGE * sizeof(bf16_bits);

    bf16_bits* boxes;
    tc::Barrier* barriers;
    int stage;
    unsigned phase; // of the stage's barriers: how often the ring was gone round, by twos

    __device__ Ring() : boxes(dynamic_shared<bf16_bits>()), stage(0), phase(0) { barriers = (tc::Barrier*)(boxes + STAGES * STAGE); }
    __device__ tc::Barrier* full() const { return barriers + stage; }
    __device__ tc::Barrier* empty() const { return barriers + STAGES + stage; }
    __device__ bf16_bits* a() const { return boxes + stage * STAGE; }
    __device__ bf16_bits* b() const { return boxes + stage * STAGE + A; }
    __device__ void next() {
        if (++stage == STAGES) stage = 0, phase ^= 1;
    }
    // By one thread, before the others go near it. So many warps consume.
    __device__ void open(int warps) const {
        if (tc::shared_address(boxes) % 1024) __trap(); // the swizzle would be another
        for (int i = 0; i < STAGES; ++i) {
            tc::barrier_init(barriers + i, 1);
            tc::barrier_init(barriers + STAGES + i, warps);
        }
        tc::fence_async_shared();
    }
    // Before boxes of so many bytes are asked for.
    __device__ void claim(unsigned bytes) const {
        tc::barrier_wait(empty(), phase ^ 1); // the first time round nobody has to be awaited
        tc::barrier_expect(full(), bytes);
    }
};

// Adds up the products of all steps: a warpgroup, of each stage what `multiply` makes of it.
template <class R, int SUMS, class Multiply>
__device__ __forceinline__ void consume(R ring, int steps, float (&sums)[SUMS], const Multiply& multiply) {
    tc::Barrier* read = nullptr; // of the stage whose products may still be under way
    tc::wgmma_hold(sums);
    for (int step = 0; step < steps; ++step) {
        tc::barrier_wait(ring.full(), ring.phase);
        tc::wgmma_fence();
        multiply(ring, sums);
        tc::wgmma_commit();
        tc::wgmma_wait<1>(); // all products but this step's are done
        __syncwarp();
        if (read && threadIdx.x % 32 == 0) tc::barrier_arrive(read);
        read = ring.empty();
        ring.next();
    }
    tc::wgmma_wait<0>();
    tc::wgmma_hold(sums);
}
