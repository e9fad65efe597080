#include "support/spawn.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "support/coroutines.h"
#include "support/finally.h"
#include "support/io_thread.h"
#include "support/log.h"

namespace verge {
namespace asio = boost::asio;
namespace {

std::string text_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of no known kind";
  }
}

// A loop's list of what runs on it.
class Running : public asio::execution_context::service {
 public:
  using key_type = Running;
  static asio::execution_context::id id;

  explicit Running(asio::execution_context& loop) : service(loop) {}
  std::map<const char*, int> counts;

 private:
  void shutdown() override {}
};
asio::execution_context::id Running::id;

// An entry in the list, from a coroutine's start to the end of its ended().
class Entry {
 public:
  Entry(Running& running, const char* what) : count_(running.counts[what]) { ++count_; }
  ~Entry() { --count_; }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  int& count_;
};

asio::awaitable<void> contained(Start start, std::shared_ptr<std::exception_ptr> failure) {
  try {
    auto running = start();
    co_await std::move(running);
  } catch (...) {
    *failure = std::current_exception();
  }
  // co_spawn awaits once more after a coroutine that never waited; that would throw where it was cancelled meanwhile, out
  // of the loop.
  co_await asio::this_coro::throw_if_cancelled(false);
}

}  // namespace

std::map<std::string, int> coroutines_of(asio::execution_context& loop) {
  std::map<std::string, int> out;
  for (const auto& [what, count] : asio::use_service<Running>(loop).counts)
    if (count > 0) out[what] += count;
  return out;
}

bool is_cancellation(const std::exception_ptr& exception) {
  if (!exception) return false;
  try {
    std::rethrow_exception(exception);
  } catch (const boost::system::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

void spawn(asio::any_io_executor executor, const char* what, asio::cancellation_slot slot, Start start, Ended ended) {
  const auto failure = std::make_shared<std::exception_ptr>();
  auto& loop = asio::query(executor, asio::execution::context);
  const auto entry = std::make_shared<Entry>(asio::use_service<Running>(loop), what);
  auto told = [what, failure, entry, ended = std::move(ended)](std::exception_ptr unexpected) {
    if (unexpected && !*failure) *failure = unexpected;
    if (*failure && !is_cancellation(*failure)) log::error("a task failed", {{"task", what}, {"error", text_of(*failure)}});
    try {
      if (ended) ended(*failure);
    } catch (...) {
      log::error("the end of a task failed", {{"task", what}, {"error", text_of(std::current_exception())}});
    }
  };
  asio::co_spawn(executor, contained(std::move(start), failure), asio::bind_cancellation_slot(slot, std::move(told)));
}

void spawn(asio::any_io_executor executor, const char* what, Start start, Ended ended) {
  spawn(std::move(executor), what, asio::cancellation_slot(), std::move(start), std::move(ended));
}

struct Interruptible::State {
  State(asio::any_io_executor e, const char* w) : executor(std::move(e)), what(w), wake(executor) {}
  asio::any_io_executor executor;
  const char* what;
  asio::cancellation_signal cancel;
  asio::steady_timer wake;  // cancelled when something has changed
  bool interrupted = false, ended = false;
  std::exception_ptr failure;
};

Interruptible::Interruptible(asio::any_io_executor executor, const char* what) : state_(std::make_shared<State>(std::move(executor), what)) {}

void Interruptible::interrupt() {
  state_->interrupted = true;
  state_->wake.cancel();
}

asio::awaitable<bool> Interruptible::run(Start work) {
  const auto state = state_;
  spawn(state->executor, state->what, state->cancel.slot(), std::move(work), [state](std::exception_ptr failure) {
    state->failure = failure;
    state->ended = true;
    state->wake.cancel();
  });
  // Whatever happens to this coroutine, it waits: the other one uses what belongs to the caller.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  bool told = false, cancelled = false;
  while (!state->ended) {
    const auto own = co_await asio::this_coro::cancellation_state;
    cancelled = own.cancelled() != asio::cancellation_type::none;
    if ((cancelled || state->interrupted) && !told) {
      told = true;
      state->cancel.emit(asio::cancellation_type::terminal);
      continue;
    }
    boost::system::error_code woken;
    state->wake.expires_at(asio::steady_timer::time_point::max());
    co_await state->wake.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (state->failure && !(told && is_cancellation(state->failure))) std::rethrow_exception(state->failure);
  if (cancelled) throw boost::system::system_error(asio::error::operation_aborted);
  co_return !(told && state->failure);
}

namespace {
thread_local bool serving = false;
}  // namespace

bool on_io_thread() { return serving; }

void run_loop(asio::io_context& io) {
  // A pipe or socket whose reader went is an error of that write, not the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  serving = true;
  const Finally over{[] { serving = false; }};
  for (;;) {
    try {
      io.run();
      return;
    } catch (...) {
      log::error("a handler failed", {{"error", text_of(std::current_exception())}});
    }
  }
}

}  // namespace verge
