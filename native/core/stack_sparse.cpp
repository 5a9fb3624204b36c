/*
 * Two small experts. `cells` is softmax regression over the sparse cells of a row by AdaGrad, for categories
 * and words, which the few slots of the other experts run together. `history` says what tends to follow the
 * label that was learned last: a table of transitions with a memory of a thousand rows. Where labels come
 * late it speaks of an old label as if it were the last; that is why it is an option.
 */
#include <cmath>

#include "core/loss.h"
#include "core/record_model.h"
#include "core/stack_expert.h"

namespace sluice::stack {

namespace {

class Cells final : public Expert {
 public:
  Cells(std::shared_ptr<Device> device, const Layout& layout, float rate)
      : classes_(layout.classes),
        rate_(rate),
        memory_(std::move(device),
                record_bytes(size_t{layout.dims} + 1, size_t{2} * classes_ * sizeof(float))),
        records_(static_cast<float*>(memory_.get())),
        bias_(layout.dims),
        errors_(layout.classes) {}

  void score(const Row& row, double* p) override {
    for (uint32_t c = 0; c < classes_; ++c) p[c] = static_cast<double>(record(bias_)[c]);
    for (const Cell& cell : row.cells)
      for (uint32_t c = 0; c < classes_; ++c) p[c] += static_cast<double>(record(cell.index)[c] * cell.value);
    softmax(p, classes_);
  }

  void learn(const Row& row, const double* p, uint32_t label, float weight) override {
    for (uint32_t c = 0; c < classes_; ++c)
      errors_[c] = static_cast<float>(p[c] - (c == label ? 1.0 : 0.0)) * weight;
    for (const Cell& cell : row.cells) step(cell.index, cell.value, rate_);
    step(bias_, 1, rate_ * 0.3f);
  }

  size_t bytes() const override { return memory_.bytes(); }

  /** Runs of used records, each its weights and their accumulators. */
  void write(FileWriter& file) const override {
    const size_t width = size_t{2} * classes_;
    write_runs(
        file, size_t{bias_} + 1, [&](size_t r) { return any_bits(records_ + r * width, width); },
        [&](size_t r) { file.append(records_ + r * width, width * sizeof(float)); });
  }

  void read(FileReader& file) override {
    const size_t width = size_t{2} * classes_;
    read_runs(file, size_t{bias_} + 1, [&](size_t r) {
      float* at = records_ + r * width;
      take_within(file, at, classes_, -kMostWeight, kMostWeight, "a weight is impossible");
      take_within(file, at + classes_, classes_, 0.0f, kMostSquares, "a sum of squares is impossible");
      if (!any_bits(at, width)) corrupt("an empty record is written out");
    });
  }

 private:
  float* record(uint32_t index) { return records_ + size_t{2} * classes_ * index; }

  void step(uint32_t index, float value, float rate) {
    float *w = record(index), *squares = w + classes_;
    for (uint32_t c = 0; c < classes_; ++c) {
      const float gradient = errors_[c] * value;
      squares[c] = bounded(squares[c] + gradient * gradient, kMostSquares);
      w[c] = bounded(w[c] - rate * gradient / (std::sqrt(squares[c]) + 1e-4f), kMostWeight);
    }
  }

  uint32_t classes_;
  float rate_;
  DeviceMemory memory_;  // host memory, its untouched pages free
  float* records_;       // (dims + 1) x (classes weights, classes accumulators)
  uint32_t bias_;
  std::vector<float> errors_;
};

class History final : public Expert {
 public:
  explicit History(const Layout& layout)
      : classes_(layout.classes), follows_(size_t{classes_} * classes_, 1.0) {}

  void score(const Row&, double* p) override {
    double total = 0;
    for (uint32_t c = 0; c < classes_; ++c) {
      p[c] = last_ < classes_ ? follows_[size_t{last_} * classes_ + c] : 1;
      total += p[c];
    }
    for (uint32_t c = 0; c < classes_; ++c) p[c] /= total;
  }

  void learn(const Row&, const double*, uint32_t label, float weight) override {
    if (last_ < classes_) {
      double* row = follows_.data() + size_t{last_} * classes_;
      for (uint32_t c = 0; c < classes_; ++c) row[c] = row[c] * kForgetting + kLeast;
      row[label] += weight;
    }
    last_ = label;
  }

  size_t bytes() const override { return bytes_of(follows_); }
  void write(FileWriter& file) const override {
    file.put<uint32_t>(last_);
    put_all(file, follows_);
  }
  void read(FileReader& file) override {
    last_ = file.get<uint32_t>();
    if (last_ > kNone || (last_ >= classes_ && last_ != kNone)) corrupt("the last label is impossible");
    take_within(file, follows_.data(), follows_.size(), 1e-3, 1e6, "a count is impossible");
  }

 private:
  static constexpr uint32_t kNone = 1u << 16;
  static constexpr double kForgetting = 0.999, kLeast = 1e-5;

  uint32_t classes_;
  uint32_t last_ = kNone;
  std::vector<double> follows_;  // from label x to label
};

}  // namespace

std::unique_ptr<Expert> make_cells(std::shared_ptr<Device> device, const Layout& layout, float rate) {
  return std::make_unique<Cells>(std::move(device), layout, rate);
}

std::unique_ptr<Expert> make_history(const Layout& layout) {
  return std::make_unique<History>(layout);
}

}  // namespace sluice::stack
