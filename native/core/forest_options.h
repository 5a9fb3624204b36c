/*
 * The options of a forest as the core uses them, and a row as a tree sees it. What each option is good for
 * says src/model/kinds.ts.
 */
#pragma once

#include <cstdint>

namespace sluice::forest {

inline constexpr uint32_t kNone = ~0u;

enum class Predictor { majority, bayes, adaptive };

struct Settings {
  uint32_t trees;
  double columns;     // share of the columns that a tree looks at
  double candidates;  // share of those that a leaf may split by
  double bagging;     // mean of the Poisson weights
  double grace;       // rows between two looks for a split, at least
  double confidence;  // of a split: the chance that it is a wrong one
  double tie;         // splits are taken as equally good below this difference
  double warning;     // confidence of the detector that starts a background tree; 0: there is none
  double drift;       // confidence of the detector that replaces a tree; 0: it is never replaced
  double better;      // by which share of right answers a background tree takes over; 1: never
  uint32_t retired;   // trees kept for a concept that comes back
  Predictor predictor;
  double balance;  // 0: rows weigh alike, 1: classes do
  double memory;   // MiB of all trees
};

/** Dense values with NaN for missing ones, and the sorted buckets that are not 0, each once. */
struct Row {
  const float* dense;
  const uint32_t* buckets;
  uint32_t bucket_count;

  bool has(uint32_t bucket) const {
    uint32_t from = 0, to = bucket_count;
    while (from < to) {
      const uint32_t middle = (from + to) / 2;
      if (buckets[middle] < bucket)
        from = middle + 1;
      else
        to = middle;
    }
    return from < bucket_count && buckets[from] == bucket;
  }
};

}  // namespace sluice::forest
