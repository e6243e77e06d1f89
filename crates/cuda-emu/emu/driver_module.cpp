// The emulated driver: modules, functions, launches, tensor maps.
//
// A module's code is not run: the kernel of that name in the table is. Where the module is PTX text with
// entries, it must declare the kernel with as many parameters of the same sizes.
#include "emu/driver.h"
#include <algorithm>

namespace emu {
struct Module { std::string ptx; }; // empty: taken on trust
struct Function {
    const Kernel* kernel;
    unsigned most_threads;
    int fixed;        // bytes of static shared memory, where the PTX tells
    int most_dynamic; // and of dynamic
};
struct alignas(64) Value { unsigned char bytes[64]; }; // a parameter starts where one of any type may
static constexpr int UNASKED = 49152; // static and dynamic shared memory together, before more is asked for

// ".param .u64 .ptr .align 1 name" or ".param .align 8 .b8 name[24]"
static size_t parameter_size(const std::string& declaration) {
    const size_t bracket = declaration.find('[');
    if (bracket != std::string::npos) return (size_t)atoi(declaration.c_str() + bracket + 1);
    static const std::pair<const char*, size_t> widths[] = {{"64", 8}, {"16", 2}, {"8", 1}};
    for (const auto& [bits, size] : widths)
        for (const char* type : {".u", ".s", ".b", ".f"})
            if (declaration.find(std::string(type) + bits) != std::string::npos) return size;
    return 4;
}
// The sum of ".shared .align 4 .b8 name[256];" in the body, and of those before it that the body names.
static size_t static_shared(const std::string& ptx, size_t body) {
    const size_t close = std::min(ptx.find("\n}", body), ptx.size());
    const std::string code = ptx.substr(body, close - body);
    size_t bytes = 0;
    for (size_t p = 0; (p = ptx.find(".shared .align ", p)) < close; ++p) {
        const std::string line = ptx.substr(p, ptx.find(';', p) - p);
        const size_t name = line.rfind(' ') + 1, bracket = line.find('[', name);
        const size_t opened = ptx.rfind("\n{", p), closed = ptx.rfind("\n}", p);
        const bool outside = opened == std::string::npos || (closed != std::string::npos && closed > opened);
        if (outside ? code.find(line.substr(name, bracket - name)) == std::string::npos : p < body) continue;
        const size_t size = bracket == std::string::npos ? parameter_size(line) : (size_t)atoi(line.c_str() + bracket + 1);
        const size_t align = (size_t)atoi(line.c_str() + 15);
        if (size) bytes = (bytes + align - 1) / align * align + size; // 0: what is dynamic
    }
    return bytes;
}
struct Declared { bool found = false; std::vector<size_t> sizes; unsigned most_threads = 0; size_t shared = 0; };
static Declared declared(const std::string& ptx, const std::string& name) {
    Declared entry;
    const size_t at = ptx.find(".entry " + name + "(");
    if (at == std::string::npos) return entry;
    entry.found = true;
    const size_t end = ptx.find(')', at + 8 + name.size());
    for (size_t p = at; (p = ptx.find(".param", p)) < end;) {
        const size_t comma = std::min(ptx.find(',', p), end);
        entry.sizes.push_back(parameter_size(ptx.substr(p, comma - p)));
        p = comma;
    }
    const size_t body = ptx.find('{', end), bound = ptx.find(".maxntid", end);
    if (bound < body) { // .maxntid 256, or 16, 16, 1
        const std::string list = ptx.substr(bound + 8, body - bound - 8);
        unsigned x = 1, y = 1, z = 1;
        sscanf(list.c_str(), "%u , %u , %u", &x, &y, &z);
        entry.most_threads = x * y * z;
    }
    entry.shared = static_shared(ptx, body);
    return entry;
}
static CUresult complain(const std::string& kernel, const std::string& what, CUresult result) {
    record_fault(FaultKind::BadCall, kernel, nullptr, what);
    return result;
}
static CUresult bad_launch(const Kernel* k, const std::string& what, CUresult result) {
    record_fault(FaultKind::BadLaunch, k->name, nullptr, what);
    return result;
}
// Faults become the errors of which a GPU would make something.
static CUresult error_of(FaultKind kind) {
    switch (kind) {
    case FaultKind::OutOfBounds: return ILLEGAL_ADDRESS;
    case FaultKind::Misaligned: return MISALIGNED_ADDRESS;
    case FaultKind::Deadlock: return LAUNCH_TIMEOUT;
    case FaultKind::Trap: return ILLEGAL_INSTRUCTION;
    default: return LAUNCH_FAILED;
    }
}
static std::string triple(const dim3& d) { return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")"; }

static CUresult check_launch(const Function& f, const dim3& grid, const dim3& block, unsigned dynamic) {
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (!grid.x || !grid.y || !grid.z || grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535)
        return bad_launch(f.kernel, "the grid " + triple(grid) + " is empty, or longer than 2147483647, 65535, 65535", INVALID_VALUE);
    if (!threads || block.x > 1024 || block.y > 1024 || block.z > 64 || threads > 1024)
        return bad_launch(f.kernel, "the block " + triple(block) + " is empty, or has more than 1024, 1024, 64 or 1024 threads in all", INVALID_VALUE);
    if (threads > f.most_threads)
        return bad_launch(f.kernel, "the block " + triple(block) + " exceeds the kernel's __launch_bounds__ of " + std::to_string(f.most_threads), INVALID_VALUE);
    if ((int64_t)dynamic > f.most_dynamic)
        return bad_launch(f.kernel, std::to_string(dynamic) + " bytes of dynamic shared memory; beside " + std::to_string(f.fixed) +
                          " of static, the function may have " + std::to_string(f.most_dynamic) +
                          " (CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)", INVALID_VALUE);
    if (!f.kernel->variants[0].call || !f.kernel->variants[1].call) return NOT_FOUND;
    return SUCCESS;
}
} // namespace emu

using namespace emu;

// Whether the device can run PTX for that architecture: an older one, or its very own with an a.
static bool runs(const char* ptx) {
    const char* at = strstr(ptx, "\n.target sm_");
    if (!at) return true;
    char* end;
    const long target = strtol(at + 12, &end, 10);
    return *end == 'a' ? target == capability() : target <= capability();
}
EMU_API CUresult cuModuleLoadData(void** module, const void* image) {
    EMU_ENTER_UNRECORDED;
    const char* text = (const char*)image;
    const bool binary = !memcmp(text, "\x7f" "ELF", 4) || !memcmp(text, "\x50\xed\x55\xba", 4); // cubin, fatbin
    if (!binary && !runs(text)) return INVALID_PTX;
    ++counts.modules;
    *module = new Module{!binary && strstr(text, ".entry") ? text : ""};
    return SUCCESS;
}
EMU_API CUresult cuModuleLoadDataEx(void** module, const void* image, unsigned, int*, void**) { return cuModuleLoadData(module, image); }
EMU_API CUresult cuModuleLoad(void** module, const char* path) {
    FILE* f = fopen(path, "rb");
    if (!f) return FILE_NOT_FOUND;
    std::string text;
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) text.append(part, n);
    fclose(f);
    text.append(4, '\0');
    return cuModuleLoadData(module, text.data());
}
EMU_API CUresult cuModuleUnload(void* module) {
    EMU_ENTER_CONTEXT;
    --counts.modules;
    delete (Module*)module;
    return SUCCESS;
}
EMU_API CUresult cuModuleGetFunction(void** function, void* module, const char* name) {
    EMU_ENTER_UNRECORDED;
    const Kernel* k = find_kernel(name);
    if (!k) return complain(name, "no .cu file of the workspace has this kernel", NOT_FOUND);
    unsigned most_threads = k->max_threads;
    int fixed = 0;
    const std::string& ptx = ((Module*)module)->ptx;
    if (!ptx.empty()) {
        const Declared entry = declared(ptx, name);
        if (!entry.found) return complain(name, "the module's PTX has no such entry", NOT_FOUND);
        if (entry.sizes != std::vector<size_t>(k->sizes, k->sizes + k->parameters))
            return complain(name, "the module's PTX has " + std::to_string(entry.sizes.size()) + " parameters and the source " +
                            std::to_string(k->parameters) + ", or their sizes differ: generate the PTX anew", NOT_FOUND);
        fixed = (int)entry.shared;
        if (entry.most_threads) most_threads = std::min(most_threads, entry.most_threads);
    }
    *function = new Function{k, most_threads, fixed, UNASKED - fixed}; // a few bytes each, for as long as the process lives
    return SUCCESS;
}
EMU_API CUresult cuFuncSetAttribute(void* function, int which, int value) {
    EMU_ENTER_SOUND;
    if (which != 8) return SUCCESS; // MAX_DYNAMIC_SHARED_SIZE_BYTES
    Function* f = (Function*)function;
    if (value < 0 || value + f->fixed > attribute(97)) return INVALID_VALUE; // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    f->most_dynamic = value;
    return SUCCESS;
}
EMU_API CUresult cuFuncGetAttribute(int* value, int which, void* function) {
    EMU_ENTER_SOUND;
    const Function* f = (Function*)function;
    switch (which) {
    case 0: *value = (int)f->most_threads; break; // MAX_THREADS_PER_BLOCK
    case 1: *value = f->fixed; break;             // SHARED_SIZE_BYTES
    case 4: *value = 32; break;                   // NUM_REGS: unknown here
    case 5: case 6: *value = capability(); break; // PTX_VERSION, BINARY_VERSION
    case 8: *value = f->most_dynamic; break;
    default: *value = 0;
    }
    return SUCCESS;
}
EMU_API CUresult cuFuncSetCacheConfig(void*, int) { return SUCCESS; }
EMU_API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* function, int threads, size_t dynamic) {
    EMU_ENTER_SOUND;
    const Function* f = (Function*)function;
    if (threads <= 0 || (unsigned)threads > f->most_threads) return INVALID_VALUE;
    const int by_threads = attribute(39) / ((threads + 31) / 32 * 32);
    const int shared = (int)dynamic + f->fixed + attribute(111), by_shared = shared ? attribute(81) / shared : 32;
    *blocks = std::min({by_threads, by_shared, attribute(106)});
    return SUCCESS;
}
EMU_API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void* f, int threads, size_t dynamic, unsigned) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, f, threads, dynamic);
}

EMU_API CUresult cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned dynamic,
                                void* stream, void** parameters, void** extra) {
    EMU_ENTER_SOUND;
    const Function* f = (Function*)function;
    if (extra) return NOT_SUPPORTED;
    const dim3 grid(gx, gy, gz), block(bx, by, bz);
    if (const CUresult bad = check_launch(*f, grid, block, dynamic)) return bad;
    const Kernel* k = f->kernel;
    auto values = std::make_shared<std::vector<Value>>(); // the driver keeps what the parameters are now
    for (size_t i = 0; i < k->parameters; ++i) {
        const size_t first = values->size();
        values->resize(first + (k->sizes[i] + sizeof(Value) - 1) / sizeof(Value));
        memcpy((void*)&(*values)[first], parameters[i], k->sizes[i]);
    }
    return put(stream, [=]() -> CUresult {
        std::vector<void*> arguments;
        for (size_t i = 0, at = 0; i < k->parameters; at += (k->sizes[i++] + sizeof(Value) - 1) / sizeof(Value)) arguments.push_back(&(*values)[at]);
        ++counts.launches;
        if (run({k, grid, block, dynamic, arguments.data()})) return SUCCESS;
        return emu::error_of(faults.back().kind);
    });
}

EMU_API CUresult cuTensorMapEncodeTiled(void* map, int type, unsigned rank, void* base, const uint64_t* size, const uint64_t* strides, const unsigned* box,
                                        const unsigned* element_strides, int interleave, int swizzle, int, int) {
    static const unsigned sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2}, swizzles[] = {0, 32, 64, 128};
    if (rank < 1 || rank > TensorMap::MOST || type < 0 || type > 9 || interleave || swizzle < 0 || swizzle > 3) return NOT_SUPPORTED;
    const unsigned element = sizes[type], row = box[0] * element;
    TensorMap m{base, {1, 1, 1, 1}, {element, 0, 0, 0}, {1, 1, 1, 1}, rank, element, swizzles[swizzle]};
    bool good = (uintptr_t)base % 16 == 0 && row % 16 == 0 && !(swizzle && row > swizzles[swizzle]);
    uint64_t bytes = element;
    for (unsigned d = 0; d < rank; ++d) {
        m.size[d] = size[d], m.box[d] = box[d];
        if (d) m.pitch[d] = strides[d - 1]; // that of the innermost is not told
        good &= size[d] && size[d] <= 1ull << 32 && box[d] && box[d] <= 256 && element_strides[d] == 1;
        good &= !d || (m.pitch[d] % 16 == 0 && m.pitch[d] < 1ull << 40);
        bytes += (size[d] - 1) * m.pitch[d];
    }
    // The last one no driver looks at.
    if (!good || !inside((CUdeviceptr)base, bytes, "cuTensorMapEncodeTiled")) return INVALID_VALUE;
    memcpy(map, &m, sizeof m);
    return SUCCESS;
}
