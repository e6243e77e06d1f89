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
Region* region_of(uintptr_t at); // a device allocation, or null
Cell& cell_of(Region& r, uintptr_t at);
void set_known(Region& r, size_t from, size_t size);
bool is_known(const Region& r, size_t from, size_t size);
void place(Region& r, const void* base, size_t size); // shared memory of a block: nothing is known
} // namespace emu
