/* The forest as a model: the same bits however it is called, what it learns, and what it never does. */
#include "core/rng.h"
#include "support.h"

namespace sluice::test {
namespace {

const Shape kShapes[] = {{0, 5, 2}, {64, 0, 3}, {256, 20, 2}, {64, 4, 6}, {0, 3, 40}};

class ForestOnEveryCpu : public ::testing::TestWithParam<std::tuple<const char*, uint32_t>> {
 protected:
  void SetUp() override {
    device_ = cpu_device(std::get<0>(GetParam()), std::get<1>(GetParam()));
    if (!device_) GTEST_SKIP() << "this processor has no " << std::get<0>(GetParam());
  }
  std::shared_ptr<Device> device_;
};

INSTANTIATE_TEST_SUITE_P(Variants, ForestOnEveryCpu,
                         ::testing::Values(std::tuple{"baseline", 1u}, std::tuple{"avx2", 3u}));

/** Rows whose class two columns tell together and none alone (exclusive or), among columns that tell nothing.
 */
OwnedBatch crossed(uint64_t seed, uint32_t count, uint32_t columns, bool flipped = false) {
  Rng rng(seed);
  OwnedBatch batch;
  batch.dense_dims = columns;
  for (uint32_t i = 0; i < count; ++i) {
    batch.indptr.push_back(0);
    for (uint32_t j = 0; j < columns; ++j) batch.dense.push_back(rng.unit());
    const float* row = batch.dense.data() + size_t{i} * columns;
    batch.labels.push_back(((row[0] > 0.4f) != (row[1] > 0.6f)) != flipped);
    batch.weights.push_back(1);
  }
  return batch;
}

double right_share(const std::vector<float>& scores, const OwnedBatch& batch, uint32_t classes,
                   uint32_t from) {
  uint32_t right = 0;
  for (uint32_t i = from; i < batch.count(); ++i) {
    const float* p = scores.data() + size_t{i} * classes;
    right += std::max_element(p, p + classes) - p == batch.labels[i];
  }
  return right / static_cast<double>(batch.count() - from);
}

TEST_P(ForestOnEveryCpu, LearnsABatchAsItsRowsOneByOneOnAnyNumberOfThreads) {
  for (const Shape& shape : kShapes) {
    OwnedBatch batch = random_batch(11, 600, shape, 12);
    batch.weighted = true;
    auto at_once = make_forest(shape, device_), stepped = make_forest(shape, device_);
    auto one_by_one = make_forest(shape, cpu_device("baseline", 1));
    learn(*at_once, batch);
    std::vector<float> single;
    for (uint32_t i = 0; i < batch.count(); ++i) {
      const auto p = score(*one_by_one, batch.row(i));
      learn(*one_by_one, batch.row(i));
      single.insert(single.end(), p.begin(), p.end());
    }
    EXPECT_TRUE(same_bits(step(*stepped, batch), single));
    EXPECT_EQ(at_once->save(), one_by_one->save());
    EXPECT_EQ(at_once->save(), stepped->save());
  }
}

TEST_P(ForestOnEveryCpu, ScoresABatchAsItsRowsOneByOneAndChangesNothing) {
  const Shape shape{64, 4, 3};
  auto model = make_forest(shape, device_);
  const OwnedBatch batch = random_batch(12, 500, shape, 12);
  learn(*model, batch);
  const auto before = model->save();
  const auto all = score(*model, batch);
  for (uint32_t i = 0; i < batch.count(); ++i)
    ASSERT_TRUE(same_bits(score(*model, batch.row(i)), {all.begin() + 3 * i, all.begin() + 3 * i + 3}));
  EXPECT_EQ(model->save(), before);
}

TEST_P(ForestOnEveryCpu, RunsASchedule) {
  const Shape shape{64, 3, 3};
  OwnedBatch batch = random_batch(13, 400, shape, 5);
  Rng rng(3);
  batch.scheduled = true;
  for (int i = 0; i < 900; ++i) {
    const auto row = static_cast<int32_t>(rng.below(399));
    if (rng.below(2)) batch.schedule.push_back(row);
    if (rng.below(3)) batch.schedule.push_back(~row);
  }
  auto model = make_forest(shape, device_), plain = make_forest(shape, device_);
  const auto scores = step(*model, batch);
  std::vector<float> expected(400 * 3, std::numeric_limits<float>::quiet_NaN());
  for (int32_t entry : batch.schedule) {
    if (entry < 0) {
      learn(*plain, [&] {
        OwnedBatch row = batch.row(static_cast<uint32_t>(~entry));
        row.weighted = false;
        return row;
      }());
    } else {
      const auto p = score(*plain, batch.row(static_cast<uint32_t>(entry)));
      std::copy(p.begin(), p.end(), expected.begin() + entry * 3);
    }
  }
  EXPECT_TRUE(same_bits(scores, expected));
  EXPECT_EQ(model->save(), plain->save());
}

TEST_P(ForestOnEveryCpu, ComesBackFromItsFileAndLearnsOnTheSame) {
  for (const Shape& shape : kShapes) {
    const OwnedBatch first = random_batch(21, 900, shape, 12), second = random_batch(22, 600, shape, 12);
    auto model = make_forest(shape, device_, {{"retired", 2}, {"balance", 0.5}});
    learn(*model, first);
    const auto bytes = model->save();
    auto copy = load_model(cpu_device("baseline", 2), bytes.data(), bytes.size());
    EXPECT_EQ(copy->save(), bytes);
    EXPECT_TRUE(same_bits(step(*model, second), step(*copy, second)));
    EXPECT_EQ(copy->save(), model->save());
  }
}

TEST_P(ForestOnEveryCpu, StaysInRangeUnderExtremeValues) {
  const float most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  for (uint32_t classes : {2u, 3u}) {
    const Shape shape{64, 4, classes};
    auto model = make_forest(shape, device_);
    OwnedBatch batch = random_batch(14, 3000, shape, 5);
    batch.weighted = true;
    Rng rng(15);
    for (float& v : batch.dense)
      v = rng.below(3) ? most * (rng.unit() - 0.5f) : rng.below(2) ? -most : INFINITY;
    for (float& v : batch.weights) v = rng.below(2) ? 1e6f : rng.below(2) ? 1e-30f : least;
    for (float p : step(*model, batch)) ASSERT_TRUE(p >= 0 && p <= 1) << p;
    const auto bytes = model->save();
    EXPECT_EQ(load_model(device_, bytes.data(), bytes.size())->save(), bytes);
  }
}

TEST(Forest, KnowsNothingAtFirstAndNeverGivesZero) {
  const Shape shape{0, 2, 4};
  auto model = make_forest(shape);
  OwnedBatch batch = random_batch(1, 200, shape);
  for (float p : score(*model, batch)) ASSERT_EQ(p, 0.25f);
  for (int32_t& label : batch.labels) label = label == 3 ? 0 : label;
  learn(*model, batch);
  const auto scores = score(*model, batch);
  double unseen = 0;
  for (uint32_t i = 0; i < batch.count(); ++i) {
    unseen += scores[4 * i + 3];
    ASSERT_GT(scores[4 * i + 3], 0.0f);
    ASSERT_NEAR(scores[4 * i] + scores[4 * i + 1] + scores[4 * i + 2] + scores[4 * i + 3], 1, 1e-5);
  }
  EXPECT_LT(unseen / batch.count(), 0.02);
}

TEST(Forest, LearnsWhatNoSingleColumnTells) {
  const OwnedBatch batch = crossed(17, 8000, 6);
  for (double predictor : {0, 1, 2}) {
    auto model = make_forest({0, 6, 2}, cpu_device(), {{"predictor", predictor}, {"trees", 10}});
    EXPECT_GT(right_share(step(*model, batch), batch, 2, 4000), 0.9) << predictor;
  }
}

TEST(Forest, ColumnsThatNeverVaryCostItNothing) {
  const OwnedBatch plain = crossed(17, 4000, 6);
  OwnedBatch wide = plain;
  wide.dense_dims = 60;
  wide.dense.assign(4000 * 60, 1.0f);
  for (uint32_t i = 0; i < 4000; ++i)
    for (uint32_t j = 0; j < 6; ++j) wide.dense[i * 60 + 10 * j + 3] = plain.dense[i * 6 + j];
  auto a = make_forest({0, 6, 2}), b = make_forest({0, 60, 2});
  EXPECT_NEAR(right_share(step(*a, plain), plain, 2, 2000), right_share(step(*b, wide), wide, 2, 2000), 0.05);
}

TEST(Forest, SplitsByCategories) {
  // 300 categories of two fields; the class is whether the category of one is among every third.
  Rng rng(5);
  OwnedBatch batch;
  for (uint32_t i = 0; i < 12000; ++i) {
    const uint32_t first = rng.below(12), second = 100 + rng.below(200);
    batch.indices.insert(batch.indices.end(), {second, first});
    batch.values.insert(batch.values.end(), {1.0f, 1.0f});
    batch.indptr.push_back(static_cast<uint32_t>(batch.indices.size()));
    batch.labels.push_back(first % 3 == 0);
    batch.weights.push_back(1);
  }
  auto model = make_forest({512, 0, 2}, cpu_device(), {{"columns", 1}, {"trees", 10}});
  EXPECT_GT(right_share(step(*model, batch), batch, 2, 8000), 0.95);
}

TEST(Forest, BearsMissingValues) {
  OwnedBatch batch = crossed(18, 8000, 4);
  Rng rng(6);
  for (float& x : batch.dense)
    if (rng.below(10) == 0) x = NAN;
  auto model = make_forest({0, 4, 2}, cpu_device(), {{"trees", 10}});
  EXPECT_GT(right_share(step(*model, batch), batch, 2, 4000), 0.8);
  const OwnedBatch nothing = [] {
    OwnedBatch empty = crossed(19, 1, 4);
    empty.dense.assign(4, NAN);
    return empty;
  }();
  for (float p : score(*model, nothing)) EXPECT_TRUE(p > 0 && p < 1);
}

/** What is right in rows [from, to) of a stream whose classes swap at 5,000 and swap back at 10,000. */
double after_swap(const Options& changes, uint32_t from, uint32_t to) {
  auto model = make_forest({0, 4, 2}, cpu_device(), changes);
  std::vector<float> scores;
  OwnedBatch all = crossed(31, 15000, 4);
  for (uint32_t i = 5000; i < 10000; ++i) all.labels[i] ^= 1;
  scores = step(*model, all);
  uint32_t right = 0;
  for (uint32_t i = from; i < to; ++i) right += (scores[2 * i + 1] > 0.5f) == (all.labels[i] == 1);
  return right / static_cast<double>(to - from);
}

TEST(Forest, ForgetsWhatIsNoLongerSo) {
  const Options still{{"drift", 0}, {"warning", 0}};
  EXPECT_GT(after_swap({}, 7000, 10000), 0.9);
  EXPECT_GT(after_swap({}, 5000, 10000), after_swap(still, 5000, 10000) + 0.1);
}

TEST(Forest, RecallsAConceptThatComesBack) {
  EXPECT_GT(after_swap({{"retired", 2}}, 10000, 11000), after_swap({{"retired", 0}}, 10000, 11000) + 0.02);
}

TEST(Forest, BalanceFindsMoreOfARareClass) {
  Rng rng(8);
  OwnedBatch batch = crossed(40, 12000, 3);
  for (uint32_t i = 0; i < batch.count(); ++i) {
    const bool rare = batch.dense[3 * i] > 0.9f && rng.below(3) == 0;
    batch.labels[i] = rare;
  }
  const auto found = [&](double balance) {
    auto model = make_forest({0, 3, 2}, cpu_device(), {{"balance", balance}});
    const auto scores = step(*model, batch);
    uint32_t hits = 0;
    for (uint32_t i = 4000; i < batch.count(); ++i) hits += batch.labels[i] == 1 && scores[2 * i + 1] > 0.5f;
    return hits;
  };
  EXPECT_GT(found(1), found(0) + 100);
}

TEST(Forest, StaysWithinItsMemory) {
  const Shape shape{0, 40, 6};
  auto model = make_forest(shape, cpu_device(), {{"memory", 1}, {"trees", 4}, {"drift", 0}, {"better", 1}});
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    OwnedBatch batch = crossed(seed, 3000, 40);
    for (uint32_t i = 0; i < batch.count(); ++i)
      batch.labels[i] = batch.labels[i] * 3 + static_cast<int32_t>(batch.dense[40 * i + 2] * 3) % 3;
    learn(*model, batch);
    EXPECT_LT(model->bytes(), 2u << 20);
    const auto bytes = model->save();
    EXPECT_EQ(load_model(cpu_device(), bytes.data(), bytes.size())->save(), bytes);
  }
}

TEST(Forest, UnlabelledRowsAndThoseOfNoWeightLeaveNoTrace) {
  const Shape shape{64, 3, 2};
  auto model = make_forest(shape);
  const auto before = model->save();
  OwnedBatch batch = random_batch(9, 50, shape, 5);
  for (size_t i = 0; i < batch.labels.size(); ++i) batch.labels[i] = i % 2 ? SLUICE_OWN_LABEL : -1;
  learn(*model, batch);
  for (int32_t& label : batch.labels) label = 1;
  for (float& weight : batch.weights) weight = 0;
  batch.weighted = true;
  learn(*model, batch);
  EXPECT_EQ(model->save(), before);
}

TEST(Forest, StopsWhenAsked) {
  const Shape shape{0, 3, 2};
  auto model = make_forest(shape);
  const OwnedBatch owned = random_batch(18, 20, shape);
  Batch batch = owned.view();
  const Stop stop{1};
  std::vector<float> scores(40);
  EXPECT_EQ(failure_code([&] { model->score(batch, scores.data(), stop); }), "MODEL_CLOSED");
  EXPECT_EQ(failure_code([&] { model->learn(batch, stop); }), "MODEL_CLOSED");
}

TEST(Forest, OptionsOutOfRangeUnknownOrMissingAreRefused) {
  const Shape shape{0, 3, 2};
  const auto code = [&](const Options& options) {
    return failure_code([&] { create_model(cpu_device(), "forest", shape, options, 1); });
  };
  EXPECT_EQ(code(forest_options()), "none");
  EXPECT_EQ(code({}), "MODEL_INPUT");
  for (const Options& change : {Options{{"trees", 0}},
                                {{"trees", 1.5}},
                                {{"trees", 1e9}},
                                {{"columns", 0}},
                                {{"bagging", 17}},
                                {{"confidence", NAN}},
                                {{"predictor", 3}},
                                {{"memory", 0}}})
    EXPECT_EQ(code(forest_options(change)), "MODEL_INPUT") << change[0].first;
}

}  // namespace
}  // namespace sluice::test
