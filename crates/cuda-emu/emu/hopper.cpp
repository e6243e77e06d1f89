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
    int at[TensorMap::MOST];
};
static std::vector<Transfer> transfers;
static uint64_t asked; // transfers of this block

static void land(const Transfer& t) {
    const TensorMap& m = t.map;
    const unsigned row_bytes = m.box[0] * m.element, rows = m.box[1] * m.box[2] * m.box[3];
    for (unsigned r = 0; r < rows; ++r) {
        const unsigned along[] = {0, r % m.box[1], r / m.box[1] % m.box[2], r / m.box[1] / m.box[2]};
        const unsigned char* from = (const unsigned char*)m.base;
        bool row_inside = true;
        for (unsigned d = 1; d < TensorMap::MOST; ++d) {
            const int64_t i = t.at[d] + (int64_t)along[d];
            row_inside &= i >= 0 && i < (int64_t)m.size[d];
            from += i * (int64_t)m.pitch[d];
        }
        for (unsigned i = 0; i < m.box[0]; ++i) {
            const unsigned plain = t.to + r * row_bytes + i * m.element;
            unsigned char* to = shared_at(m.swizzle == 128 ? swizzled(plain) : plain);
            const int64_t x = t.at[0] + (int64_t)i;
            if (row_inside && x >= 0 && x < (int64_t)m.size[0]) memcpy(to, from + x * m.element, m.element);
            else memset(to, 0, m.element);
            mark_shared_initialised(to, m.element);
        }
    }
    t.barrier->bytes -= (int)(row_bytes * rows);
    if (t.barrier->bytes < 0) fault(FaultKind::BadCall, t.barrier, "TMA brings %d bytes more than its mbarrier expects", -t.barrier->bytes);
    complete_phase(*t.barrier);
}
// Whether a transfer lands before anybody waits for it. Where threads are shuffled some do, so that a
// buffer that products still read is overwritten though these come as late as they may.
static bool lands_at_once() {
    if (!schedule.lazy_copies) return true;
    return schedule.order == Order::Shuffled && ((++asked + schedule.seed) * 0x9E3779B97F4A7C15ull >> 40 & 1);
}
void land_transfers(const Barrier* barrier) {
    for (size_t i = 0; i < transfers.size();) {
        if (transfers[i].barrier != barrier) { ++i; continue; }
        const Transfer t = transfers[i];
        transfers.erase(transfers.begin() + (ptrdiff_t)i);
        land(t);
    }
}
void forget_transfers() {
    transfers.clear();
    asked = 0;
}
void tma_load(void* shared, const void* map, Barrier* b, unsigned rank, const int (&at)[TensorMap::MOST]) {
    Transfer t{{}, shared_address(shared), b, {at[0], at[1], at[2], at[3]}};
    memcpy(&t.map, map, sizeof t.map);
    if (t.map.rank != rank) fault(FaultKind::BadCall, map, "TMA of %u dimensions by a tensor map of %u", rank, t.map.rank);
    if (t.to % (t.map.swizzle == 128 ? 1024 : 128)) fault(FaultKind::Misaligned, shared, "a TMA destination that is not aligned for its swizzle");
    if (t.map.swizzle == 128 && t.map.box[0] * t.map.element != 128)
        fault(FaultKind::BadCall, map, "TMA's 128-byte swizzle with rows of %u bytes", t.map.box[0] * t.map.element);
    if (lands_at_once()) return land(t);
    transfers.push_back(t);
}

// ---- wgmma, each thread its own part of the product
// Row `row` of A or of B by its descriptor, as 16 floats, for each k one. Rows in shared memory have 128 bytes
// and lie along K; or, turned, along M or N, and then there is one for each k.
static void operand_row(unsigned long long descriptor, bool turned, unsigned row, float (&values)[16]) {
    if (descriptor >> 62 != 1) fault(FaultKind::BadCall, nullptr, "wgmma is emulated with the 128-byte swizzle only");
    const auto field = [descriptor](unsigned first) { return (unsigned)(descriptor >> first & 0x3FFF) << 4; };
    const unsigned start = field(0), leading = field(16), stride = field(32);
    const unsigned at = turned ? start + row / 64 * leading + row % 64 * 2 : start + row / 8 * stride + row % 8 * 128;
    for (unsigned k = 0; k < 16; ++k) {
        uint16_t bits;
        memcpy(&bits, shared_at(swizzled(at + (turned ? k / 8 * stride + k % 8 * 128 : 2 * k))), 2);
        values[k] = __uint_as_float((unsigned)bits << 16);
    }
}
void multiply(const Product& p) {
    const unsigned thread = running->linear % 128, g = thread % 32 / 4, t = thread % 4;
    float a[2][16], b[16];
    for (unsigned i = 0; i < 2; ++i) operand_row(p.a, p.turned_a, thread / 32 * 16 + g + 8 * i, a[i]);
    for (unsigned j = 0; j < p.columns / 4; ++j) {
        const unsigned column = j / 2 * 8 + 2 * t + j % 2;
        operand_row(p.b, p.turned_b, column, b);
        for (unsigned i = 0; i < 2; ++i) {
            float sum = p.d[j / 2 * 4 + 2 * i + j % 2];
            for (unsigned k = 0; k < 16; ++k) sum += a[i][k] * b[k];
            p.d[j / 2 * 4 + 2 * i + j % 2] = sum;
        }
    }
}
void wgmma_bf16(float* d, unsigned columns, unsigned long long a, unsigned long long b, bool turned_a, bool turned_b) {
    const Product product{d, columns, a, b, turned_a, turned_b};
    if (schedule.lazy_copies) start_product(product);
    else multiply(product);
}
} // namespace emu
