/*
 * The nearest of the rows learned last vote, the nearer the more. Distances weigh an input by the square of
 * how well it tells the classes apart, the share of its variance that lies between their means, both with a
 * memory of 500 rows: on sensor rows most inputs are noise for the question at hand.
 */
#include <algorithm>
#include <cmath>

#include "core/stack_expert.h"

namespace sluice::stack {

namespace {

constexpr uint32_t kNearest = 10;
constexpr double kRate = 1.0 / 500;
/** Rows after which the weights of the inputs are worked out again. */
constexpr uint32_t kSpan = 32;
constexpr double kMostInput = 100;
/** Counts and variances stay above it: what decays towards 0 would become denormal, and slow. */
constexpr double kLeast = 1e-12;

class Neighbours final : public Expert {
 public:
  Neighbours(const Layout& layout, uint32_t window)
      : layout_(layout),
        stride_(round_up(layout.inputs, 8)),
        window_(window),
        counts_(layout.classes, kLeast),
        means_(size_t{layout.classes} * layout.inputs),
        within_(layout.inputs, 1.0),
        weights_(stride_),
        query_(stride_) {
    std::fill(weights_.begin(), weights_.begin() + layout.inputs, 1.0f);
  }

  void score(const Row& row, double* p) override {
    std::copy(row.inputs, row.inputs + layout_.inputs, query_.begin());
    found_ = 0;
    // In order of age, so that ties do not depend on where the ring begins.
    search(filled_ < window_ ? 0 : next_, filled_);
    if (filled_ == window_) search(0, next_);
    vote(p);
  }

  void learn(const Row& row, const double*, uint32_t label, float weight) override {
    if (next_ == labels_.size()) grow();
    std::copy(row.inputs, row.inputs + layout_.inputs, rows_.begin() + size_t{next_} * stride_);
    labels_[next_] = label;
    votes_[next_] = weight;
    next_ = next_ + 1 == window_ ? 0 : next_ + 1;
    filled_ = std::min(filled_ + 1, window_);
    for (double& count : counts_) count = std::max(kLeast, count * (1 - kRate));
    counts_[label] += 1;
    const double part = std::max(kRate, 1 / (counts_[label] + 1));
    double* mean = means_.data() + size_t{label} * layout_.inputs;
    for (uint32_t j = 0; j < layout_.inputs; ++j) {
      const double delta = static_cast<double>(row.inputs[j]) - mean[j];
      mean[j] += part * delta;
      within_[j] = std::max(kLeast, within_[j] + kRate * (delta * delta - within_[j]));
    }
    since_ = since_ + 1 == kSpan ? 0 : since_ + 1;
    if (since_ == 0) weigh();
  }

  size_t bytes() const override {
    return bytes_of(rows_) + bytes_of(labels_) + bytes_of(votes_) + bytes_of(counts_) + bytes_of(means_) +
           bytes_of(within_) + bytes_of(weights_);
  }

  /** filled u32, since u32 · counts, means, within, weights · rows by age: label u32, weight f32, inputs f32
   */
  void write(FileWriter& file) const override {
    file.put<uint32_t>(filled_);
    file.put<uint32_t>(since_);
    put_all(file, counts_);
    put_all(file, means_);
    put_all(file, within_);
    file.append(weights_.data(), layout_.inputs * sizeof(float));
    for (uint32_t i = 0; i < filled_; ++i) {
      const uint32_t at = filled_ < window_ ? i : (next_ + i) % window_;
      file.put<uint32_t>(labels_[at]);
      file.put<float>(votes_[at]);
      file.append(rows_.data() + size_t{at} * stride_, layout_.inputs * sizeof(float));
    }
  }

  void read(FileReader& file) override {
    const auto filled = file.get<uint32_t>();
    since_ = file.get<uint32_t>();
    if (filled > window_ || since_ >= kSpan) corrupt("a window is impossible");
    filled_ = filled;
    next_ = filled == window_ ? 0 : filled;
    take_within(file, counts_.data(), counts_.size(), kLeast, 2 / kRate, "a class count is impossible");
    take_within(file, means_.data(), means_.size(), -kMostInput, kMostInput, "a class mean is impossible");
    take_within(file, within_.data(), within_.size(), kLeast, kMostInput * kMostInput,
                "a variance is impossible");
    take_within(file, weights_.data(), layout_.inputs, 0.0f, 2 * static_cast<float>(layout_.inputs),
                "the weight of an input is impossible");
    for (uint32_t i = 0; i < filled; ++i) {
      if (i == labels_.size()) grow();
      labels_[i] = file.get<uint32_t>();
      if (labels_[i] >= layout_.classes) corrupt("a neighbour has no class of the model");
      take_within(file, &votes_[i], 1, 1e-6f, 16.0f, "the weight of a neighbour is impossible");
      take_within(file, rows_.data() + size_t{i} * stride_, layout_.inputs, static_cast<float>(-kMostInput),
                  static_cast<float>(kMostInput), "a neighbour has an impossible value");
    }
  }

 private:
  /** Room for one more row: a window that never fills costs nothing, whatever a file says of it. */
  void grow() {
    rows_.resize(rows_.size() + stride_);
    labels_.push_back(0);
    votes_.push_back(0);
  }

  float distance(const float* row) const {
    f8 sum{}, a, b, w;
    for (uint32_t j = 0; j < stride_; j += 8) {
      load(a, row + j);
      load(b, query_.data() + j);
      load(w, weights_.data() + j);
      a -= b;
      sum += a * a * w;
    }
    return sum_of(sum);
  }

  void search(uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; ++i) {
      const float d = distance(rows_.data() + size_t{i} * stride_);
      if (found_ == kNearest && !(d < distances_[found_ - 1])) continue;
      uint32_t at = found_ < kNearest ? found_++ : kNearest - 1;
      for (; at > 0 && distances_[at - 1] > d; --at) {
        distances_[at] = distances_[at - 1];
        nearest_[at] = nearest_[at - 1];
      }
      distances_[at] = d;
      nearest_[at] = i;
    }
  }

  void vote(double* p) const {
    constexpr double kNobody = 0.3;
    double total = kNobody;
    for (uint32_t c = 0; c < layout_.classes; ++c) p[c] = kNobody / layout_.classes;
    const double reach = found_ > 0 ? std::sqrt(static_cast<double>(distances_[found_ - 1])) + 1e-6 : 1;
    for (uint32_t i = 0; i < found_; ++i) {
      const double nearness = 1 - 0.9 * std::sqrt(static_cast<double>(distances_[i])) / reach;
      const double say = nearness * static_cast<double>(votes_[nearest_[i]]);
      p[labels_[nearest_[i]]] += say;
      total += say;
    }
    for (uint32_t c = 0; c < layout_.classes; ++c) p[c] /= total;
  }

  void weigh() {
    const uint32_t n = layout_.inputs;
    double all = 0, total = 0;
    for (const double count : counts_) all += count;
    for (uint32_t j = 0; j < n; ++j) {
      double mean = 0, between = 0;
      for (uint32_t c = 0; c < layout_.classes; ++c) mean += counts_[c] * means_[size_t{c} * n + j];
      mean /= all;
      for (uint32_t c = 0; c < layout_.classes; ++c) {
        const double delta = means_[size_t{c} * n + j] - mean;
        between += counts_[c] * delta * delta;
      }
      between /= all;
      const double share = between / (within_[j] + between + 1e-3) + 0.02;
      weights_[j] = static_cast<float>(share * share);
      total += share * share;
    }
    const auto scale = static_cast<float>(n / total);
    for (uint32_t j = 0; j < n; ++j) weights_[j] *= scale;
  }

  Layout layout_;
  uint32_t stride_, window_, filled_ = 0, next_ = 0, since_ = 0;
  std::vector<float> rows_;  // up to window x stride, a ring
  std::vector<uint32_t> labels_;
  std::vector<float> votes_;
  std::vector<double> counts_, means_, within_;  // classes; classes x inputs; inputs
  std::vector<float> weights_, query_;
  float distances_[kNearest] = {};
  uint32_t nearest_[kNearest] = {};
  uint32_t found_ = 0;
};

}  // namespace

std::unique_ptr<Expert> make_neighbours(const Layout& layout, uint32_t window) {
  return std::make_unique<Neighbours>(layout, window);
}

}  // namespace sluice::stack
