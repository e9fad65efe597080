// A complex Fourier transform of a fixed size, a product of 2, 3, 4 and 5.
#pragma once

#include <vector>

namespace verge::engine {

struct Complex {
  float re = 0, im = 0;
};

class Fft {
 public:
  explicit Fft(int size);
  int size() const { return size_; }
  // out[k] = sum over j of in[j] * e^(-2 pi i jk / size); both {size}, not the same.
  void transform(const Complex* in, Complex* out) const;

 private:
  void part(const Complex* in, int stride, int n, int step, Complex* out) const;

  int size_;
  std::vector<float> cosines_, sines_;
};

}  // namespace verge::engine
