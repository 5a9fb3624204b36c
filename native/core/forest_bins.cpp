#include "core/forest_bins.h"

#include <algorithm>

namespace sluice::forest {

namespace {

/** A bin of this many times its share is too heavy. */
constexpr float kHeavy = 2.0f;

}  // namespace

void Bins::empty() const {
  std::fill(points, points + kBins, kInfinity);
  std::fill(counts, counts + size_t{kBins} * width, 0.0f);
}

void Bins::set_borders(const float* sorted, uint32_t n) const {
  std::fill(borders, borders + kBins, kInfinity);
  edges[0] = kInfinity;
  edges[1] = -kInfinity;
  uint32_t count = 0, last = 0;
  for (uint32_t b = 1; b < kBins && n > 0; ++b) {
    uint32_t at = std::max(b * n / kBins, last + 1);
    while (at < n && sorted[at] == sorted[at - 1]) ++at;
    if (at >= n) break;
    const float middle = sorted[at - 1] * 0.5f + sorted[at] * 0.5f;
    borders[count++] = middle < sorted[at] && middle >= sorted[at - 1] ? middle : sorted[at - 1];
    last = at;
  }
}

uint32_t Bins::used() const {
  uint32_t n = 1;
  while (n < kBins && borders[n - 1] < kInfinity) ++n;
  return n;
}

float Bins::mass(uint32_t bin) const {
  float sum = 0;
  for (uint32_t k = 0; k < width; ++k) sum += counts[bin * width + k];
  return sum;
}

void Bins::adjust() const {
  const uint32_t bins = used();
  float total = 0, most = 0;
  uint32_t heavy = 0;
  for (uint32_t b = 0; b < bins; ++b) {
    const float m = mass(b);
    total += m;
    if (m > most) most = m, heavy = b;
  }
  if (!(most > kHeavy / kBins * total) || points[heavy] == points[heavy]) return;
  const float low = heavy == 0 ? edges[0] : std::max(edges[0], borders[heavy - 1]);
  const float high = heavy + 1 == bins ? edges[1] : std::min(edges[1], borders[heavy]);
  const float at = low * 0.5f + high * 0.5f;
  if (!(at > low && at < high)) return;
  if (bins == kBins) join_lightest(heavy);
  cut(heavy, at);
}

/** The two neighbours that hold least become one; `spared` is not among them and keeps its meaning. */
void Bins::join_lightest(uint32_t& spared) const {
  uint32_t least = kNone;
  float sum = kInfinity;
  for (uint32_t b = 0; b + 1 < kBins; ++b) {
    if (b == spared || b + 1 == spared) continue;
    const float both = mass(b) + mass(b + 1);
    if (both < sum) sum = both, least = b;
  }
  for (uint32_t k = 0; k < width; ++k) counts[least * width + k] += counts[(least + 1) * width + k];
  const float a = points[least], b = points[least + 1];
  points[least] = a == kInfinity || a == b ? b : b == kInfinity ? a : std::numeric_limits<float>::quiet_NaN();
  std::copy(counts + (least + 2) * width, counts + size_t{kBins} * width, counts + (least + 1) * width);
  std::copy(points + least + 2, points + kBins, points + least + 1);
  std::copy(borders + least + 1, borders + kBins, borders + least);
  if (spared > least) --spared;
}

/** There is room for one more bin. Both halves are taken as equal; which values they hold is open again. */
void Bins::cut(uint32_t bin, float at) const {
  std::copy_backward(counts + bin * width, counts + (kBins - 1) * width, counts + size_t{kBins} * width);
  std::copy_backward(points + bin, points + kBins - 1, points + kBins);
  std::copy_backward(borders + bin, borders + kBins - 1, borders + kBins);
  borders[bin] = at;
  points[bin] = points[bin + 1] = kInfinity;
  for (uint32_t k = 0; k < width; ++k) {
    counts[bin * width + k] *= 0.5f;
    counts[(bin + 1) * width + k] = counts[bin * width + k];
  }
}

}  // namespace sluice::forest
