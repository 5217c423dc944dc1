// The index of the extension: the schema of each operator. Each device registers its implementation in its own file;
// shapes for tracing and the autograd formula are registered from Python (mmclip/ops/fused.py).
#include <Python.h>
#include <torch/library.h>

// An empty Python module: loading the library, by import or by torch.ops.load_library, is what registers the operators.
extern "C" PyObject* PyInit_mmclip_ops() {
  static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "mmclip_ops", nullptr, -1, nullptr};
  return PyModule_Create(&definition);
}

TORCH_LIBRARY(mmclip, m) {
  // x [N, D], y [M, D]; targets from the label rows a [N, L], b [M, L], or from the ids row_ids [N], column_ids [M].
  m.def(
      "soft_contrastive_forward(Tensor x, Tensor y, Tensor logit_scale, Tensor? a, Tensor? b, Tensor? row_ids, "
      "Tensor? column_ids, float label_scale) "
      "-> (Tensor loss, Tensor floor, Tensor row_statistics, Tensor column_statistics)");
  m.def(
      "soft_contrastive_backward(Tensor grad_loss, Tensor x, Tensor y, Tensor logit_scale, Tensor? a, Tensor? b, "
      "Tensor? row_ids, Tensor? column_ids, float label_scale, Tensor row_statistics, Tensor column_statistics) "
      "-> (Tensor grad_x, Tensor grad_y, Tensor grad_logit_scale)");
}
