/*
 * What the tests share: seeded batches that own their arrays, the CPU in every variant, and a linear
 * model over plain memory whose records a test can see.
 */
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/model.h"
#include "core/rng.h"
#include "cpu/cpu.h"

namespace sluice::test {

struct OwnedBatch {
  uint32_t dense_dims = 0;
  std::vector<uint32_t> indptr{0}, indices;
  std::vector<float> values, dense, weights;
  std::vector<int32_t> labels, schedule;
  bool weighted = false, scheduled = false;

  uint32_t count() const { return static_cast<uint32_t>(indptr.size() - 1); }

  Batch view() const {
    Batch batch;
    batch.rows.count = count();
    batch.rows.dense_dims = dense_dims;
    batch.rows.indptr = indptr.data();
    batch.rows.indices = indices.data();
    batch.rows.values = values.data();
    batch.rows.dense = dense.data();
    batch.indptr_length = indptr.size();
    batch.indices_length = indices.size();
    batch.values_length = values.size();
    batch.dense_length = dense.size();
    batch.labels = labels.data();
    batch.labels_length = labels.size();
    if (weighted) {
      batch.weights = weights.data();
      batch.weights_length = weights.size();
    }
    if (scheduled) {
      batch.schedule = schedule.data();
      batch.schedule_length = schedule.size();
    }
    return batch;
  }

  /** Row i alone, as a batch of one. */
  OwnedBatch row(uint32_t i) const {
    OwnedBatch one;
    one.dense_dims = dense_dims;
    one.indices.assign(indices.begin() + indptr[i], indices.begin() + indptr[i + 1]);
    one.values.assign(values.begin() + indptr[i], values.begin() + indptr[i + 1]);
    one.indptr.push_back(static_cast<uint32_t>(one.indices.size()));
    one.dense.assign(dense.begin() + i * dense_dims, dense.begin() + (i + 1) * dense_dims);
    one.labels = {labels[i]};
    one.weights = {weights[i]};
    one.weighted = weighted;
    return one;
  }
};

/** Rows of uneven length with repeated indices, missing dense values and unlabelled rows among them. */
inline OwnedBatch random_batch(uint64_t seed, uint32_t count, const Shape& shape, uint32_t longest = 70) {
  Rng rng(seed);
  OwnedBatch batch;
  batch.dense_dims = shape.dense_dims;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t size = shape.dims ? rng.below(longest + 1) : 0;
    for (uint32_t p = 0; p < size; ++p) {
      const bool again = p > 0 && rng.below(6) == 0;
      batch.indices.push_back(again ? batch.indices.back() : rng.below(shape.dims));
      batch.values.push_back((rng.unit() - 0.3f) * 0.5f);
    }
    batch.indptr.push_back(static_cast<uint32_t>(batch.indices.size()));
    for (uint32_t j = 0; j < shape.dense_dims; ++j)
      batch.dense.push_back(rng.below(9) == 0 ? NAN : (rng.unit() - 0.2f) * static_cast<float>(j * j + 1));
    batch.labels.push_back(static_cast<int32_t>(rng.below(shape.classes + 1)) - 1);
    batch.weights.push_back(rng.below(5) == 0 ? 0.0f : rng.unit() * 3.0f);
  }
  return batch;
}

inline const Options kOptions{{"rate", 0.4}, {"l2", 1e-4}, {"eps", 1e-6}, {"normalise", 1}};

/** A variant of the CPU; null where this processor lacks it. */
inline std::shared_ptr<Device> cpu_device(const char* isa = "auto", uint32_t threads = 1) {
  try {
    return Device::open(cpu_backend(), {threads, isa});
  } catch (const Failure&) {
    return nullptr;
  }
}

inline std::unique_ptr<Model> make_linear(const Shape& shape, std::shared_ptr<Device> device = cpu_device(),
                                          const Options& options = kOptions) {
  return create_model(std::move(device), "linear", shape, options, 7);
}

inline Options text_options(double views, double guard = 1, double all = 1, double rate = 0.4) {
  return {{"views", views},      {"rate", rate}, {"smoothing", 0.5},
          {"calibration", 0.05}, {"all", all},   {"guard", guard}};
}

inline std::unique_ptr<Model> make_text(uint32_t dims, double views,
                                        std::shared_ptr<Device> device = cpu_device(), double guard = 1,
                                        double all = 1) {
  return create_model(std::move(device), "text", {dims, 0, 2}, text_options(views, guard, all), 7);
}

/** As kinds.ts has them, with some changed. */
inline Options forest_options(const Options& changes = {}) {
  Options options{{"trees", 5},    {"columns", 0.6},     {"candidates", 0.3}, {"bagging", 6},
                  {"grace", 8},    {"confidence", 0.01}, {"tie", 0.05},       {"warning", 0.1},
                  {"drift", 0.01}, {"better", 0.05},     {"retired", 1},      {"predictor", 2},
                  {"balance", 0},  {"memory", 64}};
  for (const auto& [name, value] : changes)
    for (auto& [known, own] : options)
      if (known == name) own = value;
  return options;
}

inline std::unique_ptr<Model> make_forest(const Shape& shape, std::shared_ptr<Device> device = cpu_device(),
                                          const Options& changes = {}) {
  return create_model(std::move(device), "forest", shape, forest_options(changes), 7);
}

inline std::vector<float> score(const Model& model, const OwnedBatch& rows) {
  Batch batch = rows.view();
  const Stop stop{0};
  std::vector<float> scores(size_t{rows.count()} * model.shape().classes);
  model.score(batch, scores.data(), stop);
  return scores;
}

inline void learn(Model& model, const OwnedBatch& rows) {
  Batch batch = rows.view();
  const Stop stop{0};
  model.learn(batch, stop);
}

inline std::vector<float> step(Model& model, const OwnedBatch& rows) {
  Batch batch = rows.view();
  const Stop stop{0};
  std::vector<float> scores(size_t{rows.count()} * model.shape().classes);
  model.step(batch, scores.data(), stop);
  return scores;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

/** The code of the Failure that `body` throws, or "none". */
template <typename Body>
std::string failure_code(Body body) {
  try {
    body();
  } catch (const Failure& failure) {
    return failure.code();
  }
  return "none";
}

}  // namespace sluice::test
