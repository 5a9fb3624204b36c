/*
 * The text model again, as plainly as it can be written, from core/text.h and the order of addition in
 * cpu/text_kernels.inl; rate 0.4, smoothing 0.5, calibration 0.05.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/loss.h"
#include "core/text_numbers.h"
#include "support.h"

namespace sluice::test {

class TextReference {
 public:
  TextReference(uint32_t dims, uint32_t views, bool guard, bool all = true)
      : views_(views), shift_(0), guard_(guard), all_(all), cells_(dims), view_bias_(views) {
    for (uint32_t region = dims / views; region > 1; region /= 2) ++shift_;
  }

  std::vector<float> score(const OwnedBatch& b, uint32_t row) const {
    const double logit = slope_ * blend(b, row, logits(b, row)) + offset_;
    return {static_cast<float>(sigmoid(-logit)), static_cast<float>(sigmoid(logit))};
  }

  void learn(const OwnedBatch& b, uint32_t row) { learn(b, row, b.labels[row]); }

  void learn(const OwnedBatch& b, uint32_t row, int32_t label) {
    const double weight = b.weighted ? b.weights[row] : 1.0f;
    if (label == -1 || weight == 0) return;
    const Logits z = logits(b, row);
    const double mean = blend(b, row, z), base = base_ratio();
    if (label == -2 && (std::fabs(mean) < 8 || spam_ + ham_ < 300)) return;
    const double y = label == -2 ? mean > 0 : label;
    if (label != -2) judge(mean, y, weight);
    own_ += label == -2;

    const float all = all_ ? error(z.all, mean, y, weight) : 0, ratios = error(z.ratios, mean, y, weight);
    std::vector<float> views;
    for (uint32_t v = 0; v < views_; ++v)
      views.push_back(has(b, row, v) ? error(z.view[v], mean, y, weight) : 0);
    update(all_bias_, all, 1, 0.5f), update(ratio_bias_, ratios, 1, 0.5f);
    for (uint32_t v = 0; v < views_; ++v)
      if (has(b, row, v)) update(view_bias_[v], views[v], 1, 0.5f);
    const auto units = static_cast<int32_t>(std::fmin(weight * 8 + 0.5, 32767));
    for (uint32_t q = b.indptr[row]; q < b.indptr[row + 1]; ++q) {
      Cell& cell = cells_[b.indices[q]];
      const float x = b.values[q], size = std::fmin(std::fabs(x), 1e18f);
      const float seen = cell.ratio == 0 ? 0 : cell.ratio - static_cast<float>(base);
      update(cell.all, all, x);
      update(cell.view, views[b.indices[q] >> shift_], x);
      update(cell.ratios, ratios, size * seen);
      (y == 1 ? cell.spam : cell.ham) += units;
      if (cell.spam > 65535 || cell.ham > 65535) cell.spam /= 2, cell.ham /= 2;
      cell.ratio = text_ratio<float, int32_t>(cell.spam, cell.ham, 0.5f);
    }
    (y == 1 ? spam_ : ham_) += weight;
  }

  double noise() const { return noise_; }
  /** Rows learned as what the model said of them. */
  uint32_t own() const { return own_; }

 private:
  /** Noise and calibration. */
  void judge(double mean, double y, double weight) {
    const double said = sigmoid(mean), likely = y == 1 ? said : 1 - said;
    const double wrong = (1 - likely) * noise_ / ((1 - likely) * noise_ + likely * (1 - noise_));
    noise_ = std::fmax(0.001, std::fmin(0.99, noise_ + (wrong - noise_) * 0.005 * std::fmin(weight, 1)));

    const double g = weight * (1 - trust()) * (sigmoid(slope_ * mean + offset_) - y),
                 bounded = std::fmax(-50, std::fmin(50, mean));
    slope_squares_ += g * bounded * (g * bounded);
    offset_squares_ += g * g;
    slope_ -= kCalibration * (g * bounded) / std::sqrt(1 + slope_squares_);
    slope_ = std::fmax(0.1, std::fmin(10, slope_));
    offset_ -= kCalibration * g / std::sqrt(1 + offset_squares_);
  }

  static constexpr double kCalibration = static_cast<double>(0.05f);
  struct Weight {
    float w = 0, squares = 0;
  };
  struct Cell {
    Weight all, view, ratios;
    int32_t spam = 0, ham = 0;
    float ratio = 0;
  };
  struct Logits {
    double all, ratios;
    std::vector<double> view;
  };

  double base_ratio() const { return static_cast<float>(log_exact((spam_ + 1) / (ham_ + 1))); }

  template <typename Term>
  float sum(const OwnedBatch& b, uint32_t row, const Term& term) const {
    float lane[8] = {};
    for (uint32_t q = b.indptr[row]; q < b.indptr[row + 1]; ++q)
      lane[(q - b.indptr[row]) % 8] += term(b.indices[q], b.values[q]);
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  }

  Logits logits(const OwnedBatch& b, uint32_t row) const {
    const auto base = static_cast<float>(base_ratio());
    Logits z;
    z.all =
        bounded_logit(sum(b, row, [&](uint32_t i, float x) { return cells_[i].all.w * x; }) + all_bias_.w);
    z.ratios =
        bounded_logit(sum(b, row,
                          [&](uint32_t i, float x) {
                            const float r = cells_[i].ratio;
                            return (cells_[i].ratios.w + 0.1f) * (std::fabs(x) * (r == 0 ? 0 : r - base));
                          }) +
                      ratio_bias_.w);
    for (uint32_t v = 0; v < views_; ++v)
      z.view.push_back(bounded_logit(
          sum(b, row, [&](uint32_t i, float x) { return i >> shift_ == v ? cells_[i].view.w * x : 0.0f; }) +
          view_bias_[v].w));
    return z;
  }

  bool has(const OwnedBatch& b, uint32_t row, uint32_t view) const {
    return std::any_of(b.indices.begin() + b.indptr[row], b.indices.begin() + b.indptr[row + 1],
                       [&](uint32_t i) { return i >> shift_ == view; });
  }

  double blend(const OwnedBatch& b, uint32_t row, const Logits& z) const {
    double total = all_ ? z.ratios + z.all : z.ratios, members = all_ ? 2 : 1;
    for (uint32_t v = 0; v < views_; ++v)
      if (has(b, row, v)) total += z.view[v], members += 1;
    return total / members;
  }

  float error(double logit, double mean, double y, double weight) const {
    const double g = gradient(sigmoid((1 - 0.3) * logit + 0.3 * mean), y);
    return std::fabs(g) > 1e-7 ? static_cast<float>(weight * g) : 0;
  }

  double trust() const {
    if (!guard_ || noise_ <= 0.02) return 0;
    const double full = std::fmin(1, (noise_ - 0.02) / (0.05 - 0.02));
    return noise_ > 0.3 ? full * std::fmax(0, (0.4 - noise_) / (0.4 - 0.3)) : full;
  }

  double gradient(double p, double y) const {
    const double plain = p - y;
    double robust = plain;
    if (trust() > 0) {
      const double e = std::fmin(noise_ * 2, 0.3), told = 1 - 2 * e, q = e + told * p;
      robust += trust() * (told * (p * (1 - p)) / (q * (1 - q)) * (q - y) - plain);
    }
    return robust;
  }

  void update(Weight& at, float error, float x, float part = 1) const {
    const float rate = static_cast<float>(static_cast<double>(0.4f) * (1 - 0.5 * trust())) * part;
    const float g = std::fmax(-1e18f, std::fmin(1e18f, error * x));
    at.squares += g * g;
    at.w -= rate * g / (std::sqrt(at.squares) + 1e-6f);
  }

  uint32_t views_, shift_;
  bool guard_, all_;
  std::vector<Cell> cells_;
  Weight all_bias_, ratio_bias_;
  std::vector<Weight> view_bias_;
  double slope_ = 1, offset_ = 0, slope_squares_ = 0, offset_squares_ = 0, spam_ = 0, ham_ = 0, noise_ = 0.01;
  uint32_t own_ = 0;
};

}  // namespace sluice::test
