// The emulated driver: streams, events and graphs.
#include "emu/driver.h"
#include <algorithm>
#include <chrono>

namespace emu {
Stream null_stream;
std::vector<Stream*> streams{&null_stream};

struct Event {
    Stream* on = nullptr;
    std::shared_ptr<bool> done = std::make_shared<bool>(true);
    std::shared_ptr<double> at = std::make_shared<double>(0); // ms
    bool captured = false, blocking = false;
};
struct Graph { std::vector<Work> works; };

Stream* stream_of(void* handle) {
    // 1 and 2 are the legacy stream's and the thread's own handles.
    return (uintptr_t)handle <= 2 ? &null_stream : (Stream*)handle;
}
static bool known(Stream* s) { return std::find(streams.begin(), streams.end(), s) != streams.end(); }

CUresult put(void* handle, std::function<CUresult()> run, bool always) {
    Stream* s = stream_of(handle);
    if (!known(s)) return INVALID_HANDLE;
    Work work{std::move(run), always};
    if (s->capturing) s->tape.push_back(std::move(work));
    else s->queue.push_back(std::move(work));
    return SUCCESS;
}
void carry_out_first(Stream* s) {
    const Work work = std::move(s->queue.front());
    s->queue.pop_front();
    if (context.error && !work.always) return;
    const CUresult result = work.run();
    if (result && !context.error) context.error = result;
}
void drain(Stream* s) {
    while (!s->queue.empty()) carry_out_first(s);
}
bool any_capture() {
    return std::any_of(streams.begin(), streams.end(), [](Stream* s) { return s->capturing; });
}
bool break_captures() {
    bool forbidden = false;
    for (Stream* s : streams) {
        const bool all = s->mode == 0, own = s->mode == 1 && s->capturer == std::this_thread::get_id();
        if (!s->capturing || !(all || own)) continue;
        forbidden = s->broken = true;
    }
    return forbidden;
}
void drain_all() {
    for (size_t i = 0; i < streams.size(); ++i) drain(streams[i]);
}
static void reach(const std::shared_ptr<bool>& done, Stream* on) {
    while (!*done && known(on) && !on->queue.empty()) carry_out_first(on);
}
static double now_ms() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
} // namespace emu

using namespace emu;

// ---- streams
EMU_API CUresult cuStreamCreate(void** stream, unsigned flags) {
    EMU_ENTER_SOUND;
    Stream* s = new Stream;
    s->blocking = !(flags & 1);
    streams.push_back(s);
    *stream = s;
    return SUCCESS;
}
EMU_API CUresult cuStreamCreateWithPriority(void** stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }
EMU_API CUresult cuStreamDestroy_v2(void* stream) {
    EMU_ENTER_CONTEXT;
    Stream* s = stream_of(stream);
    if (s == &null_stream || !known(s)) return INVALID_HANDLE;
    drain(s);
    streams.erase(std::find(streams.begin(), streams.end(), s));
    delete s;
    return context.error;
}
EMU_API CUresult cuStreamSynchronize(void* stream) {
    EMU_ENTER_SOUND;
    Stream* s = stream_of(stream);
    if (!known(s)) return INVALID_HANDLE;
    if (s->capturing) { s->broken = true; return CAPTURE_UNSUPPORTED; }
    counts.spins += !s->queue.empty();
    drain(s);
    return context.error;
}
EMU_API CUresult cuStreamQuery(void* stream) {
    EMU_ENTER_SOUND;
    Stream* s = stream_of(stream);
    if (s->capturing) { s->broken = true; return CAPTURE_UNSUPPORTED; }
    return s->queue.empty() ? SUCCESS : NOT_READY;
}
EMU_API CUresult cuLaunchHostFunc(void* stream, void (*call)(void*), void* data) {
    EMU_ENTER_SOUND;
    return put(stream, [=] { call(data); return SUCCESS; });
}

// ---- events
EMU_API CUresult cuEventCreate(void** event, unsigned flags) {
    EMU_ENTER_SOUND;
    Event* e = new Event;
    e->blocking = flags & 1;
    *event = e;
    return SUCCESS;
}
EMU_API CUresult cuEventDestroy_v2(void* event) { EMU_ENTER_CONTEXT; delete (Event*)event; return SUCCESS; }
EMU_API CUresult cuEventRecord(void* event, void* stream) {
    EMU_ENTER_SOUND;
    Event* e = (Event*)event;
    e->on = stream_of(stream);
    e->captured = e->on->capturing;
    e->done = std::make_shared<bool>(e->captured);
    e->at = std::make_shared<double>(0);
    if (e->captured) return SUCCESS;
    return put(stream, [done = e->done, at = e->at] { *done = true; *at = now_ms(); return SUCCESS; }, true);
}
EMU_API CUresult cuEventQuery(void* event) {
    EMU_ENTER_SOUND;
    Event* e = (Event*)event;
    return e->captured ? CAPTURED_EVENT : *e->done ? SUCCESS : NOT_READY;
}
EMU_API CUresult cuEventSynchronize(void* event) {
    EMU_ENTER_SOUND;
    Event* e = (Event*)event;
    if (e->captured) return CAPTURED_EVENT;
    counts.spins += !*e->done && !e->blocking;
    reach(e->done, e->on);
    return context.error;
}
EMU_API CUresult cuEventElapsedTime_v2(float* ms, void* from, void* to) {
    EMU_ENTER_SOUND;
    Event *a = (Event*)from, *b = (Event*)to;
    if (a->captured || b->captured) return CAPTURED_EVENT;
    if (!a->on || !b->on) return INVALID_HANDLE; // never recorded
    if (!*a->done || !*b->done) return NOT_READY;
    *ms = (float)(*b->at - *a->at);
    return SUCCESS;
}
EMU_API CUresult cuEventElapsedTime(float* ms, void* from, void* to) { return cuEventElapsedTime_v2(ms, from, to); }
EMU_API CUresult cuStreamWaitEvent(void* stream, void* event, unsigned) {
    EMU_ENTER_SOUND;
    Event* e = (Event*)event;
    Stream* s = stream_of(stream);
    if (s->capturing) { // the captured work may depend on the same capture, or on what is over
        const bool fine = e->captured ? e->on == s : *e->done;
        if (!fine) s->broken = true;
        return fine ? SUCCESS : CAPTURE_ISOLATION;
    }
    if (e->captured) return CAPTURE_UNSUPPORTED; // one capture over several streams is not emulated
    if (*e->done) return SUCCESS;
    return put(stream, [done = e->done, on = e->on] { reach(done, on); return SUCCESS; });
}

// ---- graphs: the works of a stream, on tape
EMU_API CUresult cuStreamBeginCapture_v2(void* stream, int mode) {
    EMU_ENTER_SOUND;
    Stream* s = stream_of(stream);
    if (s == &null_stream) return CAPTURE_UNSUPPORTED; // the legacy stream cannot be captured
    if (!known(s)) return INVALID_HANDLE;
    if (s->capturing) return INVALID_VALUE;
    s->capturing = true;
    s->broken = false;
    s->mode = mode;
    s->capturer = std::this_thread::get_id();
    s->tape.clear();
    return SUCCESS;
}
EMU_API CUresult cuStreamEndCapture(void* stream, void** graph) {
    EMU_ENTER_SOUND;
    Stream* s = stream_of(stream);
    *graph = nullptr;
    if (!s->capturing) return CAPTURE_UNMATCHED;
    if (s->mode != 2 && s->capturer != std::this_thread::get_id()) return CAPTURE_WRONG_THREAD;
    s->capturing = false;
    if (s->broken) return CAPTURE_INVALIDATED;
    *graph = new Graph{std::move(s->tape)};
    ++counts.graphs;
    s->tape.clear();
    return SUCCESS;
}
EMU_API CUresult cuStreamIsCapturing(void* stream, int* status) {
    EMU_ENTER_SOUND;
    Stream* s = stream_of(stream);
    *status = s->capturing ? s->broken ? 2 : 1 : 0;
    return SUCCESS;
}
EMU_API CUresult cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
    EMU_ENTER_SOUND;
    *executable = new Graph(*(Graph*)graph);
    ++counts.graphs;
    return SUCCESS;
}
EMU_API CUresult cuGraphUpload(void*, void*) { EMU_ENTER_SOUND; return SUCCESS; }
EMU_API CUresult cuGraphLaunch(void* executable, void* stream) {
    EMU_ENTER_SOUND;
    if (Stream* s = stream_of(stream); s->capturing) { s->broken = true; return CAPTURE_UNSUPPORTED; }
    ++counts.graph_launches;
    for (const Work& work : ((Graph*)executable)->works)
        if (const CUresult result = put(stream, work.run, work.always)) return result;
    return SUCCESS;
}
EMU_API CUresult cuGraphGetNodes(void* graph, void** nodes, size_t* n) {
    EMU_ENTER_SOUND;
    if (nodes) return NOT_SUPPORTED;
    *n = ((Graph*)graph)->works.size();
    return SUCCESS;
}
static CUresult forget(void* graph) {
    EMU_ENTER;
    --counts.graphs;
    delete (Graph*)graph;
    return SUCCESS;
}
EMU_API CUresult cuGraphExecDestroy(void* executable) { return forget(executable); }
EMU_API CUresult cuGraphDestroy(void* graph) { return forget(graph); }
