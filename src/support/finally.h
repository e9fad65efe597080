// Runs a function when the scope is left, by return, exception or destruction of a coroutine:
//   const Finally leave{[&] { --active; }};
#pragma once

namespace verge {

template <class F>
struct Finally {
  F run;
  ~Finally() { run(); }
};
template <class F>
Finally(F) -> Finally<F>;

}  // namespace verge
