#include "core/file.h"

#include <array>
#include <bit>

namespace sluice {

static_assert(std::endian::native == std::endian::little, "the file is written as the memory lies");

namespace {

constexpr char kMagic[8] = {'S', 'L', 'U', 'M', 'O', 'D', 'E', 'L'};

/** Slicing by eight: table[t][b] is the CRC of byte b followed by t zero bytes. */
constexpr std::array<std::array<uint32_t, 256>, 8> make_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78u : 0u);
    tables[0][b] = crc;
  }
  for (uint32_t b = 0; b < 256; ++b)
    for (size_t t = 1; t < 8; ++t)
      tables[t][b] = (tables[t - 1][b] >> 8) ^ tables[0][tables[t - 1][b] & 0xff];
  return tables;
}

constexpr auto kTables = make_tables();

}  // namespace

uint32_t crc32c(const uint8_t* bytes, size_t size) {
  uint32_t crc = ~0u;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, 8);
    word ^= crc;
    crc = 0;
    for (size_t t = 0; t < 8; ++t) crc ^= kTables[7 - t][(word >> (8 * t)) & 0xff];
  }
  for (; size > 0; --size, ++bytes) crc = (crc >> 8) ^ kTables[0][(crc ^ *bytes) & 0xff];
  return ~crc;
}

void corrupt(const char* what) {
  throw Failure("MODEL_CORRUPT", std::string("the model file is damaged: ") + what);
}

FileWriter::FileWriter() {
  bytes_.reserve(4096);
  append(kMagic, sizeof kMagic);
  put<uint32_t>(kFileVersion);
  put<uint32_t>(0);
  put<uint64_t>(0);
}

void FileWriter::append(const void* bytes, size_t size) {
  if (size == 0) return;
  const auto* from = static_cast<const uint8_t*>(bytes);
  bytes_.insert(bytes_.end(), from, from + size);
}

void FileWriter::text(std::string_view value) {
  put<uint32_t>(static_cast<uint32_t>(value.size()));
  append(value.data(), value.size());
}

void FileWriter::varint(uint64_t value) {
  while (value >= 0x80) {
    put<uint8_t>(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  put<uint8_t>(static_cast<uint8_t>(value));
}

std::vector<uint8_t> FileWriter::finish() {
  const uint64_t length = bytes_.size();
  std::memcpy(bytes_.data() + 16, &length, 8);
  const uint32_t crc = crc32c(bytes_.data() + 16, bytes_.size() - 16);
  std::memcpy(bytes_.data() + 12, &crc, 4);
  return std::move(bytes_);
}

FileReader::FileReader(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {
  if (size < kFileHead) corrupt("it is shorter than its header");
  char magic[sizeof kMagic];
  take(magic, sizeof magic);
  if (std::memcmp(magic, kMagic, sizeof kMagic) != 0) corrupt("it does not begin like a model file");
  const auto version = get<uint32_t>();
  if (version != kFileVersion)
    throw Failure("MODEL_VERSION", "the model file has format version " + std::to_string(version) +
                                       ", this build reads version " + std::to_string(kFileVersion));
  const auto crc = get<uint32_t>();
  if (crc != crc32c(bytes + 16, size - 16)) corrupt("the checksum does not match");
  if (get<uint64_t>() != size) corrupt("the length does not match");
}

void FileReader::take(void* to, size_t size) {
  if (size > left()) corrupt("it ends too early");
  if (size == 0) return;  // `to` may be null
  std::memcpy(to, bytes_ + at_, size);
  at_ += size;
}

std::string FileReader::text() {
  const auto length = get<uint32_t>();
  if (length > 64) corrupt("a name is too long");
  std::string value(length, '\0');
  take(value.data(), length);
  return value;
}

uint64_t FileReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 63; shift += 7) {
    const auto byte = get<uint8_t>();
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    // A trailing zero group would be a second encoding of the same number.
    if (!(byte & 0x80)) return byte == 0 && shift > 0 ? (corrupt("a number is not canonical"), 0) : value;
  }
  corrupt("a number is too long");
}

void FileReader::end() const {
  if (left() != 0) corrupt("bytes are left over");
}

}  // namespace sluice
