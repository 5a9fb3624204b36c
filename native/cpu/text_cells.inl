/*
 * The cells of a row in the text model: sums over, and updates of, the records they touch; the inner loops of
 * text_kernels.inl, which includes this file and says what order they promise. As wide as the instruction
 * set: records are turned into columns (a vector per field), computed on, and turned back.
 */
#include <cstddef>
#include <cstdint>

#include "core/text_numbers.h"
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

static_assert(sizeof(sluice_text_record) == 32);
constexpr size_t kFloats = sizeof(sluice_text_record) / sizeof(float);
constexpr uint32_t kWide = sizeof(wide) / sizeof(float), kParts = 8 / kWide;
/** Added to the root of the summed squares: the first step of a weight is its rate, whatever the gradient. */
constexpr float kEps = 1e-6f;
constexpr int32_t kMaxCount = 65535;

#define SLUICE_INLINE inline __attribute__((always_inline))

// ---------------------------------------------------------------- columns

/** One half of kWide records: weights and ratio, or squares and counts. */
struct Columns {
  wide all, view, ratios, fourth;
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
  __m256 r0 = (__m256)columns.all, r1 = (__m256)columns.view, r2 = (__m256)columns.ratios,
         r3 = (__m256)columns.fourth;
  transpose(r0, r1, r2, r3);
  const auto put = [&](int j, __m256 pair) {
    _mm_storeu_ps(at[j], _mm256_castps256_ps128(pair));
    _mm_storeu_ps(at[j + 4], _mm256_extractf128_ps(pair, 1));
  };
  put(0, r0), put(1, r1), put(2, r2), put(3, r3);
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
  const Columns rows = transpose(columns.all, columns.view, columns.ratios, columns.fourth);
  store4(at[0], rows.all), store4(at[1], rows.view), store4(at[2], rows.ratios), store4(at[3], rows.fourth);
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

/** Whether `count` cells, a multiple of kWide, are all of one view. */
template <uint32_t count>
SLUICE_INLINE bool one_view(const Span& span, uint64_t p, uint32_t shift) {
  iwide differ{}, first{};
  first += static_cast<int32_t>(span.indices[p]);
  for (uint32_t j = 0; j < count; j += kWide) {
    iwide indices;
    __builtin_memcpy(&indices, span.indices + p + j, sizeof indices);
    differ |= indices ^ first;
  }
  differ &= iwide{} + static_cast<int32_t>(span.mask >> shift << shift);
#ifdef __AVX2__
  return _mm256_testz_si256((__m256i)differ, (__m256i)differ);
#else
  return ((differ[0] | differ[1]) | (differ[2] | differ[3])) == 0;
#endif
}

SLUICE_INLINE uint32_t view_of(const Span& span, uint64_t p, uint32_t shift) {
  return (span.indices[p] & span.mask) >> shift;
}

// ---------------------------------------------------------------- sums

/** The log-ratio of a cell as its member sees it; 0 for a cell never counted. */
template <typename Float>
SLUICE_INLINE Float seen_ratio(Float ratio, float base) {
  return ratio == 0.0f ? Float{} : ratio - base;
}

template <typename Float>
SLUICE_INLINE Float size_of(Float x) {
  return x < 0.0f ? -x : x;
}

/** The sums of a row over its cells, without biases. */
struct Sums {
  float all, ratios, view[SLUICE_TEXT_VIEWS];
  uint32_t present;  // bit v: the row has a cell of view v
};

/** Eight lanes of a sum. */
struct Lanes {
  wide part[kParts];
  float combined() const {
    float v[8];
    __builtin_memcpy(v, part, sizeof v);
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
  }
  void add(uint32_t lane, float value) {
    float v;
    __builtin_memcpy(&v, reinterpret_cast<char*>(part) + lane * sizeof v, sizeof v);
    v += value;
    __builtin_memcpy(reinterpret_cast<char*>(part) + lane * sizeof v, &v, sizeof v);
  }
};

/** `All`: with the member over all cells. */
template <bool All>
Sums sum_row(const sluice_text* model, const Span& span, float base) {
  const uint32_t shift = model->view_shift;
  Lanes all{}, ratios{}, view[SLUICE_TEXT_VIEWS] = {};
  uint32_t present = 0;
  const auto block = [&](uint64_t p) __attribute__((always_inline)) {
    Lanes products;
    for (uint32_t part = 0; part < kParts; ++part) {
      const uint64_t q = p + part * kWide;
      const float* at[kWide];
      for (uint32_t j = 0; j < kWide; ++j) at[j] = span.records + kFloats * record_at(span, q + j);
      const Columns w = load_columns(at);
      const wide x = load_wide(span.values + q);
      if constexpr (All) all.part[part] += w.all * x;
      ratios.part[part] += w.ratios * (size_of(x) * seen_ratio(w.fourth, base));
      products.part[part] = w.view * x;
    }
    if (one_view<8>(span, p, shift)) {
      const uint32_t v = view_of(span, p, shift);
      for (uint32_t part = 0; part < kParts; ++part) view[v].part[part] += products.part[part];
      present |= 1u << v;
      return;
    }
    float product[8];
    __builtin_memcpy(product, products.part, sizeof product);
    for (uint32_t j = 0; j < 8; ++j) {
      const uint32_t v = view_of(span, p + j, shift);
      view[v].add(j, product[j]);
      present |= 1u << v;
    }
  };
  uint64_t p = 0;
  const uint64_t fetched = fetching(span);
  for (; p + 8 <= fetched; p += 8) {
    for (int j = 0; j < 8; ++j) prefetch(span, p + j, kFloats);
    block(p);
  }
  for (; p + 8 <= span.size; p += 8) block(p);
  for (uint32_t j = 0; p < span.size; ++p, ++j) {
    const size_t r = record_at(span, p);
    const float* record = span.records + kFloats * r;
    const float x = span.values[p];
    if constexpr (All) all.add(j, record[0] * x);
    ratios.add(j, record[2] * (size_of(x) * seen_ratio(record[3], base)));
    view[r >> shift].add(j, record[1] * x);
    present |= 1u << (r >> shift);
  }
  Sums sums{all.combined(), ratios.combined(), {}, present};
  for (uint32_t v = 0; v < model->views; ++v) sums.view[v] = view[v].combined();
  return sums;
}

// ---------------------------------------------------------------- updates

/** What is the same for all cells of a row that is learned. */
struct Lesson {
  float all, ratios, view[SLUICE_TEXT_VIEWS];  // errors, weight (p - y)
  float rate, base, smoothing;
  uint32_t view_shift;
  int32_t spam, ham;  // what the row adds to the counts
};

template <typename Float>
SLUICE_INLINE void update_member(Float& weight, Float& squares, Float error, Float x, float rate) {
  const Float most = Float{} + kMaxGradient;
  Float g = error * x;
  g = g < most ? g : most;
  g = g > -most ? g : -most;
  squares += g * g;
  weight -= rate * g / (root(squares) + kEps);
}

/** New counts and their ratio; `counts` holds spam below and ham above. */
template <typename Float, typename Int>
SLUICE_INLINE Float update_counts(Int& counts, const Lesson& lesson) {
  Int spam = (counts & 0xffff) + lesson.spam, ham = ((counts >> 16) & 0xffff) + lesson.ham;
  const auto full = (spam > kMaxCount) | (ham > kMaxCount);
  spam = full ? spam >> 1 : spam;
  ham = full ? ham >> 1 : ham;
  counts = spam | ham << 16;
  return text_ratio<Float, Int>(spam, ham, lesson.smoothing);
}

/** All members of cells, then their counts. */
template <bool All, typename Float, typename Int>
SLUICE_INLINE void update_cells(Float (&weights)[4], Float (&squares)[4], Float x, Float view_error,
                                const Lesson& lesson) {
  const Float most = Float{} + kMaxGradient;
  Float size = size_of(x);
  size = size < most ? size : most;
  const Float value = size * seen_ratio(weights[3], lesson.base);
  if constexpr (All) update_member(weights[0], squares[0], Float{} + lesson.all, x, lesson.rate);
  update_member(weights[1], squares[1], view_error, x, lesson.rate);
  update_member(weights[2], squares[2], Float{} + lesson.ratios, value, lesson.rate);
  Int counts = same_bits_as<Int>(squares[3]);
  weights[3] = update_counts<Float, Int>(counts, lesson);
  squares[3] = same_bits_as<Float>(counts);
}

template <bool All>
inline void update_cell(float* record, float x, float view_error, const Lesson& lesson) {
  float weights[4], squares[4];
  __builtin_memcpy(weights, record, sizeof weights);
  __builtin_memcpy(squares, record + 4, sizeof squares);
  update_cells<All, float, int32_t>(weights, squares, x, view_error, lesson);
  __builtin_memcpy(record, weights, sizeof weights);
  __builtin_memcpy(record + 4, squares, sizeof squares);
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

template <bool All>
void update_row(float* records, const Span& span, const Lesson& lesson) {
  uint64_t p = 0;
  for (; p + kWide <= span.size; p += kWide) {
    const auto error_at = [&](uint64_t q) { return lesson.view[view_of(span, q, lesson.view_shift)]; };
    float *first[kWide], *second[kWide];
    for (uint32_t j = 0; j < kWide; ++j) {
      first[j] = records + kFloats * record_at(span, p + j);
      second[j] = first[j] + 4;
    }
    if (repeat_among(span.indices + p, span.mask)) {
      for (uint32_t j = 0; j < kWide; ++j)
        update_cell<All>(first[j], span.values[p + j], error_at(p + j), lesson);
      continue;
    }
    wide error = wide{} + error_at(p);
    if (!one_view<kWide>(span, p, lesson.view_shift))
      for (uint32_t j = 0; j < kWide; ++j) error[j] = error_at(p + j);
    const Columns w = load_columns(first), s = load_columns(second);
    wide weights[4] = {w.all, w.view, w.ratios, w.fourth}, squares[4] = {s.all, s.view, s.ratios, s.fourth};
    update_cells<All, wide, iwide>(weights, squares, load_wide(span.values + p), error, lesson);
    store_columns(first, {weights[0], weights[1], weights[2], weights[3]});
    store_columns(second, {squares[0], squares[1], squares[2], squares[3]});
  }
  for (; p < span.size; ++p) {
    const size_t r = record_at(span, p);
    update_cell<All>(records + kFloats * r, span.values[p], lesson.view[r >> lesson.view_shift], lesson);
  }
}

}  // namespace
}  // namespace sluice::cpu
