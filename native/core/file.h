/*
 * The model file. Little-endian throughout:
 *
 *   offset size
 *        0    8  "SLUMODEL"
 *        8    4  format version, 2 (no other is read: none was ever released)
 *       12    4  CRC-32C of every byte from offset 16 to the end
 *       16    8  length of the whole file in bytes
 *       24    -  kind: u32 length, ASCII · dims u32 · denseDims u32 · classes u32 · seed u64
 *        -    -  options: u32 count, each (u32 length, ASCII name, f64), in the order of the kind
 *        -    -  what the kind itself wrote
 *
 * A model has exactly one encoding, so equal models are equal bytes. The reader trusts nothing: every
 * length is checked before it is used and every value is read once. The CRC finds accidents; against
 * intent the signed bundle stands.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/failure.h"

namespace sluice {

inline constexpr uint32_t kFileVersion = 2;
inline constexpr size_t kFileHead = 24;

/** CRC-32C (Castagnoli, RFC 3720 B.4). */
uint32_t crc32c(const uint8_t* bytes, size_t size);

class FileWriter {
 public:
  FileWriter();
  template <typename T>
  void put(T value) {
    append(&value, sizeof value);
  }
  void text(std::string_view value);
  /** LEB128, least significant group first. */
  void varint(uint64_t value);
  void append(const void* bytes, size_t size);
  /** Fills in length and checksum and gives the bytes away. */
  std::vector<uint8_t> finish();

 private:
  std::vector<uint8_t> bytes_;
};

/** Reads what FileWriter wrote, or throws Failure MODEL_CORRUPT or MODEL_VERSION. Borrows the bytes. */
class FileReader {
 public:
  FileReader(const uint8_t* bytes, size_t size);
  template <typename T>
  T get() {
    T value;
    take(&value, sizeof value);
    return value;
  }
  /** At most 64 characters. */
  std::string text();
  uint64_t varint();
  void take(void* to, size_t size);
  size_t left() const { return size_ - at_; }
  /** Throws unless everything was read. */
  void end() const;

 private:
  const uint8_t* bytes_;
  size_t size_;
  size_t at_ = 0;
};

[[noreturn]] void corrupt(const char* what);

}  // namespace sluice
