// What the functions of hopper.cuh do on the host; hopper.cpp has their meaning.
#pragma once
#include "emu/tensorcore.h"

namespace emu {
// An mbarrier in shared memory: arrivals and bytes that this phase still waits for.
struct Barrier {
    uint16_t arrivals, pending;
    int32_t bytes : 31;
    uint32_t phase : 1;
};
static_assert(sizeof(Barrier) == 8);

// What the emulated cuTensorMapEncodeTiled writes into the 128 opaque bytes.
struct TensorMap {
    static constexpr unsigned MOST = 4; // dimensions, the innermost first
    const void* base;
    uint64_t size[MOST], pitch[MOST]; // pitch: bytes from one to the next
    uint32_t box[MOST], rank, element, swizzle;
};
static_assert(sizeof(TensorMap) <= 128);

void barrier_init(Barrier* b, unsigned arrivals);
void barrier_arrive(Barrier* b, unsigned bytes);
void barrier_wait(Barrier* b, unsigned phase);
void tma_load(void* shared, const void* map, Barrier* b, unsigned rank, const int (&at)[TensorMap::MOST]);
void wgmma_bf16(float* d, unsigned columns, unsigned long long a, unsigned long long b, bool turned_a, bool turned_b);
void wgmma_commit();
void wgmma_wait(int left);
} // namespace emu

namespace tc {
typedef emu::Barrier Barrier;
inline void barrier_init(Barrier* b, unsigned arrivals) { emu::barrier_init(b, arrivals); }
inline void barrier_arrive(Barrier* b) { emu::barrier_arrive(b, 0); }
inline void barrier_expect(Barrier* b, unsigned bytes) { emu::barrier_arrive(b, bytes); }
inline void barrier_wait(Barrier* b, unsigned phase) { emu::barrier_wait(b, phase); }
inline void tma_load_2d(void* shared, const void* map, Barrier* b, int x, int y) { emu::tma_load(shared, map, b, 2, {x, y, 0, 0}); }
inline void tma_load_4d(void* shared, const void* map, Barrier* b, int x, int y, int z, int w) { emu::tma_load(shared, map, b, 4, {x, y, z, w}); }
inline void fence_async_shared() {}
inline void wgmma_fence() {}
inline void wgmma_commit() { emu::wgmma_commit(); }
template <int N> inline void wgmma_wait() { emu::wgmma_wait(N); }
template <int TURNED_A = 0, int TURNED_B = 0>
inline void wgmma_m64n64k16_bf16(float (&d)[32], unsigned long long a, unsigned long long b) { emu::wgmma_bf16(d, 64, a, b, TURNED_A, TURNED_B); }
template <int TURNED_A = 0, int TURNED_B = 0>
inline void wgmma_m64n128k16_bf16(float (&d)[64], unsigned long long a, unsigned long long b) { emu::wgmma_bf16(d, 128, a, b, TURNED_A, TURNED_B); }
} // namespace tc
