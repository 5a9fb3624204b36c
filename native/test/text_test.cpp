// Promises of the text model, on every instruction set and number of threads: the same bits as a plain
// reference written from core/text.h and cpu/text_kernels.inl, batch = one by one, a member that is `linear`.
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "core/text_numbers.h"
#include "support.h"
#include "text_reference.h"

namespace sluice::test {
namespace {

/** Rows whose cells come view by view, as a featurizer writes them, where `random_batch` mixes them. */
OwnedBatch sorted_batch(uint64_t seed, uint32_t count, uint32_t dims, uint32_t longest = 70) {
  OwnedBatch batch = random_batch(seed, count, {dims, 0, 2}, longest);
  for (uint32_t i = 0; i < count; ++i)
    std::sort(batch.indices.begin() + batch.indptr[i], batch.indices.begin() + batch.indptr[i + 1]);
  return batch;
}

/** Rows with words of their class among others, told apart by them. */
OwnedBatch told_batch(uint64_t seed, uint32_t count) {
  OwnedBatch batch = random_batch(seed, count, {4096, 0, 2});
  Rng rng(seed + 1);
  for (uint32_t i = 0; i < count; ++i) {
    batch.labels[i] = static_cast<int32_t>(rng.below(2));
    for (uint32_t q = batch.indptr[i]; q < batch.indptr[i + 1]; ++q)
      if (rng.below(3) == 0) {
        batch.indices[q] = rng.below(600) * 2 + static_cast<uint32_t>(batch.labels[i]);
        batch.values[q] = 0.3f;
      }
  }
  return batch;
}

class TextOnEveryCpu : public ::testing::TestWithParam<std::tuple<const char*, uint32_t>> {
 protected:
  void SetUp() override {
    device_ = cpu_device(std::get<0>(GetParam()), std::get<1>(GetParam()));
    if (!device_) GTEST_SKIP() << "this processor has no " << std::get<0>(GetParam());
  }
  std::shared_ptr<Device> device_;
};

INSTANTIATE_TEST_SUITE_P(Variants, TextOnEveryCpu,
                         ::testing::Combine(::testing::Values("baseline", "avx2"),
                                            ::testing::Values(1u, 3u)));

TEST_P(TextOnEveryCpu, GivesTheBitsOfThePlainReference) {
  for (const uint32_t dims : {8u, 64u, 4096u})
    for (const uint32_t views : {1u, 2u, 4u, 8u})
      for (const bool mixed : {false, true}) {
        OwnedBatch batch =
            mixed ? random_batch(dims + views, 150, {dims, 0, 2}) : sorted_batch(dims + views, 150, dims);
        batch.weighted = mixed;
        auto model = make_text(dims, views, device_, 1, mixed);
        TextReference reference(dims, views, true, mixed);
        const auto scores = step(*model, batch);
        for (uint32_t i = 0; i < batch.count(); ++i) {
          ASSERT_TRUE(
              same_bits(reference.score(batch, i), {scores.begin() + i * 2, scores.begin() + i * 2 + 2}))
              << "row " << i << " of " << dims << " buckets in " << views << " views";
          reference.learn(batch, i);
        }
      }
}

/** Through every part of the guard: some labels wrong, then only those that contradict the model. */
TEST_P(TextOnEveryCpu, GivesTheBitsOfThePlainReferenceUnderWrongLabels) {
  const OwnedBatch batch = told_batch(23, 3000);
  auto model = make_text(4096, 4, device_);
  TextReference reference(4096, 4, true);
  Rng rng(24);
  double before = 0;
  for (uint32_t i = 0; i < batch.count(); ++i) {
    OwnedBatch row = batch.row(i);
    const auto expected = reference.score(batch, i);
    if (i >= 800 && i < 2000) row.labels[0] ^= rng.below(5) == 0;
    if (i >= 2000) row.labels[0] = expected[1] < 0.5f;
    ASSERT_TRUE(same_bits(expected, step(*model, row))) << "row " << i;
    reference.learn(batch, i, row.labels[0]);
    if (i == 1999) before = reference.noise();
  }
  EXPECT_GT(before, 0.02);
  EXPECT_LT(before, 0.3);
  EXPECT_GT(reference.noise(), 0.4);
}

TEST_P(TextOnEveryCpu, TeachesItselfWhatItIsSureOfLikeThePlainReference) {
  OwnedBatch batch = told_batch(27, 3000);
  for (uint32_t i = 0; i < batch.count(); ++i)
    if (i < 200 || (i >= 1500 && i % 5 != 0)) batch.labels[i] = SLUICE_OWN_LABEL;
  for (float& value : batch.values) value *= 5;
  auto model = make_text(4096, 4, device_, 1, 0);
  TextReference reference(4096, 4, true, false);
  const auto scores = step(*model, batch);
  for (uint32_t i = 0; i < batch.count(); ++i) {
    ASSERT_TRUE(same_bits(reference.score(batch, i), {scores.begin() + i * 2, scores.begin() + i * 2 + 2}))
        << "row " << i;
    reference.learn(batch, i);
    ASSERT_TRUE(i >= 500 || reference.own() == 0) << "sure before it knows anything";
  }
  EXPECT_GT(reference.own(), 300u);
  EXPECT_LT(reference.own(), 1100u) << "learns what it is not sure of";
}

TEST_P(TextOnEveryCpu, LearnsABatchAsItsRowsOneByOne) {
  OwnedBatch batch = random_batch(11, 300, {1024, 0, 2});
  for (uint32_t i = 0; i < batch.count(); i += 7) batch.labels[i] = SLUICE_OWN_LABEL;
  batch.weighted = true;
  for (const double all : {0, 1}) {
    const auto make = [&] { return make_text(1024, 4, device_, 1, all); };
    auto at_once = make(), one_by_one = make(), stepped = make();
    learn(*at_once, batch);
    for (uint32_t i = 0; i < batch.count(); ++i) learn(*one_by_one, batch.row(i));
    step(*stepped, batch);
    EXPECT_EQ(at_once->save(), one_by_one->save());
    EXPECT_EQ(at_once->save(), stepped->save());
  }
}

TEST_P(TextOnEveryCpu, ScoresABatchAsItsRowsOneByOneAndChangesNothing) {
  auto model = make_text(1u << 14, 2, device_);
  // Large enough that the work is shared between threads.
  const OwnedBatch batch = sorted_batch(12, 800, 1u << 14, 300);
  learn(*model, batch);
  const auto before = model->save();
  const auto all = score(*model, batch);
  for (uint32_t i = 0; i < batch.count(); ++i)
    ASSERT_TRUE(same_bits(score(*model, batch.row(i)), {all.begin() + 2 * i, all.begin() + 2 * i + 2}));
  EXPECT_EQ(model->save(), before);
}

TEST_P(TextOnEveryCpu, RunsASchedule) {
  OwnedBatch batch = random_batch(13, 8, {512, 0, 2});
  batch.labels = {0, 1, 1, -1, 0, 1, 1, 0};
  batch.scheduled = true;
  batch.schedule = {2, ~0, 0, 2, ~1, ~3, 5, ~2, ~2, 5};
  auto model = make_text(512, 2, device_), plain = make_text(512, 2, device_);
  const auto scores = step(*model, batch);
  std::vector<float> expected(8 * 2, std::numeric_limits<float>::quiet_NaN());
  for (int32_t entry : batch.schedule) {
    if (entry < 0) {
      learn(*plain, batch.row(~entry));
    } else {
      const auto p = score(*plain, batch.row(entry));
      std::copy(p.begin(), p.end(), expected.begin() + entry * 2);
    }
  }
  EXPECT_TRUE(same_bits(scores, expected));
  EXPECT_EQ(model->save(), plain->save());
}

TEST_P(TextOnEveryCpu, AnEmptyBatchAndAnEmptyRowAreFine) {
  auto model = make_text(64, 4, device_);
  const auto before = model->save();
  const OwnedBatch none = random_batch(1, 0, {64, 0, 2});
  EXPECT_TRUE(score(*model, none).empty());
  learn(*model, none);
  EXPECT_EQ(model->save(), before);
  const OwnedBatch empty = random_batch(2, 20, {64, 0, 2}, 0);
  for (float p : step(*model, empty)) ASSERT_TRUE(p > 0 && p < 1) << p;
}

TEST_P(TextOnEveryCpu, StaysFiniteUnderExtremeValues) {
  const float most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  for (const double guard : {0, 1}) {
    auto model = make_text(64, 4, device_, guard);
    OwnedBatch batch = random_batch(14, 400, {64, 0, 2});
    batch.weighted = true;
    Rng rng(15);
    for (float& v : batch.values) v = rng.below(2) ? most : rng.below(2) ? -most : least;
    for (float& v : batch.weights) v = rng.below(2) ? 1e6f : 1e-30f;
    for (float p : step(*model, batch)) ASSERT_TRUE(p >= 0 && p <= 1) << p;
    const auto bytes = model->save();
    EXPECT_EQ(load_model(device_, bytes.data(), bytes.size())->save(), bytes);
  }
}

TEST_P(TextOnEveryCpu, StopsBetweenRowsWhenAsked) {
  auto model = make_text(256, 2, device_);
  const OwnedBatch owned = random_batch(18, 20, {256, 0, 2});
  Batch batch = owned.view();
  const Stop stop{1};
  std::vector<float> scores(40);
  EXPECT_EQ(failure_code([&] { model->score(batch, scores.data(), stop); }), "MODEL_CLOSED");
  EXPECT_EQ(failure_code([&] { model->learn(batch, stop); }), "MODEL_CLOSED");
}

TEST_P(TextOnEveryCpu, LearnsWhatCanBeLearnedAlsoFromLabelsOfWhichSomeAreWrong) {
  const OwnedBatch truth = told_batch(17, 4000);
  OwnedBatch told = truth;
  Rng rng(18);
  for (uint32_t i = 1000; i < 4000; ++i) told.labels[i] ^= rng.below(5) == 0;
  const auto right = [&](const OwnedBatch& labels, double guard) {
    auto model = make_text(4096, 4, device_, guard);
    const auto scores = step(*model, labels);
    uint32_t count = 0;
    for (uint32_t i = 2000; i < 4000; ++i) count += (scores[2 * i + 1] > 0.5f) == (truth.labels[i] == 1);
    return count;
  };
  EXPECT_GT(right(truth, 1), 1900u);
  EXPECT_GT(right(told, 1), 1800u);
  EXPECT_GT(right(told, 1), right(told, 0));
}

/** Tables and state in plain memory, where a test can see them. */
struct Bare {
  explicit Bare(uint32_t dims, uint32_t views = 1) : tables(size_t{dims} * 8) {
    state.slope = 1;
    state.noise = kFirstNoise;
    uint32_t shift = 0;
    for (uint32_t region = dims / views; region > 1; region /= 2) ++shift;
    model = {dims, views, shift, 1, 0, 0.4f, 0.5f, 0.05f, tables.data(), &state};
    weights = reinterpret_cast<sluice_text_weights*>(tables.data());
    counts = reinterpret_cast<sluice_text_counts*>(weights + dims);
    members = reinterpret_cast<sluice_text_member*>(counts + dims);
  }
  int step(const OwnedBatch& batch, float* scores = nullptr) {
    const sluice_rows rows{
        batch.count(),       0,      batch.indices.size(), batch.indptr.data(), batch.indices.data(),
        batch.values.data(), nullptr};
    const int32_t stop = 0;
    return cpu_backend()->text_step(
        device->handle(), &model, &rows, batch.labels.data(), batch.weighted ? batch.weights.data() : nullptr,
        batch.scheduled ? batch.schedule.data() : nullptr, batch.schedule.size(), scores, &stop);
  }
  std::shared_ptr<Device> device = cpu_device();
  std::vector<float> tables;
  sluice_text_weights* weights;
  sluice_text_counts* counts;
  sluice_text_member* members;
  sluice_text_state state{};
  sluice_text model{};
};

TEST(Text, WhatItTeachesItselfIsCountedButChangesNeitherCalibrationNorNoise) {
  OwnedBatch batch;
  const auto add = [&](int32_t label) {
    batch.indices.push_back(label == 0 ? 2 : 3), batch.values.push_back(4);
    batch.indptr.push_back(static_cast<uint32_t>(batch.indices.size()));
    batch.labels.push_back(label), batch.weights.push_back(1);
  };
  for (int i = 0; i < 299; ++i) add(i % 2);
  Bare text(16);
  ASSERT_EQ(text.step(batch), SLUICE_OK);
  OwnedBatch own = batch.row(1);
  own.labels = {SLUICE_OWN_LABEL};
  const uint16_t spam = text.counts[3].spam;
  const float weight = text.weights[3].view;
  ASSERT_EQ(text.step(own), SLUICE_OK);
  EXPECT_EQ(text.counts[3].spam, spam) << "too few rows to be sure";
  EXPECT_EQ(text.weights[3].view, weight);
  ASSERT_EQ(text.step(batch.row(1)), SLUICE_OK);
  const sluice_text_state before = text.state;
  ASSERT_EQ(text.step(own), SLUICE_OK);
  EXPECT_EQ(text.counts[3].spam, spam + 16);
  EXPECT_EQ(text.state.spam, before.spam + 1);
  EXPECT_EQ(text.state.ham, before.ham);
  EXPECT_EQ(text.state.slope, before.slope);
  EXPECT_EQ(text.state.offset, before.offset);
  EXPECT_EQ(text.state.slope_squares, before.slope_squares);
  EXPECT_EQ(text.state.noise, before.noise);
}

TEST(Text, CountsRowsByTheirWeightAndHalvesBothCountsWhenOneIsFull) {
  OwnedBatch batch;
  batch.weighted = true;
  const auto add = [&](int32_t label, float weight) {
    batch.indices.push_back(3), batch.values.push_back(-0.5f);
    batch.indptr.push_back(static_cast<uint32_t>(batch.indices.size()));
    batch.labels.push_back(label), batch.weights.push_back(weight);
  };
  add(1, 1), add(0, 0.25f), add(1, 2);
  Bare text(16);
  ASSERT_EQ(text.step(batch), SLUICE_OK);
  EXPECT_EQ(text.counts[3].spam, 24);
  EXPECT_EQ(text.counts[3].ham, 2);
  EXPECT_NEAR(text.weights[3].ratio, std::log(3.5 / 0.75), 1e-6);
  EXPECT_EQ(text.state.spam, 3);
  EXPECT_EQ(text.state.ham, 0.25);
  add(1, 1e6f), add(1, 1e6f);
  Bare full(16);
  ASSERT_EQ(full.step(batch), SLUICE_OK);
  EXPECT_EQ(full.counts[3].spam, (24 + 2 * 32767) / 2);
  EXPECT_EQ(full.counts[3].ham, 1);
}

TEST(Text, ARatioIsTheLogarithmOfItsCounts) {
  EXPECT_EQ((text_ratio<float, int32_t>(0, 0, 0.5f)), 0);
  Rng rng(22);
  for (int round = 0; round < 20000; ++round) {
    const auto spam = static_cast<int32_t>(rng.below(65536) >> rng.below(16)),
               ham = static_cast<int32_t>(1 + (rng.below(65535) >> rng.below(16)));
    const float ratio = text_ratio<float, int32_t>(spam, ham, 0.5f);
    ASSERT_NEAR(ratio, std::log((spam / 8.0 + 0.5) / (ham / 8.0 + 0.5)), 2e-6) << spam << " " << ham;
    ASSERT_NE(ratio, 0) << "looks like a cell never counted";
  }
}

TEST(Text, ShapesAndOptionsThatMakeNoSenseAreRefused) {
  const auto code = [](const Shape& shape, const Options& options) {
    return failure_code([&] { create_model(cpu_device(), "text", shape, options, 7); });
  };
  const Options good = text_options(4);
  EXPECT_EQ(code({64, 0, 2}, good), "none");
  for (const Shape& bad : {Shape{64, 0, 3}, Shape{64, 1, 2}, Shape{0, 5, 2}, Shape{2, 0, 2}})
    EXPECT_EQ(code(bad, good), "MODEL_INPUT");
  for (const Options& bad :
       {Options{}, text_options(0), text_options(3), text_options(16), text_options(1.5), text_options(NAN),
        text_options(2, 0.5), text_options(2, 1, 2), text_options(2, 1, 1, -1)})
    EXPECT_EQ(code({64, 0, 2}, bad), "MODEL_INPUT");
}

/** Input that changes under the kernels (shared memory) may give wrong numbers, never a wild access. */
TEST(Text, InputThatBecomesWildAfterTheCheckStaysInsideTheModel) {
  for (const char* isa : {"baseline", "avx2"}) {
    Bare text(64, 8);
    text.device = cpu_device(isa);
    if (!text.device) continue;
    OwnedBatch wild = random_batch(19, 30, {64, 0, 2});
    for (uint32_t& index : wild.indices) index = 0xfffffff0u + index % 16;
    for (size_t i = 0; i < wild.indptr.size(); i += 3) wild.indptr[i] = 0xffffff00u;
    for (size_t i = 0; i < wild.labels.size(); i += 2) wild.labels[i] = 1 << 20;
    std::vector<float> scores(60);
    EXPECT_EQ(text.step(wild, scores.data()), SLUICE_OK);
    wild.scheduled = true;
    wild.schedule = {0, ~1, INT32_MAX, INT32_MIN, 7};
    EXPECT_EQ(text.step(wild, scores.data()), SLUICE_OK);
  }
}

}  // namespace
}  // namespace sluice::test
