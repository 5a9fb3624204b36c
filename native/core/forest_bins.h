/*
 * The histogram of one column in a leaf: see forest_layout.h for what lies where. Values that are not finite
 * never come here.
 */
#pragma once

#include <cstdint>
#include <limits>

#include "core/forest_layout.h"

namespace sluice::forest {

/** A view on one column of one block. */
struct Bins {
  float* borders;  // kBins, the last always +inf
  float* edges;    // least and most
  float* points;   // kBins
  float* counts;   // kBins x width
  uint32_t width;

  static constexpr float kInfinity = std::numeric_limits<float>::infinity();

  static Bins of(float* block, const Layout& layout, uint32_t j) {
    float* at = block + layout.column(j);
    return {at, at + kBins, at + kBins + 2, block + layout.counts(j), layout.width};
  }

  void add(uint32_t bin, float x, uint32_t label, float weight) const {
    counts[bin * width + label] += weight;
    edges[0] = x < edges[0] ? x : edges[0];
    edges[1] = x > edges[1] ? x : edges[1];
    float& point = points[bin];
    point = point == x || point == kInfinity ? x : std::numeric_limits<float>::quiet_NaN();
  }
  /** No counts; the borders stay. */
  void empty() const;
  /** Borders at the quantiles of n >= 0 sorted values, halfway between two of them. */
  void set_borders(const float* sorted, uint32_t n) const;
  /** Cuts the heaviest bin in halves if it holds much more than its share and more than one value. */
  void adjust() const;

 private:
  uint32_t used() const;
  float mass(uint32_t bin) const;
  void join_lightest(uint32_t& spared) const;
  void cut(uint32_t bin, float at) const;
};

}  // namespace sluice::forest
