/*
 * ADWIN (Bifet and Gavalda 2007) over a stream of right and wrong: a window whose older part is told from the
 * newer one as soon as their means differ by more than chance allows at a given confidence. An exponential
 * histogram of at most kLevels x (kPerLevel + 1) buckets; cuts are looked for at every kEvery-th value only,
 * so an update is bounded by constants. It does not cut itself: who asks starts a new one after a change.
 */
#pragma once

#include <cstdint>

#include "core/file.h"

namespace sluice::forest {

enum class Change { none, rise, fall };

class Adwin {
 public:
  /** Whether the mean of the newer values has risen or fallen against the older ones. */
  Change add(bool value, double confidence);

  double mean() const { return width_ > 0 ? sum_ / width_ : 0; }
  double width() const { return width_; }

  void write(FileWriter& file) const;
  void read(FileReader& file);

 private:
  static constexpr uint32_t kLevels = 18, kPerLevel = 5, kEvery = 32, kLeast = 5;

  void insert(bool value);
  Change look(double confidence) const;

  /** Bucket b of level l is the sum of 2^l values; older ones first, higher levels older. */
  float sums_[kLevels][kPerLevel + 1] = {};
  uint8_t counts_[kLevels] = {};
  uint32_t levels_ = 1;
  uint32_t clock_ = 0;
  double width_ = 0, sum_ = 0;
};

}  // namespace sluice::forest
