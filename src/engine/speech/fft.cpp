#include "engine/speech/fft.h"

#include <cassert>
#include <cmath>
#include <numbers>

namespace verge::engine {

Fft::Fft(int size) : size_(size), cosines_(static_cast<size_t>(size)), sines_(cosines_.size()) {
  for (size_t i = 0; i < cosines_.size(); ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / size;
    cosines_[i] = static_cast<float>(std::cos(angle));
    sines_[i] = static_cast<float>(std::sin(angle));
  }
}

void Fft::transform(const Complex* in, Complex* out) const { part(in, 1, size_, 1, out); }

// Decimation in time: out[k] = sum of in[j * stride] * e^(-2 pi i jk / n). `step` is size_ / n, the
// distance in the table of twiddles.
void Fft::part(const Complex* in, int stride, int n, int step, Complex* out) const {
  if (n == 1) {
    *out = *in;
    return;
  }
  const int radix = n % 5 == 0 ? 5 : n % 4 == 0 ? 4 : n % 3 == 0 ? 3 : 2, length = n / radix;
  assert(n % radix == 0);
  for (int r = 0; r < radix; ++r) part(in + r * stride, stride * radix, length, step * radix, out + r * length);
  for (int k = 0; k < length; ++k) {
    Complex x[5];
    for (int r = 0; r < radix; ++r) {
      const Complex v = out[r * length + k];
      const auto at = static_cast<size_t>(r * k * step);
      const float c = cosines_[at], s = sines_[at];
      x[r] = {v.re * c + v.im * s, v.im * c - v.re * s};
    }
    Complex* const y = out + k;
    if (radix == 2) {
      y[0] = {x[0].re + x[1].re, x[0].im + x[1].im};
      y[length] = {x[0].re - x[1].re, x[0].im - x[1].im};
    } else if (radix == 3) {
      constexpr float half = 0.5f, s1 = 0.86602540378f;
      const Complex a{x[1].re + x[2].re, x[1].im + x[2].im}, b{x[1].re - x[2].re, x[1].im - x[2].im};
      const Complex p{x[0].re - half * a.re, x[0].im - half * a.im}, u{s1 * b.im, -s1 * b.re};
      y[0] = {x[0].re + a.re, x[0].im + a.im};
      y[length] = {p.re + u.re, p.im + u.im};
      y[2 * length] = {p.re - u.re, p.im - u.im};
    } else if (radix == 4) {
      const Complex a{x[0].re + x[2].re, x[0].im + x[2].im}, b{x[0].re - x[2].re, x[0].im - x[2].im};
      const Complex c{x[1].re + x[3].re, x[1].im + x[3].im}, d{x[1].re - x[3].re, x[1].im - x[3].im};
      y[0] = {a.re + c.re, a.im + c.im};
      y[length] = {b.re + d.im, b.im - d.re};
      y[2 * length] = {a.re - c.re, a.im - c.im};
      y[3 * length] = {b.re - d.im, b.im + d.re};
    } else {
      constexpr float c1 = 0.30901699437f, c2 = -0.80901699437f, s1 = 0.95105651629f, s2 = 0.58778525229f;
      const Complex a{x[1].re + x[4].re, x[1].im + x[4].im}, b{x[1].re - x[4].re, x[1].im - x[4].im};
      const Complex c{x[2].re + x[3].re, x[2].im + x[3].im}, d{x[2].re - x[3].re, x[2].im - x[3].im};
      const Complex p{x[0].re + c1 * a.re + c2 * c.re, x[0].im + c1 * a.im + c2 * c.im};
      const Complex q{x[0].re + c2 * a.re + c1 * c.re, x[0].im + c2 * a.im + c1 * c.im};
      const Complex u{s1 * b.im + s2 * d.im, -(s1 * b.re + s2 * d.re)}, v{s2 * b.im - s1 * d.im, -(s2 * b.re - s1 * d.re)};
      y[0] = {x[0].re + a.re + c.re, x[0].im + a.im + c.im};
      y[length] = {p.re + u.re, p.im + u.im};
      y[2 * length] = {q.re + v.re, q.im + v.im};
      y[3 * length] = {q.re - v.re, q.im - v.im};
      y[4 * length] = {p.re - u.re, p.im - u.im};
    }
  }
}

}  // namespace verge::engine
