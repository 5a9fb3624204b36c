/*
 * What kinds share that are an array of records, mostly zero because buckets are hashed: their options, their
 * calls, and the runs of used records in their files. Refuses options that are unknown, missing, given twice
 * or out of range, and runs that are not canonical.
 */
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "core/model.h"

namespace sluice {

/** An option of a kind and its bounds; they keep every later value finite, what is sensible says kinds.ts. */
struct OptionRange {
  const char* name;
  double least;
  double most;
  bool whole = false;
};

/** Values in the order of `ranges`; the sentence of a refusal, or empty. */
std::string read_options(std::span<const OptionRange> ranges, const Options& given,
                         std::vector<double>& values);

/** Bytes of an array of records; throws Failure MODEL_MEMORY beyond what an honest shape asks for. */
size_t record_bytes(size_t count, size_t size);

/** A host view of device memory: the memory itself where it is host memory, else a copy. */
template <typename T>
class HostCopy {
 public:
  HostCopy(const Device& device, const DeviceMemory& memory) {
    if (device.on_host()) {
      data_ = static_cast<const T*>(memory.get());
    } else {
      copy_.resize(memory.bytes() / sizeof(T));
      memory.download(copy_.data());
      data_ = copy_.data();
    }
  }
  const T* get() const { return data_; }

 private:
  std::vector<T> copy_;
  const T* data_;
};

/**
 * Writes to device memory as to host memory. A device of its own gets one upload at `finish`; host memory is
 * written in place, so its untouched pages stay free.
 */
template <typename T>
class HostEdit {
 public:
  HostEdit(const Device& device, DeviceMemory& memory) : memory_(memory) {
    if (device.on_host()) {
      data_ = static_cast<T*>(memory.get());
    } else {
      staging_.resize(memory.bytes() / sizeof(T));
      data_ = staging_.data();
    }
  }
  T* get() const { return data_; }
  void finish() {
    if (!staging_.empty()) memory_.upload(data_);
  }

 private:
  DeviceMemory& memory_;
  std::vector<T> staging_;
  T* data_;
};

/** Whether any bit of `count` words is set: -0 must survive a save. */
bool any_bits(const void* words, size_t count);

/**
 * Records as runs of those that are used: varint records skipped, varint run length >= 1, then what `put(r)`
 * writes of each; a run length of 0 ends it.
 */
template <typename Used, typename Put>
void write_runs(FileWriter& file, size_t count, const Used& used, const Put& put) {
  size_t next = 0;
  while (true) {
    size_t first = next;
    while (first < count && !used(first)) ++first;
    if (first == count) break;
    size_t last = first;
    while (last < count && used(last)) ++last;
    file.varint(first - next);
    file.varint(last - first);
    for (size_t r = first; r < last; ++r) put(r);
    next = last;
  }
  file.varint(0);
  file.varint(0);
}

/** What write_runs wrote: take(r) reads and checks one record. Throws Failure MODEL_CORRUPT. */
template <typename Take>
void read_runs(FileReader& file, size_t count, const Take& take) {
  size_t next = 0;
  for (bool first = true;; first = false) {
    const uint64_t skip = file.varint(), run = file.varint();
    if (run == 0) {
      if (skip != 0) corrupt("the end mark is not canonical");
      return;
    }
    if (skip == 0 && !first) corrupt("two runs touch");
    if (skip > count - next || run > count - next - skip) corrupt("a run passes the end of the model");
    next += skip;
    for (const size_t end = next + run; next < end; ++next) take(next);
  }
}

class RecordModel : public Model {
 public:
  const Shape& shape() const override { return shape_; }
  const Device& device() const override { return *device_; }
  void learn(Batch& batch, const Stop& stop) override { run(batch, nullptr, stop); }
  void step(Batch& batch, float* scores, const Stop& stop) override;

 protected:
  /** `values` in the order of `ranges`, which lives as long as the program. */
  RecordModel(std::shared_ptr<Device> device, const Shape& shape, std::span<const OptionRange> ranges,
              std::vector<double> values, uint64_t seed)
      : device_(std::move(device)), shape_(shape), seed_(seed), ranges_(ranges), values_(std::move(values)) {}

  /** The backend's step on a checked batch; `scores` may be null. A status of ops.h. */
  virtual int run_step(Batch& batch, uint64_t entries, float* scores, const int32_t* stop) = 0;

  uint64_t seed() const override { return seed_; }
  Options options() const override;
  const sluice_backend& table() const { return device_->table(); }
  static const int32_t* flag(const Stop& stop) { return reinterpret_cast<const int32_t*>(&stop); }

  std::shared_ptr<Device> device_;
  Shape shape_;

 private:
  void run(Batch& batch, float* scores, const Stop& stop);

  uint64_t seed_;
  std::span<const OptionRange> ranges_;
  std::vector<double> values_;
};

static_assert(sizeof(Stop) == sizeof(int32_t) && Stop::is_always_lock_free);

}  // namespace sluice
