"""An interpreter of the PTX that nvcc emits: it executes CUDA kernels without a GPU and checks what a GPU does not."""
