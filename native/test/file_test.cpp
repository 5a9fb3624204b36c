// Promises of the model file: same bits back, same learning after, equal models are equal bytes, and
// nothing that was altered is ever loaded or takes the process down.
#include "core/file.h"

#include <array>

#include "support.h"

namespace sluice::test {
namespace {

std::vector<uint8_t> trained_file(const Shape& shape, uint64_t seed = 21) {
  auto model = make_linear(shape);
  learn(*model, random_batch(seed, 60, shape));
  return model->save();
}

std::vector<uint8_t> trained_text(uint32_t dims, double all = 1) {
  auto model = make_text(dims, 4, cpu_device(), 1, all);
  learn(*model, random_batch(21, 60, {dims, 0, 2}));
  return model->save();
}

std::vector<uint8_t> trained_stack(const Shape& shape) {
  const Options options{{"rate", 1}, {"window", 20}, {"hidden", 4}, {"features", 3}, {"history", 1}};
  auto model = create_model(cpu_device(), "stack", shape, options, 7);
  learn(*model, random_batch(28, 60, shape, 5));
  return model->save();
}

/** Few trees of few rows, so that it is small. */
std::vector<uint8_t> trained_forest(const Shape& shape) {
  auto model = make_forest(shape, cpu_device(), {{"trees", 1}, {"grace", 2}});
  learn(*model, random_batch(21, 60, shape, 5));
  return model->save();
}

std::string load_code(const std::vector<uint8_t>& bytes) {
  static const auto device = cpu_device();
  return failure_code([&] { load_model(device, bytes.data(), bytes.size()); });
}

/** Makes the checksum and the length right again, as an attacker would. */
void reseal(std::vector<uint8_t>& bytes) {
  if (bytes.size() < kFileHead) return;
  const uint64_t length = bytes.size();
  std::memcpy(bytes.data() + 16, &length, 8);
  const uint32_t crc = crc32c(bytes.data() + 16, bytes.size() - 16);
  std::memcpy(bytes.data() + 12, &crc, 4);
}

TEST(File, Crc32cHasItsPublishedValue) {
  EXPECT_EQ(crc32c(reinterpret_cast<const uint8_t*>("123456789"), 9), 0xe3069283u);
}

TEST(File, ComesBackWithTheSameBitsAndLearnsOnTheSame) {
  for (const Shape& shape : {Shape{1024, 0, 2}, Shape{0, 7, 2}, Shape{4096, 5, 6}, Shape{64, 2, 2}}) {
    auto model = make_linear(shape);
    const OwnedBatch first = random_batch(22, 80, shape), second = random_batch(23, 80, shape);
    learn(*model, first);
    const auto bytes = model->save();
    auto copy = load_model(cpu_device("baseline", 2), bytes.data(), bytes.size());
    EXPECT_EQ(copy->save(), bytes);
    EXPECT_TRUE(same_bits(step(*model, second), step(*copy, second)));
    EXPECT_EQ(copy->save(), model->save());
  }
}

TEST(File, ATextModelComesBackWithTheSameBitsAndLearnsOnTheSame) {
  for (const uint32_t dims : {4u, 64u, 4096u, 8192u}) {
    auto model = make_text(dims, 4, cpu_device(), 1, dims < 4096);
    const OwnedBatch first = random_batch(22, 80, {dims, 0, 2}), second = random_batch(23, 80, {dims, 0, 2});
    EXPECT_EQ(load_model(cpu_device(), model->save().data(), model->save().size())->save(), model->save());
    learn(*model, first);
    const auto bytes = model->save();
    auto copy = load_model(cpu_device("baseline", 2), bytes.data(), bytes.size());
    EXPECT_EQ(copy->save(), bytes);
    EXPECT_TRUE(same_bits(step(*model, second), step(*copy, second)));
    EXPECT_EQ(copy->save(), model->save());
  }
}

TEST(File, ASparseModelMakesASmallFile) {
  const Shape shape{1u << 20, 0, 2};
  EXPECT_LT(trained_file(shape).size(), 60u * 70 * 12);
  EXPECT_LT(trained_text(1u << 20).size(), 60u * 70 * 32);
}

TEST(File, EveryFlippedBitIsRefused) {
  for (const auto& good : {trained_file({256, 3, 3}), trained_text(64), trained_text(64, 0)})
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      auto bad = good;
      bad[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
      ASSERT_NE(load_code(bad), "none") << "bit " << bit;
    }
}

TEST(File, EveryTruncationAndExtensionIsRefused) {
  for (const auto& good :
       {trained_file({256, 3, 2}), trained_text(64), trained_text(64, 0), trained_forest({0, 1, 2})}) {
    for (size_t size = 0; size < good.size(); ++size) {
      std::vector<uint8_t> shorter(good.begin(), good.begin() + static_cast<long>(size));
      ASSERT_EQ(load_code(shorter), "MODEL_CORRUPT") << size;
      reseal(shorter);
      ASSERT_EQ(load_code(shorter), "MODEL_CORRUPT") << size << " resealed";
    }
    auto longer = good;
    longer.push_back(0);
    EXPECT_EQ(load_code(longer), "MODEL_CORRUPT");
  }
}

TEST(File, TenThousandMutationsAreAllRefused) {
  const auto good = trained_file({512, 2, 2});
  Rng rng(24);
  for (int round = 0; round < 10000; ++round) {
    auto bad = good;
    for (uint32_t n = 1 + rng.below(8); n > 0; --n) {
      const uint32_t at = rng.below(static_cast<uint32_t>(bad.size()));
      switch (rng.below(4)) {
        case 0:
          bad[at] = static_cast<uint8_t>(rng.next());
          break;
        case 1:
          bad.erase(bad.begin() + at, bad.begin() + at + rng.below(std::min<uint32_t>(16, bad.size() - at)));
          break;
        case 2:
          bad.insert(bad.begin() + at, rng.below(9), static_cast<uint8_t>(rng.next()));
          break;
        default:
          std::swap(bad[at], bad[rng.below(static_cast<uint32_t>(bad.size()))]);
      }
      if (bad.size() < 2) break;
    }
    if (bad == good) continue;
    ASSERT_NE(load_code(bad), "none") << "round " << round;
  }
}

/** Past the checksum the loader must still refuse, or give a model that works and saves the same bytes. */
void expect_refused_or_sound(const std::vector<uint8_t>& good, const Shape& shape) {
  const OwnedBatch batch = random_batch(25, 10, shape);
  auto device = cpu_device();
  Rng rng(26);
  int loaded = 0, refused = 0;
  for (int round = 0; round < 10000; ++round) {
    auto bad = good;
    for (uint32_t n = 1 + rng.below(3); n > 0; --n) {
      // Half of the blows go to the head, where lengths and shapes are.
      const auto reach = static_cast<uint32_t>(rng.below(2) ? bad.size() : std::min<size_t>(bad.size(), 200));
      const uint32_t at = 16 + rng.below(reach - 16);
      if (rng.below(3) == 0 && at + 8 < bad.size()) {
        const uint64_t wild[] = {0, 1, ~0ull, 0x7ff0000000000000ull, 0x7fffffffull, 1ull << 28, rng.next()};
        std::memcpy(bad.data() + at, &wild[rng.below(7)], 8);
      } else if (rng.below(4) == 0) {
        bad.resize(64 + rng.below(static_cast<uint32_t>(bad.size()) - 63));
      } else {
        bad[at] = static_cast<uint8_t>(rng.next());
      }
    }
    reseal(bad);
    const std::string code = failure_code([&] {
      auto model = load_model(device, bad.data(), bad.size());
      ++loaded;
      const auto bytes = model->save();
      auto again = load_model(device, bytes.data(), bytes.size());
      ASSERT_EQ(again->save(), bytes);
      // The shape itself may have been altered to another sound one.
      std::vector<float> scores;
      failure_code([&] { scores = score(*model, batch); });
      for (float p : scores) ASSERT_TRUE(p >= 0 && p <= 1);
    });
    if (code != "none") {
      ++refused;
      ASSERT_TRUE(code == "MODEL_CORRUPT" || code == "MODEL_VERSION" || code == "MODEL_MEMORY") << code;
    }
  }
  EXPECT_GT(loaded, 100);
  EXPECT_GT(refused, 100);
}

TEST(File, ResealedMutationsAreRefusedOrSound) {
  expect_refused_or_sound(trained_file({512, 2, 3}), {512, 2, 3});
  expect_refused_or_sound(trained_text(512), {512, 0, 2});
  expect_refused_or_sound(trained_stack({64, 2, 3}), {64, 2, 3});
  expect_refused_or_sound(trained_forest({64, 3, 3}), {64, 3, 3});
}

/** Each value that no model writes, at its place in the file of a text model with one used bucket. */
TEST(File, ImpossibleNumbersOfATextModelAreRefused) {
  auto model = make_text(64, 4);
  OwnedBatch batch;
  batch.indptr = {0, 1}, batch.indices = {5}, batch.values = {1.0f}, batch.labels = {1};
  learn(*model, batch);
  const auto good = model->save();
  // From the end: end mark 2, record 28, run 2, doubles 7 x 8, biases 6 x 8.
  const size_t record = good.size() - 2 - 28, doubles = record - 2 - 56, biases = doubles - 48;
  const auto altered = [&](size_t at, auto value) {
    auto bad = good;
    std::memcpy(bad.data() + at, &value, sizeof value);
    reseal(bad);
    return load_code(bad);
  };
  EXPECT_EQ(altered(record, 0.25f), "none");
  EXPECT_EQ(altered(biases, 0.25f), "none");
  for (const size_t weight : {biases, biases + 40, record, record + 4, record + 20})
    EXPECT_EQ(altered(weight, NAN), "MODEL_CORRUPT");
  for (const size_t squares : {biases + 4, biases + 44, record + 8, record + 12, record + 24})
    EXPECT_EQ(altered(squares, -1.0f), "MODEL_CORRUPT");
  for (const double slope : {0.0, 11.0, double{NAN}}) EXPECT_EQ(altered(doubles, slope), "MODEL_CORRUPT");
  for (int at = 1; at < 7; ++at) EXPECT_EQ(altered(doubles + 8 * at, HUGE_VAL), "MODEL_CORRUPT") << at;
  for (int at = 2; at < 7; ++at) EXPECT_EQ(altered(doubles + 8 * at, -1.0), "MODEL_CORRUPT") << at;
  EXPECT_EQ(altered(record, std::array<uint8_t, 28>{}), "MODEL_CORRUPT");
}

TEST(File, AnotherVersionIsCalledThat) {
  for (const uint8_t version : {1, 3}) {
    auto bytes = trained_file({64, 0, 2});
    bytes[8] = version;
    EXPECT_EQ(load_code(bytes), "MODEL_VERSION");
  }
}

TEST(File, VarintsHaveOneEncoding) {
  for (uint64_t value : {0ull, 1ull, 127ull, 128ull, 300ull, 1ull << 40}) {
    FileWriter writer;
    writer.varint(value);
    const auto bytes = writer.finish();
    FileReader reader(bytes.data(), bytes.size());
    EXPECT_EQ(reader.varint(), value);
  }
  FileWriter writer;
  writer.put<uint8_t>(0x80);
  writer.put<uint8_t>(0x00);
  const auto bytes = writer.finish();
  EXPECT_EQ(failure_code([&] { FileReader(bytes.data(), bytes.size()).varint(); }), "MODEL_CORRUPT");
}

}  // namespace
}  // namespace sluice::test
