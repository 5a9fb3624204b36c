#include "core/rows.h"

#include <cmath>
#include <cstring>
#include <string>

#include "core/failure.h"

namespace sluice {

const char* refuse_shape(const Shape& shape) {
  if ((shape.dims & (shape.dims - 1)) != 0) return "dims must be a power of two or 0";
  if (shape.dims > kMaxDims) return "dims must be at most 2^28";
  if (shape.dense_dims > kMaxDenseDims) return "denseDims must be at most 65536";
  if (shape.dims == 0 && shape.dense_dims == 0) return "a model needs dims or denseDims";
  if (shape.classes < 2 || shape.classes > kMaxClasses) return "classes must be 2 to 1024";
  return nullptr;
}

namespace {

[[noreturn]] void refuse(const std::string& sentence) {
  throw Failure("MODEL_INPUT", sentence);
}

void check_lengths(const Batch& batch, const Shape& shape) {
  const uint64_t count = batch.rows.count;
  if (count > kMaxRows) refuse("a batch has at most 2^30 rows");
  if (batch.rows.dense_dims != shape.dense_dims)
    refuse("rows have " + std::to_string(batch.rows.dense_dims) + " dense columns, the model " +
           std::to_string(shape.dense_dims));
  if (batch.indptr_length < count + 1) refuse("indptr is shorter than count + 1");
  if (batch.dense_length < count * shape.dense_dims) refuse("dense is shorter than count x denseDims");
  if (batch.labels && batch.labels_length < count) refuse("labels are shorter than count");
  if (batch.weights && batch.weights_length < count) refuse("weights are shorter than count");
}

/** Row offsets; then the span they cover is checked in one pass without a branch per element. */
void check_sparse(Batch& batch, const Shape& shape) {
  sluice_rows& rows = batch.rows;
  const uint64_t readable =
      batch.indices_length < batch.values_length ? batch.indices_length : batch.values_length;
  for (uint32_t i = 0; i < rows.count; ++i)
    if (rows.indptr[i] > rows.indptr[i + 1]) refuse("indptr falls at row " + std::to_string(i));
  const uint64_t first = rows.indptr[0], last = rows.indptr[rows.count];
  if (first > last || last > readable) refuse("indptr points beyond indices or values");
  if (last > first && shape.dims == 0) refuse("rows have sparse features, the model has none");
  rows.nnz = last;

  const uint32_t outside = ~(shape.dims - 1);
  uint32_t bad_index = 0, bad_value = 0;
  for (uint64_t p = first; p < last; ++p) {
    uint32_t bits;
    std::memcpy(&bits, rows.values + p, sizeof bits);
    bad_index |= rows.indices[p] & outside;
    bad_value |= static_cast<uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
  }
  if (bad_index) refuse("an index is not below dims");
  if (bad_value) refuse("a sparse value is not finite");
}

void check_targets(const Batch& batch, const Shape& shape) {
  const uint32_t count = batch.rows.count;
  for (uint32_t i = 0; batch.labels && i < count; ++i)
    if (batch.labels[i] < SLUICE_OWN_LABEL || batch.labels[i] >= static_cast<int32_t>(shape.classes))
      refuse("label " + std::to_string(batch.labels[i]) + " at row " + std::to_string(i) +
             " is not a class of the model");
  for (uint32_t i = 0; batch.weights && i < count; ++i)
    if (!(batch.weights[i] >= 0.0f && batch.weights[i] <= kMaxWeight))
      refuse("the weight at row " + std::to_string(i) + " is not in [0, 1e6]");
  for (uint64_t s = 0; batch.schedule && s < batch.schedule_length; ++s) {
    const int32_t entry = batch.schedule[s];
    const uint32_t row = static_cast<uint32_t>(entry < 0 ? ~entry : entry);
    if (row >= count) refuse("schedule entry " + std::to_string(s) + " names no row");
  }
}

}  // namespace

void check_batch(Batch& batch, const Shape& shape) {
  check_lengths(batch, shape);
  check_sparse(batch, shape);
  check_targets(batch, shape);
}

}  // namespace sluice
