/*
 * A backend library for tests: the CPU's kernels behind memory of its own, which only upload and download
 * may touch, as on a GPU. The environment variable SLUICE_TEST_BACKEND_MODE makes it refuse in other ways.
 */
#include <cstdlib>
#include <cstring>

#include "cpu/cpu.h"

namespace {

// What the core gets is not the address of the memory: a core that forgot to copy would crash.
constexpr uintptr_t kVeil = uintptr_t{1} << 62;

template <typename T>
T* veil(T* pointer) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(pointer) ^ kVeil);
}

void* alloc(void* device, size_t bytes) {
  void* memory = sluice::cpu_backend()->alloc(device, bytes);
  return memory ? veil(memory) : nullptr;
}

void release(void* device, void* memory, size_t bytes) {
  sluice::cpu_backend()->free(device, veil(memory), bytes);
}

int upload(void*, void* to, const void* from, size_t bytes) {
  std::memcpy(veil(to), from, bytes);
  return SLUICE_OK;
}

int download(void*, void* to, const void* from, size_t bytes) {
  std::memcpy(to, veil(from), bytes);
  return SLUICE_OK;
}

sluice_linear unveiled(const sluice_linear* model) {
  sluice_linear view = *model;
  view.records = veil(view.records);
  view.moments = veil(view.moments);
  return view;
}

int linear_score(void* device, const sluice_linear* model, const sluice_rows* rows, float* scores,
                 const int32_t* stop) {
  const sluice_linear view = unveiled(model);
  return sluice::cpu_backend()->linear_score(device, &view, rows, scores, stop);
}

int linear_step(void* device, sluice_linear* model, const sluice_rows* rows, const int32_t* labels,
                const float* weights, const int32_t* schedule, uint64_t entries, float* scores,
                const int32_t* stop) {
  sluice_linear view = unveiled(model);
  return sluice::cpu_backend()->linear_step(device, &view, rows, labels, weights, schedule, entries, scores,
                                            stop);
}

sluice_text unveiled(const sluice_text* model) {
  sluice_text view = *model;
  view.tables = veil(static_cast<float*>(view.tables));
  view.state = veil(view.state);
  return view;
}

int text_score(void* device, const sluice_text* model, const sluice_rows* rows, float* scores,
               const int32_t* stop) {
  const sluice_text view = unveiled(model);
  return sluice::cpu_backend()->text_score(device, &view, rows, scores, stop);
}

int text_step(void* device, sluice_text* model, const sluice_rows* rows, const int32_t* labels,
              const float* weights, const int32_t* schedule, uint64_t entries, float* scores,
              const int32_t* stop) {
  sluice_text view = unveiled(model);
  return sluice::cpu_backend()->text_step(device, &view, rows, labels, weights, schedule, entries, scores,
                                          stop);
}

int refuse_probe(char* text, size_t size) {
  std::strncpy(text, "no driver", size);
  return SLUICE_UNAVAILABLE;
}

int refuse_open(const sluice_device_options*, void**, char* text, size_t size) {
  std::strncpy(text, "no driver", size);
  return SLUICE_UNAVAILABLE;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const sluice_backend* sluice_backend_table() {
  static sluice_backend table;
  const char* mode = std::getenv("SLUICE_TEST_BACKEND_MODE");
  const auto is = [&](const char* name) { return mode && std::strcmp(mode, name) == 0; };
  const sluice_backend* cpu = sluice::cpu_backend();
  table = *cpu;
  table.name = "test";
  table.alloc = alloc;
  table.free = release;
  table.upload = upload;
  table.download = download;
  table.linear_score = linear_score;
  table.linear_step = linear_step;
  table.text_score = text_score;
  table.text_step = text_step;
  if (is("abi")) table.abi = 99;
  if (is("half")) table.linear_step = nullptr;
  if (is("half text")) table.text_score = nullptr;
  if (is("no text")) table.text_score = nullptr, table.text_step = nullptr;
  if (is("driver")) table.probe = refuse_probe, table.open = refuse_open;
  if (is("none")) table.linear_score = nullptr, table.linear_step = nullptr;
  if (is("host")) {  // every optional memory entry left to its default
    table.alloc = nullptr, table.free = nullptr, table.upload = nullptr, table.download = nullptr;
    table.linear_score = cpu->linear_score, table.linear_step = cpu->linear_step;
    table.text_score = cpu->text_score, table.text_step = cpu->text_step;
  }
  return &table;
}
