/*
 * Backends as the core sees them: a checked table, an open device, and memory on it that frees itself.
 * Fills in the defaults of null entries. Refuses a table of another ABI or one that is half filled,
 * with the reason in words.
 */
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/ops.h"

namespace sluice {

/** Null when the table can be used, else why not. */
const char* refuse_table(const sluice_backend* table);

/** An open device; shared by every model on it, closed with the last one. */
class Device {
 public:
  /** Throws Failure BACKEND_UNAVAILABLE with the reason. The library, if any, stays loaded meanwhile. */
  static std::shared_ptr<Device> open(const sluice_backend* table, const sluice_device_options& options,
                                      std::shared_ptr<void> library = nullptr);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const sluice_backend& table() const { return *table_; }
  void* handle() const { return handle_; }
  /** True where device memory is host memory. */
  bool on_host() const { return table_->upload == nullptr; }
  const std::string& detail() const { return detail_; }

 private:
  Device(const sluice_backend* table, void* handle, std::string detail, std::shared_ptr<void> library)
      : table_(table), handle_(handle), detail_(std::move(detail)), library_(std::move(library)) {}

  const sluice_backend* table_;
  void* handle_;
  std::string detail_;
  std::shared_ptr<void> library_;  // destroyed last: the code of the table lives in it
};

/** Zeroed memory on a device. Throws Failure MODEL_MEMORY. */
class DeviceMemory {
 public:
  DeviceMemory(std::shared_ptr<Device> device, size_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  void* get() const { return memory_; }
  size_t bytes() const { return bytes_; }
  void upload(const void* from);
  void download(void* to) const;

 private:
  std::shared_ptr<Device> device_;
  void* memory_;
  size_t bytes_;
};

/** A backend in a shared library: its table, or null and why. */
struct BackendLibrary {
  const sluice_backend* table = nullptr;
  std::shared_ptr<void> library;
  std::string reason;
};

/** Opens a backend library; a missing file, a missing driver, another ABI are a reason, never a throw. */
BackendLibrary open_library(const std::string& path);

/** What `probe` says; first is whether it can be used. */
std::pair<bool, std::string> probe_backend(const sluice_backend& table);

/** Turns a status of the table into nothing (SLUICE_OK) or a Failure. */
void expect_ok(int status, const char* what);

}  // namespace sluice
