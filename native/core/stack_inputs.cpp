#include "core/stack_inputs.h"

#include <algorithm>
#include <cmath>

#include "core/loss.h"

namespace sluice::stack {

namespace {

constexpr double kMemory = 50000;
/** Standardised values and sparse values are cut here. */
constexpr double kMostDeviations = 8;
constexpr uint32_t kSlots = 32;
/** Inputs of experts whose cost is the square of their number. */
constexpr uint32_t kNarrow = 256;
/** Squares of floats are below it. */
constexpr double kMostMoment = 1e78;

double squash(double x) {
  const double size = log_exact(1.0 + 2.0 * (x < 0 ? -x : x)) * 0.9;
  return x < 0 ? -size : size;
}

/** A well mixed hash (the finaliser of MurmurHash3). */
uint32_t mix(uint32_t h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

bool is_measured(float x) {
  return x - x == 0;  // neither NaN nor infinite
}

}  // namespace

Layout layout_of(const Shape& shape) {
  Layout layout{};
  layout.dims = shape.dims;
  layout.columns = shape.dense_dims;
  layout.slots = std::min(shape.dims, kSlots);
  layout.inputs = layout.columns + layout.slots;
  layout.stride = round_up(layout.inputs + 1, 8);
  layout.narrow = std::min(layout.inputs, kNarrow);
  layout.classes = shape.classes;
  return layout;
}

Inputs::Inputs(const Layout& layout)
    : layout_(layout),
      counts_(layout.columns),
      means_(layout.columns),
      variances_(layout.columns),
      inverse_(layout.columns),
      measured_(layout.columns),
      inputs_(layout.stride),
      narrow_(round_up(layout.narrow, 8)) {
  inputs_[layout.inputs] = 1;
}

void Inputs::scale(uint32_t j) {
  const double variance = variances_[j], mean = means_[j];
  // A constant column leaves rounding noise behind, which must not be blown up to unit size.
  const bool varies = counts_[j] >= 2 && variance > 1e-12 * mean * mean && variance > 1e-60;
  inverse_[j] = varies ? 1.0 / std::sqrt(variance) : 0.0;
}

void Inputs::prepare(const sluice_rows& rows, uint32_t row) {
  const float* dense = rows.dense + size_t{row} * layout_.columns;
  for (uint32_t j = 0; j < layout_.columns; ++j) {
    const float value = dense[j];
    measured_[j] = value;
    const double z = is_measured(value) ? (static_cast<double>(value) - means_[j]) * inverse_[j] : 0.0;
    inputs_[j] = static_cast<float>(squash(bounded(z, kMostDeviations)));
  }
  cells_.clear();
  if (layout_.dims > 0) {
    const uint64_t first = rows.indptr[row], last = std::min<uint64_t>(rows.indptr[row + 1], rows.nnz);
    for (uint64_t p = first; p < last; ++p) {
      const float value = rows.values[p];
      if (!is_measured(value)) continue;
      cells_.push_back(
          {rows.indices[p] & (layout_.dims - 1), bounded(value, static_cast<float>(kMostDeviations))});
    }
    fill_slots();
  }
  fold();
}

void Inputs::fill_slots() {
  float* slots = inputs_.data() + layout_.columns;
  std::fill(slots, slots + layout_.slots, 0.0f);
  const bool apart = layout_.dims <= kSlots;
  for (const Cell& cell : cells_) {
    const uint32_t hash = mix(cell.index);
    const bool plus = apart || (hash & 1) != 0;
    slots[apart ? cell.index : (hash >> 1) % layout_.slots] += plus ? cell.value : -cell.value;
  }
  for (uint32_t s = 0; s < layout_.slots; ++s)
    slots[s] = static_cast<float>(squash(bounded(static_cast<double>(slots[s]), kMostDeviations)));
}

/** Inputs beyond kNarrow are added to others, with a sign, at the size of one. */
void Inputs::fold() {
  const uint32_t n = layout_.inputs, m = layout_.narrow;
  std::copy(inputs_.begin(), inputs_.begin() + m, narrow_.begin());
  if (n == m) return;
  for (uint32_t j = m; j < n; ++j) {
    const uint32_t hash = mix(j);
    narrow_[(hash >> 1) % m] += (hash & 1) != 0 ? inputs_[j] : -inputs_[j];
  }
  const float share = static_cast<float>(1.0 / std::sqrt(static_cast<double>(n) / m));
  for (uint32_t j = 0; j < m; ++j) narrow_[j] *= share;
}

void Inputs::learn() {
  for (uint32_t j = 0; j < layout_.columns; ++j) {
    if (!is_measured(measured_[j])) continue;
    counts_[j] = std::min(counts_[j] + 1, kMemory);
    const double part = 1 / counts_[j], delta = static_cast<double>(measured_[j]) - means_[j];
    means_[j] += part * delta;
    variances_[j] = (1 - part) * (variances_[j] + part * delta * delta);
    scale(j);
  }
}

size_t Inputs::bytes() const {
  return 4 * bytes_of(counts_) + bytes_of(measured_) + bytes_of(inputs_) + bytes_of(narrow_);
}

void Inputs::write(FileWriter& file) const {
  put_all(file, counts_);
  put_all(file, means_);
  put_all(file, variances_);
}

void Inputs::read(FileReader& file) {
  const size_t n = layout_.columns;
  take_within(file, counts_.data(), n, 0.0, kMemory, "a column count is impossible");
  take_within(file, means_.data(), n, -kMostMoment, kMostMoment, "a column mean is impossible");
  take_within(file, variances_.data(), n, 0.0, kMostMoment, "a column variance is impossible");
  for (uint32_t j = 0; j < n; ++j) {
    if (counts_[j] != std::floor(counts_[j])) corrupt("a column count is impossible");
    scale(j);
  }
}

}  // namespace sluice::stack
