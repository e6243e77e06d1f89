// The checker's books: which bytes somebody has written, and who touched each four bytes last.
#include "emu/shadow.h"
#include <algorithm>
#include <map>
#include <sys/mman.h>

namespace emu {
static std::map<uintptr_t, Region> regions; // device allocations
Region* last_region;                        // the next access is often near

template <class T> static T* zeroed(size_t n) {
    void* p = mmap(nullptr, n * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) { fputs("gradus-cuda-emu: no memory for the checker's books\n", stderr); abort(); }
    return (T*)p;
}
static size_t cells_of(size_t size) { return size / 4 + 2; } // neither end need be aligned to a cell
static void release(Region& r) {
    if (r.cells) munmap(r.cells, cells_of(r.size) * sizeof(Cell));
    if (r.known) munmap(r.known, r.size / 8 + 1);
}
void make_cells(Region& r) { r.cells = zeroed<Cell>(cells_of(r.size)); }
Region* find_region(uintptr_t at) {
    auto it = regions.upper_bound(at);
    if (it == regions.begin()) return nullptr;
    Region& r = (--it)->second;
    return at - r.base < r.size ? last_region = &r : nullptr;
}
std::string near_by(uintptr_t at) {
    auto after = regions.upper_bound(at);
    if (after != regions.begin()) {
        const Region& r = std::prev(after)->second;
        const size_t past = at - r.base - r.size;
        if (past < 1 << 30) return std::to_string(past) + " bytes past the end of an allocation of " + std::to_string(r.size) + " bytes";
    }
    if (after != regions.end() && after->second.base - at < 1 << 30)
        return std::to_string(after->second.base - at) + " bytes before an allocation of " + std::to_string(after->second.size) + " bytes";
    return "outside of every allocation";
}
void set_known(Region& r, size_t from, size_t size) {
    if (r.all_known) return;
    if (from == 0 && size >= r.size) { r.all_known = true; return; }
    if (!r.known) r.known = zeroed<unsigned char>(r.size / 8 + 1);
    if (size == 4 && from % 4 == 0) { r.known[from / 8] |= (unsigned char)(15u << from % 8); return; }
    const size_t end = std::min(from + size, r.size);
    size_t i = from;
    for (; i < end && i % 8; ++i) r.known[i / 8] |= (unsigned char)(1u << i % 8);
    if (end - i >= 8) {
        memset(r.known + i / 8, 0xff, (end - i) / 8);
        i = end / 8 * 8;
    }
    for (; i < end; ++i) r.known[i / 8] |= (unsigned char)(1u << i % 8);
}
bool are_known(const Region& r, size_t from, size_t size) {
    if (!r.known) return false;
    for (size_t i = from; i < from + size; ++i)
        if (!(r.known[i / 8] >> i % 8 & 1)) return false;
    return true;
}
void place(Region& r, const void* base, size_t size) {
    if (r.base != (uintptr_t)base || r.size != size) {
        release(r);
        r = Region();
        r.base = (uintptr_t)base;
        r.size = size;
    }
    r.shared = true;
    r.all_known = false;
    if (r.known) memset(r.known, 0, r.size / 8 + 1);
}

// ---- what the driver tells
void track(uintptr_t base, size_t size) {
    Region r;
    r.base = base;
    r.size = size;
    regions[base] = r;
    last_region = nullptr;
}
void untrack(uintptr_t base) {
    auto it = regions.find(base);
    if (it == regions.end()) return;
    release(it->second);
    regions.erase(it);
    last_region = nullptr;
}
void mark_initialised(uintptr_t at, size_t size) {
    if (Region* r = region_of(at)) set_known(*r, at - r->base, size);
}
void copy_known(uintptr_t to, uintptr_t from, size_t size) {
    Region* t = region_of(to);
    Region* f = region_of(from);
    if (!t || !f) return;
    if (f->all_known) return set_known(*t, to - t->base, size);
    for (size_t i = 0; i < size; ++i)
        if (is_known(*f, from - f->base + i, 1)) set_known(*t, to - t->base + i, 1);
}
void forget_contents() {
    for (auto& [base, r] : regions) r.all_known = true;
}
} // namespace emu
