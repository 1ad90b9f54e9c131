"""The stages of the pipeline, one file each."""

import pyarrow as pa

pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps some 30 MB more of what it has given out, for no CPU
