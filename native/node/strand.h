/*
 * The strand of a model: one thread, started at the first call, that runs jobs in the order they were
 * submitted, and hands results back to the JS thread as settled promises.
 *
 * Lifetimes: every public function is called on the JS thread of `env`. While a job is under way its typed
 * arrays and the model's handle are pinned and the process stays alive; an idle strand holds nothing up.
 * `close` ends the running job at its next row and refuses those behind it with MODEL_CLOSED. When the
 * environment ends (process exit, worker terminated) a clean-up hook stops and joins the thread before
 * Node frees the queue that it posts to, or unloads this code.
 */
#pragma once

#include <node_api.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/model.h"

namespace sluice::node {

/** One call of a model: `run` on the strand, `result` on the JS thread. */
class Job {
 public:
  virtual ~Job() = default;
  /** May throw; touches no JS. */
  virtual void run(Model& model, const Stop& stop) = 0;
  /** The value of the promise; null where it cannot be made. `pinned` is the array of what was pinned. */
  virtual napi_value result(napi_env env, napi_value pinned) = 0;

 private:
  friend class Strand;
  napi_deferred deferred_ = nullptr;
  napi_ref pinned_ = nullptr;  // raw: deleting it elsewhere than on the JS thread would crash
  const char* code_ = nullptr;
  std::string sentence_;
};

class Strand : public std::enable_shared_from_this<Strand> {
 public:
  Strand(napi_env env, std::unique_ptr<Model> model);
  ~Strand();
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;

  bool closed() const { return closed_; }
  /** What the model holds, as of the last job that was settled; while it was open, where it is closed. */
  int64_t bytes() const { return bytes_; }
  /** Promise of the job. `pinned` is a JS array of all that must live until then. */
  napi_value submit(std::unique_ptr<Job> job, napi_value pinned);
  void close();

 private:
  void start();
  void serve();
  void perform(Job& job);
  void post(Job* job);
  void settle(Job& job);
  void finished();
  void hold();
  void let_go();
  void report_memory(int64_t bytes);
  void grow();
  static void on_post(napi_env env, napi_value, void* context, void* data);
  static void on_environment_end(void* self);

  napi_env env_;
  std::unique_ptr<Model> model_;
  int64_t bytes_;                     // told to the JS engine
  std::atomic<int64_t> measured_{0};  // by the strand after its last job
  bool closed_ = false;
  size_t pending_ = 0;
  napi_threadsafe_function post_ = nullptr;
  std::shared_ptr<Strand> self_;  // while the thread runs
  std::thread thread_;

  Stop stop_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> queue_;  // mutex_
  bool finish_ = false;                     // mutex_
};

}  // namespace sluice::node
