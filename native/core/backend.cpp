#include "core/backend.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/failure.h"

namespace sluice {

const char* refuse_table(const sluice_backend* table) {
  if (table == nullptr) return "it has no table";
  if (table->abi != SLUICE_BACKEND_ABI) return "it was built for another version of Sluice";
  if (table->size != sizeof(sluice_backend)) return "its table has another size";
  if (!table->name || !table->probe || !table->open || !table->close) return "its table lacks an entry";
  if (!table->alloc != !table->free || !table->upload != !table->download ||
      !table->linear_score != !table->linear_step || !table->text_score != !table->text_step)
    return "its table is half filled";
  if (table->upload && !table->alloc) return "its table copies memory that it does not allocate";
  return nullptr;
}

std::shared_ptr<Device> Device::open(const sluice_backend* table, const sluice_device_options& options,
                                     std::shared_ptr<void> library) {
  if (const char* why = refuse_table(table))
    throw Failure("BACKEND_UNAVAILABLE", std::string("the backend cannot be used: ") + why);
  char text[256] = "";
  void* handle = nullptr;
  if (table->open(&options, &handle, text, sizeof text) != SLUICE_OK)
    throw Failure("BACKEND_UNAVAILABLE",
                  std::string("the backend ") + table->name + " cannot be used: " + text);
  return std::shared_ptr<Device>(new Device(table, handle, text, std::move(library)));
}

Device::~Device() {
  table_->close(handle_);
}

DeviceMemory::DeviceMemory(std::shared_ptr<Device> device, size_t bytes)
    : device_(std::move(device)), bytes_(bytes) {
  const sluice_backend& table = device_->table();
  if (bytes == 0) bytes = 1;
  memory_ = table.alloc ? table.alloc(device_->handle(), bytes) : std::calloc(1, bytes);
  if (memory_ == nullptr)
    throw Failure("MODEL_MEMORY", "no " + std::to_string(bytes >> 20) + " MiB of memory for the model");
}

DeviceMemory::~DeviceMemory() {
  const sluice_backend& table = device_->table();
  if (table.free)
    table.free(device_->handle(), memory_, bytes_ == 0 ? 1 : bytes_);
  else
    std::free(memory_);
}

void DeviceMemory::upload(const void* from) {
  if (bytes_ == 0) return;
  if (device_->on_host())
    std::memcpy(memory_, from, bytes_);
  else
    expect_ok(device_->table().upload(device_->handle(), memory_, from, bytes_), "copying to the device");
}

void DeviceMemory::download(void* to) const {
  if (bytes_ == 0) return;
  if (device_->on_host())
    std::memcpy(to, memory_, bytes_);
  else
    expect_ok(device_->table().download(device_->handle(), to, memory_, bytes_), "copying from the device");
}

BackendLibrary open_library(const std::string& path) {
  BackendLibrary result;
  struct stat entry {};
  if (stat(path.c_str(), &entry) != 0) {
    result.reason = "not built";
    return result;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    result.reason = std::string("its library does not load: ") + (why ? why : "no reason given");
    return result;
  }
  result.library = std::shared_ptr<void>(library, dlclose);
  using Entry = const sluice_backend* (*)();
  auto entry_point = reinterpret_cast<Entry>(dlsym(library, SLUICE_BACKEND_SYMBOL));
  if (entry_point == nullptr) {
    result.reason = "its library is not a Sluice backend";
    return result;
  }
  const sluice_backend* table = entry_point();
  if (const char* why = refuse_table(table))
    result.reason = why;
  else
    result.table = table;
  return result;
}

std::pair<bool, std::string> probe_backend(const sluice_backend& table) {
  char text[256] = "";
  const bool ok = table.probe(text, sizeof text) == SLUICE_OK;
  return {ok, text};
}

void expect_ok(int status, const char* what) {
  switch (status) {
    case SLUICE_OK:
      return;
    case SLUICE_STOPPED:
      throw Failure("MODEL_CLOSED", "the model was closed while it was used");
    case SLUICE_NO_MEMORY:
      throw Failure("MODEL_MEMORY", std::string("no memory for ") + what);
    default:
      throw Failure("INTERNAL", std::string("the device failed in ") + what);
  }
}

}  // namespace sluice
