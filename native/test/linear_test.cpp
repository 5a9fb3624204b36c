// Promises of the linear model, on every instruction set and number of threads: the same bits as a plain
// reference written from the description in cpu/linear_kernels.inl, batch = one by one, right gradients.
#include <cmath>
#include <limits>
#include <tuple>

#include "core/loss.h"
#include "support.h"

namespace sluice::test {
namespace {

/** The model again, as plainly as it can be written. */
class Reference {
 public:
  explicit Reference(const Shape& shape)
      : shape_(shape),
        outputs_(shape.classes == 2 ? 1 : shape.classes),
        w_((shape.dims + shape.dense_dims + 1) * outputs_),
        g_(w_.size()),
        count_(shape.dense_dims),
        mean_(shape.dense_dims),
        squares_(shape.dense_dims) {}

  std::vector<float> score(const OwnedBatch& b, uint32_t row) const {
    std::vector<double> p = probabilities(b, row);
    if (outputs_ == 1) return {static_cast<float>(1.0 - p[0]), static_cast<float>(p[0])};
    return {p.begin(), p.end()};
  }

  void learn(const OwnedBatch& b, uint32_t row) {
    const int32_t label = b.labels[row];
    const float weight = b.weighted ? b.weights[row] : 1.0f;
    if (label < 0 || weight == 0) return;
    for (uint32_t j = 0; j < shape_.dense_dims; ++j) observe(j, b.dense[row * shape_.dense_dims + j]);
    const std::vector<double> p = probabilities(b, row);
    std::vector<float> error(outputs_);
    bool any = false;
    for (uint32_t k = 0; k < outputs_; ++k) {
      const double e = p[k] - ((outputs_ == 1 ? label == 1 : label == static_cast<int32_t>(k)) ? 1.0 : 0.0);
      any |= std::fabs(e) > 1e-7;
      error[k] = static_cast<float>(weight * e);
    }
    if (!any) return;
    for (uint32_t q = b.indptr[row]; q < b.indptr[row + 1]; ++q) update(b.indices[q], b.values[q], error);
    const std::vector<float> x = standardised(b, row);
    for (uint32_t j = 0; j < shape_.dense_dims; ++j) update(shape_.dims + j, x[j], error);
    update(shape_.dims + shape_.dense_dims, 1, error);
  }

 private:
  float sum(const std::vector<uint32_t>& records, const std::vector<float>& x, uint32_t k) const {
    float lane[8] = {};
    const size_t lanes = outputs_ == 1 ? 8 : 4;
    for (size_t q = 0; q < x.size(); ++q) lane[q % lanes] += w_[records[q] * outputs_ + k] * x[q];
    if (lanes == 4) return (lane[0] + lane[2]) + (lane[1] + lane[3]);
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  }

  std::vector<double> probabilities(const OwnedBatch& b, uint32_t row) const {
    const std::vector<uint32_t> sparse(b.indices.begin() + b.indptr[row],
                                       b.indices.begin() + b.indptr[row + 1]);
    const std::vector<float> values(b.values.begin() + b.indptr[row], b.values.begin() + b.indptr[row + 1]);
    std::vector<uint32_t> columns;
    for (uint32_t j = 0; j < shape_.dense_dims; ++j) columns.push_back(shape_.dims + j);
    const std::vector<float> x = standardised(b, row);
    std::vector<double> z;
    for (uint32_t k = 0; k < outputs_; ++k)
      z.push_back(bounded_logit((sum(sparse, values, k) + sum(columns, x, k)) +
                                w_[(shape_.dims + shape_.dense_dims) * outputs_ + k]));
    if (outputs_ == 1)
      z[0] = sigmoid(z[0]);
    else
      softmax(z.data(), outputs_);
    return z;
  }

  std::vector<float> standardised(const OwnedBatch& b, uint32_t row) const {
    std::vector<float> x;
    for (uint32_t j = 0; j < shape_.dense_dims; ++j) {
      const float value = b.dense[row * shape_.dense_dims + j];
      const double variance = count_[j] < 2 ? 0 : squares_[j] / count_[j];
      const bool varies = variance > 1e-12 * mean_[j] * mean_[j] && variance > 1e-60;
      const double z = varies ? (double{value} - mean_[j]) * (1.0 / std::sqrt(variance)) : 0.0;
      x.push_back(std::isfinite(value) ? static_cast<float>(std::fmax(-8.0, std::fmin(8.0, z))) : 0.0f);
    }
    return x;
  }

  void observe(uint32_t j, float value) {
    if (!std::isfinite(value)) return;
    const double delta = double{value} - mean_[j];
    count_[j] += 1;
    mean_[j] += delta / count_[j];
    squares_[j] += delta * (double{value} - mean_[j]);
  }

  void update(uint32_t record, float x, const std::vector<float>& error) {
    const auto rate = static_cast<float>(kOptions[0].second), l2 = static_cast<float>(kOptions[1].second),
               eps = static_cast<float>(kOptions[2].second);
    for (uint32_t k = 0; k < outputs_; ++k) {
      float& w = w_[record * outputs_ + k];
      float& total = g_[record * outputs_ + k];
      const float g = std::fmax(-1e18f, std::fmin(1e18f, error[k] * x + l2 * w));
      total += g * g;
      w -= rate * g / (std::sqrt(total) + eps);
    }
  }

  Shape shape_;
  uint32_t outputs_;
  std::vector<float> w_, g_;
  std::vector<double> count_, mean_, squares_;
};

const Shape kShapes[] = {{1024, 0, 2}, {64, 0, 2},   {1024, 5, 2}, {0, 13, 2},  {1024, 5, 3},
                         {1024, 3, 6}, {256, 0, 12}, {0, 33, 6},   {64, 2, 100}};

class LinearOnEveryCpu : public ::testing::TestWithParam<std::tuple<const char*, uint32_t>> {
 protected:
  void SetUp() override {
    device_ = cpu_device(std::get<0>(GetParam()), std::get<1>(GetParam()));
    if (!device_) GTEST_SKIP() << "this processor has no " << std::get<0>(GetParam());
  }
  std::shared_ptr<Device> device_;
};

INSTANTIATE_TEST_SUITE_P(Variants, LinearOnEveryCpu,
                         ::testing::Combine(::testing::Values("baseline", "avx2"),
                                            ::testing::Values(1u, 3u)));

TEST_P(LinearOnEveryCpu, GivesTheBitsOfThePlainReference) {
  for (const Shape& shape : kShapes)
    for (bool weighted : {false, true}) {
      OwnedBatch batch = random_batch(shape.classes + shape.dims, 150, shape);
      batch.weighted = weighted;
      auto model = make_linear(shape, device_);
      Reference reference(shape);
      const auto scores = step(*model, batch);
      for (uint32_t i = 0; i < batch.count(); ++i) {
        const auto expected = reference.score(batch, i);
        ASSERT_TRUE(same_bits(expected,
                              {scores.begin() + i * shape.classes, scores.begin() + (i + 1) * shape.classes}))
            << "row " << i << " of " << shape.dims << "/" << shape.dense_dims << "/" << shape.classes;
        reference.learn(batch, i);
      }
    }
}

TEST_P(LinearOnEveryCpu, LearnsABatchAsItsRowsOneByOne) {
  for (const Shape& shape : kShapes) {
    OwnedBatch batch = random_batch(11, 120, shape);
    batch.weighted = true;
    auto at_once = make_linear(shape, device_), one_by_one = make_linear(shape, device_),
         stepped = make_linear(shape, device_);
    learn(*at_once, batch);
    for (uint32_t i = 0; i < batch.count(); ++i) learn(*one_by_one, batch.row(i));
    step(*stepped, batch);
    EXPECT_EQ(at_once->save(), one_by_one->save());
    EXPECT_EQ(at_once->save(), stepped->save());
  }
}

TEST_P(LinearOnEveryCpu, ScoresABatchAsItsRowsOneByOne) {
  const Shape shape{1u << 14, 4, 2};
  auto model = make_linear(shape, device_);
  // Large enough that the work is shared between threads.
  const OwnedBatch batch = random_batch(12, 800, shape, 300);
  learn(*model, batch);
  const auto before = model->save();
  const auto all = score(*model, batch);
  for (uint32_t i = 0; i < batch.count(); ++i)
    ASSERT_TRUE(same_bits(score(*model, batch.row(i)), {all.begin() + 2 * i, all.begin() + 2 * i + 2}));
  EXPECT_EQ(model->save(), before) << "scoring changed the model";
}

TEST_P(LinearOnEveryCpu, RunsASchedule) {
  const Shape shape{512, 3, 3};
  OwnedBatch batch = random_batch(13, 8, shape);
  batch.labels = {0, 1, 2, -1, 0, 1, 2, 0};
  batch.scheduled = true;
  batch.schedule = {2, ~0, 0, 2, ~1, ~3, 5, ~2, ~2, 5};
  auto model = make_linear(shape, device_), plain = make_linear(shape, device_);
  const auto scores = step(*model, batch);
  std::vector<float> expected(8 * 3, std::numeric_limits<float>::quiet_NaN());
  for (int32_t entry : batch.schedule) {
    if (entry < 0) {
      learn(*plain, batch.row(~entry));
    } else {
      const auto p = score(*plain, batch.row(entry));
      std::copy(p.begin(), p.end(), expected.begin() + entry * 3);
    }
  }
  EXPECT_TRUE(same_bits(scores, expected));
  EXPECT_EQ(model->save(), plain->save());
}

TEST_P(LinearOnEveryCpu, AnEmptyBatchIsFine) {
  for (const Shape& shape : kShapes) {
    auto model = make_linear(shape, device_);
    const auto before = model->save();
    const OwnedBatch none = random_batch(1, 0, shape);
    EXPECT_TRUE(score(*model, none).empty());
    EXPECT_TRUE(step(*model, none).empty());
    learn(*model, none);
    EXPECT_EQ(model->save(), before);
  }
}

TEST_P(LinearOnEveryCpu, StaysFiniteUnderExtremeValues) {
  const float most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  for (uint32_t classes : {2u, 3u}) {
    const Shape shape{64, 4, classes};
    auto model = make_linear(shape, device_);
    OwnedBatch batch = random_batch(14, 200, shape);
    batch.weighted = true;
    Rng rng(15);
    for (float& v : batch.values) v = rng.below(2) ? most : rng.below(2) ? -most : least;
    for (float& v : batch.dense) v = rng.below(3) ? most : rng.below(2) ? -most : INFINITY;
    for (float& v : batch.weights) v = rng.below(2) ? 1e6f : 1e-30f;
    for (float p : step(*model, batch)) ASSERT_TRUE(p >= 0 && p <= 1) << p;
    const auto bytes = model->save();
    EXPECT_EQ(load_model(device_, bytes.data(), bytes.size())->save(), bytes);
  }
}

TEST_P(LinearOnEveryCpu, AClassNeverSeenIsHeldUnlikely) {
  const Shape shape{256, 0, 3};
  auto model = make_linear(shape, device_);
  OwnedBatch batch = random_batch(16, 600, shape);
  for (int32_t& label : batch.labels) label = label == 2 ? 0 : label;
  learn(*model, batch);
  const auto scores = score(*model, batch);
  double unseen = 0;
  for (uint32_t i = 0; i < batch.count(); ++i) unseen += scores[i * 3 + 2];
  EXPECT_LT(unseen / batch.count(), 0.05);
}

TEST_P(LinearOnEveryCpu, LearnsWhatCanBeLearned) {
  const Shape shape{256, 2, 2};
  auto model = make_linear(shape, device_);
  OwnedBatch batch = random_batch(17, 3000, shape);
  for (uint32_t i = 0; i < batch.count(); ++i) {
    batch.dense[2 * i] = static_cast<float>(i % 7);
    batch.labels[i] = i % 7 > 3;
  }
  const auto scores = step(*model, batch);
  uint32_t right = 0;
  for (uint32_t i = 2000; i < 3000; ++i) right += (scores[2 * i + 1] > 0.5f) == (batch.labels[i] == 1);
  EXPECT_GT(right, 950u);
}

TEST_P(LinearOnEveryCpu, StopsBetweenRowsWhenAsked) {
  const Shape shape{256, 0, 2};
  auto model = make_linear(shape, device_);
  const OwnedBatch owned = random_batch(18, 20, shape);
  Batch batch = owned.view();
  const Stop stop{1};
  std::vector<float> scores(40);
  EXPECT_EQ(failure_code([&] { model->score(batch, scores.data(), stop); }), "MODEL_CLOSED");
  EXPECT_EQ(failure_code([&] { model->learn(batch, stop); }), "MODEL_CLOSED");
}

TEST(Linear, GradientsAgreeWithFiniteDifferences) {
  for (uint32_t classes : {2u, 3u, 6u}) {
    const uint32_t outputs = classes == 2 ? 1 : classes, stride = classes == 2 ? 1 : (outputs + 3) / 4 * 4;
    const uint32_t dims = 16;
    Rng rng(classes);
    std::vector<float> records((dims + 1) * 2 * stride);
    for (uint32_t r = 0; r <= dims; ++r)
      for (uint32_t k = 0; k < outputs; ++k) records[r * 2 * stride + k] = rng.unit() - 0.5f;
    const std::vector<uint32_t> indices{3, 7, 11, 0, 15}, indptr{0, 5};
    const std::vector<float> values{0.5f, -1.25f, 2.0f, 0.25f, 1.0f};
    const int32_t label = 1;

    const auto loss = [&](const std::vector<double>& w) {
      std::vector<double> z(outputs);
      for (uint32_t k = 0; k < outputs; ++k) {
        z[k] = w[dims * outputs + k];
        for (size_t p = 0; p < 5; ++p) z[k] += w[indices[p] * outputs + k] * values[p];
      }
      if (outputs == 1) return logistic_loss(z[0], 1);
      softmax(z.data(), outputs);
      return -log_exact(z[label]);
    };
    std::vector<double> w;
    for (uint32_t r = 0; r <= dims; ++r)
      for (uint32_t k = 0; k < outputs; ++k) w.push_back(records[r * 2 * stride + k]);

    auto device = cpu_device();
    sluice_linear model{dims, 0, classes, outputs, stride, 1, 0.1f, 0, 1e-6f, records.data(), nullptr};
    const sluice_rows rows{1, 0, 5, indptr.data(), indices.data(), values.data(), nullptr};
    const std::vector<float> before = records;
    const int32_t stop = 0;
    ASSERT_EQ(cpu_backend()->linear_step(device->handle(), &model, &rows, &label, nullptr, nullptr, 0,
                                         nullptr, &stop),
              SLUICE_OK);
    for (uint32_t r = 0; r <= dims; ++r)
      for (uint32_t k = 0; k < outputs; ++k) {
        // After one step the accumulator is the squared gradient, and the weight moved against its sign.
        const size_t at = r * 2 * stride + k;
        const double size = std::sqrt(double{records[at + stride]});
        const double gradient = records[at] > before[at] ? -size : size;
        auto up = w, down = w;
        up[r * outputs + k] += 1e-5;
        down[r * outputs + k] -= 1e-5;
        EXPECT_NEAR(gradient, (loss(up) - loss(down)) / 2e-5, 1e-6) << r << " " << k;
      }
  }
}

TEST(Linear, OptionsOutOfRangeUnknownOrMissingAreRefused) {
  const Shape shape{16, 0, 2};
  for (const Options& bad :
       {Options{}, Options{{"rate", 0.4}}, Options{{"rate", -1}, {"l2", 0}, {"eps", 1}, {"normalise", 1}},
        Options{{"rate", NAN}, {"l2", 0}, {"eps", 1}, {"normalise", 1}},
        Options{{"rate", 1}, {"l2", 0}, {"eps", 0}, {"normalise", 1}},
        Options{{"rate", 1}, {"l2", 0}, {"eps", 1}, {"normalise", 0.5}},
        Options{{"rate", 1}, {"l2", 0}, {"eps", 1}, {"normalise", 1}, {"rat", 1}},
        Options{{"rate", 1}, {"rate", 1}, {"l2", 0}, {"eps", 1}, {"normalise", 1}}})
    EXPECT_EQ(failure_code([&] { make_linear(shape, cpu_device(), bad); }), "MODEL_INPUT");
}

/** Input that changes under the kernels (shared memory) may give wrong numbers, never a wild access. */
TEST(Linear, InputThatBecomesWildAfterTheCheckStaysInsideTheModel) {
  for (const char* isa : {"baseline", "avx2"})
    for (uint32_t classes : {2u, 3u}) {
      auto device = cpu_device(isa);
      if (!device) continue;
      const Shape shape{64, 2, classes};
      OwnedBatch owned = random_batch(19, 30, shape);
      Batch batch = owned.view();
      check_batch(batch, shape);
      for (uint32_t& index : owned.indices) index = 0xfffffff0u + index % 16;
      for (size_t i = 0; i < owned.indptr.size(); i += 3) owned.indptr[i] = 0xffffff00u;
      for (size_t i = 0; i < owned.labels.size(); i += 2) owned.labels[i] = 1 << 20;
      owned.schedule = {0, ~1, INT32_MAX, INT32_MIN, 7};
      const uint32_t outputs = classes == 2 ? 1 : classes, stride = classes == 2 ? 1 : 4;
      std::vector<float> records(67 * 2 * stride), scores(30 * classes);
      std::vector<double> moments(6);
      sluice_linear model{64, 2, classes, outputs, stride, 1, 0.4f, 0, 1e-6f, records.data(), moments.data()};
      const int32_t stop = 0;
      EXPECT_EQ(cpu_backend()->linear_step(device->handle(), &model, &batch.rows, owned.labels.data(),
                                           nullptr, nullptr, 0, scores.data(), &stop),
                SLUICE_OK);
      EXPECT_EQ(cpu_backend()->linear_step(device->handle(), &model, &batch.rows, owned.labels.data(),
                                           nullptr, owned.schedule.data(), 5, scores.data(), &stop),
                SLUICE_OK);
    }
}

}  // namespace
}  // namespace sluice::test
