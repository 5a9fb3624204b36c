#include "cpu/cpu.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "cpu/linear_kernels.h"
#include "cpu/memory.h"
#include "cpu/pool.h"

namespace sluice {

namespace {

using cpu::LinearKernels;
using cpu::LinearScratch;

/** More threads than this help no batch that a gateway makes. */
constexpr uint32_t kMaxThreads = 64;
constexpr uint32_t kDefaultThreads = 4;
/** Work (features) below which waking a thread costs more than it saves, and the share taken at a time. */
constexpr uint64_t kParallelFrom = 32768;
constexpr uint32_t kRowsAtATime = 16;

struct CpuDevice {
  CpuDevice(const LinearKernels* kernels, uint32_t threads) : linear(kernels), pool(threads) {}
  const LinearKernels* linear;
  cpu::Pool pool;
};

bool has_avx2() {
#ifdef SLUICE_AVX2
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

const LinearKernels* choose_linear(const char* isa) {
  const bool any = isa == nullptr || std::strcmp(isa, "auto") == 0;
#ifdef SLUICE_AVX2
  if (has_avx2() && (any || std::strcmp(isa, "avx2") == 0)) return cpu::linear_avx2();
#endif
  return any || std::strcmp(isa, "baseline") == 0 ? cpu::linear_baseline() : nullptr;
}

uint32_t choose_threads(uint32_t wanted) {
  if (wanted > 0) return wanted < kMaxThreads ? wanted : kMaxThreads;
  const uint32_t cores = std::thread::hardware_concurrency();
  return cores < 1 ? 1 : cores < kDefaultThreads ? cores : kDefaultThreads;
}

int probe(char* text, size_t size) {
  std::snprintf(text, size, "%s", choose_linear(nullptr)->name);
  return SLUICE_OK;
}

int open(const sluice_device_options* options, void** device, char* text, size_t size) {
  const LinearKernels* kernels = choose_linear(options->isa);
  if (!kernels) {
    std::snprintf(text, size, "this processor or build has no %s", options->isa);
    return SLUICE_UNAVAILABLE;
  }
  const uint32_t threads = choose_threads(options->threads);
  *device = new (std::nothrow) CpuDevice(kernels, threads);
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

struct ScoreCall {
  const LinearKernels* kernels;
  const sluice_linear* model;
  const sluice_rows* rows;
  float* scores;
  const int32_t* stop;
  std::atomic<uint32_t> next{0};
  std::atomic<int> status{SLUICE_OK};
};

/** One thread's share: takes rows until none is left. Which thread takes which row changes no bit. */
void score_some(void* context) {
  auto& call = *static_cast<ScoreCall*>(context);
  try {
    const Scratch scratch(*call.model);
    call.kernels->prepare(call.model, scratch.get());
    const uint32_t count = call.rows->count;
    while (true) {
      const uint32_t first = call.next.fetch_add(kRowsAtATime);
      if (first >= count || call.status != SLUICE_OK) return;
      const uint32_t last = count - first < kRowsAtATime ? count : first + kRowsAtATime;
      if (!call.kernels->score(call.model, call.rows, first, last, call.scores, scratch.get(), call.stop))
        call.status = SLUICE_STOPPED;
    }
  } catch (const std::bad_alloc&) {
    call.status = SLUICE_NO_MEMORY;
  }
}

int linear_score(void* device, const sluice_linear* model, const sluice_rows* rows, float* scores,
                 const int32_t* stop) {
  auto& cpu = *static_cast<CpuDevice*>(device);
  ScoreCall call{.kernels = cpu.linear, .model = model, .rows = rows, .scores = scores, .stop = stop};
  const uint64_t work = (rows->nnz + uint64_t{rows->count} * model->dense_dims) * model->outputs;
  if (work >= kParallelFrom && rows->count > kRowsAtATime)
    cpu.pool.run(score_some, &call);
  else
    score_some(&call);
  return call.status;
}

int linear_step(void* device, sluice_linear* model, const sluice_rows* rows, const int32_t* labels,
                const float* weights, const int32_t* schedule, uint64_t entries, float* scores,
                const int32_t* stop) {
  auto& cpu = *static_cast<CpuDevice*>(device);
  try {
    const Scratch scratch(*model);
    cpu.linear->prepare(model, scratch.get());
    const bool whole =
        cpu.linear->step(model, rows, labels, weights, schedule, entries, scores, scratch.get(), stop);
    return whole ? SLUICE_OK : SLUICE_STOPPED;
  } catch (const std::bad_alloc&) {
    return SLUICE_NO_MEMORY;
  }
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
  };
  return &table;
}

}  // namespace sluice
