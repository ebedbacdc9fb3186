// C++: an optimizer that frees itself, half precision beside full, errors as exceptions.
#include "lanestep.h"
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct Free {
  void operator()(LanestepOptimizer *optimizer) const { lanestep_free(optimizer); }
};
using Optimizer = std::unique_ptr<LanestepOptimizer, Free>;

static void check(LanestepStatus status) {
  if (status != LANESTEP_STATUS_OK) throw std::runtime_error(lanestep_last_error());
}

static Optimizer make(const std::string &rule, size_t len) {
  LanestepOptimizer *optimizer = nullptr;
  check(lanestep_new(rule.c_str(), len, &optimizer));
  return Optimizer(optimizer);
}

int main() {
  if (lanestep_abi() != LANESTEP_ABI) return 1;
  Optimizer optimizer = make(R"({"rule": "SGD", "lr": 0.5})", 3);
  std::vector<float> params{1, 2, 3};
  std::vector<std::uint16_t> grads(3, 0x3f80), mirror(3); // 1 in bf16
  LanestepTensor tensor{};
  tensor.params = params.data(), tensor.len = params.size();
  tensor.grads = grads.data(), tensor.grads_format = LANESTEP_FORMAT_BF16, tensor.zero_grads = 1;
  tensor.mirror = mirror.data(), tensor.mirror_format = LANESTEP_FORMAT_F16;
  check(lanestep_step(optimizer.get(), &tensor, 1, nullptr, nullptr));
  if (params != std::vector<float>{0.5, 1.5, 2.5}) return 2;
  if (grads != std::vector<std::uint16_t>(3, 0)) return 3;
  if (mirror != std::vector<std::uint16_t>{0x3800, 0x3e00, 0x4100}) return 4;
  try {
    make(R"({"rule": "Nonsense"})", 3);
  } catch (const std::runtime_error &error) {
    return std::string(error.what()).find("Nonsense") == std::string::npos ? 5 : 0;
  }
  return 6;
}
