// The emulated driver: device memory, pinned host memory, copies and fills.
//
// An allocation starts as 0xFF. It ends, to 16 bytes, just before 16 MiB of addresses that nobody may
// touch, and 1 MiB of them lie before it: they cost nothing, and catch a stray access even unchecked.
#include "emu/driver.h"
#include <algorithm>
#include <sys/mman.h>

namespace emu {
struct Mapped { size_t size; void* map; size_t map_size; };
static std::map<CUdeviceptr, Mapped> allocations;
static std::map<uintptr_t, size_t> pinned;
static constexpr size_t PAGE = 4096, BEFORE = 1 << 20, BEHIND = 16 << 20;

static size_t memory_from_environment() {
    const char* text = getenv("GRADUS_CUDA_EMU_MEMORY");
    const size_t bytes = text ? strtoull(text, nullptr, 10) : 0;
    return bytes ? bytes : (size_t)4 << 30;
}
size_t memory_size = memory_from_environment();

// The pool keeps what was given back, up to a threshold, until somebody else needs it. As a whole: what
// came by cuMemAlloc is counted with it.
static uint64_t threshold = 0;
static int64_t reserved = 0;
static int64_t hold() {
    const int64_t kept = (int64_t)std::min<uint64_t>(threshold, (uint64_t)reserved);
    return reserved = std::max(counts.used, kept);
}
static bool fits(size_t n) { return n <= memory_size && (size_t)counts.used <= memory_size - n; }

static CUresult allocate(CUdeviceptr* p, size_t n) {
    if (n == 0) return INVALID_VALUE;
    if (!fits(n)) drain_all(); // memory given back in stream order may suffice
    if (!fits(n)) return OUT_OF_MEMORY;
    const size_t bytes = (n + 15) / 16 * 16, pages = (bytes + PAGE - 1) / PAGE * PAGE, map_size = BEFORE + pages + BEHIND;
    unsigned char* map = (unsigned char*)mmap(nullptr, map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) return OUT_OF_MEMORY;
    if (mprotect(map + BEFORE, pages, PROT_READ | PROT_WRITE)) {
        munmap(map, map_size);
        return OUT_OF_MEMORY;
    }
    unsigned char* end = map + BEFORE + pages;
    memset(end - bytes, 0xff, bytes);
    *p = (CUdeviceptr)(end - bytes);
    allocations[*p] = {n, map, map_size};
    track((uintptr_t)*p, n);
    ++counts.allocations;
    ++counts.live;
    counts.used += (int64_t)n;
    counts.peak = std::max(counts.peak, counts.used);
    hold();
    return SUCCESS;
}
static CUresult release(CUdeviceptr p) {
    auto it = allocations.find(p);
    if (it == allocations.end()) {
        record_fault(FaultKind::BadCall, "cuMemFree", (void*)p, "memory that is not allocated is freed");
        return INVALID_VALUE;
    }
    --counts.live;
    counts.used -= (int64_t)it->second.size;
    untrack((uintptr_t)p);
    munmap(it->second.map, it->second.map_size);
    allocations.erase(it);
    return SUCCESS;
}
bool inside(CUdeviceptr p, size_t n, const char* who) {
    auto it = allocations.upper_bound(p);
    if (it != allocations.begin()) {
        --it;
        if (p - it->first <= it->second.size && n <= it->second.size - (p - it->first)) return true;
    }
    record_fault(FaultKind::BadCall, who, (void*)p, std::to_string(n) + " bytes that are not inside one allocation");
    return false;
}
static bool is_pinned(const void* p, size_t n) {
    auto it = pinned.upper_bound((uintptr_t)p);
    if (it == pinned.begin()) return false;
    --it;
    return (uintptr_t)p + n <= it->first + it->second;
}
// Calls without a stream go through the legacy one, which waits for every blocking stream.
static CUresult at_once(CUresult put_result) {
    if (put_result) return put_result;
    for (Stream* s : streams)
        if (s->blocking && !s->capturing) drain(s);
    return context.error;
}
template <class T> static CUresult fill(CUdeviceptr p, T value, size_t n, void* stream) {
    if (n == 0) return SUCCESS;
    if (!inside(p, n * sizeof(T), "cuMemset") || p % sizeof(T)) return INVALID_VALUE;
    return put(stream, [=] {
        if (!inside(p, n * sizeof(T), "cuMemset")) return ILLEGAL_ADDRESS;
        std::fill_n((T*)p, n, value);
        mark_initialised((uintptr_t)p, n * sizeof(T));
        return SUCCESS;
    });
}
static CUresult to_device(CUdeviceptr to, const void* from, size_t n, void* stream) {
    if (n == 0) return SUCCESS;
    if (!inside(to, n, "cuMemcpyHtoD")) return INVALID_VALUE;
    auto copy = [=](const void* source) {
        if (!inside(to, n, "cuMemcpyHtoD")) return ILLEGAL_ADDRESS;
        memcpy((void*)to, source, n);
        mark_initialised((uintptr_t)to, n);
        return SUCCESS;
    };
    // Pinned memory is read when the copy happens, pageable memory is staged now.
    if (is_pinned(from, n) || stream_of(stream)->capturing) return put(stream, [=] { return copy(from); });
    auto staged = std::make_shared<std::vector<char>>((const char*)from, (const char*)from + n);
    return put(stream, [=] { return copy(staged->data()); });
}
static CUresult to_host(void* to, CUdeviceptr from, size_t n, void* stream) {
    if (n == 0) return SUCCESS;
    if (!inside(from, n, "cuMemcpyDtoH")) return INVALID_VALUE;
    const CUresult result = put(stream, [=] {
        if (!inside(from, n, "cuMemcpyDtoH")) return ILLEGAL_ADDRESS;
        memcpy(to, (const void*)from, n);
        return SUCCESS;
    });
    if (result || stream_of(stream)->capturing || is_pinned(to, n)) return result;
    drain(stream_of(stream)); // pageable memory: the call waits
    return context.error;
}
static CUresult on_device(CUdeviceptr to, CUdeviceptr from, size_t n, void* stream) {
    if (n == 0) return SUCCESS;
    if (!inside(to, n, "cuMemcpyDtoD") || !inside(from, n, "cuMemcpyDtoD")) return INVALID_VALUE;
    return put(stream, [=] {
        if (!inside(to, n, "cuMemcpyDtoD") || !inside(from, n, "cuMemcpyDtoD")) return ILLEGAL_ADDRESS;
        memmove((void*)to, (const void*)from, n);
        copy_known((uintptr_t)to, (uintptr_t)from, n);
        return SUCCESS;
    });
}
} // namespace emu

using namespace emu;

EMU_API CUresult cuMemAlloc_v2(CUdeviceptr* p, size_t n) { EMU_ENTER_UNRECORDED; return allocate(p, n); }
EMU_API CUresult cuMemAllocAsync(CUdeviceptr* p, size_t n, void* stream) {
    EMU_ENTER_SOUND;
    if (stream_of(stream)->capturing) return CAPTURE_UNSUPPORTED;
    *p = 0;
    return n ? allocate(p, n) : SUCCESS;
}
EMU_API CUresult cuMemAllocFromPoolAsync(CUdeviceptr* p, size_t n, void*, void* stream) { return cuMemAllocAsync(p, n, stream); }
EMU_API CUresult cuMemFree_v2(CUdeviceptr p) {
    EMU_ENTER_CONTEXT;
    if (!p) return SUCCESS;
    drain_all();
    const CUresult result = release(p);
    return context.error ? context.error : result;
}
EMU_API CUresult cuMemFreeAsync(CUdeviceptr p, void* stream) {
    EMU_ENTER_CONTEXT;
    if (!p) return SUCCESS;
    if (stream_of(stream)->capturing) return CAPTURE_UNSUPPORTED;
    const CUresult result = put(stream, [=] { return release(p); }, true);
    return context.error ? context.error : result;
}
EMU_API CUresult cuMemGetInfo_v2(size_t* available, size_t* total) {
    EMU_ENTER_SOUND;
    drain_all();
    *total = memory_size;
    const size_t taken = (size_t)hold();
    *available = taken < memory_size ? memory_size - taken : 0;
    return SUCCESS;
}
EMU_API CUresult cuDeviceGetDefaultMemPool(void** pool, int) {
    *pool = &allocations;
    return attribute(115) ? SUCCESS : NOT_SUPPORTED;
}
EMU_API CUresult cuDeviceGetMemPool(void** pool, int) { *pool = &allocations; return SUCCESS; }
EMU_API CUresult cuMemPoolSetAttribute(void*, int which, void* value) {
    EMU_ENTER;
    if (which == 4) threshold = *(uint64_t*)value; // RELEASE_THRESHOLD
    return SUCCESS;
}
EMU_API CUresult cuMemPoolGetAttribute(void*, int which, void* value) {
    EMU_ENTER;
    uint64_t* to = (uint64_t*)value;
    switch (which) {
    case 4: *to = threshold; break;
    case 5: *to = (uint64_t)hold(); break;                  // RESERVED_MEM_CURRENT
    case 7: *to = (uint64_t)counts.used; break;             // USED_MEM_CURRENT
    case 6: case 8: *to = (uint64_t)counts.peak; break;     // RESERVED_MEM_HIGH, USED_MEM_HIGH
    default: *to = 0;
    }
    return SUCCESS;
}
EMU_API CUresult cuMemPoolTrimTo(void*, size_t kept) {
    EMU_ENTER;
    reserved = std::max(counts.used, std::min(reserved, (int64_t)kept));
    return SUCCESS;
}

EMU_API CUresult cuMemHostAlloc(void** p, size_t n, unsigned) {
    EMU_ENTER_UNRECORDED;
    *p = n ? aligned_alloc(PAGE, (n + PAGE - 1) / PAGE * PAGE) : nullptr;
    if (!*p) return n ? OUT_OF_MEMORY : INVALID_VALUE;
    pinned[(uintptr_t)*p] = n;
    return SUCCESS;
}
EMU_API CUresult cuMemFreeHost(void* p) {
    EMU_ENTER_CONTEXT;
    if (!p) return SUCCESS;
    drain_all(); // a copy may still be on its way
    if (!pinned.erase((uintptr_t)p)) return INVALID_VALUE;
    free(p);
    return SUCCESS;
}

EMU_API CUresult cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, void* s) { EMU_ENTER_SOUND; return fill<uint8_t>(p, v, n, s); }
EMU_API CUresult cuMemsetD16Async(CUdeviceptr p, unsigned short v, size_t n, void* s) { EMU_ENTER_SOUND; return fill<uint16_t>(p, v, n, s); }
EMU_API CUresult cuMemsetD32Async(CUdeviceptr p, unsigned v, size_t n, void* s) { EMU_ENTER_SOUND; return fill<uint32_t>(p, v, n, s); }
EMU_API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t n, void* s) { EMU_ENTER_SOUND; return to_device(to, from, n, s); }
EMU_API CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t n, void* s) { EMU_ENTER_SOUND; return to_host(to, from, n, s); }
EMU_API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, void* s) { EMU_ENTER_SOUND; return on_device(to, from, n, s); }
EMU_API CUresult cuMemsetD8_v2(CUdeviceptr p, unsigned char v, size_t n) { EMU_ENTER_SOUND; return at_once(fill<uint8_t>(p, v, n, nullptr)); }
EMU_API CUresult cuMemsetD32_v2(CUdeviceptr p, unsigned v, size_t n) { EMU_ENTER_SOUND; return at_once(fill<uint32_t>(p, v, n, nullptr)); }
EMU_API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t n) { EMU_ENTER_SOUND; return at_once(to_device(to, from, n, nullptr)); }
EMU_API CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t n) {
    EMU_ENTER_SOUND;
    if (const CUresult r = at_once(SUCCESS)) return r;
    return at_once(to_host(to, from, n, nullptr));
}
EMU_API CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t n) { EMU_ENTER_SOUND; return at_once(on_device(to, from, n, nullptr)); }
