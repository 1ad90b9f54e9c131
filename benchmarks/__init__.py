"""The benchmarks, each a `main(argv)`; `./run.sh bench NAME` runs one."""
