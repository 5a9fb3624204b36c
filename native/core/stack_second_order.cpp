/*
 * Two linear experts that keep a full covariance P of their inputs and so learn a direction at a rate of its
 * own, whatever the correlations between sensors. For inputs h, with forgetting f:
 *
 *   gain = P h    q = f / s + h' P h    P = (P - gain gain' / q) / f
 *
 * - newton: softmax regression, W_c += (y_c - p_c) gain / f / (1 + s h' P h / f), where s is the curvature of
 *   the loss, shared by the classes (the extended Kalman filter; online Newton step: Hazan et al. 2007). Half
 * a thousand rows of memory.
 * - least squares: one-against-rest targets 0 and 1, s = 1, W_c += (y_c - W_c h) gain / q (recursive least
 *   squares), over the inputs and random features, cosines of random directions (Rahimi and Recht 2007), so
 * it is a kernel machine with a memory of two thousand rows. Its outputs become probabilities by a learned
 *   temperature.
 *
 * Forgetting lets P grow where no row has a value. Each variance is held at what it began with by scaling its
 * row and column, which keeps P positive definite and the other directions as they are.
 */
#include <cmath>

#include "core/loss.h"
#include "core/rng.h"
#include "core/stack_expert.h"

namespace sluice::stack {

namespace {

constexpr double kMostCoefficient = 1e4;

/** P, always symmetric to the bit. */
class Covariance {
 public:
  Covariance(uint32_t size, double forgetting)
      : size_(size),
        stride_(round_up(size, 4)),
        forgetting_(forgetting),
        p_(size_t{size} * stride_),
        gain_(stride_),
        scale_(stride_) {
    for (uint32_t i = 0; i < size; ++i) p_[at(i, i)] = kFirst;
  }

  uint32_t size() const { return size_; }
  uint32_t stride() const { return stride_; }
  const double* gain() const { return gain_.data(); }

  /** Fills gain and gives h' P h; h is padded with zeros to the stride. */
  double spread(const double* h) {
    double sum = 0;
    for (uint32_t i = 0; i < size_; ++i) {
      gain_[i] = dot(p_.data() + at(i, 0), h, stride_);
      sum += gain_[i] * h[i];
    }
    return sum > 0 ? sum : 0;
  }

  /** After spread of the same inputs. */
  void learn(double q) {
    const double inverse = 1 / q, keep = 1 / forgetting_;
    for (uint32_t i = 0; i < size_; ++i) {
      const double variance = (p_[at(i, i)] - gain_[i] * gain_[i] * inverse) * keep;
      scale_[i] = variance > kFirst ? std::sqrt(kFirst / variance) : 1.0;
    }
    for (uint32_t i = 0; i < size_; ++i) {
      double* row = p_.data() + at(i, 0);
      for (uint32_t j = 0; j < stride_; ++j)
        row[j] = (row[j] - gain_[i] * gain_[j] * inverse) * (scale_[i] * scale_[j] * keep);
      row[i] = bounded(row[i] > kLeast ? row[i] : kLeast, kFirst);
    }
  }

  size_t bytes() const { return bytes_of(p_) + bytes_of(gain_) + bytes_of(scale_); }

  /** The lower triangle. */
  void write(FileWriter& file) const {
    for (uint32_t i = 0; i < size_; ++i) file.append(p_.data() + at(i, 0), (i + 1) * sizeof(double));
  }

  void read(FileReader& file) {
    for (uint32_t i = 0; i < size_; ++i) {
      take_within(file, p_.data() + at(i, 0), i + 1, -kFirst, kFirst, "a covariance is impossible");
      if (!(p_[at(i, i)] >= kLeast)) corrupt("a variance is impossible");
      for (uint32_t j = 0; j < i; ++j) p_[at(j, i)] = p_[at(i, j)];
    }
  }

 private:
  /** Variances begin here, and never exceed it. */
  static constexpr double kFirst = 1;
  static constexpr double kLeast = 1e-12;

  size_t at(uint32_t i, uint32_t j) const { return size_t{i} * stride_ + j; }

  uint32_t size_, stride_;
  double forgetting_;
  std::vector<double> p_, gain_, scale_;
};

/** Inputs, a 1, perhaps random features; linear weights over them. */
class SecondOrder : public Expert {
 public:
  SecondOrder(const Layout& layout, uint32_t features, double forgetting)
      : layout_(layout),
        forgetting_(forgetting),
        covariance_(layout.narrow + 1 + features, forgetting),
        h_(covariance_.stride()),
        weights_(size_t{layout.classes} * covariance_.stride()) {
    h_[layout.narrow] = 1;
  }

  size_t bytes() const override { return covariance_.bytes() + bytes_of(h_) + bytes_of(weights_); }

  void write(FileWriter& file) const override {
    for (size_t at = 0; at < weights_.size(); at += covariance_.stride())
      file.append(weights_.data() + at, covariance_.size() * sizeof(double));
    covariance_.write(file);
  }

  void read(FileReader& file) override {
    for (size_t at = 0; at < weights_.size(); at += covariance_.stride())
      take_within(file, weights_.data() + at, covariance_.size(), -kMostCoefficient, kMostCoefficient,
                  "a coefficient is impossible");
    covariance_.read(file);
  }

 protected:
  void fill(const Row& row) {
    for (uint32_t j = 0; j < layout_.narrow; ++j) h_[j] = static_cast<double>(row.narrow[j]);
  }
  void outputs(double* z) const {
    const uint32_t stride = covariance_.stride();
    for (uint32_t c = 0; c < layout_.classes; ++c)
      z[c] = dot(weights_.data() + size_t{c} * stride, h_.data(), stride);
  }
  /** W_c += by gain. */
  void move(uint32_t c, double by) {
    const uint32_t stride = covariance_.stride();
    double* w = weights_.data() + size_t{c} * stride;
    const double* gain = covariance_.gain();
    for (uint32_t j = 0; j < stride; ++j) w[j] = bounded(w[j] + by * gain[j], kMostCoefficient);
  }

  Layout layout_;
  double forgetting_;
  Covariance covariance_;
  std::vector<double> h_, weights_;
};

class Newton final : public SecondOrder {
 public:
  explicit Newton(const Layout& layout) : SecondOrder(layout, 0, 0.999) {}

  void score(const Row& row, double* p) override {
    fill(row);
    outputs(p);
    softmax(p, layout_.classes);
  }

  void learn(const Row&, const double* p, uint32_t label, float weight) override {
    double curvature = 0;
    for (uint32_t c = 0; c < layout_.classes; ++c) curvature += p[c] * (1 - p[c]);
    curvature /= 2;
    const double s = (curvature > kLeastCurvature ? curvature : kLeastCurvature) * weight;
    const double spread = covariance_.spread(h_.data());
    const double step = weight / forgetting_ / (1 + s * spread / forgetting_);
    for (uint32_t c = 0; c < layout_.classes; ++c) move(c, ((c == label ? 1.0 : 0.0) - p[c]) * step);
    covariance_.learn(forgetting_ / s + spread);
  }

 private:
  /** Rows that it is sure of teach it this much at least of what inputs look like. */
  static constexpr double kLeastCurvature = 0.1;
};

/** A cosine to 6 %, from a parabola: random features need a wave, not that one. Period 2. */
double wave(double turns) {
  const double whole = std::floor(turns * 0.5 + 0.5) * 2;
  const double t = turns - whole;  // [-1, 1)
  return 4 * t * (1 - (t < 0 ? -t : t));
}

class LeastSquares final : public SecondOrder {
 public:
  LeastSquares(const Layout& layout, uint32_t features, uint64_t seed)
      : SecondOrder(layout, features, 0.9995),
        features_(features),
        directions_(size_t{features} * layout.stride),
        size_(std::sqrt(20.0 / (features > 0 ? features : 1))) {
    Rng rng(seed);
    const double width = 0.318309886 / std::sqrt(static_cast<double>(layout.inputs));
    for (uint32_t f = 0; f < features; ++f) {
      float* direction = directions_.data() + size_t{f} * layout.stride;
      for (uint32_t j = 0; j < layout.inputs; ++j) {
        double normal = -6;  // twelve uniforms: as good as normal here
        for (int i = 0; i < 12; ++i) normal += static_cast<double>(rng.unit());
        direction[j] = static_cast<float>(normal * width);
      }
      direction[layout.inputs] = rng.unit() * 2;
    }
  }

  void score(const Row& row, double* p) override {
    fill(row);
    for (uint32_t f = 0; f < features_; ++f)
      h_[layout_.narrow + 1 + f] =
          size_ * wave(static_cast<double>(
                      dot(directions_.data() + size_t{f} * layout_.stride, row.inputs, layout_.stride)));
    outputs(p);
    outputs_.assign(p, p + layout_.classes);
    for (uint32_t c = 0; c < layout_.classes; ++c) p[c] *= temperature_;
    softmax(p, layout_.classes);
  }

  void learn(const Row&, const double* p, uint32_t label, float weight) override {
    const double q = forgetting_ / weight + covariance_.spread(h_.data());
    double slope = 0;
    for (uint32_t c = 0; c < layout_.classes; ++c) {
      const double truth = c == label ? 1 : 0;
      slope += (p[c] - truth) * outputs_[c];
      move(c, (truth - outputs_[c]) / q);
    }
    temperature_ -= 0.02 * (weight < 1 ? weight : 1) * bounded(slope, 1.0);
    temperature_ = temperature_ < 0.5 ? 0.5 : temperature_ > 20 ? 20 : temperature_;
    covariance_.learn(q);
  }

  size_t bytes() const override { return SecondOrder::bytes() + bytes_of(directions_); }

  void write(FileWriter& file) const override {
    SecondOrder::write(file);
    file.put<double>(temperature_);
  }

  void read(FileReader& file) override {
    SecondOrder::read(file);
    take_within(file, &temperature_, 1, 0.5, 20.0, "a temperature is impossible");
  }

 private:
  uint32_t features_;
  std::vector<float> directions_;  // features x stride, a function of the seed
  double size_;                    // of a random feature
  double temperature_ = 4;
  std::vector<double> outputs_;
};

}  // namespace

std::unique_ptr<Expert> make_newton(const Layout& layout) {
  return std::make_unique<Newton>(layout);
}

std::unique_ptr<Expert> make_least_squares(const Layout& layout, uint32_t features, uint64_t seed) {
  return std::make_unique<LeastSquares>(layout, features, seed);
}

}  // namespace sluice::stack
