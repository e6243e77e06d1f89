// ldmatrix, mma.sync and cp.async, from the fragment tables of the PTX ISA manual (sections ldmatrix,
// mma.m16n8k16, mma.m16n8k8, cp.async). A product is computed once, by the lane that comes last.
#include "emu/runtime.h"

namespace emu {
// ---- asynchronous copies
static bool any_async;

static void land(const Copy& c) {
    check_access(c.from, c.read, false);
    check_access(c.to, c.size, true);
    memcpy(c.to, c.from, c.read);
    memset((unsigned char*)c.to + c.read, 0, c.size - c.read);
}
void copy_async(void* shared, const void* global, unsigned size, unsigned read) {
    shared_address(shared); // a fault where it is none
    if (read > size) fault(FaultKind::BadCall, global, "cp.async reads %u bytes of %u", read, size);
    if ((uintptr_t)shared % size) fault(FaultKind::Misaligned, shared, "cp.async writes %u bytes to a misaligned address", size);
    if (read && (uintptr_t)global % size) fault(FaultKind::Misaligned, global, "cp.async reads %u bytes from a misaligned address", size);
    const Copy copy{shared, global, size, read};
    if (!schedule.lazy_copies) return land(copy);
    any_async = true;
    running->copies.items.push_back(copy);
}
void copy_async_commit() {
    any_async = true;
    running->copies.ends.push_back(running->copies.items.size());
}
template <class T, class Do> static void finish_groups(Groups<T>& groups, int left, Do carry_out) {
    if ((int)groups.ends.size() <= left) return;
    const size_t closed = groups.ends.size() - (size_t)left, end = groups.ends[closed - 1];
    for (size_t i = 0; i < end; ++i) carry_out(groups.items[i]);
    groups.items.erase(groups.items.begin(), groups.items.begin() + (ptrdiff_t)end);
    groups.ends.erase(groups.ends.begin(), groups.ends.begin() + (ptrdiff_t)closed);
    for (size_t& e : groups.ends) e -= end;
}
void copy_async_wait(int left) { finish_groups(running->copies, left, land); }

void start_product(const Product& product) {
    any_async = true;
    running->products.items.push_back(product);
}
void wgmma_commit() {
    any_async = true;
    running->products.ends.push_back(running->products.items.size());
}
void wgmma_wait(int left) { finish_groups(running->products, left, multiply); }

void forget_async() {
    forget_transfers();
    if (!any_async) return;
    for (Fiber& f : fibers) {
        f.copies.clear();
        f.products.clear();
    }
    any_async = false;
}

// ---- ldmatrix: lane 8i + j has the address of row j of matrix i
void ldmatrix(unsigned* registers, int count, bool transposed, const void* row) {
    const unsigned lane = running->lane();
    if ((int)lane < 8 * count && (uintptr_t)row % 16) fault(FaultKind::Misaligned, row, "ldmatrix of a row that is not aligned to 16 bytes");
    unsigned live;
    const unsigned char* all = meet(~0u, Meeting::Ldmatrix, &row, 8, &live);
    if (live != ~0u) fault(FaultKind::Divergence, nullptr, "ldmatrix needs all 32 lanes, not %08x", live);
    const unsigned char* rows[32];
    memcpy(rows, all, sizeof rows);
    for (int i = 0; i < count; ++i) {
        uint16_t pair[2];
        for (unsigned half = 0; half < 2; ++half) {
            const unsigned major = lane / 4, minor = 2 * (lane % 4) + half;
            const unsigned char* from = transposed ? rows[8 * i + minor] + 2 * major : rows[8 * i + major] + 2 * minor;
            check_read_before_meeting(from, 2); // ldmatrix orders nothing
            memcpy(&pair[half], from, 2);
        }
        registers[i] = (unsigned)pair[1] << 16 | pair[0];
    }
}

// ---- mma.sync
struct Fragments { float d[4]; unsigned a[4], b[2]; };
static_assert(sizeof(Fragments) <= Group::SLOT);

// D += A B over K steps, on the fragments of all lanes; `a_at` and `b_at` find an element.
template <int K, class A, class B> static void multiply_fragments(Fragments* f, A a_at, B b_at) {
    float b[K][8], d[16][8];
    for (int k = 0; k < K; ++k)
        for (int n = 0; n < 8; ++n) b[k][n] = b_at(f, k, n);
    for (int l = 0; l < 32; ++l)
        for (int i = 0; i < 4; ++i) d[l / 4 + 8 * (i / 2)][2 * (l % 4) + i % 2] = f[l].d[i];
    for (int m = 0; m < 16; ++m)
        for (int k = 0; k < K; ++k) {
            const float a = a_at(f, m, k);
            for (int n = 0; n < 8; ++n) d[m][n] += a * b[k][n];
        }
    for (int l = 0; l < 32; ++l)
        for (int i = 0; i < 4; ++i) f[l].d[i] = d[l / 4 + 8 * (i / 2)][2 * (l % 4) + i % 2];
}
static float half_of(unsigned pair, int half) { return __uint_as_float((half ? pair >> 16 : pair) << 16); }
static void multiply_bf16(unsigned char* all) {
    multiply_fragments<16>(
        (Fragments*)all,
        [](const Fragments* f, int m, int k) { return half_of(f[4 * (m % 8) + k % 8 / 2].a[m / 8 + 2 * (k / 8)], k % 2); },
        [](const Fragments* f, int k, int n) { return half_of(f[4 * n + k % 8 / 2].b[k / 8], k % 2); });
}
static float tf32(unsigned bits) { return __uint_as_float(bits & 0xffffe000u); } // the unit reads 19 bits
static void multiply_tf32(unsigned char* all) {
    multiply_fragments<8>(
        (Fragments*)all, [](const Fragments* f, int m, int k) { return tf32(f[4 * (m % 8) + k % 4].a[m / 8 + 2 * (k / 4)]); },
        [](const Fragments* f, int k, int n) { return tf32(f[4 * n + k % 4].b[k / 4]); });
}
static void mma(float* d, const unsigned* a, const unsigned* b, void (*compute)(unsigned char*)) {
    Fragments mine;
    memcpy(mine.d, d, 16);
    memcpy(mine.a, a, 16);
    memcpy(mine.b, b, 8);
    unsigned live;
    const unsigned char* all = meet(~0u, Meeting::Mma, &mine, sizeof mine, &live, compute);
    if (live != ~0u) fault(FaultKind::Divergence, nullptr, "mma.sync needs all 32 lanes, not %08x", live);
    memcpy(d, all + running->lane() * sizeof mine, 16);
}
void mma_bf16(float* d, const unsigned* a, const unsigned* b) { mma(d, a, b, multiply_bf16); }
void mma_tf32(float* d, const unsigned* a, const unsigned* b) { mma(d, a, b, multiply_tf32); }
} // namespace emu
