// The emulated driver: the device, its context, names of errors, and what lib.rs asks for.
#include "emu/driver.h"

namespace emu {
std::recursive_mutex gate;
Context context;
Counts counts;
static __thread void* current; // each OS thread's context

struct Named { CUresult code; const char *name, *text; };
static const Named errors[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {FILE_NOT_FOUND, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {LAUNCH_TIMEOUT, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {ILLEGAL_INSTRUCTION, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
    {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
};
static const Named* error_of(CUresult code) {
    for (const Named& e : errors)
        if (e.code == code) return &e;
    return nullptr;
}
CUresult no_context() {
    if (!current) return INVALID_CONTEXT;
    return context.references ? SUCCESS : CONTEXT_IS_DESTROYED;
}
static int from_environment(const char* name, int otherwise) {
    const char* text = getenv(name);
    const int number = text ? atoi(text) : 0;
    return number ? number : otherwise;
}
static int generation = from_environment("GRADUS_CUDA_EMU_CAPABILITY", 90), pools = 1;
int capability() { return generation; }
// Where devices before 8.0 have less.
static int turing(int which) {
    switch (which) {
    case 39: return 1024;      // MAX_THREADS_PER_MULTIPROCESSOR
    case 81: case 97: return 65536; // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, _PER_BLOCK_OPTIN
    case 106: return 16;       // MAX_BLOCKS_PER_MULTIPROCESSOR
    case 111: case 127: return 0; // RESERVED_SHARED_MEMORY_PER_BLOCK, TENSOR_MAP_ACCESS_SUPPORTED
    default: return -1;
    }
}
int attribute(int which) {
    if (const int less = turing(which); generation < 80 && less >= 0) return less;
    switch (which) {
    case 1: return 1024;        // MAX_THREADS_PER_BLOCK
    case 2: case 3: return 1024; // MAX_BLOCK_DIM_X, _Y
    case 4: return 64;          // MAX_BLOCK_DIM_Z
    case 5: return 2147483647;  // MAX_GRID_DIM_X
    case 6: case 7: return 65535; // MAX_GRID_DIM_Y, _Z
    case 8: return 49152;       // MAX_SHARED_MEMORY_PER_BLOCK
    case 9: return 65536;       // TOTAL_CONSTANT_MEMORY
    case 10: return 32;         // WARP_SIZE
    case 12: case 82: return 65536; // MAX_REGISTERS_PER_BLOCK, _PER_MULTIPROCESSOR
    case 13: return 1000000;    // CLOCK_RATE, kHz
    case 16: return 4;          // MULTIPROCESSOR_COUNT: few, so that grids that fill the device stay small
    case 31: return 1;          // CONCURRENT_KERNELS
    case 38: return 50 << 20;   // L2_CACHE_SIZE
    case 39: return 2048;       // MAX_THREADS_PER_MULTIPROCESSOR
    case 41: return 1;          // UNIFIED_ADDRESSING
    case 75: return generation / 10; // COMPUTE_CAPABILITY_MAJOR
    case 76: return generation % 10; // COMPUTE_CAPABILITY_MINOR
    case 78: return 1;          // STREAM_PRIORITIES_SUPPORTED
    case 81: return 233472;     // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    case 97: return 232448;     // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    case 106: return 32;        // MAX_BLOCKS_PER_MULTIPROCESSOR
    case 111: return 1024;      // RESERVED_SHARED_MEMORY_PER_BLOCK
    case 115: return pools;     // MEMORY_POOLS_SUPPORTED
    case 127: return generation >= 90; // TENSOR_MAP_ACCESS_SUPPORTED
    default: return 0;
    }
}
static void forget_errors() {
    for (Stream* s : streams) {
        drain(s); // after a fault, it only gives memory back
        s->capturing = s->broken = false;
        s->tape.clear();
    }
    context.error = SUCCESS;
}
} // namespace emu

using namespace emu;

EMU_API CUresult cuInit(unsigned) { EMU_ENTER; context.initialised = true; return SUCCESS; }
EMU_API CUresult cuDriverGetVersion(int* version) { *version = 13000; return SUCCESS; }
EMU_API CUresult cuGetErrorName(CUresult code, const char** name) {
    const Named* e = error_of(code);
    *name = e ? e->name : nullptr;
    return e ? SUCCESS : INVALID_VALUE;
}
EMU_API CUresult cuGetErrorString(CUresult code, const char** text) {
    const Named* e = error_of(code);
    *text = e ? e->text : nullptr;
    return e ? SUCCESS : INVALID_VALUE;
}

// ---- the one device
EMU_API CUresult cuDeviceGetCount(int* n) { *n = 1; return context.initialised ? SUCCESS : NOT_INITIALIZED; }
EMU_API CUresult cuDeviceGet(int* device, int ordinal) {
    if (!context.initialised) return NOT_INITIALIZED;
    if (ordinal) return INVALID_DEVICE;
    *device = 0;
    return SUCCESS;
}
EMU_API CUresult cuDeviceGetName(char* name, int n, int) { snprintf(name, (size_t)n, "gradus emulated device"); return SUCCESS; }
EMU_API CUresult cuDeviceGetUuid(char* uuid, int) { memcpy(uuid, "gradus-emulated", 16); return SUCCESS; }
EMU_API CUresult cuDeviceGetUuid_v2(char* uuid, int d) { return cuDeviceGetUuid(uuid, d); }
EMU_API CUresult cuDeviceTotalMem_v2(size_t* n, int) { EMU_ENTER; *n = memory_size; return SUCCESS; }
EMU_API CUresult cuDeviceGetAttribute(int* value, int which, int) { *value = attribute(which); return SUCCESS; }

// ---- its primary context
EMU_API CUresult cuDevicePrimaryCtxRetain(void** c, int) {
    EMU_ENTER;
    if (!context.initialised) return NOT_INITIALIZED;
    ++context.references;
    *c = &context;
    return SUCCESS;
}
// The last release destroys the context, and with it the error that stuck.
EMU_API CUresult cuDevicePrimaryCtxRelease_v2(int) {
    EMU_ENTER;
    if (context.references == 0) return INVALID_CONTEXT;
    if (--context.references == 0) forget_errors();
    return SUCCESS;
}
EMU_API CUresult cuCtxSetCurrent(void* c) { current = c; return SUCCESS; }
EMU_API CUresult cuCtxGetCurrent(void** c) { *c = current; return SUCCESS; }
EMU_API CUresult cuCtxGetDevice(int* device) { EMU_ENTER_CONTEXT; *device = 0; return SUCCESS; }
EMU_API CUresult cuCtxSetFlags(unsigned) { EMU_ENTER_CONTEXT; return SUCCESS; }
EMU_API CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) { *least = 0; *greatest = -5; return SUCCESS; }
EMU_API CUresult cuCtxSynchronize() {
    EMU_ENTER_SOUND;
    if (any_capture()) return CAPTURE_UNSUPPORTED;
    drain_all();
    return context.error;
}

// ---- for lib.rs
EMU_API void emu_counts(Counts* to) { EMU_ENTER; *to = counts; }
EMU_API void emu_schedule(int order, int greedy, int lazy, int checked, unsigned preempt, uint64_t seed) {
    EMU_ENTER;
    if (!context.error) drain_all(); // what was asked for before runs as it was then
    schedule.order = (Order)order;
    schedule.warp_greedy = greedy;
    schedule.lazy_copies = lazy;
    schedule.checked = checked;
    schedule.preempt = preempt;
    schedule.seed = seed;
}
EMU_API void emu_set_memory(size_t bytes) { EMU_ENTER; memory_size = bytes; }
EMU_API void emu_set_capability(int number) { EMU_ENTER; generation = number; }
EMU_API void emu_set_memory_pools(int supported) { EMU_ENTER; pools = supported; }
EMU_API size_t emu_fault_count() { EMU_ENTER; return faults.size(); }
struct RawFault {
    int kind;
    unsigned block[3], thread[3];
    uint64_t address;
    char kernel[128], what[400];
};
EMU_API int emu_fault(size_t i, RawFault* to) {
    EMU_ENTER;
    if (i >= faults.size()) return 0;
    const Fault& f = faults[i];
    *to = {(int)f.kind, {f.block.x, f.block.y, f.block.z}, {f.thread.x, f.thread.y, f.thread.z}, f.address, {}, {}};
    snprintf(to->kernel, sizeof to->kernel, "%s", f.kernel.c_str());
    snprintf(to->what, sizeof to->what, "%s", f.what.c_str());
    return 1;
}
EMU_API void emu_recover() { EMU_ENTER; faults.clear(); forget_errors(); }
EMU_API size_t emu_kernel_count() { return kernel_count(); }
EMU_API const char* emu_kernel_name(size_t i) { return kernel_at(i).name; }
