/*
 * What a forest writes of itself, and how it reads it back: nothing of it is believed. Blocks are written in
 * the order of their leaves and only as far as they are used, so that a forest has one encoding whatever its
 * memory went through.
 *
 *   member   planted u64 · alert u32 · tree · u8 background, then that tree · two detectors · u8 retired
 * trees, each tree     age u64 · two records of 2 f64 · seed u64 · salts u64 · bayes, mixed right f32 · nodes
 * u32, each: child u32, then of an inner node column, bucket u32, border f32, missing_left u8, of a leaf its
 * number u32 leaves, each: since, majority_right, bayes_right f32 · classes f32 · u8 active, then its block
 * block    salt u64 · columns, first, slots u32 · column and bucket numbers u32 · seen f32 first < kFirst:
 * that many lines (label, weight, values) · else of each column borders, edges, points and counts · then of
 * each slot credit and classes
 */
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/forest_bins.h"
#include "core/forest_member.h"

namespace sluice::forest {

namespace {

/** Floats of weights never add up to so much: what is added vanishes before. */
constexpr float kMostAmount = 1e18f;

void write_floats(FileWriter& file, const float* values, size_t n) {
  file.append(values, n * sizeof(float));
}

/** Counts and weights: finite, not negative, and no -0, which would be a second way to write 0. */
void read_amounts(FileReader& file, float* values, size_t n) {
  file.take(values, n * sizeof(float));
  for (size_t i = 0; i < n; ++i)
    if (!(values[i] >= 0 && values[i] <= kMostAmount) || std::signbit(values[i]))
      corrupt("an amount is impossible");
}

bool is_missing(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits == 0x7fc00000u;
}

/** Finite or the one NaN. */
void read_values(FileReader& file, float* values, size_t n) {
  file.take(values, n * sizeof(float));
  for (size_t i = 0; i < n; ++i)
    if (!std::isfinite(values[i]) && !is_missing(values[i])) corrupt("a value is impossible");
}

bool read_flag(FileReader& file) {
  const auto flag = file.get<uint8_t>();
  if (flag > 1) corrupt("a flag is neither 0 nor 1");
  return flag == 1;
}

void read_column(FileReader& file, const Bins& bins, uint32_t classes) {
  file.take(bins.borders, (kBins - 1) * sizeof(float));
  bins.borders[kBins - 1] = Bins::kInfinity;
  for (uint32_t b = 0; b + 1 < kBins; ++b) {
    const bool open = bins.borders[b] == Bins::kInfinity;
    if (!open && !std::isfinite(bins.borders[b])) corrupt("a border is impossible");
    if (b > 0 && !(bins.borders[b] > bins.borders[b - 1]) && !open) corrupt("borders do not rise");
  }
  file.take(bins.edges, 2 * sizeof(float));
  const bool none = bins.edges[0] == Bins::kInfinity && bins.edges[1] == -Bins::kInfinity;
  if (!none &&
      !(std::isfinite(bins.edges[0]) && std::isfinite(bins.edges[1]) && bins.edges[0] <= bins.edges[1]))
    corrupt("a range is impossible");
  file.take(bins.points, kBins * sizeof(float));
  for (uint32_t b = 0; b < kBins; ++b)
    if (!std::isfinite(bins.points[b]) && bins.points[b] != Bins::kInfinity && !is_missing(bins.points[b]))
      corrupt("the value of a bin is impossible");
  for (uint32_t b = 0; b < kBins; ++b) read_amounts(file, bins.counts + size_t{b} * bins.width, classes);
}

}  // namespace

void Leaves::write(FileWriter& file, uint32_t block) const {
  const Meta& meta = meta_[block];
  const uint32_t classes = layout_->shape.classes;
  float* own = const_cast<float*>(floats(block));
  file.put<uint64_t>(meta.salt);
  file.put<uint32_t>(meta.columns);
  file.put<uint32_t>(meta.first);
  file.put<uint32_t>(meta.slots);
  file.append(words(block), meta.columns * sizeof(uint32_t));
  file.append(buckets(block), meta.slots * sizeof(uint32_t));
  write_floats(file, own, classes);
  for (uint32_t i = 0; meta.first < kFirst && i < meta.first; ++i)
    write_floats(file, own + layout_->bins + i * layout_->line(), size_t{meta.columns} + 2);
  for (uint32_t j = 0; meta.first == kFirst && j < meta.columns; ++j) {
    const Bins bins = Bins::of(own, *layout_, j);
    write_floats(file, bins.borders, kBins - 1);
    write_floats(file, bins.edges, 2);
    write_floats(file, bins.points, kBins);
    for (uint32_t b = 0; b < kBins; ++b) write_floats(file, bins.counts + size_t{b} * bins.width, classes);
  }
  for (uint32_t s = 0; s < meta.slots; ++s) {
    file.put<float>(own[layout_->credits + s]);
    write_floats(file, own + layout_->slot(s), classes);
  }
}

uint32_t Leaves::read(FileReader& file) {
  Meta meta;
  meta.salt = file.get<uint64_t>();
  meta.columns = file.get<uint32_t>();
  meta.first = file.get<uint32_t>();
  meta.slots = file.get<uint32_t>();
  if (meta.columns > layout_->columns || meta.first > kFirst || meta.slots > layout_->slots)
    corrupt("a leaf is impossible");
  const uint32_t block = take({}, 0);
  meta_[block] = meta;
  uint32_t* const column = words(block);
  file.take(column, meta.columns * sizeof(uint32_t));
  for (uint32_t j = 0; j < meta.columns; ++j)
    if (column[j] >= layout_->shape.dense_dims || (j > 0 && column[j] <= column[j - 1]))
      corrupt("a leaf has impossible columns");
  uint32_t* const bucket = column + layout_->columns;
  file.take(bucket, meta.slots * sizeof(uint32_t));
  for (uint32_t s = 0; s < meta.slots; ++s)
    if (bucket[s] >= layout_->shape.dims || std::find(bucket, bucket + s, bucket[s]) != bucket + s)
      corrupt("a leaf counts an impossible bucket");
  const uint32_t classes = layout_->shape.classes;
  read_amounts(file, floats(block), classes);
  if (meta.first < kFirst) read_first(file, block);
  for (uint32_t j = 0; meta.first == kFirst && j < meta.columns; ++j)
    read_column(file, Bins::of(floats(block), *layout_, j), classes);
  for (uint32_t s = 0; s < meta.slots; ++s) {
    read_amounts(file, floats(block) + layout_->credits + s, 1);
    read_amounts(file, floats(block) + layout_->slot(s), classes);
  }
  return block;
}

void Leaves::read_first(FileReader& file, uint32_t block) {
  for (uint32_t i = 0; i < meta_[block].first; ++i) {
    float* line = floats(block) + layout_->bins + i * layout_->line();
    read_amounts(file, line, 2);
    if (line[0] >= static_cast<float>(layout_->shape.classes) || line[0] != std::floor(line[0]))
      corrupt("a kept row has an impossible label");
    read_values(file, line + 2, meta_[block].columns);
  }
}

void Tree::write(FileWriter& file) const {
  file.put<uint64_t>(seed_);
  file.put<uint64_t>(salts_);
  file.put<float>(bayes_right_);
  file.put<float>(mixed_right_);
  file.put<uint32_t>(static_cast<uint32_t>(nodes_.size()));
  for (const Node& node : nodes_) {
    file.put<uint32_t>(node.child);
    if (node.child > 0) file.put<uint32_t>(node.column);
    file.put<uint32_t>(node.bucket);
    if (node.child == 0) continue;
    file.put<float>(node.border);
    file.put<uint8_t>(static_cast<uint8_t>(node.missing_left));
  }
  for (uint32_t i = 0; i < leaves_.size(); ++i) {
    const Leaf& leaf = leaves_[i];
    for (float value : {leaf.since, leaf.majority_right, leaf.bayes_right}) file.put<float>(value);
    write_floats(file, classes(i), ground_->layout.shape.classes);
    file.put<uint8_t>(leaf.block != kNone);
    if (leaf.block != kNone) observed_.write(file, leaf.block);
  }
}

void Tree::read(FileReader& file) {
  seed_ = file.get<uint64_t>();
  salts_ = file.get<uint64_t>();
  read_amounts(file, &bayes_right_, 1);
  read_amounts(file, &mixed_right_, 1);
  const auto count = file.get<uint32_t>();
  // A node is at least 8 bytes of the file: a lie cannot ask for more memory than it brings.
  if (count % 2 == 0 || count / 2 + 1 > ground_->most_leaves || count > file.left() / 8)
    corrupt("a tree has an impossible number of nodes");
  nodes_.assign(count, Node());
  leaves_.assign(count / 2 + 1, Leaf());
  classes_.assign(leaves_.size() * ground_->layout.width, 0.0f);
  observed_ = Leaves(ground_->layout);
  std::vector<bool> reached(count), named(leaves_.size());
  reached[0] = true;
  for (uint32_t at = 0; at < count; ++at) read_node(file, at, reached, named);
  for (uint32_t i = 0; i < leaves_.size(); ++i) read_leaf(file, i);
}

/** Children lie behind their parent and have one; leaves have one node each: then the nodes are a tree. */
void Tree::read_node(FileReader& file, uint32_t at, std::vector<bool>& reached, std::vector<bool>& named) {
  const Shape& shape = ground_->layout.shape;
  Node& node = nodes_[at];
  if (!reached[at]) corrupt("a node hangs in the air");
  node.child = file.get<uint32_t>();
  if (node.child == 0) {
    node.bucket = file.get<uint32_t>();
    if (node.bucket >= leaves_.size() || named[node.bucket]) corrupt("a leaf is named twice");
    named[node.bucket] = true;
    leaves_[node.bucket].node = at;
    return;
  }
  if (node.child <= at || node.child >= nodes_.size() - 1 || node.child % 2 == 0 || reached[node.child])
    corrupt("a node has impossible children");
  reached[node.child] = reached[node.child + 1] = true;
  node.column = file.get<uint32_t>();
  node.bucket = file.get<uint32_t>();
  node.border = file.get<float>();
  node.missing_left = read_flag(file) ? 1 : 0;
  const bool by_column = node.column < shape.dense_dims && node.bucket == kNone && std::isfinite(node.border);
  const bool by_bucket = node.column == kNone && node.bucket < shape.dims && node.border == 0;
  if (!by_column && !by_bucket) corrupt("a node splits by nothing that there is");
}

void Tree::read_leaf(FileReader& file, uint32_t at) {
  Leaf& leaf = leaves_[at];
  for (float* value : {&leaf.since, &leaf.majority_right, &leaf.bayes_right}) read_amounts(file, value, 1);
  read_amounts(file, classes(at), ground_->layout.shape.classes);
  if (!read_flag(file)) return;
  if (observed_.in_use() >= ground_->most_blocks)
    corrupt("a tree has more active leaves than its memory allows");
  leaf.block = observed_.read(file);
}

void Record::write(FileWriter& file) const {
  file.put<double>(right);
  file.put<double>(seen);
}

void Record::read(FileReader& file) {
  right = file.get<double>();
  seen = file.get<double>();
  if (!(right >= 0 && right <= seen && seen < 1e6)) corrupt("a tree's record is impossible");
}

void Member::Grown::write(FileWriter& file) const {
  file.put<uint64_t>(age);
  record.write(file);
  recent.write(file);
  tree.write(file);
}

void Member::Grown::read(FileReader& file) {
  age = file.get<uint64_t>();
  record.read(file);
  recent.read(file);
  tree.read(file);
}

void Member::write(FileWriter& file) const {
  file.put<uint64_t>(planted_);
  file.put<uint32_t>(alert_);
  front_->write(file);
  file.put<uint8_t>(background_ != nullptr);
  if (background_) background_->write(file);
  warning_.write(file);
  drift_.write(file);
  file.put<uint8_t>(static_cast<uint8_t>(retired_.size()));
  for (const auto& grown : retired_) grown->write(file);
}

void Member::read(FileReader& file) {
  const auto next = [&] {
    auto grown = std::make_unique<Grown>(*ground_, 0, std::vector<uint32_t>());
    grown->read(file);
    return grown;
  };
  planted_ = file.get<uint64_t>();
  alert_ = file.get<uint32_t>();
  front_ = next();
  if (read_flag(file)) background_ = next();
  warning_.read(file);
  drift_.read(file);
  const auto retired = file.get<uint8_t>();
  if (retired > ground_->settings.retired) corrupt("there are more retired trees than there may be");
  for (uint32_t i = 0; i < retired; ++i) retired_.push_back(next());
}

}  // namespace sluice::forest
