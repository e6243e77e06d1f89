// What the files of the emulator know of each other. Kernels never include this.
#pragma once
#include "emu/hopper.h"
#include "emu/kernel.h"
#undef __noinline__ // libstdc++ has an attribute of that name
#include <string>
#include <vector>

namespace emu {
// ---- how a launch is carried out (schedule in lib.rs)
enum class Order : int { Forward, Reverse, Shuffled };
struct Schedule {
    Order order = Order::Forward;
    bool warp_greedy = true; // one warp as far as it goes before the next
    bool lazy_copies = true; // asynchronous work at its wait; otherwise at once
    bool checked = false;
    unsigned preempt = 0; // switch threads at one checked access in this many; 0 never
    uint64_t seed = 1;
};
extern Schedule schedule;

struct Launch {
    const Kernel* kernel;
    dim3 grid, block;
    size_t dynamic_bytes;
    void** arguments;
};
// Runs every block; false after a fault, which is then recorded.
bool run(const Launch& launch);

// ---- faults (faults.cpp)
enum class FaultKind : int { OutOfBounds, Race, Uninitialised, Deadlock, BadLaunch, Misaligned, Divergence, Trap, BadCall };
struct Fault {
    FaultKind kind;
    std::string kernel;
    uint3 block, thread;
    uint64_t address; // 0 where none is meant
    std::string what;
};
extern std::vector<Fault> faults;
// Records a fault of the running thread and leaves the launch. Nothing on a fiber's stack is destroyed.
[[noreturn]] void fault(FaultKind kind, const void* address, const char* format, ...) __attribute__((format(printf, 3, 4)));
// Records a fault outside of any thread.
void record_fault(FaultKind kind, const std::string& kernel, const void* address, const std::string& what);
void catch_signals();

// ---- threads (fibers.cpp)
enum class State : uint8_t { Unstarted, Ready, AtBarrier, AtWarp, AtPhase, Done };
struct Copy { void* to; const void* from; unsigned size, read; };
struct Product { float* d; unsigned columns; unsigned long long a, b; bool turned_a, turned_b; };
template <class T> struct Groups { // of asynchronous work: what is open, and where each closed group ends
    std::vector<T> items;
    std::vector<size_t> ends;
    void clear() { items.clear(); ends.clear(); }
};
struct Group;
struct Fiber {
    uint3 index; // threadIdx; now_thread points here
    unsigned linear, wanted;
    Group* group;          // waited for, AtWarp
    Barrier* barrier;      // waited for, AtPhase
    unsigned phase;
    int stack;
    void* stack_pointer;
    Groups<Copy> copies;
    Groups<Product> products;
    unsigned lane() const { return linear & 31; }
};
enum class Meeting : uint8_t { Sync, Shuffle, Ballot, Match, Fold, Ldmatrix, Mma };
// The lanes of one mask on their way through warp operations. Two sets of deposits, because a fast lane
// may already be at the next operation while a slow one has not read yet.
struct Group {
    static constexpr unsigned SLOT = 48; // bytes: what mma brings, d, a and b
    unsigned mask, arrived, generation, unread;
    Meeting meeting;
    unsigned live[2];
    alignas(64) unsigned char deposits[2][32 * SLOT];
};
struct Warp {
    static constexpr unsigned MASKS = 8;
    unsigned exists, exited, operations, groups;
    Group group[MASKS];
};
struct Block {
    unsigned threads, live, arrived, generation;
    unsigned phases; // of all mbarriers: each orders as a barrier does
    unsigned serial; // counts blocks over all launches, from 1
    int votes[3], vote_result[3];
    unsigned char* shared_begin; // __shared__ variables of the kernel's source file
    size_t shared_bytes, dynamic_bytes;
};
extern Block block;
extern Fiber fibers[1024];
extern State states[1024];
extern Warp warps[32];
extern Fiber* running; // null outside of threads
extern const Launch* launched;

// The running thread waits until `runnable` holds for it again; others run.
void wait_as(State state);
// Leaves the fiber for the host, for good.
[[noreturn]] void abandon();
// Where fibers live: what they touch there is their own.
static constexpr size_t STACK = 256 * 1024, STRIDE = STACK + 8192; // a guard page, and different cache sets
extern unsigned char* stacks;                                      // 1024 of them, touched as they are needed
inline bool on_a_stack(const void* p) { return (uintptr_t)p - (uintptr_t)stacks < 1024 * STRIDE; }
// ---- warps (warp.cpp)
// Brings `size` bytes, waits for the other lanes of the mask that have not exited, and sees what all
// brought: `live` says who, lane l's bytes are at l * size. The last to come calls `compute` on them.
unsigned char* meet(unsigned mask, Meeting meeting, const void* bring, unsigned size, unsigned* live, void (*compute)(unsigned char*) = nullptr);
void finish_groups_of(Warp& warp); // a lane has exited

// ---- asynchronous work (tensorcore.cpp, hopper.cpp)
void land_transfers(const Barrier* barrier);
void forget_transfers();
void start_product(const Product& product);
void multiply(const Product& product);
void forget_async(); // before a block

// ---- the checker (check.cpp)
void check_begin_launch();
void check_begin_block();
void check_access(const void* at, size_t size, bool write);
void check_read_before_meeting(const void* at, size_t size); // what the last meeting of the warp did not order
void mark_shared_initialised(const void* at, size_t size);
void track(uintptr_t base, size_t size);
void untrack(uintptr_t base);
void mark_initialised(uintptr_t at, size_t size);
void copy_known(uintptr_t to, uintptr_t from, size_t size);
std::string near_by(uintptr_t at); // where an address is that is in no allocation
void forget_contents(); // an unchecked launch may have written anywhere
} // namespace emu
