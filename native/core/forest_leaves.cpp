#include "core/forest_leaves.h"

#include <algorithm>

#include "core/forest_bins.h"
#include "core/forest_numbers.h"
#include "core/forest_width.h"

namespace sluice::forest {

namespace {

/** The pseudo-count of a bin of a class, in weight. */
constexpr float kSmooth = 1.0f;
/** The largest of the products is made 1 after so many factors, each at least 1e-9. */
constexpr uint32_t kRescale = 3;

inline void rescale(float* p, uint32_t width) {
  float top = 0;
  for (uint32_t k = 0; k < width; ++k) top = p[k] > top ? p[k] : top;
  if (!(top > 0)) return;
  const float by = 1.0f / top;
  for (uint32_t k = 0; k < width; ++k) p[k] *= by;
}

/** In a const leaf: a view whose writers are not called. */
Bins look_at(const float* block, const Layout& layout, uint32_t j) {
  return Bins::of(const_cast<float*>(block), layout, j);
}

}  // namespace

void Leaves::grow() {
  const size_t blocks = meta_.size() + 1;
  free_.reserve(blocks);
  floats_.resize(blocks * layout_->floats);
  words_.resize(blocks * layout_->words);
  meta_.resize(blocks);
  free_.push_back(static_cast<uint32_t>(blocks - 1));
}

uint32_t Leaves::take(const std::vector<uint32_t>& columns, uint64_t salt) {
  if (free_.empty()) grow();
  const uint32_t block = free_.back();
  free_.pop_back();
  meta_[block] = {.salt = salt, .columns = static_cast<uint32_t>(columns.size()), .first = 0, .slots = 0};
  std::copy(columns.begin(), columns.end(), words(block));
  std::fill(floats(block), floats(block) + layout_->floats, 0.0f);
  return block;
}

void Leaves::inherit(uint32_t to, uint32_t from, uint64_t salt) {
  meta_[to] = meta_[from];
  meta_[to].salt = salt;
  meta_[to].slots = 0;
  float* own = floats(to);
  if (to != from) {
    std::copy(words(from), words(from) + layout_->words, words(to));
    const float* old = floats(from);
    std::copy(old + layout_->width, old + layout_->bins, own + layout_->width);
  }
  std::fill(own, own + layout_->width, 0.0f);
  std::fill(own + layout_->bins, own + layout_->floats, 0.0f);
  if (meta_[to].first < kFirst) {
    meta_[to].first = 0;
    return;
  }
  for (uint32_t j = 0; j < meta_[to].columns; ++j) Bins::of(own, *layout_, j).empty();
}

size_t Leaves::bytes() const {
  return floats_.capacity() * sizeof(float) + words_.capacity() * sizeof(uint32_t) +
         meta_.capacity() * sizeof(Meta) + free_.capacity() * sizeof(uint32_t);
}

bool Leaves::find_bins(uint32_t block, const Row& row, uint8_t* bins) const {
  const Meta& meta = meta_[block];
  if (meta.first < kFirst) return false;
  const float* border = floats(block) + layout_->column(0);
  const uint32_t* column = words(block);
  for (uint32_t j = 0; j < meta.columns; ++j, border += kColumnFloats) {
    const float x = row.dense[column[j]];
    int32_t bin = 0;
    for (uint32_t b = 0; b < kBins; ++b) bin += x > border[b] ? 1 : 0;
    bins[j] = x == x ? static_cast<uint8_t>(bin) : kNoBin;
  }
  return true;
}

void Leaves::bayes(uint32_t block, const Row& row, const uint8_t* bins, float* p) const {
  const Meta& meta = meta_[block];
  const float* own = floats(block);
  with_width(layout_->width, [&](auto width) {
    float inverse[kMaxClasses];
    for (uint32_t k = 0; k < width; ++k) inverse[k] = 1.0f / (own[k] + kSmooth * kBins);
    const float* counts = own + layout_->bins;
    uint32_t factors = 0;
    const auto take_in = [&](const float* at, float smooth) {
      for (uint32_t k = 0; k < width; ++k) p[k] *= (at[k] + smooth) * inverse[k];
      if (++factors < kRescale) return;
      rescale(p, width);
      factors = 0;
    };
    for (uint32_t j = 0; j < meta.columns; ++j, counts += kBins * width)
      if (bins[j] != kNoBin) take_in(counts + bins[j] * width, kSmooth);
    for (uint32_t s = 0; s < meta.slots; ++s)
      if (row.has(buckets(block)[s])) take_in(own + layout_->slot(s), kSmooth * kBins / 2);
    float sum = 0;
    for (uint32_t k = 0; k < width; ++k) sum += p[k];
    const float by = sum > 0 ? 1.0f / sum : 0.0f;
    for (uint32_t k = 0; k < width; ++k) p[k] *= by;
  });
}

void Leaves::observe(uint32_t block, const Row& row, const uint8_t* bins, uint32_t label, float weight) {
  const Meta& meta = meta_[block];
  float* own = floats(block);
  own[label] += weight;
  if (layout_->slots > 0) observe_buckets(block, row, label, weight);
  if (meta.first < kFirst) return keep_first(block, row, label, weight);
  const uint32_t* column = words(block);
  for (uint32_t j = 0; j < meta.columns; ++j)
    if (bins[j] != kNoBin) Bins::of(own, *layout_, j).add(bins[j], row.dense[column[j]], label, weight);
}

void Leaves::keep_first(uint32_t block, const Row& row, uint32_t label, float weight) {
  Meta& meta = meta_[block];
  float* kept = floats(block) + layout_->bins + meta.first * layout_->line();
  kept[0] = static_cast<float>(label);
  kept[1] = weight;
  for (uint32_t j = 0; j < meta.columns; ++j) kept[2 + j] = row.dense[words(block)[j]];
  if (++meta.first == kFirst) make_bins(block);
}

void Leaves::make_bins(uint32_t block) {
  float* own = floats(block);
  const size_t line = layout_->line();
  const std::vector<float> kept(own + layout_->bins, own + layout_->bins + kFirst * line);
  for (uint32_t j = 0; j < meta_[block].columns; ++j) Bins::of(own, *layout_, j).empty();
  std::fill(own + layout_->counts(meta_[block].columns), own + layout_->slot_counts, 0.0f);
  for (uint32_t j = 0; j < meta_[block].columns; ++j) {
    const Bins bins = Bins::of(own, *layout_, j);
    float values[kFirst];
    uint32_t n = 0;
    for (uint32_t i = 0; i < kFirst; ++i)
      if (const float x = kept[i * line + 2 + j]; x == x) values[n++] = x;
    std::sort(values, values + n);
    bins.set_borders(values, n);
    for (uint32_t i = 0; i < kFirst; ++i) {
      const float x = kept[i * line + 2 + j];
      if (x != x) continue;
      uint32_t bin = 0;
      while (x > bins.borders[bin]) ++bin;
      bins.add(bin, x, static_cast<uint32_t>(kept[i * line]), kept[i * line + 1]);
    }
  }
}

/** Whether the leaf looks at a column or bucket when it splits. */
bool Leaves::may_split(uint32_t block, uint32_t by, float share) const {
  return unit_of(mix(meta_[block].salt, by)) < share;
}

uint32_t Leaves::find_slot(uint32_t block, uint32_t bucket) const {
  const uint32_t* from = buckets(block);
  const uint32_t used = meta_[block].slots;
  const uint32_t* at = std::find(from, from + used, bucket);
  return at == from + used ? kNone : static_cast<uint32_t>(at - from);
}

void Leaves::observe_buckets(uint32_t block, const Row& row, uint32_t label, float weight) {
  Meta& meta = meta_[block];
  float* own = floats(block);
  float* credits = own + layout_->credits;
  for (uint32_t i = 0; i < row.bucket_count; ++i) {
    const uint32_t bucket = row.buckets[i];
    if (!may_split(block, bucket, layout_->candidates)) continue;
    uint32_t slot = find_slot(block, bucket);
    if (slot == kNone) {
      const bool room = meta.slots < layout_->slots;
      slot = room ? meta.slots
                  : static_cast<uint32_t>(std::min_element(credits, credits + layout_->slots) - credits);
      if (!room && credits[slot] >= weight) {
        credits[slot] -= weight;
        continue;
      }
      meta.slots += room ? 1 : 0;
      credits[slot] = 0;
      words(block)[layout_->columns + slot] = bucket;
      std::fill(own + layout_->slot(slot), own + layout_->slot(slot) + layout_->width, 0.0f);
    }
    credits[slot] += weight;
    own[layout_->slot(slot) + label] += weight;
  }
}

void Leaves::adjust(uint32_t block) {
  if (meta_[block].first < kFirst) return;
  for (uint32_t j = 0; j < meta_[block].columns; ++j) Bins::of(floats(block), *layout_, j).adjust();
}

void Leaves::sides(uint32_t block, const Split& split, float* left, float* right) const {
  const uint32_t width = layout_->width;
  const float* own = floats(block);
  std::fill(left, left + width, 0.0f);
  std::fill(right, right + width, 0.0f);
  if (split.bucket != kNone) {
    // Present goes right.
    const uint32_t slot = find_slot(block, split.bucket);
    for (uint32_t k = 0; slot != kNone && k < width; ++k) {
      right[k] = own[layout_->slot(slot) + k];
      left[k] = std::max(0.0f, own[k] - right[k]);
    }
    return;
  }
  const uint32_t* column = words(block);
  const auto j =
      static_cast<uint32_t>(std::find(column, column + meta_[block].columns, split.column) - column);
  const Bins bins = look_at(own, *layout_, j);
  for (uint32_t b = 0; b < kBins; ++b)
    for (uint32_t k = 0; k < width; ++k)
      (bins.borders[b] <= split.border ? left : right)[k] += bins.counts[b * width + k];
  for (uint32_t k = 0; k < width; ++k)
    (split.heavier_left ? left : right)[k] += std::max(0.0f, own[k] - left[k] - right[k]);
}

}  // namespace sluice::forest
