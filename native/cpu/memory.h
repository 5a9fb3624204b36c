/*
 * Zeroed, 64-byte aligned memory. Large blocks come straight from the kernel, aligned to and advised for
 * huge pages: models are read at random, and with 4 KiB pages most reads would also miss the TLB.
 * Untouched pages stay unbacked, so a large and mostly empty model costs little.
 */
#pragma once

#include <cstddef>

namespace sluice::cpu {

/** Null where there is none. */
void* allocate(size_t bytes);
/** `bytes` as given to allocate. */
void release(void* memory, size_t bytes);

}  // namespace sluice::cpu
