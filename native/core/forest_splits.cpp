/* The search for the best split of a leaf: information gain at every border of every column that it may use.
 */
#include <algorithm>

#include "core/forest_bins.h"
#include "core/forest_leaves.h"
#include "core/forest_numbers.h"
#include "core/forest_width.h"

namespace sluice::forest {

namespace {

/** The least share of what was observed on either side of a split. */
constexpr float kLeastSide = 0.01f;
/** A leaf may split by so many columns at least, on average. */
constexpr float kLeastCandidates = 5;

/** Classes, their sum, and what their entropy is made of. */
template <typename Width>
struct Mass {
  float total = 0, terms = 0;

  void take(const float* classes, Width width) {
    for (uint32_t k = 0; k < width; ++k) {
      total += classes[k];
      terms += entropy_term(classes[k]);
    }
  }
  /** Entropy times weight. */
  float entropy() const { return entropy_term(total) - terms; }
};

/** The best border of a column; merit is gain times weight. `spare` has room for two lines of classes. */
template <typename Width>
Split best_border(const Bins& bins, Width width, float* spare) {
  float *left = spare, *right = spare + width;
  std::fill(spare, spare + 2 * width, 0.0f);
  for (uint32_t b = 0; b < kBins; ++b)
    for (uint32_t k = 0; k < width; ++k) right[k] += bins.counts[b * width + k];
  Mass<Width> whole;
  whole.take(right, width);
  const float base = whole.entropy(), least = kLeastSide * whole.total;
  Split best;
  for (uint32_t b = 0; b + 1 < kBins && bins.borders[b] < Bins::kInfinity; ++b) {
    for (uint32_t k = 0; k < width; ++k) {
      const float here = bins.counts[b * width + k];
      left[k] += here;
      right[k] = right[k] > here ? right[k] - here : 0.0f;
    }
    Mass<Width> lefts, rights;
    lefts.take(left, width);
    rights.take(right, width);
    const float merit = base - lefts.entropy() - rights.entropy();
    if (merit > best.merit && lefts.total > least && rights.total > least)
      best = {merit, 0, kNone, bins.borders[b], lefts.total >= rights.total};
  }
  return best;
}

void offer(Candidates& found, const Split& split) {
  if (split.merit > found.best.merit) {
    found.second = found.best.merit;
    found.best = split;
  } else if (split.merit > found.second) {
    found.second = split.merit;
  }
}

}  // namespace

Candidates Leaves::candidates(uint32_t block) const {
  const Meta& meta = meta_[block];
  const float* own = floats(block);
  Candidates found;
  with_width(layout_->width, [&](auto width) {
    using Width = decltype(width);
    float spare[2 * kMaxClasses];
    Mass<Width> whole;
    whole.take(own, width);
    if (!(whole.total > 0)) return;
    const float share =
        std::max(layout_->candidates, kLeastCandidates / static_cast<float>(meta.columns + 1));
    for (uint32_t j = 0; meta.first == kFirst && j < meta.columns; ++j) {
      if (!may_split(block, words(block)[j], share)) continue;
      const Bins bins = Bins::of(const_cast<float*>(own), *layout_, j);
      Split best = best_border<Width>(bins, width, spare);
      best.column = words(block)[j];
      best.merit /= whole.total;
      offer(found, best);
    }
    float *present = spare, *absent = spare + width;
    for (uint32_t s = 0; s < meta.slots; ++s) {
      for (uint32_t k = 0; k < width; ++k) {
        present[k] = own[layout_->slot(s) + k];
        absent[k] = own[k] > present[k] ? own[k] - present[k] : 0.0f;
      }
      Mass<Width> with, without;
      with.take(present, width);
      without.take(absent, width);
      const float merit = (whole.entropy() - with.entropy() - without.entropy()) / whole.total;
      if (with.total > kLeastSide * whole.total && without.total > kLeastSide * whole.total)
        offer(found, {merit, kNone, buckets(block)[s], 0, without.total >= with.total});
    }
  });
  return found;
}

}  // namespace sluice::forest
