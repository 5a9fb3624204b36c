/*
 * What the kernels of every kind share: vector types, the way from a row to its records, and the order in
 * which a schedule runs. Compiled once per instruction set, under the hazard that linear_kernels.inl names.
 *
 * Rows are read as the caller's memory has them at that moment: spans are clamped, indices masked, so that a
 * caller who writes into it meanwhile gets wrong numbers, not wild memory accesses.
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/ops.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace sluice::cpu {
namespace {

typedef float f4 __attribute__((vector_size(16)));
typedef float f8 __attribute__((vector_size(32)));

/** Gradients beyond it are cut: their squares must stay finite floats. */
constexpr float kMaxGradient = 1e18f;
/** An error so near to 0 is none. */
constexpr double kNoError = 1e-7;
/** How many positions ahead records are fetched. 100 to 250 are about as good, less and more are not. */
constexpr uint64_t kAhead = 160;

inline bool stopped(const int32_t* stop) {
  return __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
}

inline float cut(float g) {
  g = g < kMaxGradient ? g : kMaxGradient;
  return g > -kMaxGradient ? g : -kMaxGradient;
}

inline f4 load4(const float* from) {
  f4 v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

inline void store4(float* to, f4 v) {
  __builtin_memcpy(to, &v, sizeof v);
}

inline f8 load8(const float* from) {
  f8 v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

inline f4 sqrt4(f4 v) {
#ifdef __SSE2__
  return (f4)__builtin_ia32_sqrtps(v);
#else
  for (int j = 0; j < 4; ++j) v[j] = __builtin_sqrtf(v[j]);
  return v;
#endif
}

/** Eight lanes as one sum, always in this order. */
inline float sum8(f8 v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

#ifdef __AVX2__

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

/** Eight pairs of floats, such as a weight and its accumulator, as two registers; pairs are 8 bytes, so eight
 * loads beat a gather. */
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

inline f8 firsts_of(const Pairs& pairs) {
  return (f8)_mm256_shuffle_ps(pairs.low, pairs.high, _MM_SHUFFLE(2, 0, 2, 0));
}

inline f8 seconds_of(const Pairs& pairs) {
  return (f8)_mm256_shuffle_ps(pairs.low, pairs.high, _MM_SHUFFLE(3, 1, 3, 1));
}

inline void store_pairs(float* const* at, f8 first, f8 second) {
  const __m256 low = _mm256_unpacklo_ps((__m256)first, (__m256)second);
  const __m256 high = _mm256_unpackhi_ps((__m256)first, (__m256)second);
  const auto put = [](float* a, float* b, __m128 pair) {
    _mm_storel_pi(reinterpret_cast<__m64*>(a), pair);
    _mm_storeh_pi(reinterpret_cast<__m64*>(b), pair);
  };
  put(at[0], at[1], _mm256_castps256_ps128(low));
  put(at[2], at[3], _mm256_castps256_ps128(high));
  put(at[4], at[5], _mm256_extractf128_ps(low, 1));
  put(at[6], at[7], _mm256_extractf128_ps(high, 1));
}

#endif

// ---------------------------------------------------------------- rows

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

inline Span sparse_span(const float* records, uint32_t dims, const sluice_rows* rows, uint32_t row) {
  const uint64_t begin = rows->indptr[row];
  uint64_t end = rows->indptr[row + 1];
  end = end < rows->nnz ? end : rows->nnz;
  if (begin >= end || dims == 0) return {records, rows->indices, rows->values, 0, 0, 0};
  return {records, rows->indices + begin, rows->values + begin, end - begin, dims - 1, rows->nnz - begin};
}

/** Positions below this can fetch kAhead further ones, a block of 8 at a time. */
inline uint64_t fetching(const Span& span) {
  const uint64_t most = span.readable > kAhead + 8 ? span.readable - kAhead - 8 : 0;
  return most < span.size ? most : span.size;
}

inline void prefetch(const Span& span, uint64_t p, size_t floats) {
  __builtin_prefetch(span.records + floats * (span.indices[p + kAhead] & span.mask), 1, 3);
}

/**
 * Runs a schedule as ops.h says. `score(row)` writes the scores of a row; `learn(row, label, weight, fresh)`
 * learns it, `fresh` where the row was scored right before and nothing was learned since. Rows with
 * SLUICE_OWN_LABEL are learned where `Own`, else skipped. False when stopped.
 */
template <bool Own, typename Score, typename Learn>
bool run_schedule(const sluice_rows* rows, uint32_t classes, const int32_t* labels, const float* weights,
                  const int32_t* schedule, uint64_t entries, bool scores, const int32_t* stop,
                  const Score& score, const Learn& learn) {
  constexpr uint64_t kNone = ~0ull;
  uint64_t scored = kNone;
  const uint64_t total = schedule ? entries : uint64_t{rows->count} * 2;
  for (uint64_t s = 0; s < total; ++s) {
    if (stopped(stop)) return false;
    const int32_t entry = schedule ? schedule[s] : (s % 2 == 0 ? int32_t(s / 2) : ~int32_t(s / 2));
    const uint32_t row = static_cast<uint32_t>(entry < 0 ? ~entry : entry);
    if (row >= rows->count) continue;
    if (entry >= 0) {
      if (!scores) continue;
      score(row);
      scored = row;
      continue;
    }
    const int32_t label = labels[row];
    const float weight = weights ? weights[row] : 1.0f;
    const bool known = label >= 0 && static_cast<uint32_t>(label) < classes;
    if (!(known || (Own && label == SLUICE_OWN_LABEL)) || !(weight > 0)) continue;
    learn(row, label, weight, scored == row);
    scored = kNone;
  }
  return true;
}

}  // namespace
}  // namespace sluice::cpu
