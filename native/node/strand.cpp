#include "node/strand.h"

#include <new>
#include <system_error>
#include <utility>

#include "core/failure.h"
#include "node/door.h"

namespace sluice::node {

namespace {

constexpr char kClosed[] = "the model was closed while it was used";

void expect(napi_status status) {
  if (status != napi_ok) throw Failure("INTERNAL", "the JavaScript engine refused a call");
}

}  // namespace

Strand::Strand(napi_env env, std::unique_ptr<Model> model)
    : env_(env), model_(std::move(model)), bytes_(static_cast<int64_t>(model_->bytes())) {
  measured_ = bytes_;
  report_memory(bytes_);
}

Strand::~Strand() {
  // The thread keeps `self_`, so it has ended; only a model that was never closed is left.
  if (!closed_) report_memory(-bytes_);
}

void Strand::report_memory(int64_t bytes) {
  int64_t total;
  napi_adjust_external_memory(env_, bytes, &total);
}

/** Some kinds grow as they learn. */
void Strand::grow() {
  const int64_t now = measured_;
  if (closed_ || now == bytes_) return;
  report_memory(now - bytes_);
  bytes_ = now;
}

napi_value Strand::submit(std::unique_ptr<Job> job, napi_value pinned) {
  if (closed_) throw Failure("MODEL_CLOSED", "the model is closed");
  start();
  napi_value promise;
  expect(napi_create_reference(env_, pinned, 1, &job->pinned_));
  if (napi_create_promise(env_, &job->deferred_, &promise) != napi_ok) {
    napi_delete_reference(env_, job->pinned_);
    throw Failure("INTERNAL", "the JavaScript engine made no promise");
  }
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  hold();
  wake_.notify_one();
  return promise;
}

void Strand::start() {
  if (thread_.joinable()) return;
  napi_value name;
  expect(napi_create_string_utf8(env_, "sluice.strand", NAPI_AUTO_LENGTH, &name));
  expect(napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, on_post,
                                         &post_));
  napi_unref_threadsafe_function(env_, post_);
  // Hooks run last added first: this one, hence the join, before the one that frees `post_`.
  napi_add_env_cleanup_hook(env_, on_environment_end, this);
  self_ = shared_from_this();
  try {
    thread_ = std::thread([this] { serve(); });
  } catch (const std::system_error&) {
    napi_remove_env_cleanup_hook(env_, on_environment_end, this);
    napi_release_threadsafe_function(post_, napi_tsfn_release);
    self_.reset();
    throw Failure("MODEL_MEMORY", "the system gave no thread for the model");
  }
}

void Strand::serve() {
  while (true) {
    std::unique_ptr<Job> job;
    bool finish;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return finish_ || !queue_.empty(); });
      if (queue_.empty()) break;
      job = std::move(queue_.front());
      queue_.pop_front();
      finish = finish_;
    }
    if (finish) {
      job->code_ = "MODEL_CLOSED";
      job->sentence_ = kClosed;
    } else {
      perform(*job);
    }
    post(job.release());
  }
  model_.reset();
  post(nullptr);
}

void Strand::perform(Job& job) {
  try {
    job.run(*model_, stop_);
  } catch (const Failure& failure) {
    job.code_ = failure.code();
    job.sentence_ = failure.what();
  } catch (const std::bad_alloc&) {
    job.code_ = "MODEL_MEMORY";
    job.sentence_ = "there is not enough memory";
  } catch (const std::exception& error) {
    job.code_ = "INTERNAL";
    job.sentence_ = error.what();
  } catch (...) {
    job.code_ = "INTERNAL";
    job.sentence_ = "an unknown exception";
  }
  measured_ = static_cast<int64_t>(model_->bytes());
}

/** From the strand. Where the environment is ending nobody waits for the job; its references end with it. */
void Strand::post(Job* job) {
  if (napi_call_threadsafe_function(post_, job, napi_tsfn_nonblocking) != napi_ok) delete job;
}

/** On the JS thread. Without `env` the environment has ended and the strand may be gone. */
void Strand::on_post(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (env == nullptr) return;
  auto* strand = static_cast<Strand*>(context);
  if (job)
    strand->settle(*job);
  else
    strand->finished();
}

void Strand::settle(Job& job) {
  grow();
  napi_value pinned = nullptr, value = nullptr;
  napi_get_reference_value(env_, job.pinned_, &pinned);
  napi_delete_reference(env_, job.pinned_);
  if (!job.code_) {
    value = job.result(env_, pinned);
    if (!value) {
      napi_value ignored;
      bool thrown = false;
      if (napi_is_exception_pending(env_, &thrown) == napi_ok && thrown)
        napi_get_and_clear_last_exception(env_, &ignored);
      job.code_ = "MODEL_MEMORY";
      job.sentence_ = "there is not enough memory for the result";
    }
  }
  // Where the environment is ending these fail, and nobody waits for the promise.
  if (value)
    napi_resolve_deferred(env_, job.deferred_, value);
  else if (napi_value error = make_error(env_, job.code_, job.sentence_))
    napi_reject_deferred(env_, job.deferred_, error);
  let_go();
}

void Strand::hold() {
  if (pending_++ == 0) napi_ref_threadsafe_function(env_, post_);
}

void Strand::let_go() {
  if (--pending_ == 0) napi_unref_threadsafe_function(env_, post_);
}

void Strand::close() {
  if (closed_) return;
  closed_ = true;
  report_memory(-bytes_);
  if (!thread_.joinable()) {
    model_.reset();
    return;
  }
  hold();  // until the thread says it has finished
  stop_ = 1;
  {
    std::lock_guard lock(mutex_);
    finish_ = true;
  }
  wake_.notify_one();
}

/** The thread posted its last word: nothing of it is left in the queue. */
void Strand::finished() {
  thread_.join();
  let_go();
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  napi_release_threadsafe_function(post_, napi_tsfn_release);
  self_.reset();  // may destroy this
}

void Strand::on_environment_end(void* data) {
  auto* strand = static_cast<Strand*>(data);
  strand->stop_ = 1;
  {
    std::lock_guard lock(strand->mutex_);
    strand->finish_ = true;
  }
  strand->wake_.notify_one();
  strand->thread_.join();
  strand->self_.reset();
}

}  // namespace sluice::node
