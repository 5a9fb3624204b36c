#include "cpu/cpu.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "cpu/isa.h"
#include "cpu/linear_kernels.h"
#include "cpu/memory.h"
#include "cpu/pool.h"
#include "cpu/text_kernels.h"

namespace sluice {

namespace {

using cpu::LinearKernels;
using cpu::LinearScratch;
using cpu::TextKernels;

/** More threads than this help no batch that a gateway makes. */
constexpr uint32_t kMaxThreads = 64;
constexpr uint32_t kDefaultThreads = 4;
/** Work (features) below which waking a thread costs more than it saves, and the share taken at a time. */
constexpr uint64_t kParallelFrom = 32768;
constexpr uint32_t kRowsAtATime = 16;

/** The kernels of every kind for one instruction set. */
struct Kernels {
  const char* name;
  const LinearKernels* linear;
  const TextKernels* text;
};

struct CpuDevice {
  CpuDevice(const Kernels& chosen, uint32_t threads) : kernels(chosen), pool(threads) {}
  Kernels kernels;
  cpu::Pool pool;
};

/** Null where this processor or build lacks them. */
const Kernels* choose_kernels(const char* isa) {
  static const Kernels baseline{"baseline", cpu::linear_baseline(), cpu::text_baseline()};
  const bool any = isa == nullptr || std::strcmp(isa, "auto") == 0;
#ifdef SLUICE_AVX2
  static const Kernels avx2{"avx2", cpu::linear_avx2(), cpu::text_avx2()};
  if (cpu::has_avx2() && (any || std::strcmp(isa, "avx2") == 0)) return &avx2;
#endif
  return any || std::strcmp(isa, "baseline") == 0 ? &baseline : nullptr;
}

uint32_t choose_threads(uint32_t wanted) {
  if (wanted > 0) return wanted < kMaxThreads ? wanted : kMaxThreads;
  const uint32_t cores = std::thread::hardware_concurrency();
  return cores < 1 ? 1 : cores < kDefaultThreads ? cores : kDefaultThreads;
}

int probe(char* text, size_t size) {
  std::snprintf(text, size, "%s", choose_kernels(nullptr)->name);
  return SLUICE_OK;
}

int open(const sluice_device_options* options, void** device, char* text, size_t size) {
  const Kernels* kernels = choose_kernels(options->isa);
  if (!kernels) {
    std::snprintf(text, size, "this processor or build has no %s", options->isa);
    return SLUICE_UNAVAILABLE;
  }
  const uint32_t threads = choose_threads(options->threads);
  *device = new (std::nothrow) CpuDevice(*kernels, threads);
  std::snprintf(text, size, "%s, %u thread%s", kernels->name, threads, threads == 1 ? "" : "s");
  return *device ? SLUICE_OK : SLUICE_NO_MEMORY;
}

void close(void* device) {
  delete static_cast<CpuDevice*>(device);
}

void* alloc(void*, size_t bytes) {
  return cpu::allocate(bytes);
}

void release(void*, void* memory, size_t bytes) {
  cpu::release(memory, bytes);
}

/** Owns what one thread of one call needs; throws bad_alloc. */
class Scratch {
 public:
  explicit Scratch(const sluice_linear& model)
      : doubles_(size_t{2} * model.dense_dims + model.outputs),
        floats_(model.dense_dims + size_t{6} * model.stride) {
    view_.scale = doubles_.data();
    view_.logits = view_.scale + size_t{2} * model.dense_dims;
    view_.dense = floats_.data();
    view_.sums = view_.dense + model.dense_dims;
  }
  const LinearScratch* get() const { return &view_; }

 private:
  std::vector<double> doubles_;
  std::vector<float> floats_;
  LinearScratch view_;
};

/**
 * Scores rows with as many threads as are worth it. `open` gives each thread what scores rows [first, last),
 * false when stopped, with its scratch. Which thread takes which row changes no bit.
 */
template <typename Open>
struct ScoreCall {
  const sluice_rows* rows;
  const Open& open;
  std::atomic<uint32_t> next{0};
  std::atomic<int> status{SLUICE_OK};

  /** One thread's share: takes rows until none is left. */
  static void share(void* context) {
    auto& call = *static_cast<ScoreCall*>(context);
    try {
      const auto score = call.open();
      const uint32_t count = call.rows->count;
      while (true) {
        const uint32_t first = call.next.fetch_add(kRowsAtATime);
        if (first >= count || call.status != SLUICE_OK) return;
        const uint32_t last = count - first < kRowsAtATime ? count : first + kRowsAtATime;
        if (!score(first, last)) call.status = SLUICE_STOPPED;
      }
    } catch (const std::bad_alloc&) {
      call.status = SLUICE_NO_MEMORY;
    }
  }
};

template <typename Open>
int score_rows(cpu::Pool& pool, const sluice_rows* rows, uint64_t work, const Open& open) {
  ScoreCall<Open> call{.rows = rows, .open = open};
  if (work >= kParallelFrom && rows->count > kRowsAtATime)
    pool.run(ScoreCall<Open>::share, &call);
  else
    ScoreCall<Open>::share(&call);
  return call.status;
}

int linear_score(void* device, const sluice_linear* model, const sluice_rows* rows, float* scores,
                 const int32_t* stop) {
  auto& cpu = *static_cast<CpuDevice*>(device);
  const LinearKernels& kernels = *cpu.kernels.linear;
  const uint64_t work = (rows->nnz + uint64_t{rows->count} * model->dense_dims) * model->outputs;
  return score_rows(cpu.pool, rows, work, [&] {
    auto scratch = std::make_unique<const Scratch>(*model);
    kernels.prepare(model, scratch->get());
    return [&, scratch = std::move(scratch)](uint32_t first, uint32_t last) {
      return kernels.score(model, rows, first, last, scores, scratch->get(), stop);
    };
  });
}

int linear_step(void* device, sluice_linear* model, const sluice_rows* rows, const int32_t* labels,
                const float* weights, const int32_t* schedule, uint64_t entries, float* scores,
                const int32_t* stop) {
  auto& cpu = *static_cast<CpuDevice*>(device);
  try {
    const Scratch scratch(*model);
    const LinearKernels& kernels = *cpu.kernels.linear;
    kernels.prepare(model, scratch.get());
    const bool whole =
        kernels.step(model, rows, labels, weights, schedule, entries, scores, scratch.get(), stop);
    return whole ? SLUICE_OK : SLUICE_STOPPED;
  } catch (const std::bad_alloc&) {
    return SLUICE_NO_MEMORY;
  }
}

int text_score(void* device, const sluice_text* model, const sluice_rows* rows, float* scores,
               const int32_t* stop) {
  auto& cpu = *static_cast<CpuDevice*>(device);
  return score_rows(cpu.pool, rows, rows->nnz, [&] {
    return [&](uint32_t first, uint32_t last) {
      return cpu.kernels.text->score(model, rows, first, last, scores, stop);
    };
  });
}

int text_step(void* device, sluice_text* model, const sluice_rows* rows, const int32_t* labels,
              const float* weights, const int32_t* schedule, uint64_t entries, float* scores,
              const int32_t* stop) {
  const TextKernels& kernels = *static_cast<CpuDevice*>(device)->kernels.text;
  const bool whole = kernels.step(model, rows, labels, weights, schedule, entries, scores, stop);
  return whole ? SLUICE_OK : SLUICE_STOPPED;
}

void parallel(void* device, void (*work)(void*), void* context) {
  static_cast<CpuDevice*>(device)->pool.run(work, context);
}

}  // namespace

const sluice_backend* cpu_backend() {
  static constexpr sluice_backend table{
      .abi = SLUICE_BACKEND_ABI,
      .size = sizeof(sluice_backend),
      .name = "cpu",
      .probe = probe,
      .open = open,
      .close = close,
      .alloc = alloc,
      .free = release,
      .upload = nullptr,
      .download = nullptr,
      .linear_score = linear_score,
      .linear_step = linear_step,
      .text_score = text_score,
      .text_step = text_step,
      .parallel = parallel,
  };
  return &table;
}

}  // namespace sluice
