/*
 * The cells of a row in the text model: sums over, and updates of, what the tables hold of them; the inner
 * loops of text_kernels.inl, which includes this file and says what order they promise. As wide as the
 * instruction set: what buckets hold is turned into columns (text_columns.inl), computed on, and turned back.
 */
#include <cstddef>
#include <cstdint>

#include "core/text_numbers.h"
#include "cpu/text_columns.inl"

namespace sluice::cpu {
namespace {

/** Floats of a bucket in the table of weights, and in those of counts and of the member over all cells. */
constexpr size_t kFour = 4, kTwo = 2;
static_assert(sizeof(sluice_text_weights) == kFour * sizeof(float) &&
              sizeof(sluice_text_counts) == kTwo * sizeof(float) &&
              sizeof(sluice_text_member) == kTwo * sizeof(float));

/** The tables as the inner loops take them. `members` is touched only with the member over all cells. */
struct Tables {
  float *weights, *counts, *members;
};

inline Tables tables_of(const sluice_text* model) {
  auto* weights = static_cast<float*>(model->tables);
  float* counts = weights + kFour * model->dims;
  return {weights, counts, counts + kTwo * model->dims};
}

/** Added to the root of the summed squares: the first step of a weight is its rate, whatever the gradient. */
constexpr float kEps = 1e-6f;
constexpr int32_t kMaxCount = 65535;
/** How many positions ahead counts are fetched: learning finds the weights in the cache, but not these. */
constexpr uint64_t kCountsAhead = 128;

// ---------------------------------------------------------------- views

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
  const float* members = tables_of(model).members;
  Lanes all{}, ratios{}, view[SLUICE_TEXT_VIEWS] = {};
  uint32_t present = 0;
  const auto block = [&](uint64_t p) __attribute__((always_inline)) {
    Lanes products;
    for (uint32_t part = 0; part < kParts; ++part) {
      const uint64_t q = p + part * kWide;
      const float* at[kWide];
      for (uint32_t j = 0; j < kWide; ++j) at[j] = span.records + kFour * record_at(span, q + j);
      const Columns cells = load_columns(at);
      const wide x = load_wide(span.values + q);
      ratios.part[part] += (cells.second + kFirstRatioWeight) * (size_of(x) * seen_ratio(cells.third, base));
      products.part[part] = cells.first * x;
      if constexpr (All) {
        for (uint32_t j = 0; j < kWide; ++j) at[j] = members + kTwo * record_at(span, q + j);
        all.part[part] += load_two(at).first * x;
      }
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
    for (int j = 0; j < 8; ++j) {
      prefetch(span, p + j, kFour);
      if constexpr (All) __builtin_prefetch(members + kTwo * record_at(span, p + kAhead + j), 1, 3);
    }
    block(p);
  }
  for (; p + 8 <= span.size; p += 8) block(p);
  for (uint32_t j = 0; p < span.size; ++p, ++j) {
    const size_t r = record_at(span, p);
    const float* record = span.records + kFour * r;
    const float x = span.values[p];
    if constexpr (All) all.add(j, members[kTwo * r] * x);
    ratios.add(j, (record[1] + kFirstRatioWeight) * (size_of(x) * seen_ratio(record[2], base)));
    view[r >> shift].add(j, record[0] * x);
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

/** The numbers of a cell, or a vector of each. */
template <typename Float>
struct Cell {
  Float view, ratios, ratio, view_squares;
  Float ratios_squares, counts;
  Float all, all_squares;
};

/** All members of cells, then their counts. */
template <bool All, typename Float, typename Int>
SLUICE_INLINE void update_cells(Cell<Float>& cell, Float x, Float view_error, const Lesson& lesson) {
  const Float most = Float{} + kMaxGradient;
  Float size = size_of(x);
  size = size < most ? size : most;
  const Float value = size * seen_ratio(cell.ratio, lesson.base);
  if constexpr (All) update_member(cell.all, cell.all_squares, Float{} + lesson.all, x, lesson.rate);
  update_member(cell.view, cell.view_squares, view_error, x, lesson.rate);
  update_member(cell.ratios, cell.ratios_squares, Float{} + lesson.ratios, value, lesson.rate);
  Int counts = same_bits_as<Int>(cell.counts);
  cell.ratio = update_counts<Float, Int>(counts, lesson);
  cell.counts = same_bits_as<Float>(counts);
}

template <bool All>
inline void update_cell(const Tables& tables, size_t r, float x, float view_error, const Lesson& lesson) {
  float *four = tables.weights + kFour * r, *two = tables.counts + kTwo * r;
  Cell<float> cell{four[0], four[1], four[2], four[3], two[0], two[1], 0, 0};
  if constexpr (All) cell.all = tables.members[kTwo * r], cell.all_squares = tables.members[kTwo * r + 1];
  update_cells<All, float, int32_t>(cell, x, view_error, lesson);
  four[0] = cell.view, four[1] = cell.ratios, four[2] = cell.ratio, four[3] = cell.view_squares;
  two[0] = cell.ratios_squares, two[1] = cell.counts;
  if constexpr (All) tables.members[kTwo * r] = cell.all, tables.members[kTwo * r + 1] = cell.all_squares;
}

/** kWide cells of different buckets. */
template <bool All>
SLUICE_INLINE void update_wide(const Tables& tables, const size_t (&r)[kWide], wide x, wide view_error,
                               const Lesson& lesson) {
  float *weights[kWide], *counts[kWide], *members[kWide];
  for (uint32_t j = 0; j < kWide; ++j) {
    weights[j] = tables.weights + kFour * r[j];
    counts[j] = tables.counts + kTwo * r[j];
    if constexpr (All) members[j] = tables.members + kTwo * r[j];
  }
  const Columns four = load_columns(weights);
  const TwoColumns two = load_two(counts);
  Cell<wide> cell{four.first, four.second, four.third, four.fourth, two.first, two.second, {}, {}};
  if constexpr (All) {
    const TwoColumns all = load_two(members);
    cell.all = all.first, cell.all_squares = all.second;
  }
  update_cells<All, wide, iwide>(cell, x, view_error, lesson);
  store_columns(weights, {cell.view, cell.ratios, cell.ratio, cell.view_squares});
  store_two(counts, {cell.ratios_squares, cell.counts});
  if constexpr (All) store_two(members, {cell.all, cell.all_squares});
}

template <bool All>
void update_row(const Tables& tables, const Span& span, const Lesson& lesson) {
  const auto fetch = [&](uint64_t from) {
    for (uint32_t j = 0; j < kWide; ++j)
      __builtin_prefetch(tables.counts + kTwo * record_at(span, from + j), 1, 3);
  };
  uint64_t p = 0;
  for (; p < kCountsAhead && p + kWide <= span.size; p += kWide) fetch(p);
  p = 0;
  for (; p + kWide <= span.size; p += kWide) {
    const auto error_at = [&](uint64_t q) { return lesson.view[view_of(span, q, lesson.view_shift)]; };
    size_t r[kWide];
    for (uint32_t j = 0; j < kWide; ++j) r[j] = record_at(span, p + j);
    if (p + kCountsAhead + kWide <= span.size) fetch(p + kCountsAhead);
    if (repeat_among(span.indices + p, span.mask)) {
      for (uint32_t j = 0; j < kWide; ++j)
        update_cell<All>(tables, r[j], span.values[p + j], error_at(p + j), lesson);
      continue;
    }
    wide error = wide{} + error_at(p);
    if (!one_view<kWide>(span, p, lesson.view_shift))
      for (uint32_t j = 0; j < kWide; ++j) error[j] = error_at(p + j);
    update_wide<All>(tables, r, load_wide(span.values + p), error, lesson);
  }
  for (; p < span.size; ++p) {
    const size_t r = record_at(span, p);
    update_cell<All>(tables, r, span.values[p], lesson.view[r >> lesson.view_shift], lesson);
  }
}

}  // namespace
}  // namespace sluice::cpu
