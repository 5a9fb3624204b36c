/*
 * Threads of the device for work inside one op. Started at first use, joined when the device closes.
 * One op at a time has them; an op that finds them busy (another model's strand) runs alone, which
 * changes its speed and never its result.
 */
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice::cpu {

class Pool {
 public:
  explicit Pool(uint32_t threads) : wanted_(threads) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  uint32_t threads() const { return wanted_; }

  /** Calls work(context) on up to `threads()` threads, this one included, and returns when all have returned.
   */
  void run(void (*work)(void*), void* context);

 private:
  void start();
  void serve();

  const uint32_t wanted_;
  std::mutex busy_;  // held by the op that has the threads
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  void (*work_)(void*) = nullptr;
  void* context_ = nullptr;
  uint64_t round_ = 0;
  size_t running_ = 0;
  bool stop_ = false;
};

}  // namespace sluice::cpu
