#include "cpu/memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace sluice::cpu {

namespace {

constexpr size_t kLine = 64;
#ifdef __linux__
constexpr size_t kHugePage = size_t{2} << 20;

/** Whole huge pages, so that nothing else shares the last one. */
size_t mapped_size(size_t bytes) {
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

void* map(size_t bytes) {
  const size_t size = mapped_size(bytes);
  if (size < bytes || size + kHugePage < size) return nullptr;
  void* raw = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  auto* base = static_cast<uint8_t*>(raw);
  const size_t ahead = (kHugePage - reinterpret_cast<uintptr_t>(raw) % kHugePage) % kHugePage;
  if (ahead > 0) munmap(base, ahead);
  munmap(base + ahead + size, kHugePage - ahead);
  madvise(base + ahead, size, MADV_HUGEPAGE);  // advice only: a refusal changes nothing but speed
  return base + ahead;
}
#endif

}  // namespace

void* allocate(size_t bytes) {
#ifdef __linux__
  if (bytes >= kHugePage) return map(bytes);
#endif
  const size_t rounded = (bytes + kLine - 1) / kLine * kLine;
  void* memory = rounded < bytes ? nullptr : std::aligned_alloc(kLine, rounded);
  if (memory) std::memset(memory, 0, rounded);
  return memory;
}

void release(void* memory, size_t bytes) {
#ifdef __linux__
  if (bytes >= kHugePage) {
    munmap(memory, mapped_size(bytes));
    return;
  }
#endif
  (void)bytes;
  std::free(memory);
}

}  // namespace sluice::cpu
