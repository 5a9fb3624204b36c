/* The parts of the forest: its numbers, its drift detector, and the histograms of its leaves. */
#include "core/forest_adwin.h"
#include "core/forest_bins.h"
#include "core/forest_leaves.h"
#include "core/forest_numbers.h"
#include "core/forest_rows.h"
#include "support.h"

namespace sluice::forest {
namespace {

TEST(ForestNumbers, TheFastLogarithmIsNear) {
  for (float x = 1e-30f; x < 1e30f; x *= 1.0173f)
    ASSERT_NEAR(log2_near(x), std::log2(x), 4e-6 * std::fmax(1.0f, std::fabs(std::log2(x)))) << x;
  EXPECT_EQ(log2_near(1.0f), 0.0f);
  EXPECT_EQ(entropy_term(0.0f), 0.0f);
}

TEST(ForestNumbers, PoissonDrawsHaveTheirMeanAndVariance) {
  for (double mean : {0.5, 1.0, 6.0, 16.0}) {
    const Poisson poisson(mean);
    double sum = 0, squares = 0;
    const int n = 200000;
    for (int i = 0; i < n; ++i) {
      const double k = poisson.draw(mix(5, static_cast<uint64_t>(i)));
      sum += k;
      squares += k * k;
    }
    EXPECT_NEAR(sum / n, mean, 0.02 * mean + 0.01);
    EXPECT_NEAR(squares / n - sum / n * (sum / n), mean, 0.03 * mean + 0.01);
  }
}

/** Rows until a change is told after `before` rows of one error rate and then another; 0: never. */
int delay(double from, double to, int before, Change expected, uint64_t seed) {
  Adwin adwin;
  Rng rng(seed);
  for (int i = 0; i < before + 5000; ++i) {
    const Change change = adwin.add(rng.unit() < (i < before ? from : to), 0.01);
    if (i >= before && change == expected) return i - before + 1;
  }
  return 0;
}

TEST(ForestAdwin, TellsARiseAndAFallSoon) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const int rise = delay(0.1, 0.4, 2000, Change::rise, seed),
              fall = delay(0.4, 0.1, 2000, Change::fall, seed);
    EXPECT_TRUE(rise > 0 && rise < 200) << rise;
    EXPECT_TRUE(fall > 0 && fall < 250) << fall;
  }
}

TEST(ForestAdwin, RarelyTellsAChangeWhereThereIsNone) {
  int told = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Adwin adwin;
    Rng rng(seed);
    bool any = false;
    for (int i = 0; i < 2000; ++i) any |= adwin.add(rng.unit() < 0.2, 0.001) != Change::none;
    told += any;
  }
  EXPECT_LT(told, 10);
}

TEST(ForestAdwin, KeepsABoundedWindowForEver) {
  Adwin adwin;
  for (int i = 0; i < 3'000'000; ++i) adwin.add(i % 3 == 0, 1e-9);
  EXPECT_LE(adwin.width(), 5.0 * (1 << 18) * 2);
  EXPECT_NEAR(adwin.mean(), 1.0 / 3, 1e-3);
  FileWriter writer;
  adwin.write(writer);
  const auto bytes = writer.finish();
  FileReader reader(bytes.data(), bytes.size());
  Adwin copy;
  copy.read(reader);
  EXPECT_EQ(copy.width(), adwin.width());
  EXPECT_EQ(copy.mean(), adwin.mean());
}

/** One column of one leaf over plain memory. */
struct Column {
  static constexpr uint32_t kWidth = 2;
  std::vector<float> memory = std::vector<float>(kColumnFloats + kBins * kWidth);
  Bins bins{memory.data(), memory.data() + kBins, memory.data() + kBins + 2, memory.data() + kColumnFloats,
            kWidth};

  void add(float x, uint32_t label) {
    uint32_t bin = 0;
    while (x > bins.borders[bin]) ++bin;
    bins.add(bin, x, label, 1);
  }
  float mass() const {
    float sum = 0;
    for (uint32_t i = 0; i < kBins * kWidth; ++i) sum += bins.counts[i];
    return sum;
  }
};

TEST(ForestBins, FollowValuesThatLeaveTheFirstRange) {
  Column column;
  const float first[] = {0, 1, 2, 3, 4, 5, 6, 7};
  column.bins.empty();
  column.bins.set_borders(first, 8);
  for (int i = 0; i < 4000; ++i) {
    column.add(static_cast<float>(i % 1000), i % 1000 >= 500);
    if (i % 8 == 0) column.bins.adjust();
  }
  EXPECT_EQ(column.mass(), 4000.0f);
  uint32_t beyond = 0;
  for (uint32_t b = 0; b + 1 < kBins; ++b) {
    beyond += column.bins.borders[b] > 7 && column.bins.borders[b] < 1000;
    EXPECT_TRUE(column.bins.borders[b] < column.bins.borders[b + 1] ||
                column.bins.borders[b + 1] == INFINITY);
  }
  EXPECT_GE(beyond, 8u);
}

TEST(ForestBins, NeverCutABinOfOneValue) {
  Column column;
  const float first[] = {0, 0, 0, 0, 1, 1};
  column.bins.empty();
  column.bins.set_borders(first, 6);
  for (int i = 0; i < 1000; ++i) {
    column.add(i % 10 == 0 ? 1.0f : 0.0f, 0);
    column.bins.adjust();
  }
  EXPECT_EQ(column.bins.borders[0], 0.5f);
  EXPECT_EQ(column.bins.borders[1], INFINITY);
}

TEST(ForestBins, BordersLieBetweenNeighboursHoweverNear) {
  Column column;
  const float a = 1.0f, b = std::nextafter(a, 2.0f), most = std::numeric_limits<float>::max();
  for (const std::vector<float>& values :
       {std::vector<float>{a, b}, {-most, most}, {-0.0f, 1e-45f}, {a, a}, {}}) {
    column.bins.set_borders(values.data(), static_cast<uint32_t>(values.size()));
    const float border = column.bins.borders[0];
    if (values.size() == 2 && values[0] < values[1]) {
      EXPECT_TRUE(border >= values[0] && border < values[1]) << border;
    } else {
      EXPECT_EQ(border, INFINITY);
    }
  }
}

/** Input that changes after the check (shared memory) may give wrong rows, never a wild access. */
TEST(ForestRows, StayInsideWhateverTheCallerWritesMeanwhile) {
  const Shape shape{64, 2, 2};
  const std::vector<uint32_t> indices{0xffffffffu, 3, 3, 70}, indptr{0, 0xffffff00u, 2, 4};
  const std::vector<float> values{1, 1, 0, NAN}, dense{INFINITY, 1, -INFINITY, NAN, 2, 3};
  const sluice_rows rows{3, 2, 4, indptr.data(), indices.data(), values.data(), dense.data()};
  RowBuffer buffer(shape);
  for (uint32_t i = 0; i < 3; ++i) buffer.add(rows, i);
  for (uint32_t i = 0; i < 3; ++i) {
    const Row row = buffer.row(i);
    for (uint32_t b = 0; b < row.bucket_count; ++b) EXPECT_LT(row.buckets[b], 64u);
    for (int j = 0; j < 2; ++j) EXPECT_FALSE(std::isinf(row.dense[j]));
  }
  EXPECT_EQ(buffer.row(0).bucket_count, 3u);
  EXPECT_TRUE(buffer.row(0).has(3) && buffer.row(0).has(63) && !buffer.row(0).has(4));
  EXPECT_EQ(buffer.row(1).bucket_count, 0u);
}

}  // namespace
}  // namespace sluice::forest
