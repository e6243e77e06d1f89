// The table of all kernels, filled when the library is opened.
#include "emu/runtime.h"
#include <deque>

namespace emu {
static std::deque<Kernel>& table() {
    static std::deque<Kernel> kernels; // entries stay where they are
    return kernels;
}
const Kernel* find_kernel(const char* name) {
    for (const Kernel& k : table())
        if (!strcmp(k.name, name)) return &k;
    return nullptr;
}
void enter_kernel(const Kernel& kernel, bool checked) {
    if (const Kernel* known = find_kernel(kernel.name)) {
        const_cast<Kernel*>(known)->variants[checked] = kernel.variants[checked];
        return;
    }
    table().push_back(kernel);
}
size_t kernel_count() { return table().size(); }
const Kernel& kernel_at(size_t i) { return table()[i]; }
} // namespace emu
