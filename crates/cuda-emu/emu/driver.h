// What the files of the emulated driver know of each other. Names and numbers are cuda.h's.
#pragma once
#include "emu/runtime.h"
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#define EMU_API extern "C" __attribute__((visibility("default")))
// Every call holds the gate: one launch at a time, whoever asks.
#define EMU_ENTER std::lock_guard<std::recursive_mutex> held(emu::gate)
// Most calls want a context that the calling thread has turned to and that lives.
#define EMU_ENTER_CONTEXT \
    EMU_ENTER; \
    if (const CUresult without = emu::no_context()) return without
// And most of these fail once a kernel has, until the context is gone.
#define EMU_ENTER_SOUND \
    EMU_ENTER_CONTEXT; \
    if (emu::context.error) return emu::context.error
// Some may not be made while the thread records: see cuThreadExchangeStreamCaptureMode.
#define EMU_ENTER_UNRECORDED \
    EMU_ENTER_SOUND; \
    if (emu::break_captures()) return emu::CAPTURE_UNSUPPORTED

typedef int CUresult;
typedef unsigned long long CUdeviceptr;

namespace emu {
enum : CUresult {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, INVALID_PTX = 218,
    FILE_NOT_FOUND = 301, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, LAUNCH_OUT_OF_RESOURCES = 701,
    LAUNCH_TIMEOUT = 702, ILLEGAL_INSTRUCTION = 715, CONTEXT_IS_DESTROYED = 709, MISALIGNED_ADDRESS = 716, LAUNCH_FAILED = 719, NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_UNMATCHED = 903, CAPTURE_ISOLATION = 905, CAPTURE_IMPLICIT = 906,
    CAPTURED_EVENT = 907, CAPTURE_WRONG_THREAD = 908,
};
struct Work {
    std::function<CUresult()> run;
    bool always = false; // even after a fault: memory is given back
};
// What a stream has been asked to do is done when something waits for it, so that a host that forgets
// to wait sees old bytes.
struct Stream {
    std::deque<Work> queue;
    std::vector<Work> tape;
    bool capturing = false, broken = false, blocking = true;
    int mode = 0; // of the capture: global, thread-local, relaxed
    std::thread::id capturer;
};
struct Context {
    CUresult error = SUCCESS; // sticks
    int references = 0;
    bool initialised = false;
};
struct Counts { int64_t launches, graph_launches, allocations, live, used, peak, modules, graphs, spins; };

extern std::recursive_mutex gate;
extern Context context;
extern Counts counts;
extern Stream null_stream;
extern std::vector<Stream*> streams;
extern size_t memory_size;

Stream* stream_of(void* handle);
// The result is the stream's own trouble, not the work's.
CUresult put(void* stream, std::function<CUresult()> run, bool always = false);
void carry_out_first(Stream* s);
void drain(Stream* s);
bool any_capture();
// Whether a capture forbids the calling thread what is unsafe; such a capture is broken from then on.
bool break_captures();
CUresult no_context();
// What cuda.h calls CU_DEVICE_ATTRIBUTE_...; 0 for the rest.
int attribute(int which);
int capability(); // 90 for 9.0
void drain_all();
// Whether all of it lies in one allocation; says so on stderr if not.
bool inside(CUdeviceptr p, size_t n, const char* who);
} // namespace emu
