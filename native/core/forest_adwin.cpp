#include "core/forest_adwin.h"

#include <cmath>

#include "core/loss.h"

namespace sluice::forest {

Change Adwin::add(bool value, double confidence) {
  insert(value);
  if (++clock_ < kEvery) return Change::none;
  clock_ = 0;
  return look(confidence);
}

/** The two oldest buckets of a full level become one of the next; the oldest of the last level is forgotten.
 */
void Adwin::insert(bool value) {
  float carried = value ? 1.0f : 0.0f;
  for (uint32_t level = 0;; ++level) {
    float* sums = sums_[level];
    sums[counts_[level]++] = carried;
    if (counts_[level] <= kPerLevel) break;
    carried = sums[0] + sums[1];
    const uint32_t gone = level + 1 < kLevels ? 2 : 1;
    counts_[level] = static_cast<uint8_t>(counts_[level] - gone);
    for (uint32_t b = 0; b < counts_[level]; ++b) sums[b] = sums[b + gone];
    if (gone == 1) {
      width_ -= static_cast<double>(1u << level);
      sum_ -= carried - sums[0];
      break;
    }
    if (levels_ < level + 2) levels_ = level + 2;
  }
  width_ += 1;
  sum_ += value ? 1 : 0;
}

/**
 * |u0 - u1| > sqrt(2 m v d) + 2/3 d m, with m = 1/n0 + 1/n1, v the variance of a 0/1 window and
 * d = ln(2 ln n / confidence), compared in squares: no root is taken.
 */
Change Adwin::look(double confidence) const {
  if (width_ <= 2 * kLeast) return Change::none;
  const double d = log_exact(2.0 * log_exact(width_) / confidence);
  const double mean = sum_ / width_, spread = 2.0 * mean * (1.0 - mean) * d;
  double n0 = 0, sum0 = 0;
  for (uint32_t level = levels_; level-- > 0;) {
    const double size = static_cast<double>(1u << level);
    for (uint32_t b = 0; b < counts_[level]; ++b) {
      n0 += size;
      sum0 += static_cast<double>(sums_[level][b]);
      const double n1 = width_ - n0;
      if (n0 <= kLeast) continue;
      if (n1 <= kLeast) return Change::none;
      const double m = 1.0 / (n0 - kLeast + 1) + 1.0 / (n1 - kLeast + 1);
      const double rise = (sum_ - sum0) / n1 - sum0 / n0;
      const double beyond = (rise < 0 ? -rise : rise) - 2.0 / 3.0 * d * m;
      if (beyond > 0 && beyond * beyond > spread * m) return rise > 0 ? Change::rise : Change::fall;
    }
  }
  return Change::none;
}

void Adwin::write(FileWriter& file) const {
  file.put<uint32_t>(levels_);
  file.put<uint32_t>(clock_);
  for (uint32_t level = 0; level < levels_; ++level) {
    file.put<uint8_t>(counts_[level]);
    file.append(sums_[level], counts_[level] * sizeof(float));
  }
}

void Adwin::read(FileReader& file) {
  *this = Adwin();
  levels_ = file.get<uint32_t>();
  clock_ = file.get<uint32_t>();
  if (levels_ < 1 || levels_ > kLevels || clock_ >= kEvery) corrupt("a drift detector is impossible");
  for (uint32_t level = 0; level < levels_; ++level) {
    counts_[level] = file.get<uint8_t>();
    if (counts_[level] > kPerLevel || (level > 0 && level + 1 == levels_ && counts_[level] == 0))
      corrupt("a drift detector has too many buckets, or an empty level");
    file.take(sums_[level], counts_[level] * sizeof(float));
    const auto size = static_cast<float>(1u << level);
    for (uint32_t b = 0; b < counts_[level]; ++b) {
      if (!(sums_[level][b] >= 0 && sums_[level][b] <= size))
        corrupt("a bucket of a drift detector is impossible");
      width_ += static_cast<double>(size);
      sum_ += static_cast<double>(sums_[level][b]);
    }
  }
}

}  // namespace sluice::forest
