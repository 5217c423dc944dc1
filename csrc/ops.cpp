// The index of the extension: the schema of each operator. Each device registers its implementations of the first two
// in its own files; the third, which is made of them, is registered from Python (mmclip/ops/fused.py), as are the
// shapes for tracing and the autograd formula.
#include <Python.h>
#include <torch/library.h>

// An empty Python module: loading the library, by import or by torch.ops.load_library, is what registers the operators.
extern "C" PyObject* PyInit_mmclip_ops() {
  static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "mmclip_ops", nullptr, -1, nullptr};
  return PyModule_Create(&definition);
}

TORCH_LIBRARY(mmclip, m) {
  // x [N, D], y [M, D]: float32, float64 or bfloat16. Their accumulate type is float64 for float64, else float32.
  // logit_scale []: on the device of x, where alone it is read. a [N, L], b [M, L]: label rows, uint8 or bool (0/1) or
  // floating; given together or not at all. row_group [N], column_group [M] int64 and excluded [G, G] bool: together.
  // rows [5 or 2, N], columns [5 or 2, M] of the accumulate type: csrc/soft_contrastive.h, Statistic.
  m.def(
      "soft_contrastive_statistics(Tensor x, Tensor y, Tensor logit_scale, Tensor? a, Tensor? b, bool cosine, "
      "float label_scale, Tensor? row_group, Tensor? column_group, Tensor? excluded) -> (Tensor rows, Tensor columns)");
  // row_shift [2 or 1, N], column_shift [2 or 1, M] of the accumulate type. grad_x = G y [N, D], grad_y = G^T x [M, D]
  // of the accumulate type, not multiplied by logit_scale.
  m.def(
      "soft_contrastive_gradient(Tensor x, Tensor y, Tensor logit_scale, Tensor? a, Tensor? b, bool cosine, "
      "float label_scale, Tensor? row_group, Tensor? column_group, Tensor? excluded, Tensor row_shift, "
      "Tensor column_shift) -> (Tensor grad_x, Tensor grad_y)");
  // The differentiable form: the loss [] from the statistics, the weights row_weight [N] and column_weight [M], and
  // what the targets put on the pairs (mmclip/ops/pull.py), where there are no labels. The shifts are what the gradient
  // needs.
  m.def(
      "soft_contrastive_sweep(Tensor x, Tensor y, Tensor logit_scale, Tensor? a, Tensor? b, bool cosine, "
      "float label_scale, Tensor? row_group, Tensor? column_group, Tensor? excluded, Tensor row_weight, "
      "Tensor column_weight, Tensor? pull, Tensor? row_ids, Tensor? column_ids) -> (Tensor value, Tensor row_shift, "
      "Tensor column_shift)");
}
