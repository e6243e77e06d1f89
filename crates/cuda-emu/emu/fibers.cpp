// Threads of a block as fibers on one OS thread, and the order in which they run.
//
// A thread that never waits needs no stack of its own: the next one starts on the same, so that a kernel
// without barriers is a plain loop of calls. A thread that waits keeps its stack, and the next one gets
// another. Whoever waits picks who runs next and switches to it directly.
#include "emu/runtime.h"
#include <algorithm>
#include <sys/mman.h>

extern "C" {
// Hopper's most per block, and a margin that nobody may write.
alignas(1024) unsigned char emu_dynamic_shared[232448 + 256];
// Saves the registers that a call must keep and the stack pointer in *save, continues at `load`.
void emu_switch(void** save, void* load);
}
asm(".text\n.globl emu_switch\n.hidden emu_switch\n.type emu_switch,@function\nemu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n.size emu_switch,.-emu_switch\n");

namespace emu {
Schedule schedule;
Block block;
Fiber fibers[1024];
State states[1024];
Warp warps[32];
Fiber* running;
const Launch* launched;
const uint3* now_thread;
uint3 now_block;
dim3 now_block_size, now_grid_size;

static constexpr size_t MARGIN = 256;
unsigned char* stacks;
static int free_stacks[1024], free_count, stacks_guarded;
static unsigned order[1024], places; // places: threads rounded up to whole warps; Done where there is none
static unsigned position;            // of the running thread, in `order`
static void* host_stack_pointer;
static bool failed;
static Fiber* starting;
static int starting_stack;

uint3 thread_index() { return *now_thread; }
uint3 block_index() { return now_block; }
dim3 block_size() { return now_block_size; }
dim3 grid_size() { return now_grid_size; }

// ---- stacks
static void make_stacks() {
    if (stacks) return;
    stacks = (unsigned char*)mmap(nullptr, 1024 * STRIDE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) { fputs("gradus-cuda-emu: no address space for 1024 stacks\n", stderr); abort(); }
}
static void free_all_stacks() {
    free_count = 1024;
    for (int i = 0; i < 1024; ++i) free_stacks[i] = 1023 - i;
}
static int take_stack() {
    const int i = free_stacks[--free_count];
    for (; stacks_guarded <= i; ++stacks_guarded) mprotect(stacks + stacks_guarded * STRIDE, 4096, PROT_NONE);
    return i;
}
// A stack on which emu_switch enters `entry`. Tops differ by a cache line, lest all share one cache set.
static void* fresh(int stack, void (*entry)()) {
    void** top = (void**)(stacks + (stack + 1) * STRIDE - 64 * (stack % 64));
    *--top = nullptr; // the return address of entry, which never returns: rsp is 8 mod 16 there
    *--top = (void*)entry;
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    return top;
}

// ---- who runs next
static bool runnable(unsigned k) {
    const Fiber& f = fibers[k];
    switch (states[k]) {
    case State::Unstarted:
    case State::Ready: return true;
    case State::AtBarrier: return block.generation == f.wanted;
    case State::AtWarp: return (int)(f.group->generation - f.wanted) >= 0;
    case State::AtPhase: land_transfers(f.barrier); return f.barrier->phase != f.phase;
    case State::Done: return false;
    }
    return false;
}
static uint64_t random_state;
static unsigned random_below(uint64_t n) {
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)((random_state >> 33) % n);
}
static Fiber* pick() {
    if (!schedule.warp_greedy) {
        // Turns in a fixed order are too fair: nobody would be overtaken twice.
        if (schedule.order == Order::Shuffled) position = random_below(places);
        for (unsigned i = 0; i < places; ++i) {
            if (++position == places) position = 0;
            if (runnable(order[position])) return &fibers[order[position]];
        }
        return nullptr;
    }
    const unsigned first = position & ~31u;
    for (unsigned i = 1; i <= 32; ++i) {
        const unsigned p = first | ((position + i) & 31);
        if (runnable(order[p])) { position = p; return &fibers[order[p]]; }
    }
    for (unsigned i = 32; i < places; ++i) {
        const unsigned p = (first + i) % places;
        if (runnable(order[p])) { position = p; return &fibers[order[p]]; }
    }
    return nullptr;
}
static void become(Fiber& f) {
    running = &f;
    now_thread = &f.index;
    states[f.linear] = State::Ready;
}
[[noreturn]] static void deadlock() {
    unsigned at_barrier = 0, at_warp = 0, at_phase = 0, done = 0;
    for (unsigned k = 0; k < block.threads; ++k) {
        at_barrier += states[k] == State::AtBarrier;
        at_warp += states[k] == State::AtWarp;
        at_phase += states[k] == State::AtPhase;
        done += states[k] == State::Done;
        if (states[k] != State::Done) running = &fibers[k];
    }
    fault(FaultKind::Deadlock, nullptr, "nobody can go on: of %u threads %u wait at __syncthreads, %u in a warp operation, %u for an mbarrier, %u have returned",
          block.threads, at_barrier, at_warp, at_phase, done);
}
static void work();
void wait_as(State state) {
    Fiber& me = *running;
    states[me.linear] = state;
    Fiber* next = pick();
    if (!next) deadlock();
    if (next == &me) { states[me.linear] = State::Ready; return; }
    if (states[next->linear] == State::Unstarted) {
        starting = next;
        starting_stack = take_stack();
        emu_switch(&me.stack_pointer, fresh(starting_stack, work));
    } else {
        become(*next);
        emu_switch(&me.stack_pointer, next->stack_pointer);
    }
}
[[noreturn]] static void leave_for(void* stack_pointer) {
    void* forgotten;
    emu_switch(&forgotten, stack_pointer);
    __builtin_unreachable();
}
void abandon() {
    failed = true;
    leave_for(host_stack_pointer);
}

// ---- the block's barrier
static void release_if_full() {
    if (block.arrived < block.live || block.live == 0) return;
    block.arrived = 0;
    ++block.generation;
    for (int i = 0; i < 3; ++i) block.vote_result[i] = block.votes[i];
    block.votes[0] = block.votes[2] = 0;
    block.votes[1] = 1;
}
void sync_block() {
    Fiber& me = *running;
    me.wanted = block.generation + 1;
    ++block.arrived;
    release_if_full();
    if (block.generation != me.wanted) wait_as(State::AtBarrier);
}
int sync_block_vote(Vote vote, int predicate) {
    block.votes[0] += predicate != 0;
    block.votes[1] &= predicate != 0;
    block.votes[2] |= predicate != 0;
    sync_block();
    return block.vote_result[(int)vote];
}

// ---- a thread from its first to its last instruction
static void exit_thread(Fiber& me) {
    states[me.linear] = State::Done;
    --block.live;
    Warp& warp = warps[me.linear / 32];
    warp.exited |= 1u << me.lane();
    if (block.arrived) release_if_full();
    if (warp.groups) finish_groups_of(warp);
}
static void work() {
    const int stack = starting_stack;
    void (*const call)(void**) = launched->kernel->variants[schedule.checked].call;
    for (;;) {
        Fiber& me = *starting;
        become(me);
        call(launched->arguments);
        exit_thread(me);
        if (block.live == 0) break;
        Fiber* next = pick();
        if (!next) deadlock();
        if (states[next->linear] == State::Unstarted) {
            starting = next;
            continue;
        }
        free_stacks[free_count++] = stack;
        become(*next);
        leave_for(next->stack_pointer);
    }
    free_stacks[free_count++] = stack;
    leave_for(host_stack_pointer);
}

// ---- a launch
template <class T> static void shuffle_items(T* items, unsigned n) {
    for (unsigned i = n; i > 1; --i) std::swap(items[i - 1], items[random_below(i)]);
}
static void order_threads() {
    for (unsigned k = 0; k < places; ++k) order[k] = schedule.order == Order::Reverse ? places - 1 - k : k;
    if (schedule.order != Order::Shuffled) return;
    if (!schedule.warp_greedy) return shuffle_items(order, places);
    unsigned warp_order[32];
    for (unsigned w = 0; w < places / 32; ++w) warp_order[w] = w;
    shuffle_items(warp_order, places / 32);
    for (unsigned w = 0; w < places / 32; ++w) {
        for (unsigned l = 0; l < 32; ++l) order[32 * w + l] = 32 * warp_order[w] + l;
        shuffle_items(order + 32 * w, 32);
    }
}
static void begin_launch(const Launch& l) {
    static dim3 shape(0, 0, 0);
    make_stacks();
    catch_signals();
    const unsigned n = l.block.x * l.block.y * l.block.z;
    launched = &l;
    now_block_size = l.block;
    now_grid_size = l.grid;
    places = (n + 31) / 32 * 32;
    random_state = schedule.seed;
    if (shape.x != l.block.x || shape.y != l.block.y || shape.z != l.block.z) {
        for (unsigned k = 0; k < 1024; ++k) {
            fibers[k].linear = k;
            fibers[k].index = {k % l.block.x, k / l.block.x % l.block.y, k / (l.block.x * l.block.y)};
        }
        for (unsigned w = 0; w < 32; ++w) warps[w].exists = 32 * w + 32 <= n ? ~0u : 32 * w < n ? (1u << n % 32) - 1 : 0;
        shape = l.block;
    }
    const Variant& variant = l.kernel->variants[schedule.checked];
    block.threads = n;
    block.shared_begin = variant.shared_begin;
    block.shared_bytes = (size_t)(variant.shared_end - variant.shared_begin);
    block.dynamic_bytes = l.dynamic_bytes;
    order_threads();
}
// Shared memory starts as NaN. Where a file has very much of it, not every block pays for that.
static void poison_shared(uint64_t number) {
    if (block.shared_bytes <= 128 * 1024 || number % 8 == 0) memset(block.shared_begin, 0xff, block.shared_bytes);
    memset(emu_dynamic_shared, 0xff, block.dynamic_bytes + MARGIN);
}
static void begin_block(const Launch& l, uint64_t i) {
    now_block = {(unsigned)(i % l.grid.x), (unsigned)(i / l.grid.x % l.grid.y), (unsigned)(i / l.grid.x / l.grid.y)};
    block.live = block.threads;
    block.arrived = block.generation = block.phases = 0;
    block.votes[0] = block.votes[2] = 0;
    block.votes[1] = 1;
    ++block.serial;
    memset(states, (int)State::Unstarted, block.threads);
    memset(states + block.threads, (int)State::Done, places - block.threads);
    for (unsigned w = 0; w < places / 32; ++w) warps[w].exited = warps[w].operations = warps[w].groups = 0;
    if (schedule.order == Order::Shuffled) order_threads();
    forget_async();
}
static bool run_block() {
    position = 0;
    while (states[order[position]] == State::Done) ++position;
    starting = &fibers[order[position]];
    starting_stack = take_stack();
    emu_switch(&host_stack_pointer, fresh(starting_stack, work));
    running = nullptr;
    if (failed) return false;
    for (size_t i = block.dynamic_bytes; i < block.dynamic_bytes + MARGIN; ++i)
        if (emu_dynamic_shared[i] != 0xff) {
            record_fault(FaultKind::OutOfBounds, launched->kernel->name, nullptr,
                         "dynamic shared memory was written at byte " + std::to_string(i) + " of " + std::to_string(block.dynamic_bytes));
            return false;
        }
    return true;
}
bool run(const Launch& l) {
    begin_launch(l);
    check_begin_launch();
    free_all_stacks();
    const uint64_t blocks = (uint64_t)l.grid.x * l.grid.y * l.grid.z;
    uint64_t step = 1;
    if (schedule.order == Order::Shuffled) // any step without a divisor in common visits all
        do step = 1 + random_below(blocks); while (std::__gcd(step, blocks) != 1);
    failed = false;
    bool good = true;
    for (uint64_t i = 0; good && i < blocks; ++i) {
        begin_block(l, schedule.order == Order::Reverse ? blocks - 1 - i : i * step % blocks);
        poison_shared(i);
        check_begin_block();
        good = run_block();
    }
    launched = nullptr;
    return good;
}
} // namespace emu
