#include "support/pool.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <new>

#include "support/finally.h"
#include "support/log.h"

namespace verge {
namespace asio = boost::asio;

struct Pool::Impl {
  explicit Impl(int n) : threads(static_cast<size_t>(n)) {}
  std::atomic<bool> closing = false;
  std::atomic<uint64_t> ended = 0;
  std::atomic<int> running = 0;
  asio::thread_pool threads;
};

namespace {

struct Job {
  explicit Job(const asio::any_io_executor& executor) : wake(executor) {}
  std::atomic<bool> abandoned = false;
  std::optional<Error> error;  // the pool's thread's until it is done
  // Of the coroutine's thread.
  asio::steady_timer wake;
  bool done = false;
};

std::optional<Error> contained(const std::function<void(const Pool::Abandoned&)>& work, const Pool::Abandoned& abandoned) {
  try {
    work(abandoned);
    return std::nullopt;
  } catch (const std::bad_alloc&) {
    return fail(Code::Internal, "not enough memory");
  } catch (const std::exception& e) {
    log::error("work on another thread failed", {{"error", e.what()}});
    return fail(Code::Internal, "{}", e.what());
  } catch (...) {
    return fail(Code::Internal, "an exception of no known kind");
  }
}

}  // namespace

Pool::Pool(int threads) : impl_(std::make_shared<Impl>(threads)) {}
Pool::~Pool() {
  impl_->closing = true;
  impl_->threads.join();
}

Pool::Start Pool::own_threads() const {
  return [&threads = impl_->threads](std::function<void()> job) { asio::post(threads, std::move(job)); };
}

Pool::Load Pool::load() const { return {impl_->ended, impl_->running}; }

asio::awaitable<Result<void>> Pool::run_job(Start start, std::function<void(const Abandoned&)> work) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto job = std::make_shared<Job>(executor);
  const Finally leave{[job] { job->abandoned = true; }};
  Impl& pool = *impl_;  // outlives its threads
  start([job, executor, &pool, work = std::move(work)]() mutable {
    const Abandoned abandoned = [&pool, job = job.get()] { return job->abandoned || pool.closing; };
    if (abandoned()) job->error = fail(Code::Aborted, "nobody waits for it any more");
    else {
      ++pool.running;
      job->error = contained(work, abandoned);
      --pool.running;
      ++pool.ended;
    }
    work = nullptr;  // what it holds goes before the waiting coroutine can
    asio::post(executor, [job = std::move(job)] {
      job->done = true;
      job->wake.cancel();
    });
  });
  while (!job->done) {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return fail(Code::Aborted, "the client left");
    boost::system::error_code woken;
    job->wake.expires_at(asio::steady_timer::time_point::max());
    co_await job->wake.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  if (job->error) co_return *job->error;
  co_return Result<void>();
}

}  // namespace verge
