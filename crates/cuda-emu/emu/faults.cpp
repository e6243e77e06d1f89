// What went wrong, and how a launch is left when it does.
//
// A fault is recorded with kernel, block, thread and address, said on stderr, and the fiber goes back to
// the host, whose launch then fails. Signals (a guard page behind each allocation, a division by zero)
// become faults the same way.
#include "emu/runtime.h"
#include <cstdarg>
#include <csignal>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

namespace emu {
std::vector<Fault> faults;
static pid_t launching_thread;

static void add(const Fault& f) {
    static const char* names[] = {"out of bounds", "race", "uninitialised read", "deadlock", "bad launch", "misaligned", "divergence", "trap", "bad call"};
    char at[40] = "";
    if (f.address) snprintf(at, sizeof at, ", address %#llx", (unsigned long long)f.address);
    fprintf(stderr, "gradus-cuda-emu: %s in %s, block (%u, %u, %u), thread (%u, %u, %u)%s: %s\n", names[(int)f.kind], f.kernel.c_str(), f.block.x,
            f.block.y, f.block.z, f.thread.x, f.thread.y, f.thread.z, at, f.what.c_str());
    faults.push_back(f);
}
void record_fault(FaultKind kind, const std::string& kernel, const void* address, const std::string& what) {
    const uint3 none = {0, 0, 0};
    add({kind, kernel, launched ? now_block : none, running ? running->index : none, (uint64_t)(uintptr_t)address, what});
}
void fault(FaultKind kind, const void* address, const char* format, ...) {
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    record_fault(kind, launched->kernel->name, address, text);
    abandon();
}
void trap(const char* what) { fault(FaultKind::Trap, nullptr, "%s", what); }

// ---- signals
static struct sigaction before[65];
static volatile int caught_signal, caught_code;
static void* volatile caught_address;
alignas(16) static unsigned char landing_stack[64 * 1024];

// Runs on its own stack once the handler has returned: an ordinary place to say what happened.
[[noreturn]] static void land() {
    void* const at = caught_address;
    if (caught_signal == SIGFPE) fault(FaultKind::Trap, nullptr, "an integer was divided by zero");
    if (caught_signal == SIGILL) fault(FaultKind::Trap, nullptr, "an illegal instruction, such as __builtin_trap()");
    if (caught_code == SI_KERNEL) fault(FaultKind::Misaligned, nullptr, "a vector access to a misaligned address, or an address that cannot be");
    if (on_a_stack(at)) fault(FaultKind::OutOfBounds, at, "the thread's stack overflowed");
    static std::string where; // outlives the fiber
    where = near_by((uintptr_t)at);
    fault(FaultKind::OutOfBounds, at, "an access %s", where.c_str());
}
static void on_signal(int number, siginfo_t* info, void* context) {
    if (running && syscall(SYS_gettid) == launching_thread) {
        caught_signal = number;
        caught_code = info->si_code;
        caught_address = info->si_addr;
        auto& registers = ((ucontext_t*)context)->uc_mcontext.gregs;
        registers[REG_RSP] = (greg_t)(landing_stack + sizeof landing_stack - 8);
        registers[REG_RIP] = (greg_t)land;
        return;
    }
    sigaction(number, &before[number], nullptr); // not ours: let it happen again to whoever was before
}
void catch_signals() {
    launching_thread = (pid_t)syscall(SYS_gettid);
    static bool caught;
    if (caught) return;
    caught = true;
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(number, &action, &before[number]);
}
} // namespace emu
