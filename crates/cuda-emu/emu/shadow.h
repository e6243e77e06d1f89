// The checker's books: what is known of each byte and each four bytes of memory.
#pragma once
#include "emu/check.h"

namespace emu {
struct Access {
    uint32_t serial; // of the block; 0: none
    uint32_t generation, operations;
    uint16_t thread;
    uint8_t bytes; // which of the cell's four
    uint8_t flags;
};
enum : uint8_t { ATOMIC = 1, THREADS = 2, WARPS = 4, BLOCKS = 8 }; // of reads: several of them since the last order
struct Cell { Access write, read; }; // of four bytes
struct Region {
    uintptr_t base = 0;
    size_t size = 0;
    Cell* cells = nullptr;          // made when first checked, zero
    unsigned char* known = nullptr; // a bit a byte: somebody wrote it
    bool all_known = false, shared = false;
};
Region* find_region(uintptr_t at);
void make_cells(Region& r);
void set_known(Region& r, size_t from, size_t size);
bool are_known(const Region& r, size_t from, size_t size);

// What every access asks stands here, so that it is inlined.
extern Region* last_region;
inline Region* region_of(uintptr_t at) { // a device allocation, or null
    return last_region && at - last_region->base < last_region->size ? last_region : find_region(at);
}
inline Cell& cell_of(Region& r, uintptr_t at) {
    if (__builtin_expect(!r.cells, 0)) make_cells(r);
    return r.cells[at / 4 - r.base / 4];
}
inline bool is_known(const Region& r, size_t from, size_t size) {
    if (r.all_known) return true;
    if (size == 4 && from % 4 == 0) return r.known && (r.known[from / 8] >> from % 8 & 15) == 15;
    return are_known(r, from, size);
}
void place(Region& r, const void* base, size_t size); // shared memory of a block: nothing is known
} // namespace emu
