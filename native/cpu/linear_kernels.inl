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

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace sluice::cpu {
namespace {

typedef float f4 __attribute__((vector_size(16)));
typedef float f8 __attribute__((vector_size(32)));

/** Gradients beyond it are cut: their squares must stay finite floats. */
constexpr float kMaxGradient = 1e18f;
/** A row whose probabilities are all this near to the truth is not worth a pass over memory. */
constexpr double kNoError = 1e-7;
/** Standardised dense values are cut here: one broken sensor must not drown the others. */
constexpr double kMaxDeviations = 8.0;
/** How many positions ahead records are fetched; from 100 to 250 all are about as good, below and above not.
 */
constexpr uint64_t kAhead = 160;

/** The numbers of a model that the inner loops use. */
struct Rates {
  float rate, l2, eps;
};

/** A sparse or dense part of a row as records and values. Dense parts have no indices. */
struct Span {
  const float* records;
  const uint32_t* indices;  // null: record p
  const float* values;
  uint64_t size;
  uint32_t mask;
  uint64_t readable;  // of indices: the rows behind this one are fetched too, most likely they come next
};

inline size_t record_at(const Span& span, uint64_t p) {
  return span.indices ? span.indices[p] & span.mask : p;
}

inline float cut(float g) {
  g = g < kMaxGradient ? g : kMaxGradient;
  return g > -kMaxGradient ? g : -kMaxGradient;
}

inline bool stopped(const int32_t* stop) {
  return __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
}

// ---------------------------------------------------------------- one output

#ifdef __AVX2__

/** Eight (weight, accumulator) pairs as two registers; pairs are 8 bytes, so eight loads beat a gather. */
struct Pairs {
  __m256 low, high;
};

inline __m128 two(const float* a, const float* b) {
  const __m128 low = _mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(a)));
  return _mm_loadh_pi(low, reinterpret_cast<const __m64*>(b));
}

inline Pairs load_pairs(const float* const* at) {
  return {_mm256_set_m128(two(at[4], at[5]), two(at[0], at[1])),
          _mm256_set_m128(two(at[6], at[7]), two(at[2], at[3]))};
}

inline f8 weights_of(const Pairs& pairs) {
  return (f8)_mm256_shuffle_ps(pairs.low, pairs.high, _MM_SHUFFLE(2, 0, 2, 0));
}

inline f8 accumulators_of(const Pairs& pairs) {
  return (f8)_mm256_shuffle_ps(pairs.low, pairs.high, _MM_SHUFFLE(3, 1, 3, 1));
}

inline void store_pairs(float* const* at, f8 w, f8 sum) {
  const __m256 low = _mm256_unpacklo_ps((__m256)w, (__m256)sum);
  const __m256 high = _mm256_unpackhi_ps((__m256)w, (__m256)sum);
  const auto put = [](float* a, float* b, __m128 pair) {
    _mm_storel_pi(reinterpret_cast<__m64*>(a), pair);
    _mm_storeh_pi(reinterpret_cast<__m64*>(b), pair);
  };
  put(at[0], at[1], _mm256_castps256_ps128(low));
  put(at[2], at[3], _mm256_castps256_ps128(high));
  put(at[4], at[5], _mm256_extractf128_ps(low, 1));
  put(at[6], at[7], _mm256_extractf128_ps(high, 1));
}

/** Whether two of eight masked indices are equal: then they must be learned one after the other. */
inline bool repeats(const uint32_t* indices, uint32_t mask) {
  const __m256i v = _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(indices)),
                                     _mm256_set1_epi32(static_cast<int>(mask)));
  const auto rotated = [&](int a, int b, int c, int d, int e, int f, int g, int h) {
    return _mm256_cmpeq_epi32(v, _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(a, b, c, d, e, f, g, h)));
  };
  const __m256i equal =
      _mm256_or_si256(_mm256_or_si256(rotated(1, 2, 3, 4, 5, 6, 7, 0), rotated(2, 3, 4, 5, 6, 7, 0, 1)),
                      _mm256_or_si256(rotated(3, 4, 5, 6, 7, 0, 1, 2), rotated(4, 5, 6, 7, 0, 1, 2, 3)));
  return !_mm256_testz_si256(equal, equal);
}

#endif

inline f8 weights8(const Span& span, uint64_t p) {
#ifdef __AVX2__
  const float* at[8];
  for (int j = 0; j < 8; ++j) at[j] = span.records + 2 * record_at(span, p + j);
  return weights_of(load_pairs(at));
#else
  f8 w;
  for (int j = 0; j < 8; ++j) w[j] = span.records[2 * record_at(span, p + j)];
  return w;
#endif
}

/** Positions below this can fetch kAhead further ones, a block of 8 at a time. */
inline uint64_t fetching(const Span& span) {
  const uint64_t most = span.readable > kAhead + 8 ? span.readable - kAhead - 8 : 0;
  return most < span.size ? most : span.size;
}

inline void prefetch(const Span& span, uint64_t p, size_t floats) {
  __builtin_prefetch(span.records + floats * (span.indices[p + kAhead] & span.mask), 1, 3);
}

float sum_one(const Span& span) {
  f8 lanes = {};
  uint64_t p = 0;
  const uint64_t fetched = fetching(span);
  for (; p + 8 <= fetched; p += 8) {
    for (int j = 0; j < 8; ++j) prefetch(span, p + j, 2);
    f8 x;
    __builtin_memcpy(&x, span.values + p, sizeof x);
    lanes += weights8(span, p) * x;
  }
  for (; p + 8 <= span.size; p += 8) {
    f8 x;
    __builtin_memcpy(&x, span.values + p, sizeof x);
    lanes += weights8(span, p) * x;
  }
  for (int j = 0; p < span.size; ++p, ++j) lanes[j] += span.records[2 * record_at(span, p)] * span.values[p];
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

inline void update_pair(float* record, float error, float x, const Rates& r) {
  const float g = cut(error * x + r.l2 * record[0]);
  const float sum = record[1] + g * g;
  record[1] = sum;
  record[0] -= r.rate * g / (__builtin_sqrtf(sum) + r.eps);
}

void update_one(float* records, const Span& span, float error, const Rates& r) {
  uint64_t p = 0;
#ifdef __AVX2__
  const f8 most = f8{} + kMaxGradient;
  for (; p + 8 <= span.size; p += 8) {
    if (span.indices && repeats(span.indices + p, span.mask)) {
      for (int j = 0; j < 8; ++j)
        update_pair(records + 2 * record_at(span, p + j), error, span.values[p + j], r);
      continue;
    }
    float* at[8];
    for (int j = 0; j < 8; ++j) at[j] = records + 2 * record_at(span, p + j);
    const Pairs pairs = load_pairs(at);
    const f8 w = weights_of(pairs);
    f8 x;
    __builtin_memcpy(&x, span.values + p, sizeof x);
    f8 g = error * x + r.l2 * w;
    g = g < most ? g : most;
    g = g > -most ? g : -most;
    const f8 sum = accumulators_of(pairs) + g * g;
    store_pairs(at, w - r.rate * g / ((f8)_mm256_sqrt_ps((__m256)sum) + r.eps), sum);
  }
#endif
  for (; p < span.size; ++p) update_pair(records + 2 * record_at(span, p), error, span.values[p], r);
}

// ---------------------------------------------------------------- several outputs

inline f4 load4(const float* from) {
  f4 v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

inline void store4(float* to, f4 v) {
  __builtin_memcpy(to, &v, sizeof v);
}

inline f4 sqrt4(f4 v) {
#ifdef __SSE2__
  return (f4)__builtin_ia32_sqrtps(v);
#else
  for (int j = 0; j < 4; ++j) v[j] = __builtin_sqrtf(v[j]);
  return v;
#endif
}

/** Blocks = stride / 4 known: the accumulators stay in registers. */
template <uint32_t Blocks>
void sum_blocks(const Span& span, float* sums) {
  constexpr size_t floats = size_t{8} * Blocks;
  f4 acc[4][Blocks] = {};
  uint64_t p = 0;
  const uint64_t fetched = fetching(span);
  for (; p + 4 <= span.size; p += 4) {
    if (p + 4 <= fetched)
      for (int a = 0; a < 4; ++a) prefetch(span, p + a, floats);
    for (int a = 0; a < 4; ++a) {
      const float* record = span.records + floats * record_at(span, p + a);
      for (uint32_t b = 0; b < Blocks; ++b) acc[a][b] += load4(record + 4 * b) * span.values[p + a];
    }
  }
  for (int a = 0; p < span.size; ++p, ++a) {
    const float* record = span.records + floats * record_at(span, p);
    for (uint32_t b = 0; b < Blocks; ++b) acc[a][b] += load4(record + 4 * b) * span.values[p];
  }
  for (uint32_t b = 0; b < Blocks; ++b)
    store4(sums + 4 * b, (acc[0][b] + acc[2][b]) + (acc[1][b] + acc[3][b]));
}

/** Any stride; the accumulators live in memory at `work`, 4 x stride floats. */
void sum_any(const Span& span, uint32_t stride, float* sums, float* work) {
  for (uint32_t k = 0; k < 4 * stride; ++k) work[k] = 0;
  for (uint64_t p = 0; p < span.size; ++p) {
    const float* record = span.records + size_t{2} * stride * record_at(span, p);
    float* acc = work + (p % 4) * stride;
    const float x = span.values[p];
    for (uint32_t k = 0; k < stride; k += 4) store4(acc + k, load4(acc + k) + load4(record + k) * x);
  }
  for (uint32_t k = 0; k < stride; k += 4)
    store4(sums + k, (load4(work + k) + load4(work + 2 * stride + k)) +
                         (load4(work + stride + k) + load4(work + 3 * stride + k)));
}

/** Sums of a span for every output; work has 4 x stride floats. */
void sum(const Span& span, uint32_t stride, float* sums, float* work) {
  switch (stride) {
    case 1:
      sums[0] = sum_one(span);
      return;
    case 4:
      return sum_blocks<1>(span, sums);
    case 8:
      return sum_blocks<2>(span, sums);
    default:
      return sum_any(span, stride, sums, work);
  }
}

void update_many(float* records, const Span& span, uint32_t stride, const float* errors, const Rates& r) {
  const f4 most = f4{} + kMaxGradient;
  for (uint64_t p = 0; p < span.size; ++p) {
    float* record = records + size_t{2} * stride * record_at(span, p);
    const float x = span.values[p];
    for (uint32_t k = 0; k < stride; k += 4) {
      const f4 w = load4(record + k);
      f4 g = load4(errors + k) * x + r.l2 * w;
      g = g < most ? g : most;
      g = g > -most ? g : -most;
      const f4 total = load4(record + stride + k) + g * g;
      store4(record + stride + k, total);
      store4(record + k, w - r.rate * g / (sqrt4(total) + r.eps));
    }
  }
}

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
  const uint64_t begin = rows->indptr[row];
  uint64_t end = rows->indptr[row + 1];
  end = end < rows->nnz ? end : rows->nnz;
  if (begin >= end || model->dims == 0) return {model->records, rows->indices, rows->values, 0, 0, 0};
  return {model->records, rows->indices + begin, rows->values + begin,
          end - begin,    model->dims - 1,       rows->nnz - begin};
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

/** Probabilities become errors, weight (p - y), in scratch.sums; false where there is nothing to learn. */
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

/** `summed`: scratch.sums already holds this row's sparse sums. True where a record changed. */
bool learn_row(sluice_linear* model, const sluice_rows* rows, uint32_t row, uint32_t label, float weight,
               bool summed, const LinearScratch* scratch) {
  const uint32_t stride = model->stride;
  const Span sparse = sparse_span(model, rows, row);
  if (!summed) sum(sparse, stride, scratch->sums, scratch->sums + stride);
  if (model->dense_dims > 0) {
    update_moments(model, dense_row(rows, row), scratch);
    standardise(model, dense_row(rows, row), scratch);
  }
  finish_row(model, scratch);
  if (!errors_of(model, label, weight, scratch)) return false;
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
  return true;
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
  constexpr uint64_t kNone = ~0ull;
  uint64_t summed = kNone;  // the row whose sparse sums lie in scratch, still valid
  const uint64_t total = schedule ? entries : uint64_t{rows->count} * 2;
  for (uint64_t s = 0; s < total; ++s) {
    if (stopped(stop)) return false;
    const int32_t entry = schedule ? schedule[s] : (s % 2 == 0 ? int32_t(s / 2) : ~int32_t(s / 2));
    const uint32_t row = static_cast<uint32_t>(entry < 0 ? ~entry : entry);
    if (row >= rows->count) continue;
    if (entry >= 0) {
      if (!scores) continue;
      score_row(model, rows, row, scores, scratch);
      summed = row;
      continue;
    }
    const int32_t label = labels[row];
    const float weight = weights ? weights[row] : 1.0f;
    if (label < 0 || static_cast<uint32_t>(label) >= model->classes || !(weight > 0)) continue;
    learn_row(model, rows, row, static_cast<uint32_t>(label), weight, summed == row, scratch);
    summed = kNone;
  }
  return true;
}

}  // namespace
}  // namespace sluice::cpu
