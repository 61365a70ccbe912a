/* SPDX-License-Identifier: Apache-2.0
 *
 * module.cpp - modules, whatever is in their images: their kernels are those of tests/emulation/.
 */
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <vector>

#include "tests/emulation/kernels.h"
#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/memory.h"
#include "tests/fakes/cuda/stream.h"

struct CUfunc_st {
    CUmod_st *module;
    std::string name;
    size_t argument_bytes;
};

struct CUmod_st {
    CUctx_st *context;
    std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};

using namespace fake;

namespace {

constexpr uint32_t kFatbin = 0xBA55ED50;
constexpr uint64_t kUsualThreads = 64;
const char kNoKernels[] = "rankzero no kernels"; /* of a build without nvcc */
constexpr unsigned kMostThreads = 1024, kMostSharedBytes = 48 << 10;

std::vector<CUmod_st *> &modules()
{
    static auto *all = new std::vector<CUmod_st *>;
    return *all;
}

bool is_image(const void *image)
{
    return std::memcmp(image, &kFatbin, sizeof kFatbin) == 0 ||
           std::memcmp(image, kNoKernels, sizeof kNoKernels) == 0;
}

CUfunc_st *find_function(rz_cuda_function asked)
{
    for (const CUmod_st *module : modules())
        for (const auto &one : module->functions)
            if (one.second.get() == asked)
                return asked;
    give_up("cuLaunchKernel: %p is no function, or its module is unloaded",
            static_cast<void *>(asked));
}

/* Two small numbers side by side look like an address, too, where AddressSanitizer has its shadow
 * or at the start of one of its regions. */
bool is_mapped(uintptr_t address)
{
    if (address < uintptr_t{1} << 44 || static_cast<uint32_t>(address) < 1U << 16)
        return false;
    unsigned char resident = 0;
    void *page = reinterpret_cast<void *>(address / page_bytes() * page_bytes());
    return mincore(page, 1, &resident) == 0;
}

/* What looks like an address in the arguments is used in a way that is not known. Memory that a
 * kernel cannot reach is a mistake. */
std::vector<use> uses_of(const CUfunc_st &function, const std::vector<char> &arguments)
{
    std::vector<use> uses;
    for (size_t at = 0; at + sizeof(uintptr_t) <= arguments.size(); at += sizeof(uintptr_t)) {
        uintptr_t address = 0;
        std::memcpy(&address, arguments.data() + at, sizeof address);
        const block *b = find_block(address, 0);
        if (b != nullptr)
            uses.push_back({use::unknown, b->begin, b->end});
        else if (is_device_address(address))
            give_up("%s: at byte %zu of its arguments is an address in device memory that is not "
                    "allocated",
                    function.name.c_str(), at);
        else if (is_mapped(address))
            give_up("%s: at byte %zu of its arguments is an address in memory of the host that is "
                    "not pinned",
                    function.name.c_str(), at);
    }
    return uses;
}

} // namespace

int cuModuleLoadData(rz_cuda_module *module, const void *image)
{
    return call(needs::context, [&](guard &) -> int {
        if (const int code = refuse_in_capture())
            return code;
        if (image == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        if (!is_image(image))
            return CUDA_ERROR_INVALID_IMAGE;
        *module = new CUmod_st{current_context(), {}};
        modules().push_back(*module);
        born(*module, kind::module, current_context());
        return CUDA_SUCCESS;
    });
}

int cuModuleUnload(rz_cuda_module module)
{
    return destroy(module, [&](guard &lock) -> int {
        if (const int code = refuse_in_capture())
            return code;
        if (module == nullptr)
            return CUDA_ERROR_INVALID_HANDLE;
        expect_alive(module, kind::module, "cuModuleUnload");
        forget_owner(module, "cuModuleUnload", lock);
        modules().erase(std::find(modules().begin(), modules().end(), module));
        gone(module);
        delete module;
        return CUDA_SUCCESS;
    });
}

int cuModuleGetFunction(rz_cuda_function *function, rz_cuda_module module, const char *name)
{
    return call(needs::context, [&](guard &) {
        expect_alive(module, kind::module, "cuModuleGetFunction");
        const size_t bytes = emulated_argument_bytes(name);
        if (bytes == 0)
            return CUDA_ERROR_NOT_FOUND;
        std::unique_ptr<CUfunc_st> &known = module->functions[name];
        if (known == nullptr)
            known.reset(new CUfunc_st{module, name, bytes});
        *function = known.get();
        return CUDA_SUCCESS;
    });
}

int cuLaunchKernel(rz_cuda_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                   rz_cuda_stream stream, void **arguments, void **extra)
{
    return call(needs::context, [&](guard &) -> int {
        const CUfunc_st *f = find_function(function);
        CUstream_st *s = find_stream(stream, "cuLaunchKernel");
        if (s->context != f->module->context)
            return CUDA_ERROR_INVALID_HANDLE;
        constexpr unsigned kMostRows = 65535; /* of a grid, in y and z */
        if (grid_x == 0 || grid_y == 0 || grid_z == 0 || block_x == 0 || block_y == 0 ||
            block_z == 0 || grid_x > INT32_MAX || grid_y > kMostRows || grid_z > kMostRows ||
            block_x > kMostThreads || shared_bytes > kMostSharedBytes || arguments == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        if (grid_z != 1 || block_y != 1 || block_z != 1 || shared_bytes != 0 || extra != nullptr)
            give_up("cuLaunchKernel: the double has grids (x, y) of blocks (x), without shared "
                    "memory or extra arguments");
        const auto *bytes = static_cast<const char *>(arguments[0]);
        const std::vector<char> copied(bytes, bytes + f->argument_bytes);
        /* Results don't depend on it, and the time that a block takes is that of its threads. */
        const auto threads = static_cast<uint32_t>(
            std::min(uint64_t{block_x}, chosen("RZ_FAKE_CUDA_THREADS", kUsualThreads)));
        const auto run = [name = f->name, copied, grid_x, grid_y, threads] {
            std::vector<char> own = copied;
            void *all[] = {own.data()};
            uint64_t seed = 0;
            {
                const guard lock(machine_mutex());
                seed = random_below(UINT64_MAX);
            }
            const emulated_launch how = {name.c_str(), grid_x, grid_y, threads, seed};
            return emulated_run(&how, all) != 0 ? FAKE_CUDA_DONE : FAKE_CUDA_FAILED;
        };
        return enqueue(s, {f->name, run, uses_of(*f, copied), f->module, false});
    });
}
