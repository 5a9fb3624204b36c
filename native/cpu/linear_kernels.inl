/*
 * The kernels themselves, compiled once for each instruction set by the linear_<isa>.cpp beside this file.
 *
 * Hazard: everything here is in an anonymous namespace and nothing from std is called. An inline
 * function with external linkage would be emitted by each translation unit, and the linker may keep the
 * AVX2 copy for the baseline: a crash on older processors.
 *
 * Order of a logit, the same everywhere: (sparse sum + dense sum) + bias. With one output a sum has
 * eight lanes, position p adds to lane p % 8, combined as ((0+4)+(2+6))+((1+5)+(3+7)). With several
 * outputs each has four accumulators, position p adds to p % 4, combined as (0+2)+(1+3).
 *
 * Input is read once into locals and masked or clamped, so that a caller who writes into it meanwhile
 * gets wrong numbers, not wild memory accesses.
 */
#include <cstddef>
#include <cstdint>

#include "core/loss.h"
#include "cpu/linear_kernels.h"
#include "cpu/linear_sums.inl"

namespace sluice::cpu {
namespace {

/** Standardised dense values are cut here: one broken sensor must not drown the others. */
constexpr double kMaxDeviations = 8.0;

// ---------------------------------------------------------------- dense columns

inline double inverse_deviation(double count, double mean, double squares) {
  if (count < 2) return 0;
  const double variance = squares / count;
  // A constant column leaves rounding noise behind, which must not be blown up to unit size.
  return variance > 1e-12 * mean * mean && variance > 1e-60 ? 1.0 / __builtin_sqrt(variance) : 0.0;
}

void prepare(const sluice_linear* model, const LinearScratch* scratch) {
  const uint32_t n = model->dense_dims;
  const double *count = model->moments, *mean = count + n, *squares = mean + n;
  for (uint32_t j = 0; j < n; ++j) {
    scratch->scale[j] = mean[j];
    scratch->scale[n + j] = inverse_deviation(count[j], mean[j], squares[j]);
  }
}

inline bool is_measured(float x) {
  return x - x == 0;  // neither NaN nor infinite
}

/** Welford's update of every measured column, and of its scale. */
void update_moments(sluice_linear* model, const float* row, const LinearScratch* scratch) {
  const uint32_t n = model->dense_dims;
  double *count = model->moments, *mean = count + n, *squares = mean + n;
  for (uint32_t j = 0; j < n; ++j) {
    const float value = row[j];
    if (!is_measured(value)) continue;
    const double x = static_cast<double>(value);
    const double delta = x - mean[j];
    count[j] += 1;
    mean[j] += delta / count[j];
    squares[j] += delta * (x - mean[j]);
    scratch->scale[j] = mean[j];
    scratch->scale[n + j] = inverse_deviation(count[j], mean[j], squares[j]);
  }
}

void standardise(const sluice_linear* model, const float* row, const LinearScratch* scratch) {
  const uint32_t n = model->dense_dims;
  const double *mean = scratch->scale, *inverse = mean + n;
  for (uint32_t j = 0; j < n; ++j) {
    const float value = row[j];
    if (!is_measured(value)) {
      scratch->dense[j] = 0;
    } else if (!model->normalise) {
      scratch->dense[j] = value;
    } else {
      double z = (static_cast<double>(value) - mean[j]) * inverse[j];
      z = z < kMaxDeviations ? z : kMaxDeviations;
      scratch->dense[j] = static_cast<float>(z > -kMaxDeviations ? z : -kMaxDeviations);
    }
  }
}

// ---------------------------------------------------------------- rows

Span sparse_span(const sluice_linear* model, const sluice_rows* rows, uint32_t row) {
  return sparse_span(model->records, model->dims, rows, row);
}

Span dense_span(const sluice_linear* model, const LinearScratch* scratch) {
  return {model->records + size_t{2} * model->stride * model->dims,
          nullptr,
          scratch->dense,
          model->dense_dims,
          0,
          0};
}

/** scratch.sums holds the sparse sums of the row; fills scratch.logits with probabilities. */
void finish_row(const sluice_linear* model, const LinearScratch* scratch) {
  const uint32_t stride = model->stride;
  const float* bias = model->records + size_t{2} * stride * (size_t{model->dims} + model->dense_dims);
  float* dense_sums = scratch->sums + stride;
  for (uint32_t k = 0; k < stride; ++k) dense_sums[k] = 0;
  if (model->dense_dims > 0) sum(dense_span(model, scratch), stride, dense_sums, dense_sums + stride);
  for (uint32_t k = 0; k < model->outputs; ++k)
    scratch->logits[k] = bounded_logit((scratch->sums[k] + dense_sums[k]) + bias[k]);
  if (model->outputs == 1)
    scratch->logits[0] = sigmoid(scratch->logits[0]);
  else
    softmax(scratch->logits, model->outputs);
}

void write_scores(const sluice_linear* model, const LinearScratch* scratch, float* scores) {
  if (model->outputs == 1) {
    scores[0] = static_cast<float>(1.0 - scratch->logits[0]);
    scores[1] = static_cast<float>(scratch->logits[0]);
    return;
  }
  for (uint32_t k = 0; k < model->outputs; ++k) scores[k] = static_cast<float>(scratch->logits[k]);
}

const float* dense_row(const sluice_rows* rows, uint32_t row) {
  return rows->dense + size_t{row} * rows->dense_dims;
}

void score_row(const sluice_linear* model, const sluice_rows* rows, uint32_t row, float* scores,
               const LinearScratch* scratch) {
  sum(sparse_span(model, rows, row), model->stride, scratch->sums, scratch->sums + model->stride);
  if (model->dense_dims > 0) standardise(model, dense_row(rows, row), scratch);
  finish_row(model, scratch);
  write_scores(model, scratch, scores + size_t{row} * model->classes);
}

/** Probabilities become errors, weight (p - y), in scratch.sums; false where they are not worth a pass over
 * memory. */
bool errors_of(const sluice_linear* model, uint32_t label, float weight, const LinearScratch* scratch) {
  bool any = false;
  for (uint32_t k = 0; k < model->stride; ++k) scratch->sums[k] = 0;
  for (uint32_t k = 0; k < model->outputs; ++k) {
    const double truth = (model->outputs == 1 ? label == 1 : label == k) ? 1.0 : 0.0;
    const double error = scratch->logits[k] - truth;
    any |= error > kNoError || error < -kNoError;
    scratch->sums[k] = static_cast<float>(static_cast<double>(weight) * error);
  }
  return any;
}

/** `summed`: scratch.sums already holds this row's sparse sums. */
void learn_row(sluice_linear* model, const sluice_rows* rows, uint32_t row, uint32_t label, float weight,
               bool summed, const LinearScratch* scratch) {
  const uint32_t stride = model->stride;
  const Span sparse = sparse_span(model, rows, row);
  if (!summed) sum(sparse, stride, scratch->sums, scratch->sums + stride);
  if (model->dense_dims > 0) {
    update_moments(model, dense_row(rows, row), scratch);
    standardise(model, dense_row(rows, row), scratch);
  }
  finish_row(model, scratch);
  if (!errors_of(model, label, weight, scratch)) return;
  const Rates rates{model->rate, model->l2, model->eps};
  const Span dense = dense_span(model, scratch);
  const float one = 1;
  const Span bias{nullptr, nullptr, &one, 1, 0, 0};
  float* dense_records = model->records + size_t{2} * stride * model->dims;
  float* bias_record = dense_records + size_t{2} * stride * model->dense_dims;
  const auto update = [&](float* records, const Span& span) {
    if (stride == 1)
      update_one(records, span, scratch->sums[0], rates);
    else
      update_many(records, span, stride, scratch->sums, rates);
  };
  update(model->records, sparse);
  update(dense_records, dense);
  update(bias_record, bias);
}

// ---------------------------------------------------------------- entries of LinearKernels

bool score(const sluice_linear* model, const sluice_rows* rows, uint32_t first, uint32_t last, float* scores,
           const LinearScratch* scratch, const int32_t* stop) {
  for (uint32_t row = first; row < last; ++row) {
    if (stopped(stop)) return false;
    score_row(model, rows, row, scores, scratch);
  }
  return true;
}

bool step(sluice_linear* model, const sluice_rows* rows, const int32_t* labels, const float* weights,
          const int32_t* schedule, uint64_t entries, float* scores, const LinearScratch* scratch,
          const int32_t* stop) {
  // What scoring leaves in scratch.sums is what learning needs first.
  return run_schedule<false>(
      rows, model->classes, labels, weights, schedule, entries, scores != nullptr, stop,
      [&](uint32_t row) { score_row(model, rows, row, scores, scratch); },
      [&](uint32_t row, int32_t label, float weight, bool summed) {
        learn_row(model, rows, row, static_cast<uint32_t>(label), weight, summed, scratch);
      });
}

}  // namespace
}  // namespace sluice::cpu
