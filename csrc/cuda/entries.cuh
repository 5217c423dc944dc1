// The kernels by name. No name mangling, so that tools find them in PTX and in a profile.
#pragma once

#include "elementwise.cuh"
#include "gradient.cuh"
#include "prepare.cuh"
#include "statistics.cuh"

using namespace mmclip;

// Two blocks share an SM: while one is in its epilogue the other keeps the tensor cores busy.
#define MMCLIP_TILE_KERNEL extern "C" __global__ void __launch_bounds__(kThreads, 2)
#define MMCLIP_KERNEL extern "C" __global__ void __launch_bounds__(kThreads)
// Four blocks an SM: left to itself, ptxas takes fewer registers than exponentials in double precision need on sm_90.
#define MMCLIP_F64_ENTRY extern "C" __global__ void __launch_bounds__(kThreads, 4)

MMCLIP_TILE_KERNEL mmclip_statistics_labels(const __grid_constant__ StatisticsArgs in) { statistics_tile<true>(in); }
MMCLIP_TILE_KERNEL mmclip_statistics_plain(const __grid_constant__ StatisticsArgs in) { statistics_tile<false>(in); }
MMCLIP_TILE_KERNEL mmclip_gradient_labels(const __grid_constant__ GradientArgs in) { gradient_tile<true>(in); }
MMCLIP_TILE_KERNEL mmclip_gradient_plain(const __grid_constant__ GradientArgs in) { gradient_tile<false>(in); }
MMCLIP_KERNEL mmclip_prepare(const __grid_constant__ PrepareArgs in) { prepare_rows(in); }
MMCLIP_KERNEL mmclip_merge(const __grid_constant__ MergeArgs in) { merge_partials(in); }

MMCLIP_KERNEL mmclip_chunk_rows_f32(const __grid_constant__ ChunkStatisticsArgs<float> in) { chunk_rows(in); }
MMCLIP_KERNEL mmclip_chunk_rows_f64(const __grid_constant__ ChunkStatisticsArgs<double> in) { chunk_rows(in); }
MMCLIP_KERNEL mmclip_chunk_columns_f32(const __grid_constant__ ChunkStatisticsArgs<float> in) { chunk_columns(in); }
MMCLIP_KERNEL mmclip_chunk_columns_f64(const __grid_constant__ ChunkStatisticsArgs<double> in) { chunk_columns(in); }
MMCLIP_KERNEL mmclip_chunk_gradient_f32(const __grid_constant__ ChunkGradientArgs<float> in) { chunk_gradient(in); }
MMCLIP_F64_ENTRY mmclip_chunk_gradient_f64(const __grid_constant__ ChunkGradientArgs<double> in) { chunk_gradient(in); }
