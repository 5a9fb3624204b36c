#include "cpu/pool.h"

#include <system_error>

namespace sluice::cpu {

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

/** As many as the system gives; fewer is slower, not wrong. */
void Pool::start() {
  try {
    while (workers_.size() + 1 < wanted_) workers_.emplace_back([this] { serve(); });
  } catch (const std::exception&) {
  }
}

void Pool::serve() {
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stop_ || round_ != seen; });
    if (stop_) return;
    seen = round_;
    auto* work = work_;
    void* context = context_;
    lock.unlock();
    work(context);
    lock.lock();
    if (--running_ == 0) done_.notify_one();
  }
}

void Pool::run(void (*work)(void*), void* context) {
  std::unique_lock alone(busy_, std::try_to_lock);
  if (wanted_ <= 1 || !alone.owns_lock()) return work(context);
  {
    std::lock_guard lock(mutex_);
    // A new thread must not take the round of before its birth for a new one.
    if (workers_.empty() && round_ == 0) start();
    work_ = work;
    context_ = context;
    running_ = workers_.size();
    ++round_;
  }
  wake_.notify_all();
  work(context);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return running_ == 0; });
}

}  // namespace sluice::cpu
