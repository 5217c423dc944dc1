// The CUDA path's host side on CPU tensors, with the emulator in place of the launches and the CPU's products in place
// of cuBLAS, registered as operators of the library `mmclip_emulated`.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "context.h"
#include "fibers.h"
#include "host.h"

namespace mmclip::cuda {

void* current_stream() { return nullptr; }

void multiply(at::Tensor out, const at::Tensor& left, const at::Tensor& right, bool accumulate) {
  if (!accumulate) out.zero_();
  out.addmm_(left.to(at::kFloat), right.to(at::kFloat));
}

}  // namespace mmclip::cuda

TORCH_LIBRARY(mmclip_emulated, m) {
  m.def(
      "statistics(Tensor x, Tensor y, Tensor logit_scale, Tensor? a, Tensor? b, bool cosine, float label_scale, "
      "Tensor? row_group, Tensor? column_group, Tensor? excluded) -> (Tensor, Tensor)",
      &mmclip::cuda::soft_contrastive_statistics);
  m.def(
      "gradient(Tensor x, Tensor y, Tensor logit_scale, Tensor? a, Tensor? b, bool cosine, float label_scale, "
      "Tensor? row_group, Tensor? column_group, Tensor? excluded, Tensor row_shift, Tensor column_shift) "
      "-> (Tensor, Tensor)",
      &mmclip::cuda::soft_contrastive_gradient);
  // The order in which threads run (simt::Schedule), and the bytes that a sweep may use.
  m.def("configure(int schedule, int workspace) -> ()", [](int64_t schedule, int64_t workspace) {
    simt::schedule = int(schedule);
    mmclip::cuda::workspace = workspace;
  });
}
