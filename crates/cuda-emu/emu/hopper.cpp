// mbarrier, TMA and wgmma, from the PTX ISA manual: what sm_90a alone has.
//
// The race checker does not see these accesses; their hazards show as wrong numbers under the schedules.
#include "emu/runtime.h"

namespace emu {
// ---- the 32-bit address of shared memory: dynamic first, then the file's __shared__ variables
static unsigned static_offset() { return (unsigned)((block.dynamic_bytes + 1023) / 1024 * 1024); }

unsigned shared_address(const void* p) {
    const size_t dynamic = (size_t)((const unsigned char*)p - emu_dynamic_shared);
    if (dynamic < block.dynamic_bytes) return (unsigned)dynamic;
    const size_t at = (size_t)((const unsigned char*)p - block.shared_begin);
    if (at >= block.shared_bytes) fault(FaultKind::OutOfBounds, p, "an address that is not in the block's shared memory");
    return static_offset() + (unsigned)((uintptr_t)block.shared_begin % 1024 + at);
}
static unsigned char* shared_at(unsigned address) {
    if (address < block.dynamic_bytes) return emu_dynamic_shared + address;
    const size_t at = address - static_offset() - (uintptr_t)block.shared_begin % 1024;
    if (address < static_offset() || at >= block.shared_bytes)
        fault(FaultKind::OutOfBounds, nullptr, "the shared address +%u is outside of the block's shared memory", address);
    return block.shared_begin + at;
}
static unsigned swizzled(unsigned address) { return address ^ (address >> 7 & 7) << 4; } // of 128 bytes

// ---- mbarrier
static void complete_phase(Barrier& b) {
    if (b.pending || b.bytes) return;
    b.phase ^= 1;
    b.pending = b.arrivals;
    ++block.phases; // whoever waited is ordered after whoever arrived
}
void barrier_init(Barrier* b, unsigned arrivals) {
    if ((uintptr_t)b % 8) fault(FaultKind::Misaligned, b, "an mbarrier that is not aligned to 8 bytes");
    *b = Barrier{(uint16_t)arrivals, (uint16_t)arrivals, 0, 0};
    mark_shared_initialised(b, sizeof *b);
}
void barrier_arrive(Barrier* b, unsigned bytes) {
    if (b->pending == 0) fault(FaultKind::BadCall, b, "an mbarrier has more arrivals in one phase than it was made for (%u)", b->arrivals);
    b->bytes += (int)bytes;
    --b->pending;
    complete_phase(*b);
}
void barrier_wait(Barrier* b, unsigned phase) {
    land_transfers(b);
    if (b->phase != phase) return;
    running->barrier = b;
    running->phase = phase;
    wait_as(State::AtPhase);
}

// ---- TMA
struct Transfer {
    TensorMap map;
    unsigned to;
    Barrier* barrier;
    int x, y;
};
static std::vector<Transfer> transfers;

static void land(const Transfer& t) {
    const unsigned row_bytes = t.map.box[0] * t.map.element;
    for (unsigned r = 0; r < t.map.box[1]; ++r)
        for (unsigned i = 0; i < t.map.box[0]; ++i) {
            const unsigned plain = t.to + r * row_bytes + i * t.map.element;
            unsigned char* to = shared_at(t.map.swizzle == 128 ? swizzled(plain) : plain);
            const int64_t x = t.x + (int64_t)i, y = t.y + (int64_t)r;
            const bool inside = x >= 0 && y >= 0 && x < (int64_t)t.map.size[0] && y < (int64_t)t.map.size[1];
            if (inside) memcpy(to, (const unsigned char*)t.map.base + (uint64_t)y * t.map.row_bytes + (uint64_t)x * t.map.element, t.map.element);
            else memset(to, 0, t.map.element);
            mark_shared_initialised(to, t.map.element);
        }
    t.barrier->bytes -= (int)(row_bytes * t.map.box[1]);
    if (t.barrier->bytes < 0) fault(FaultKind::BadCall, t.barrier, "TMA brings %d bytes more than its mbarrier expects", -t.barrier->bytes);
    complete_phase(*t.barrier);
}
void land_transfers(const Barrier* barrier) {
    for (size_t i = 0; i < transfers.size();) {
        if (transfers[i].barrier != barrier) { ++i; continue; }
        const Transfer t = transfers[i];
        transfers.erase(transfers.begin() + (ptrdiff_t)i);
        land(t);
    }
}
void forget_transfers() { transfers.clear(); }
void tma_load_2d(void* shared, const void* map, Barrier* b, int x, int y) {
    Transfer t{{}, shared_address(shared), b, x, y};
    memcpy(&t.map, map, sizeof t.map);
    if (t.to % (t.map.swizzle == 128 ? 1024 : 128)) fault(FaultKind::Misaligned, shared, "a TMA destination that is not aligned for its swizzle");
    if (t.map.swizzle == 128 && t.map.box[0] * t.map.element != 128)
        fault(FaultKind::BadCall, map, "TMA's 128-byte swizzle with rows of %u bytes", t.map.box[0] * t.map.element);
    transfers.push_back(t);
    if (!schedule.lazy_copies) land_transfers(b);
}

// ---- wgmma, each thread its own part of the product
// Row `row` of an operand by its descriptor, as 16 floats.
static void operand_row(unsigned long long descriptor, unsigned row, float (&values)[16]) {
    if (descriptor >> 62 != 1) fault(FaultKind::BadCall, nullptr, "wgmma is emulated with the 128-byte swizzle only");
    const unsigned start = (unsigned)(descriptor & 0x3FFF) << 4, stride = (unsigned)(descriptor >> 32 & 0x3FFF) << 4;
    const unsigned at = start + row / 8 * stride + row % 8 * 128;
    for (unsigned half = 0; half < 2; ++half) {
        const unsigned char* chunk = shared_at(swizzled(at + 16 * half)); // 16 bytes stay together
        for (unsigned k = 0; k < 8; ++k) {
            uint16_t bits;
            memcpy(&bits, chunk + 2 * k, 2);
            values[8 * half + k] = __uint_as_float((unsigned)bits << 16);
        }
    }
}
void multiply(const Product& p) {
    const unsigned thread = running->linear % 128, g = thread % 32 / 4, t = thread % 4;
    float a[2][16], b[16];
    for (unsigned i = 0; i < 2; ++i) operand_row(p.a, thread / 32 * 16 + g + 8 * i, a[i]);
    for (unsigned j = 0; j < 16; ++j) {
        const unsigned column = j / 2 * 8 + 2 * t + j % 2;
        operand_row(p.b, column, b);
        for (unsigned i = 0; i < 2; ++i) {
            float sum = p.d[j / 2 * 4 + 2 * i + j % 2];
            for (unsigned k = 0; k < 16; ++k) sum += a[i][k] * b[k];
            p.d[j / 2 * 4 + 2 * i + j % 2] = sum;
        }
    }
}
void wgmma_bf16_n64(float* d, unsigned long long a, unsigned long long b) {
    const Product product{d, a, b};
    if (schedule.lazy_copies) start_product(product);
    else multiply(product);
}
} // namespace emu
