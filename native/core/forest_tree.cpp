#include "core/forest_tree.h"

#include <algorithm>
#include <cmath>

#include "core/forest_numbers.h"
#include "core/loss.h"

namespace sluice::forest {

namespace {

/** A leaf looks for a split after so much of its weight, where that is more than the grace period. */
constexpr float kGraceShare = 0.1f;
/** A gain below this is rounding. */
constexpr float kLeastGain = 1e-6f;
/** A new leaf trusts its predictors as its parent did, for about so much weight. */
constexpr float kTrust = 20.0f;
/** What the counts of right answers of a tree's predictors keep from row to row. */
constexpr float kKeepRight = 0.99f;
/** Memory of a forest is shared by the trees that vote, those that grow beside them, and retired ones. */
constexpr double kTreesAVoice = 2.0;
constexpr double kShareOfBlocks = 0.75;
constexpr uint32_t kMostLeaves = 1u << 20;

/** The first of the largest. */
uint32_t top_of(const float* values, uint32_t n) {
  uint32_t top = 0;
  for (uint32_t k = 1; k < n; ++k)
    if (values[k] > values[top]) top = k;
  return top;
}

float sum_of(const float* values, uint32_t n) {
  float sum = 0;
  for (uint32_t k = 0; k < n; ++k) sum += values[k];
  return sum;
}

float eighth_power(float x) {
  const float square = x * x, fourth = square * square;
  return fourth * fourth;
}

/** A random part of the columns, in rising order so that rows are read from front to back. */
std::vector<uint32_t> draw_columns(std::vector<uint32_t> columns, uint32_t wanted, uint64_t seed) {
  const auto found = static_cast<uint32_t>(columns.size());
  wanted = std::min(wanted, found);
  for (uint32_t j = 0; j < wanted; ++j)
    std::swap(columns[j], columns[j + static_cast<uint32_t>(((mix(seed, j) >> 32) * (found - j)) >> 32)]);
  columns.resize(wanted);
  std::sort(columns.begin(), columns.end());
  return columns;
}

uint32_t bounded(double count, uint32_t least, uint32_t most) {
  return count < least ? least : count > most ? most : static_cast<uint32_t>(count);
}

}  // namespace

Ground::Ground(const Shape& shape, const Settings& given) : settings(given), layout(shape, given) {
  const double trees = given.trees * (kTreesAVoice + given.retired);
  const double bytes = given.memory * 1048576.0 / trees;
  const double leaf_bytes = 2 * 20 + 24 + 4.0 * layout.width;
  most_blocks = bounded(bytes * kShareOfBlocks / static_cast<double>(layout.bytes()), 1, kMostLeaves);
  most_leaves = bounded(bytes * (1 - kShareOfBlocks) / leaf_bytes, 1, kMostLeaves);
}

Tree::Tree(const Ground& ground, uint64_t seed, const std::vector<uint32_t>& varied)
    : ground_(&ground),
      seed_(seed),
      nodes_(1),
      leaves_(1),
      classes_(ground.layout.width),
      observed_(ground.layout) {
  nodes_[0].bucket = 0;
  redraw(varied);
}

void Tree::redraw(const std::vector<uint32_t>& varied) {
  if (nodes_.size() > 1) return;
  if (leaves_[0].block != kNone) observed_.give_back(leaves_[0].block);
  const auto found = static_cast<uint32_t>(varied.size());
  const uint32_t wanted = std::min(columns_of(found, ground_->settings.columns), ground_->layout.columns);
  leaves_[0].block = observed_.take(draw_columns(varied, wanted, seed_), next_salt());
}

uint64_t Tree::next_salt() {
  return mix(seed_, ~salts_++);
}

uint32_t Tree::find_leaf(const Row& row) const {
  const Node* nodes = nodes_.data();
  const Node* node = nodes;
  while (node->child > 0) {
    uint32_t right;
    if (node->column == kNone) {
      right = row.has(node->bucket) ? 1 : 0;
    } else {
      const float x = row.dense[node->column];
      right = x == x ? (x > node->border ? 1 : 0) : 1 - node->missing_left;
    }
    node = nodes + node->child + right;
  }
  return node->bucket;
}

Opinion Tree::judge(const Row& row, Scratch& scratch) const {
  const Layout& layout = ground_->layout;
  const uint32_t at = find_leaf(row);
  const Leaf& leaf = leaves_[at];
  const float* counts = classes(at);
  float* votes = scratch.votes.data();
  const float total = sum_of(counts, layout.width);
  const float by = total > 0 ? 1.0f / total : 0.0f;
  for (uint32_t k = 0; k < layout.width; ++k) votes[k] = counts[k] * by;
  const uint32_t majority = top_of(counts, layout.shape.classes);
  Opinion said{.leaf = at,
               .predicted = majority,
               .majority = majority,
               .bayes = kNone,
               .mixed = majority,
               .total = total};
  const bool binned = leaf.block != kNone && observed_.find_bins(leaf.block, row, scratch.bins.data());
  if (!binned || total <= 0 || ground_->settings.predictor == Predictor::majority) return said;
  std::copy(votes, votes + layout.width, scratch.bayes.begin());
  observed_.bayes(leaf.block, row, scratch.bins.data(), scratch.bayes.data());
  said.bayes = top_of(scratch.bayes.data(), layout.shape.classes);
  const float share = share_of_bayes(leaf);
  const float* bayes = scratch.bayes.data();
  for (uint32_t k = 0; k < layout.width; ++k) votes[k] += share * (bayes[k] - votes[k]);
  said.mixed = top_of(votes, layout.shape.classes);
  said.predicted = said.mixed;
  if (bayes_right_ > mixed_right_) {
    std::copy(bayes, bayes + layout.width, votes);
    said.predicted = said.bayes;
  }
  return said;
}

/** In the mix each predictor weighs as the eighth power of how often it was right in the leaf. */
float Tree::share_of_bayes(const Leaf& leaf) const {
  const float right = leaf.majority_right + leaf.bayes_right;
  if (ground_->settings.predictor == Predictor::bayes || !(right > 0)) return 1;
  const float bayes = eighth_power(leaf.bayes_right / right);
  return bayes / (bayes + eighth_power(leaf.majority_right / right));
}

void Tree::learn(const Row& row, const Opinion& opinion, uint32_t label, float weight, Scratch& scratch) {
  Leaf& leaf = leaves_[opinion.leaf];
  if (opinion.bayes != kNone) {
    if (opinion.majority == label) leaf.majority_right += weight;
    if (opinion.bayes == label) leaf.bayes_right += weight;
    bayes_right_ = bayes_right_ * kKeepRight + (opinion.bayes == label ? 1.0f : 0.0f);
    mixed_right_ = mixed_right_ * kKeepRight + (opinion.mixed == label ? 1.0f : 0.0f);
  }
  classes(opinion.leaf)[label] += weight;
  if (leaf.block == kNone) return;
  observed_.observe(leaf.block, row, scratch.bins.data(), label, weight);
  leaf.since += weight;
  const Settings& settings = ground_->settings;
  if (leaf.since <
      std::max(static_cast<float>(settings.grace * settings.bagging), opinion.total * kGraceShare))
    return;
  leaf.since = 0;
  observed_.adjust(leaf.block);
  if (promise(opinion.leaf) <= 0 || leaves_.size() >= ground_->most_leaves) return;
  const Candidates found = observed_.candidates(leaf.block);
  if (splits(found, opinion.total + weight)) split(opinion.leaf, found.best, scratch);
}

/** Hoeffding: eps^2 = R^2 ln(1 / confidence) / 2n, R = log2 classes; compared in squares. */
bool Tree::splits(const Candidates& found, float weight) const {
  if (!(found.best.merit > kLeastGain)) return false;
  const Settings& settings = ground_->settings;
  const double range = log_exact(ground_->layout.shape.classes) * 1.4426950408889634;
  const double square = range * range * -log_exact(settings.confidence) / (2.0 * static_cast<double>(weight));
  const double ahead = static_cast<double>(found.best.merit) - static_cast<double>(found.second);
  return ahead * ahead > square || square < settings.tie * settings.tie;
}

/** The left child keeps leaf and block of its parent; both begin with the classes that the split gave them.
 */
void Tree::split(uint32_t leaf, const Split& at, Scratch& scratch) {
  const uint32_t width = ground_->layout.width;
  float *left = scratch.sides.data(), *right = left + width;
  const uint32_t block = leaves_[leaf].block;
  observed_.sides(block, at, left, right);
  const auto child = static_cast<uint32_t>(nodes_.size());
  const auto other = static_cast<uint32_t>(leaves_.size());
  nodes_.reserve(nodes_.size() + 2);
  leaves_.reserve(leaves_.size() + 1);
  classes_.resize(classes_.size() + width);
  leaves_.emplace_back();
  nodes_.resize(nodes_.size() + 2);

  const Leaf parent = leaves_[leaf];
  nodes_[parent.node] = {child, at.column, at.bucket, at.border, at.heavier_left ? 1u : 0u};
  begin(leaf, child, parent, left);
  begin(other, child + 1, parent, right);
  leaves_[leaf].block = block;
  const uint32_t second = free_block(other, leaf);
  if (second != kNone) observed_.inherit(second, block, next_salt());
  leaves_[other].block = second;
  observed_.inherit(block, block, next_salt());
}

void Tree::begin(uint32_t leaf, uint32_t node, const Leaf& parent, const float* counts) {
  Leaf fresh;
  fresh.node = node;
  const float right = parent.majority_right + parent.bayes_right;
  const float keep = right > kTrust ? kTrust / right : 1.0f;
  fresh.majority_right = parent.majority_right * keep;
  fresh.bayes_right = parent.bayes_right * keep;
  leaves_[leaf] = fresh;
  std::copy(counts, counts + ground_->layout.width, classes(leaf));
  nodes_[node].bucket = leaf;
}

/** Rows that the majority gets wrong: what a split could gain. */
float Tree::promise(uint32_t leaf) const {
  const float* counts = classes(leaf);
  return sum_of(counts, ground_->layout.width) - counts[top_of(counts, ground_->layout.shape.classes)];
}

/** A block for this leaf, if need be that of the least promising one, `spared` apart; kNone: there is no
 * such. */
uint32_t Tree::free_block(uint32_t leaf, uint32_t spared) {
  if (observed_.in_use() >= ground_->most_blocks) {
    uint32_t least = leaf;
    for (uint32_t i = 0; i < leaves_.size(); ++i)
      if (i != spared && leaves_[i].block != kNone && promise(i) < promise(least)) least = i;
    if (least == leaf) return kNone;
    observed_.give_back(leaves_[least].block);
    leaves_[least].block = kNone;
  }
  return observed_.take({}, 0);
}

size_t Tree::bytes() const {
  return nodes_.capacity() * sizeof(Node) + leaves_.capacity() * sizeof(Leaf) +
         classes_.capacity() * sizeof(float) + observed_.bytes();
}

}  // namespace sluice::forest
