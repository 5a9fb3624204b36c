/*
 * A batch of rows as it came through the door, with the lengths of its arrays, and the check that
 * everything behind it relies on. Refuses with MODEL_INPUT, naming the row; a refused batch has
 * changed nothing.
 */
#pragma once

#include <cstdint>

#include "core/ops.h"

namespace sluice {

/** What a model must know about its input and output, fixed for its life. */
struct Shape {
  uint32_t dims;  // sparse buckets: a power of two, or 0
  uint32_t dense_dims;
  uint32_t classes;  // >= 2
};

/** Bounds of a shape: what no honest task exceeds, so that a damaged file cannot ask for the moon. */
inline constexpr uint32_t kMaxDims = 1u << 28;
inline constexpr uint32_t kMaxDenseDims = 1u << 16;
inline constexpr uint32_t kMaxClasses = 1u << 10;

/** Why the shape is refused, or null. */
const char* refuse_shape(const Shape& shape);

/** Borrowed arrays and their lengths in elements; labels, weights and schedule may be null. */
struct Batch {
  sluice_rows rows{};
  uint64_t indptr_length = 0;
  uint64_t indices_length = 0;
  uint64_t values_length = 0;
  uint64_t dense_length = 0;
  const int32_t* labels = nullptr;
  uint64_t labels_length = 0;
  const float* weights = nullptr;
  uint64_t weights_length = 0;
  const int32_t* schedule = nullptr;
  uint64_t schedule_length = 0;
};

/** Schedules name rows by 32-bit signed numbers, and threads count a little beyond the last. */
inline constexpr uint64_t kMaxRows = 1u << 30;

/** Largest weight of a row: keeps gradients far from overflow. */
inline constexpr float kMaxWeight = 1e6f;

/** Checks lengths and contents against the shape and fills rows.nnz; throws Failure MODEL_INPUT. */
void check_batch(Batch& batch, const Shape& shape);

}  // namespace sluice
