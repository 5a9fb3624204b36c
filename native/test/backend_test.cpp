// Promises of core/backend.h: a library that cannot be used is a reason in words; one that can gives the
// bits of the CPU, also where its memory is its own or its optional entries are null.
#include "core/backend.h"

#include <cstdlib>

#include "support.h"

namespace sluice::test {
namespace {

class Library : public ::testing::Test {
 protected:
  BackendLibrary open_as(const char* mode) {
    setenv("SLUICE_TEST_BACKEND_MODE", mode, 1);
    return open_library(SLUICE_TEST_BACKEND);
  }
  void TearDown() override { unsetenv("SLUICE_TEST_BACKEND_MODE"); }
};

TEST_F(Library, WhatCannotBeUsedIsSaidInWords) {
  EXPECT_EQ(open_library("/nowhere/sluice-cuda.so").reason, "not built");
  EXPECT_NE(open_library("/proc/self/exe").reason, "");
  EXPECT_EQ(open_as("abi").reason, "it was built for another version of Sluice");
  for (const char* half : {"half", "half text"}) EXPECT_EQ(open_as(half).reason, "its table is half filled");
  const BackendLibrary driverless = open_as("driver");
  ASSERT_NE(driverless.table, nullptr);
  EXPECT_EQ(probe_backend(*driverless.table), std::pair(false, std::string("no driver")));
  EXPECT_EQ(failure_code([&] {
              Device::open(driverless.table, {1, nullptr}, driverless.library);
            }),
            "BACKEND_UNAVAILABLE");
}

TEST_F(Library, GivesTheBitsOfTheCpuWhereverItsMemoryLies) {
  const Shape shape{1024, 5, 3};
  const OwnedBatch batch = random_batch(31, 100, shape);
  auto referee = make_linear(shape);
  const auto expected = step(*referee, batch);
  for (const char* mode : {"own", "host"}) {
    const BackendLibrary library = open_as(mode);
    ASSERT_NE(library.table, nullptr) << library.reason;
    auto device = Device::open(library.table, {1, nullptr}, library.library);
    EXPECT_EQ(device->on_host(), std::string(mode) == "host");
    auto model = make_linear(shape, device);
    EXPECT_TRUE(same_bits(step(*model, batch), expected));
    const auto bytes = model->save();
    EXPECT_EQ(bytes, referee->save());
    EXPECT_TRUE(
        same_bits(score(*load_model(device, bytes.data(), bytes.size()), batch), score(*referee, batch)));
  }
}

TEST_F(Library, GivesTheBitsOfTheCpuForATextModelToo) {
  const OwnedBatch batch = random_batch(32, 100, {1024, 0, 2});
  auto referee = make_text(1024, 4);
  const auto expected = step(*referee, batch);
  for (const char* mode : {"own", "host"}) {
    const BackendLibrary library = open_as(mode);
    ASSERT_NE(library.table, nullptr) << library.reason;
    auto device = Device::open(library.table, {1, nullptr}, library.library);
    auto model = make_text(1024, 4, device);
    EXPECT_TRUE(same_bits(step(*model, batch), expected));
    const auto bytes = model->save();
    EXPECT_EQ(bytes, referee->save());
    EXPECT_TRUE(
        same_bits(score(*load_model(device, bytes.data(), bytes.size()), batch), score(*referee, batch)));
  }
}

TEST_F(Library, ABackendMayLackAModel) {
  const BackendLibrary library = open_as("none");
  ASSERT_NE(library.table, nullptr);
  EXPECT_FALSE(backend_runs(*library.table, "linear"));
  EXPECT_TRUE(backend_runs(*cpu_backend(), "linear"));
  EXPECT_TRUE(backend_runs(*cpu_backend(), "text"));
  const BackendLibrary older = open_as("no text");
  ASSERT_NE(older.table, nullptr) << older.reason;
  EXPECT_FALSE(backend_runs(*older.table, "text"));
  EXPECT_TRUE(backend_runs(*older.table, "linear"));
  EXPECT_FALSE(backend_runs(*cpu_backend(), "oracle"));
}

TEST(Cpu, SaysWhichInstructionSetItTakesAndRefusesOthers) {
  const auto [ok, text] = probe_backend(*cpu_backend());
  EXPECT_TRUE(ok);
  EXPECT_TRUE(text == "baseline" || text == "avx2") << text;
  EXPECT_EQ(failure_code([] { Device::open(cpu_backend(), {1, "mmx"}); }), "BACKEND_UNAVAILABLE");
}

}  // namespace
}  // namespace sluice::test
