#include "core/forest_layout.h"

#include <algorithm>
#include <cmath>

namespace sluice::forest {

namespace {

/** Trees over fewer columns than this lose more than their variety gains. */
constexpr uint32_t kLeastColumns = 12;
/** A block has at most so many counts, however wide rows are and however many classes there are. */
constexpr size_t kMostCounts = size_t{1} << 20;

uint32_t padded(uint32_t classes) {
  return classes == 2 ? 2 : (classes + 3) / 4 * 4;
}

}  // namespace

uint32_t columns_of(uint32_t found, double share) {
  const auto wanted = static_cast<uint32_t>(std::ceil(share * found));
  return std::min(found, std::max(wanted, kLeastColumns));
}

Layout::Layout(const Shape& of, const Settings& settings)
    : shape(of),
      width(padded(of.classes)),
      columns(columns_of(of.dense_dims, settings.columns)),
      slots(of.dims > 0 ? kSlots : 0),
      candidates(static_cast<float>(settings.candidates)) {
  const size_t most = std::max<size_t>(1, kMostCounts / (size_t{kBins} * width));
  columns = static_cast<uint32_t>(std::min<size_t>(columns, most));
  bins = column(columns);
  slot_counts = bins + std::max(size_t{columns} * kBins * width, size_t{kFirst} * line());
  credits = slot(slots);
  floats = (credits + slots + 3) / 4 * 4;
  words = size_t{columns} + slots;
}

}  // namespace sluice::forest
