/*
 * What every model in the core promises, and the table of kinds. A model is used by one thread at a time
 * (the strand sees to that). Learning a batch gives the same bits as learning its rows one by one.
 * A new kind is one file and one row in model.cpp.
 */
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "core/file.h"
#include "core/rows.h"

namespace sluice {

/** Hyper-parameters by name. Defaults live in src/model/kinds.ts; here every option must be given. */
using Options = std::vector<std::pair<std::string, double>>;

/** Raised by another thread to end a long call between two rows. */
using Stop = std::atomic<int32_t>;

class Model {
 public:
  virtual ~Model() = default;
  virtual std::string_view kind() const = 0;
  virtual const Shape& shape() const = 0;
  virtual const Device& device() const = 0;
  /** Bytes held by weights and state. */
  virtual size_t bytes() const = 0;

  /** Probabilities, count x classes. */
  virtual void score(Batch& batch, float* scores, const Stop& stop) const = 0;
  /** Learns every row with a label in order. */
  virtual void learn(Batch& batch, const Stop& stop) = 0;
  /** Runs the batch's schedule (see ops.h); rows never scored become NaN. */
  virtual void step(Batch& batch, float* scores, const Stop& stop) = 0;

  std::vector<uint8_t> save() const;

 protected:
  virtual uint64_t seed() const = 0;
  virtual Options options() const = 0;
  /** Writes what the kind itself keeps. */
  virtual void write(FileWriter& file) const = 0;
};

/** Throws Failure MODEL_INPUT (unknown kind, bad shape or option) or MODEL_MEMORY. */
std::unique_ptr<Model> create_model(std::shared_ptr<Device> device, std::string_view kind, const Shape& shape,
                                    const Options& options, uint64_t seed);

/** Throws Failure MODEL_CORRUPT, MODEL_VERSION or MODEL_MEMORY. */
std::unique_ptr<Model> load_model(std::shared_ptr<Device> device, const uint8_t* bytes, size_t size);

/** The kind that a model file names; checks header and checksum as load_model does. */
std::string kind_of_file(const uint8_t* bytes, size_t size);

/** True where the backend has the ops of this kind; a backend may lack some. */
bool backend_runs(const sluice_backend& table, std::string_view kind);

}  // namespace sluice
