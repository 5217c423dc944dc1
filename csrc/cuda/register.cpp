#include <torch/library.h>

#include "host.h"

TORCH_LIBRARY_IMPL(mmclip, CUDA, m) {
  m.impl("soft_contrastive_statistics", &mmclip::cuda::soft_contrastive_statistics);
  m.impl("soft_contrastive_gradient", &mmclip::cuda::soft_contrastive_gradient);
}
