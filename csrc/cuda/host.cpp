// The two operators, chunk by chunk. Nothing here reads a value of the device: whether maxima are needed is decided by
// the kernels themselves.
//
// Design B, bfloat16: a statistics kernel on tensor cores that writes only partial statistics, some 5 KB a tile; for
// the gradient, a kernel that writes a chunk of G in bfloat16, and two library products of the chunk.
// Design A, everything else: library products make a chunk of the logits, elementwise kernels do the rest.
#include "host.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>

#include "../soft_contrastive.h"
#include "context.h"
#include "inputs.h"
#include "launch.h"

namespace mmclip::cuda {
namespace {

constexpr int64_t kWidestChunk = 65536;  // columns of a chunk, so that it has rows enough for the products
constexpr int64_t kTallestSweep = 128;   // rows of tiles of a chunk of statistics: its rows of x stay in the cache

int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }
int64_t round_up(int64_t value, int64_t multiple) { return divide_up(value, multiple) * multiple; }

// The size of each but the last of the equal chunks into which `size` is cut, none larger than `most`; a multiple of
// `unit`, which a chunk has at least.
int64_t equal_chunks(int64_t size, int64_t most, int64_t unit) {
  const int64_t units = divide_up(size, unit), each = std::clamp(most / unit, int64_t(1), units);
  return divide_up(units, divide_up(units, each)) * unit;
}

void check_launch(const char* error) { TORCH_CHECK(error == nullptr, "the fused loss's kernel failed: ", error); }

template <typename T>
const T* pointer(const Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}

// ---------------------------------------------------------------------------------------------------------- design B

// Both sides as the tile kernels take them.
struct Tiles {
  Tensor x, y;                                // columns padded with zeros to a multiple of kDepth
  Tensor row_labels, column_labels, row_factor, column_factor, bounds;
  int32_t steps = 0, parts = 1;
};

Tensor padded(const Tensor& rows) {
  const int64_t depth = rows.size(1), wanted = round_up(depth, kDepth);
  const bool aligned = reinterpret_cast<uintptr_t>(rows.const_data_ptr()) % 16 == 0;
  if (depth != wanted) return at::constant_pad_nd(rows, {0, wanted - depth});
  return aligned ? rows : rows.clone();
}

Tiles prepare(const Inputs& in, void* stream) {
  Tiles out;
  out.x = padded(in.x);
  out.y = padded(in.y);
  out.bounds = at::zeros({2, 2}, in.x.options().dtype(at::kInt));
  if (in.labels) {
    out.parts = int32_t(label_parts(in.a));
    out.steps = int32_t(divide_up(in.a.size(1), kLabelStep));
  }
  const auto side = [&](const Tensor& x, const Tensor& labels, Tensor bounds, Tensor& prepared, Tensor& factor) {
    PrepareArgs args{};
    args.x = pointer<uint16_t>(x);
    args.bounds = static_cast<uint32_t*>(bounds.data_ptr());
    args.rows = x.size(0);
    args.depth = int32_t(x.size(1));
    if (in.labels) {
      prepared = at::empty({x.size(0), out.parts * out.steps * kLabelStep}, x.options());
      factor = at::empty({x.size(0)}, in.options());
      args.labels = labels.const_data_ptr();
      args.out = static_cast<uint16_t*>(prepared.data_ptr());
      args.factor = factor.data_ptr<float>();
      args.label_type = out.parts == 1 ? kByteLabels : kFloatLabels;
      args.label_count = int32_t(labels.size(1));
      args.label_steps = out.steps;
      args.label_parts = out.parts;
      args.cosine = in.cosine;
    }
    check_launch(launch_prepare(args, stream));
  };
  side(out.x, in.a, out.bounds[0], out.row_labels, out.row_factor);
  side(out.y, in.b, out.bounds[1], out.column_labels, out.column_factor);
  return out;
}

// The block of `rows` x `columns` pairs from (row, column) on.
TileArgs tile_args(const Inputs& in, const Tiles& tiles, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  TileArgs args{};
  const int64_t depth = tiles.x.size(1), width = int64_t(tiles.parts) * tiles.steps * kLabelStep;
  args.x = pointer<uint16_t>(tiles.x) + row * depth;
  args.y = pointer<uint16_t>(tiles.y) + column * depth;
  if (in.labels) {
    args.row_labels = pointer<uint16_t>(tiles.row_labels) + row * width;
    args.column_labels = pointer<uint16_t>(tiles.column_labels) + column * width;
    args.row_label_factor = pointer<float>(tiles.row_factor) + row;
    args.column_label_factor = pointer<float>(tiles.column_factor) + column;
  }
  if (in.excluded.defined()) {
    args.row_group = pointer<int64_t>(in.row_group) + row;
    args.column_group = pointer<int64_t>(in.column_group) + column;
    args.excluded = pointer<uint8_t>(in.excluded);
    args.groups = in.excluded.size(0);
  }
  args.logit_scale = pointer<float>(in.logit_scale);
  args.bounds = pointer<uint32_t>(tiles.bounds);
  args.label_scale = float(in.label_scale);
  args.cosine = in.cosine;
  args.rows = int32_t(rows);
  args.columns = int32_t(columns);
  args.depth = int32_t(depth);
  args.label_steps = tiles.steps;
  args.label_parts = tiles.parts;
  return args;
}

void merge(const Tensor& partials, int64_t parts, const Tensor& out, int64_t first, int64_t lines, bool accumulate,
           void* stream) {
  MergeArgs args{};
  args.partials = pointer<float>(partials);
  args.out = out.data_ptr<float>() + first;
  args.partial_stride = round_up(lines, kTile);
  args.out_stride = out.size(1);
  args.parts = int32_t(parts);
  args.lines = int32_t(lines);
  args.statistics = int32_t(out.size(0));
  args.accumulate = accumulate;
  check_launch(launch_merge(args, stream));
}

std::tuple<Tensor, Tensor> statistics_by_tiles(const Inputs& in, void* stream) {
  const Tiles tiles = prepare(in, stream);
  const int64_t n = in.x.size(0), m = in.y.size(0), columns_of_tiles = divide_up(m, kTile);
  const Tensor rows = at::empty({in.statistics(), n}, in.options()), columns = at::empty({in.statistics(), m}, in.options());
  const int64_t bytes_a_row = columns_of_tiles * 2 * in.statistics() * int64_t(sizeof(float));
  const int64_t chunk = equal_chunks(n, std::min(workspace / bytes_a_row, kTallestSweep * kTile), kTile);
  const Tensor row_partials = at::empty({in.statistics() * columns_of_tiles * chunk}, in.options());
  const Tensor column_partials = at::empty({in.statistics() * chunk * columns_of_tiles}, in.options());
  for (int64_t row = 0; row < n; row += chunk) {
    const int64_t count = std::min(chunk, n - row);
    StatisticsArgs args{};
    static_cast<TileArgs&>(args) = tile_args(in, tiles, row, count, 0, m);
    args.row_partials = row_partials.data_ptr<float>();
    args.column_partials = column_partials.data_ptr<float>();
    check_launch(launch_statistics(args, stream));
    merge(row_partials, columns_of_tiles, rows, row, count, false, stream);
    merge(column_partials, divide_up(count, kTile), columns, 0, m, row > 0, stream);
  }
  return {rows, columns};
}

std::tuple<Tensor, Tensor> gradient_by_tiles(const Inputs& in, const Tensor& row_shift, const Tensor& column_shift,
                                             void* stream) {
  const Tiles tiles = prepare(in, stream);
  const int64_t n = in.x.size(0), m = in.y.size(0);
  const Tensor grad_x = at::empty(in.x.sizes(), in.options()), grad_y = at::empty(in.y.sizes(), in.options());
  const int64_t width = equal_chunks(m, kWidestChunk, kTile);
  const int64_t height = equal_chunks(n, workspace / (2 * width), kTile);
  const Tensor buffer = at::empty({std::min(height, round_up(n, 8)), width}, in.x.options());
  for (int64_t column = 0; column < m; column += width) {
    const int64_t columns = std::min(width, m - column);
    for (int64_t row = 0; row < n; row += height) {
      const int64_t rows = std::min(height, n - row);
      GradientArgs args{};
      static_cast<TileArgs&>(args) = tile_args(in, tiles, row, rows, column, columns);
      args.row_shift = pointer<float>(row_shift) + row;
      args.column_shift = pointer<float>(column_shift) + column;
      args.row_shift_stride = n;
      args.column_shift_stride = m;
      args.gradient = static_cast<uint16_t*>(buffer.data_ptr());
      args.gradient_stride = width;
      check_launch(launch_gradient(args, stream));
      const Tensor g = buffer.narrow(0, 0, rows).narrow(1, 0, columns);
      multiply(grad_x.narrow(0, row, rows), g, in.y.narrow(0, column, columns), column > 0);
      multiply(grad_y.narrow(0, column, columns), g.t(), in.x.narrow(0, row, rows), row > 0);
    }
  }
  return {grad_x, grad_y};
}

// ---------------------------------------------------------------------------------------------------------- design A

// Chunks of logits and of targets, made by library products.
template <typename scalar>
class Chunks {
 public:
  explicit Chunks(const Inputs& in) : in_(in) {
    if (in.labels) {
      a_ = normalised(in.a);
      b_ = normalised(in.b);
    }
    const int64_t most = workspace / int64_t(sizeof(scalar)) / (in.labels ? 2 : 1);
    width = equal_chunks(in.y.size(0), std::min(kWidestChunk, most), 1);
    height = equal_chunks(in.x.size(0), most / width, 1);
    logits_ = at::empty({height * width}, in.options());
    if (in.labels) targets_ = at::empty_like(logits_);
  }

  // Computes the chunk at (row, column).
  void select(int64_t row, int64_t column) {
    rows = std::min(height, in_.x.size(0) - row);
    columns = std::min(width, in_.y.size(0) - column);
    row_ = row;
    column_ = column;
    Tensor logits = view(logits_);
    at::mm_out(logits, in_.x.narrow(0, row, rows), in_.y.narrow(0, column, columns).t());
    if (!in_.labels) return;
    Tensor targets = view(targets_);
    at::mm_out(targets, a_.narrow(0, row, rows), b_.narrow(0, column, columns).t());
  }

  void fill(ChunkArgs<scalar>& args) const {
    args.logits = logits_.template data_ptr<scalar>();
    args.targets = pointer<scalar>(targets_);
    args.logit_scale = pointer<scalar>(in_.logit_scale);
    if (in_.excluded.defined()) {
      args.row_group = pointer<int64_t>(in_.row_group) + row_;
      args.column_group = pointer<int64_t>(in_.column_group) + column_;
      args.excluded = pointer<uint8_t>(in_.excluded);
      args.groups = in_.excluded.size(0);
    }
    args.label_scale = scalar(in_.label_scale);
    args.rows = int32_t(rows);
    args.columns = int32_t(columns);
  }

  Tensor logits() const { return view(logits_); }

  int64_t height, width, rows = 0, columns = 0;

 private:
  Tensor normalised(const Tensor& labels) const {
    if (!in_.cosine) return labels;
    return labels / at::linalg_vector_norm(labels, 2, 1, true).clamp_min(1e-12);
  }

  Tensor view(const Tensor& buffer) const { return buffer.narrow(0, 0, rows * columns).view({rows, columns}); }

  const Inputs& in_;
  Tensor a_, b_, logits_, targets_;
  int64_t row_ = 0, column_ = 0;
};

template <typename scalar>
std::tuple<Tensor, Tensor> statistics_by_chunks(const Inputs& in, void* stream) {
  const int64_t n = in.x.size(0), m = in.y.size(0);
  const Tensor rows = at::empty({in.statistics(), n}, in.options()), columns = at::empty({in.statistics(), m}, in.options());
  Chunks<scalar> chunks(in);
  for (int64_t row = 0; row < n; row += chunks.height)
    for (int64_t column = 0; column < m; column += chunks.width) {
      chunks.select(row, column);
      ChunkStatisticsArgs<scalar> args{};
      chunks.fill(args);
      args.out = rows.template data_ptr<scalar>() + row;
      args.out_stride = n;
      args.accumulate = column > 0;
      check_launch(launch_chunk_rows(args, stream));
      args.out = columns.template data_ptr<scalar>() + column;
      args.out_stride = m;
      args.accumulate = row > 0;
      check_launch(launch_chunk_columns(args, stream));
    }
  return {rows, columns};
}

template <typename scalar>
std::tuple<Tensor, Tensor> gradient_by_chunks(const Inputs& in, const Tensor& row_shift, const Tensor& column_shift,
                                              void* stream) {
  const int64_t n = in.x.size(0), m = in.y.size(0);
  const Tensor grad_x = at::zeros_like(in.x), grad_y = at::zeros_like(in.y);
  Chunks<scalar> chunks(in);
  for (int64_t row = 0; row < n; row += chunks.height)
    for (int64_t column = 0; column < m; column += chunks.width) {
      chunks.select(row, column);
      ChunkGradientArgs<scalar> args{};
      chunks.fill(args);
      args.row_shift = pointer<scalar>(row_shift) + row;
      args.column_shift = pointer<scalar>(column_shift) + column;
      args.row_shift_stride = n;
      args.column_shift_stride = m;
      check_launch(launch_chunk_gradient(args, stream));
      const Tensor g = chunks.logits();
      grad_x.narrow(0, row, chunks.rows).addmm_(g, in.y.narrow(0, column, chunks.columns));
      grad_y.narrow(0, column, chunks.columns).addmm_(g.t(), in.x.narrow(0, row, chunks.rows));
    }
  return {grad_x, grad_y};
}

}  // namespace

std::tuple<Tensor, Tensor> soft_contrastive_statistics(
    const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a, const OptionalTensor& b,
    bool cosine, double label_scale, const OptionalTensor& row_group, const OptionalTensor& column_group,
    const OptionalTensor& excluded) {
  const c10::DeviceGuard guard(x.device());
  const Inputs in = checked(x, y, logit_scale, a, b, cosine, label_scale, row_group, column_group, excluded);
  void* stream = current_stream();
  if (in.tensor_cores) return statistics_by_tiles(in, stream);
  return in.type == at::kDouble ? statistics_by_chunks<double>(in, stream) : statistics_by_chunks<float>(in, stream);
}

std::tuple<Tensor, Tensor> soft_contrastive_gradient(
    const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a, const OptionalTensor& b,
    bool cosine, double label_scale, const OptionalTensor& row_group, const OptionalTensor& column_group,
    const OptionalTensor& excluded, const Tensor& row_shift, const Tensor& column_shift) {
  const c10::DeviceGuard guard(x.device());
  const Inputs in = checked(x, y, logit_scale, a, b, cosine, label_scale, row_group, column_group, excluded);
  check_shift(in, row_shift, x.size(0), "row_shift");
  check_shift(in, column_shift, y.size(0), "column_shift");
  const Tensor of_rows = row_shift.contiguous(), of_columns = column_shift.contiguous();
  void* stream = current_stream();
  if (in.tensor_cores) return gradient_by_tiles(in, of_rows, of_columns, stream);
  return in.type == at::kDouble ? gradient_by_chunks<double>(in, of_rows, of_columns, stream)
                                : gradient_by_chunks<float>(in, of_rows, of_columns, stream);
}

}  // namespace mmclip::cuda
