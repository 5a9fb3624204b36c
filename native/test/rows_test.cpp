// Promises of core/rows.h: whatever is not well formed is refused, and nothing has changed.
#include "core/rows.h"

#include <functional>
#include <limits>

#include "support.h"

namespace sluice::test {
namespace {

const Shape kShape{256, 3, 4};

struct Damage {
  const char* name;
  std::function<void(OwnedBatch&)> apply;
};

const Damage kDamages[] = {
    {"falling indptr", [](OwnedBatch& b) { b.indptr[3] = b.indptr[4] + 1; }},
    {"indptr beyond the arrays", [](OwnedBatch& b) { b.indptr.back() += 1; }},
    {"huge indptr", [](OwnedBatch& b) { b.indptr.back() = 0xffffffffu; }},
    {"fewer values than indices", [](OwnedBatch& b) { b.values.pop_back(); }},
    {"an index at dims", [](OwnedBatch& b) { b.indices[5] = 256; }},
    {"the largest index", [](OwnedBatch& b) { b.indices.back() = 0xffffffffu; }},
    {"a NaN", [](OwnedBatch& b) { b.values[1] = std::numeric_limits<float>::quiet_NaN(); }},
    {"an infinity", [](OwnedBatch& b) { b.values.back() = -std::numeric_limits<float>::infinity(); }},
    {"too few dense values", [](OwnedBatch& b) { b.dense.pop_back(); }},
    {"another number of dense columns", [](OwnedBatch& b) { b.dense_dims = 2; }},
    {"too few labels", [](OwnedBatch& b) { b.labels.pop_back(); }},
    {"a label beyond the classes", [](OwnedBatch& b) { b.labels[0] = 4; }},
    {"a label below -2", [](OwnedBatch& b) { b.labels.back() = -3; }},
    {"too few weights", [](OwnedBatch& b) { b.weighted = true, b.weights.pop_back(); }},
    {"a negative weight", [](OwnedBatch& b) { b.weighted = true, b.weights[2] = -1; }},
    {"a NaN weight", [](OwnedBatch& b) { b.weighted = true, b.weights[2] = NAN; }},
    {"a huge weight", [](OwnedBatch& b) { b.weighted = true, b.weights[2] = 1e30f; }},
    {"a schedule beyond the rows",
     [](OwnedBatch& b) {
       b.scheduled = true, b.schedule = {0, 20};
     }},
    {"a schedule far below", [](OwnedBatch& b) { b.scheduled = true, b.schedule = {INT32_MIN}; }},
};

TEST(Rows, EveryDamageIsRefusedAndChangesNothing) {
  auto model = make_linear(kShape);
  const OwnedBatch good = random_batch(1, 20, kShape);
  learn(*model, good);
  const auto before = model->save();
  for (const Damage& damage : kDamages) {
    OwnedBatch bad = good;
    damage.apply(bad);
    EXPECT_EQ(failure_code([&] { step(*model, bad); }), "MODEL_INPUT") << damage.name;
    EXPECT_EQ(model->save(), before) << damage.name;
  }
}

TEST(Rows, SparseFeaturesNeedSparseDims) {
  const Shape dense_only{0, 3, 2};
  auto model = make_linear(dense_only);
  OwnedBatch batch = random_batch(2, 4, dense_only);
  EXPECT_EQ(failure_code([&] { score(*model, batch); }), "none");
  batch.indices = {0};
  batch.values = {1};
  batch.indptr.back() = 1;
  EXPECT_EQ(failure_code([&] { score(*model, batch); }), "MODEL_INPUT");
}

TEST(Rows, RowsMayBeginInTheMiddleOfLongerArrays) {
  auto model = make_linear(kShape);
  const OwnedBatch whole = random_batch(3, 12, kShape);
  learn(*model, whole);
  OwnedBatch tail = whole;
  tail.indptr.erase(tail.indptr.begin(), tail.indptr.begin() + 5);
  tail.dense.erase(tail.dense.begin(), tail.dense.begin() + 5 * 3);
  const auto all = score(*model, whole);
  EXPECT_TRUE(same_bits(score(*model, tail), {all.begin() + 5 * 4, all.end()}));
}

TEST(Rows, ShapesThatMakeNoSenseAreRefused) {
  for (const Shape& shape : {Shape{3, 0, 2}, Shape{0, 0, 2}, Shape{1u << 29, 0, 2}, Shape{16, 1u << 17, 2},
                             Shape{16, 0, 1}, Shape{16, 0, 2000}})
    EXPECT_EQ(failure_code([&] { make_linear(shape); }), "MODEL_INPUT");
  EXPECT_EQ(failure_code([&] { make_linear({1u << 28, 0, 1024}); }), "MODEL_MEMORY");
}

}  // namespace
}  // namespace sluice::test
