// The checker of memory and races, fed with every access by hooks.cpp.
//
// It finds accesses outside of an allocation, reads of memory that nobody wrote, and conflicting accesses
// of two threads that nothing orders. What orders: __syncthreads and a completed mbarrier phase within a
// block, a warp operation within a warp, and between blocks a __threadfence before an atomic of the one
// and an atomic of the other on the same word.
#include "emu/shadow.h"
#include <algorithm>
#include <link.h>
#include <unordered_map>

namespace emu {
bool checking;
static Region statics, dynamic; // the running block's shared memory
static uint32_t first_serial;   // of this launch
static uintptr_t module_begin, module_end;
static uint64_t preempt_state;
static uint32_t unordered; // warp operations, counted from the last, that order nothing for this access

// ---- order between blocks: who released its writes by a fence and an atomic, and in which order
struct Released { std::unordered_map<uint32_t, size_t> place_of; };
struct Acquired { const Released* from; size_t count; };
static std::unordered_map<uintptr_t, Released> released; // by the atomic's address, in this launch
static std::vector<Acquired> acquired;                   // by the running block
static bool fenced;                                      // the running block has

void note_fence() { fenced = true; }
static void order_by_atomic(uintptr_t at) {
    if (!fenced && released.empty()) return;
    Released& r = released[at];
    acquired.push_back({&r, r.place_of.size()});
    if (fenced) r.place_of.try_emplace(block.serial, r.place_of.size());
}
static bool acquired_from(uint32_t serial) {
    return std::any_of(acquired.begin(), acquired.end(), [=](const Acquired& a) {
        auto it = a.from->place_of.find(serial);
        return it != a.from->place_of.end() && it->second < a.count;
    });
}

// ---- a launch
static void find_module() {
    dl_iterate_phdr([](dl_phdr_info* info, size_t, void*) {
        uintptr_t begin = ~0ul, end = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& part = info->dlpi_phdr[i];
            if (part.p_type != PT_LOAD) continue;
            begin = std::min(begin, (uintptr_t)(info->dlpi_addr + part.p_vaddr));
            end = std::max(end, (uintptr_t)(info->dlpi_addr + part.p_vaddr + part.p_memsz));
        }
        if ((uintptr_t)&checking < begin || (uintptr_t)&checking >= end) return 0;
        module_begin = begin;
        module_end = end;
        return 1;
    }, nullptr);
}
void check_begin_launch() {
    checking = schedule.checked;
    if (!checking) return forget_contents();
    if (!module_begin) find_module();
    first_serial = block.serial + 1;
    preempt_state = schedule.seed * 0x9E3779B97F4A7C15ull | 1;
    released.clear();
}
void check_begin_block() {
    if (!checking) return;
    unordered = 0; // a fault may have left it
    place(statics, block.shared_begin, block.shared_bytes);
    place(dynamic, emu_dynamic_shared, block.dynamic_bytes);
    fenced = false;
    acquired.clear();
}
void mark_shared_initialised(const void* at, size_t size) {
    if (!checking) return;
    for (Region* r : {&statics, &dynamic})
        if ((uintptr_t)at - r->base < r->size) set_known(*r, (uintptr_t)at - r->base, size);
}

// ---- one access of four bytes or fewer
static bool in_force(const Region& r, const Access& a) { return r.shared ? a.serial == block.serial : a.serial >= first_serial; }

static bool ordered(const Access& a, const Access& me) {
    if (a.serial != me.serial) return acquired_from(a.serial);
    if (a.thread == me.thread || a.generation != me.generation) return true;
    return a.thread / 32 == me.thread / 32 && a.operations != me.operations;
}
// All the readers that the cell remembers come before me.
static bool readers_ordered(const Access& a, const Access& me) {
    if (a.flags & BLOCKS && acquired.empty()) return false;
    if (a.serial != me.serial) return acquired_from(a.serial);
    if (a.generation != me.generation) return true;
    if (a.flags & WARPS || a.thread / 32 != me.thread / 32) return false;
    return a.operations != me.operations || (a.thread == me.thread && !(a.flags & THREADS));
}
[[noreturn]] static void race(const Region& r, uintptr_t at, const char* what, const Access& other) {
    char where[80] = "";
    if (other.serial != block.serial) snprintf(where, sizeof where, " of another block");
    fault(FaultKind::Race, (const void*)at, "%s at byte %zu of %s of %zu bytes, and nothing orders it after thread %u%s", what, at - r.base,
          r.shared ? "shared memory" : "an allocation", r.size, other.thread, where);
}
static void note_reader(const Region& r, Access& reader, const Access& me) {
    if (!in_force(r, reader)) { reader = me; return; }
    uint8_t flags = reader.flags & BLOCKS;
    uint8_t bytes = me.bytes;
    if (reader.serial != me.serial) flags = BLOCKS;
    else if (reader.generation == me.generation) {
        const bool same_warp = reader.thread / 32 == me.thread / 32;
        if (!same_warp) flags |= WARPS | (reader.flags & THREADS);
        else if (reader.flags & WARPS || reader.operations == me.operations) flags |= reader.flags;
        if (flags & WARPS || (same_warp && reader.operations == me.operations)) {
            if (reader.thread != me.thread) flags |= THREADS;
            bytes |= reader.bytes;
        }
    }
    reader = me;
    reader.flags = flags;
    reader.bytes = bytes;
}
static void touch_cell(const Region& r, Cell& c, uintptr_t at, const Access& me, bool write, bool atomic) {
    const bool both_atomic = atomic && c.write.flags & ATOMIC;
    if (in_force(r, c.write) && c.write.bytes & me.bytes && !both_atomic && !ordered(c.write, me))
        race(r, at, write ? "a write after another thread's write" : "a read after another thread's write", c.write);
    if (!write) return note_reader(r, c.read, me);
    if (in_force(r, c.read) && c.read.bytes & me.bytes && !readers_ordered(c.read, me))
        race(r, at, "a write after another thread's read", c.read);
    const bool mine = c.write.serial == me.serial && c.write.thread == me.thread && c.write.generation == me.generation;
    const uint8_t bytes = mine ? c.write.bytes | me.bytes : me.bytes;
    c.write = me;
    c.write.bytes = bytes;
    c.write.flags = atomic ? ATOMIC : 0;
}
static Access access_now() {
    return {block.serial, block.generation + block.phases, warps[running->linear / 32].operations - unordered, (uint16_t)running->linear, 0, 0};
}
// Nothing has been ordered since this thread read the same bytes: all was said then.
static bool read_again(Region& r, uintptr_t at, size_t size) {
    if (size > 4 || at % 4 + size > 4) return false;
    const Access me = access_now(), &reader = cell_of(r, at).read;
    const unsigned bytes = ((1u << size) - 1) << at % 4;
    return reader.serial == me.serial && reader.generation == me.generation && reader.operations == me.operations && reader.thread == me.thread &&
           (reader.bytes & bytes) == bytes;
}
static void touch(Region& r, uintptr_t at, size_t size, bool write, bool atomic) {
    const char* what = write ? "a write" : "a read";
    const size_t offset = at - r.base;
    if (offset > r.size || r.size - offset < size)
        fault(FaultKind::OutOfBounds, (const void*)at, "%s of %zu bytes at byte %zu of %s of %zu bytes", what, size, offset,
              r.shared ? "shared memory" : "an allocation", r.size);
    if (!write && read_again(r, at, size)) return;
    if ((!write || atomic) && !is_known(r, offset, size))
        fault(FaultKind::Uninitialised, (const void*)at, "a read of %zu bytes that nobody wrote, at byte %zu of %s of %zu bytes", size, offset,
              r.shared ? "shared memory" : "an allocation", r.size);
    if (write) set_known(r, offset, size);
    Access me = access_now();
    for (uintptr_t a = at, end = at + size; a < end; a = (a / 4 + 1) * 4) {
        const uintptr_t cell_end = std::min(end, (a / 4 + 1) * 4);
        me.bytes = (uint8_t)((0xfu << a % 4) & (0xfu >> (3 - (cell_end - 1) % 4)));
        touch_cell(r, cell_of(r, a), a, me, write, atomic);
    }
}

// ---- any access
static void check(uintptr_t at, size_t size, bool write, bool atomic) {
    if (at - statics.base < statics.size) return touch(statics, at, size, write, atomic);
    if (at - (uintptr_t)emu_dynamic_shared < 232448 + 256) return touch(dynamic, at, size, write, atomic);
    if (Region* r = region_of(at)) {
        touch(*r, at, size, write, atomic);
        if (atomic) order_by_atomic(at);
        return;
    }
    if (at - module_begin < module_end - module_begin) return; // constants and __device__ variables
    static std::string where; // outlives the fiber
    where = near_by(at);
    fault(FaultKind::OutOfBounds, (const void*)at, "%s of %zu bytes %s", write ? "a write" : "a read", size, where.c_str());
}
void check_access(const void* at, size_t size, bool write) {
    if (checking && size && !on_a_stack(at)) check((uintptr_t)at, size, write, false);
}
void check_read_before_meeting(const void* at, size_t size) {
    unordered = 1;
    check_access(at, size, false);
    unordered = 0;
}
void access(const void* at, size_t size, bool write, bool atomic) {
    if (!checking || !running || !size || on_a_stack(at)) return;
    if (schedule.preempt) {
        preempt_state ^= preempt_state << 13;
        preempt_state ^= preempt_state >> 7;
        preempt_state ^= preempt_state << 17;
        if (preempt_state % schedule.preempt == 0) wait_as(State::Ready);
    }
    check((uintptr_t)at, size, write, atomic);
}
} // namespace emu
