/*
 * Sums over, and updates of, the records that a row touches: the inner loops of linear_kernels.inl, which
 * includes this file and says what order of addition they promise. Compiled once per instruction set.
 */
#include <cstddef>
#include <cstdint>

#include "cpu/linear_kernels.h"
#include "cpu/vectors.inl"

namespace sluice::cpu {
namespace {

/** The numbers of a model that the inner loops use. */
struct Rates {
  float rate, l2, eps;
};

// ---------------------------------------------------------------- one output

inline f8 weights8(const Span& span, uint64_t p) {
#ifdef __AVX2__
  const float* at[8];
  for (int j = 0; j < 8; ++j) at[j] = span.records + 2 * record_at(span, p + j);
  return firsts_of(load_pairs(at));
#else
  f8 w;
  for (int j = 0; j < 8; ++j) w[j] = span.records[2 * record_at(span, p + j)];
  return w;
#endif
}

float sum_one(const Span& span) {
  f8 lanes = {};
  uint64_t p = 0;
  const uint64_t fetched = fetching(span);
  for (; p + 8 <= fetched; p += 8) {
    for (int j = 0; j < 8; ++j) prefetch(span, p + j, 2);
    lanes += weights8(span, p) * load8(span.values + p);
  }
  for (; p + 8 <= span.size; p += 8) {
    lanes += weights8(span, p) * load8(span.values + p);
  }
  for (int j = 0; p < span.size; ++p, ++j) lanes[j] += span.records[2 * record_at(span, p)] * span.values[p];
  return sum8(lanes);
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
    const f8 w = firsts_of(pairs);
    f8 g = error * load8(span.values + p) + r.l2 * w;
    g = g < most ? g : most;
    g = g > -most ? g : -most;
    const f8 sum = seconds_of(pairs) + g * g;
    store_pairs(at, w - r.rate * g / ((f8)_mm256_sqrt_ps((__m256)sum) + r.eps), sum);
  }
#endif
  for (; p < span.size; ++p) update_pair(records + 2 * record_at(span, p), error, span.values[p], r);
}

// ---------------------------------------------------------------- several outputs

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

}  // namespace
}  // namespace sluice::cpu
