/*
 * Where the numbers of a leaf lie in its block. One block is one run of floats and one of words, the same for
 * all leaves of a forest: no pointers, so that a tree is copied, saved and thrown away in a few moves.
 *
 *   floats  seen[width]                         classes of the rows observed
 *           of each column: borders[kBins]      bin b holds values up to borders[b]; +inf behind the last
 *                           least, most         of the values seen
 *                           points[kBins]       the one value of a bin, +inf: none yet, NaN: several
 *           counts[columns][kBins][width]       or, until there are bins, the first rows as they are
 *           slots[kSlots][width], credits[kSlots]
 *   words   columns[columns], buckets[kSlots]
 *
 * `width` is the classes rounded up to what vectors like; what is over stays 0.
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/forest_options.h"
#include "core/rows.h"

namespace sluice::forest {

inline constexpr uint32_t kBins = 16;
/** Rows that a new tree keeps as they are before it makes its bins. */
inline constexpr uint32_t kFirst = 16;
/** Buckets that a leaf counts at most. */
inline constexpr uint32_t kSlots = 32;
/** Floats of a column before its counts. */
inline constexpr uint32_t kColumnFloats = 2 * kBins + 2;

struct Layout {
  Layout(const Shape& shape, const Settings& settings);

  size_t column(uint32_t j) const { return width + size_t{j} * kColumnFloats; }
  size_t counts(uint32_t j) const { return bins + size_t{j} * kBins * width; }
  size_t slot(uint32_t s) const { return slot_counts + size_t{s} * width; }
  /** Distance of the first rows, each label, weight and values. */
  size_t line() const { return size_t{columns} + 2; }
  size_t bytes() const { return floats * sizeof(float) + words * sizeof(uint32_t); }

  Shape shape;
  uint32_t width;
  uint32_t columns;  // that a tree looks at, at most
  uint32_t slots;
  float candidates;  // share of a tree's columns and of the buckets that a leaf may split by
  size_t bins, slot_counts, credits, floats, words;
};

/** How many of `found` columns a tree looks at: the share, but not fewer than suffice for any tree. */
uint32_t columns_of(uint32_t found, double share);

}  // namespace sluice::forest
