/*
 * What the inner loops of the text model compute on: as many floats as the instruction set has in a register,
 * one of each of as many buckets; from and to tables whose buckets have four neighbouring floats, or two.
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/vectors.inl"

namespace sluice::cpu {
namespace {

#ifdef __AVX2__
typedef f8 wide;
typedef int32_t iwide __attribute__((vector_size(32)));
#else
typedef f4 wide;
typedef int32_t iwide __attribute__((vector_size(16)));
#endif

constexpr uint32_t kWide = sizeof(wide) / sizeof(float), kParts = 8 / kWide;

#define SLUICE_INLINE inline __attribute__((always_inline))

/** What kWide buckets have in a table. */
struct Columns {
  wide first, second, third, fourth;
};
struct TwoColumns {
  wide first, second;
};

#ifdef __AVX2__

/** Rows to columns and back; its own inverse, within each 128 bits. */
SLUICE_INLINE void transpose(__m256& r0, __m256& r1, __m256& r2, __m256& r3) {
  const __m256 low01 = _mm256_unpacklo_ps(r0, r1), high01 = _mm256_unpackhi_ps(r0, r1);
  const __m256 low23 = _mm256_unpacklo_ps(r2, r3), high23 = _mm256_unpackhi_ps(r2, r3);
  r0 = _mm256_shuffle_ps(low01, low23, _MM_SHUFFLE(1, 0, 1, 0));
  r1 = _mm256_shuffle_ps(low01, low23, _MM_SHUFFLE(3, 2, 3, 2));
  r2 = _mm256_shuffle_ps(high01, high23, _MM_SHUFFLE(1, 0, 1, 0));
  r3 = _mm256_shuffle_ps(high01, high23, _MM_SHUFFLE(3, 2, 3, 2));
}

template <typename Pointer>
SLUICE_INLINE Columns load_columns(const Pointer* at) {
  const auto pair = [&](int j) { return _mm256_set_m128(_mm_loadu_ps(at[j + 4]), _mm_loadu_ps(at[j])); };
  __m256 r0 = pair(0), r1 = pair(1), r2 = pair(2), r3 = pair(3);
  transpose(r0, r1, r2, r3);
  return {(f8)r0, (f8)r1, (f8)r2, (f8)r3};
}

SLUICE_INLINE void store_columns(float* const* at, const Columns& columns) {
  __m256 r0 = (__m256)columns.first, r1 = (__m256)columns.second, r2 = (__m256)columns.third,
         r3 = (__m256)columns.fourth;
  transpose(r0, r1, r2, r3);
  const auto put = [&](int j, __m256 pair) {
    _mm_storeu_ps(at[j], _mm256_castps256_ps128(pair));
    _mm_storeu_ps(at[j + 4], _mm256_extractf128_ps(pair, 1));
  };
  put(0, r0), put(1, r1), put(2, r2), put(3, r3);
}

template <typename Pointer>
SLUICE_INLINE TwoColumns load_two(const Pointer* at) {
  const Pairs pairs = load_pairs(at);
  return {firsts_of(pairs), seconds_of(pairs)};
}

SLUICE_INLINE void store_two(float* const* at, const TwoColumns& columns) {
  store_pairs(at, columns.first, columns.second);
}

SLUICE_INLINE wide root(wide v) {
  return (f8)_mm256_sqrt_ps((__m256)v);
}

#else

#ifdef __clang__
#define SLUICE_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SLUICE_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, iwide{__VA_ARGS__})
#endif

/** Rows to columns and back; its own inverse. */
SLUICE_INLINE Columns transpose(f4 r0, f4 r1, f4 r2, f4 r3) {
  const f4 low01 = SLUICE_SHUFFLE(r0, r1, 0, 4, 1, 5), high01 = SLUICE_SHUFFLE(r0, r1, 2, 6, 3, 7);
  const f4 low23 = SLUICE_SHUFFLE(r2, r3, 0, 4, 1, 5), high23 = SLUICE_SHUFFLE(r2, r3, 2, 6, 3, 7);
  return {SLUICE_SHUFFLE(low01, low23, 0, 1, 4, 5), SLUICE_SHUFFLE(low01, low23, 2, 3, 6, 7),
          SLUICE_SHUFFLE(high01, high23, 0, 1, 4, 5), SLUICE_SHUFFLE(high01, high23, 2, 3, 6, 7)};
}
#undef SLUICE_SHUFFLE

template <typename Pointer>
SLUICE_INLINE Columns load_columns(const Pointer* at) {
  return transpose(load4(at[0]), load4(at[1]), load4(at[2]), load4(at[3]));
}

SLUICE_INLINE void store_columns(float* const* at, const Columns& columns) {
  const Columns rows = transpose(columns.first, columns.second, columns.third, columns.fourth);
  store4(at[0], rows.first), store4(at[1], rows.second), store4(at[2], rows.third),
      store4(at[3], rows.fourth);
}

template <typename Pointer>
SLUICE_INLINE TwoColumns load_two(const Pointer* at) {
  return {wide{at[0][0], at[1][0], at[2][0], at[3][0]}, wide{at[0][1], at[1][1], at[2][1], at[3][1]}};
}

SLUICE_INLINE void store_two(float* const* at, const TwoColumns& columns) {
  for (int j = 0; j < 4; ++j) at[j][0] = columns.first[j], at[j][1] = columns.second[j];
}

SLUICE_INLINE wide root(wide v) {
  return sqrt4(v);
}

#endif

inline float root(float v) {
  return __builtin_sqrtf(v);
}

SLUICE_INLINE wide load_wide(const float* from) {
  wide v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

/** Whether two of kWide indices are equal: then they must be learned one after the other. */
SLUICE_INLINE bool repeat_among(const uint32_t* indices, uint32_t mask) {
#ifdef __AVX2__
  return repeats(indices, mask);
#else
  const uint32_t a = indices[0] & mask, b = indices[1] & mask, c = indices[2] & mask, d = indices[3] & mask;
  return (a == b) | (a == c) | (a == d) | (b == c) | (b == d) | (c == d);
#endif
}

}  // namespace
}  // namespace sluice::cpu
